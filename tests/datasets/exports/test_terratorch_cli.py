"""The command `terratorch` trains from exported folders, by the configuration that lies in them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from terralab.datasets.exports.export import export_subject
from terralab.extensions.chip_parts import Task
from tests.datasets.exports.versions import SEVERAL, version

KINDS: dict[str, dict[str, Any]] = {
    **{task.value: {"task": task} for task in Task},
    "several modalities and dates": {"modalities": SEVERAL, "dates": 2},
}
SHORT = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--data.init_args.num_workers", "0"]


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_terratorch_fits(kind: str, tmp_path: Path) -> None:
    export_subject(version(tmp_path, **KINDS[kind]), tmp_path / "out", "terratorch")
    program = Path(sys.executable).with_name("terratorch")
    done = subprocess.run(
        [str(program), "fit", "-c", "config.yaml", *SHORT],
        cwd=tmp_path / "out",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "`max_epochs=1` reached" in done.stderr + done.stdout
    assert (tmp_path / "out" / "output" / "checkpoints" / "last.ckpt").is_file()
