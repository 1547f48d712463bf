"""Measuring by several processes: the same as by one, also from a forked process with threads, as flow runs are."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.datasets.quality import measuring
from terralab.datasets.quality.chip_source import ChipSource, FeatureSource
from terralab.datasets.quality.measures import measure_chip
from terralab.extensions.raster import MASK_NODATA, Grid

BANDS = ("B03", "B04", "B11")
FORKED = """
import os, sys, threading, time
from terralab.catalog.workspace import Workspace
from terralab.datasets.quality import measuring
from tests.datasets.quality.test_measuring import chips
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
measuring._FEW = 1
workspace = Workspace()
made = chips(workspace, 40)
found = list(measuring.measure_all(workspace.settings, workspace.store, made, len(made), 2))
assert [measures.id for _, measures in found] == [chip.id for chip in made]
assert all(measures.problem is None for _, measures in found)
os._exit(7)
"""


def chips(workspace: Workspace, count: int, bands: Sequence[str] = BANDS) -> list[ChipSource]:
    """Store small chips, each different."""
    grid = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (32, 32))
    made = []
    for number in range(count):
        random = np.random.default_rng(number)
        image = random.integers(1, 4000, (len(bands), 32, 32)).astype(np.uint16)
        mask = random.integers(0, 2, (32, 32)).astype(np.uint8)
        image[:, : number % 8] = 0
        stored = workspace.store.put_bytes(encode_chip(image, grid, 0, bands), f"{number}.tif", "md5")
        label = workspace.store.put_bytes(encode_chip(mask[None], grid, MASK_NODATA, ["mask"]), f"{number}m.tif", "md5")
        made.append(
            ChipSource(
                id=f"chip-{number:03d}",
                features=(FeatureSource("image", stored.href, tuple(bands), 1, 0, ((0.0, 4000.0),) * len(bands)),),
                mask=label.href,
                values=(0, 1),
                classes=("land", "water"),
                labels=(),
                grid=grid,
                bounds=(-3.0, 37.9, -2.99, 37.91),
                moment=datetime(2021, 5, 1, tzinfo=UTC),
                split=None,
                group=f"g{number}",
                scene="scenes/one",
                platform=None,
                counts={"land": int((mask == 0).sum()), "water": int((mask == 1).sum())},
                checksums=(stored.checksum, label.checksum),
            )
        )
    return made


def test_several_processes_measure_the_same_in_order(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_FEW", 1)
    made = chips(workspace, 50)
    found = list(measuring.measure_all(workspace.settings, workspace.store, iter(made), len(made), 2))
    assert [source.id for source, _ in found] == [chip.id for chip in made]
    for source, measures in found:
        alone = measure_chip(workspace.store, source)
        assert (measures.qa, measures.hash, measures.problem) == (alone.qa, alone.hash, None)
        assert np.array_equal(measures.means, alone.means, equal_nan=True)
    assert len({measures.hash for _, measures in found}) == len(made)
    assert found[5][1].qa["nodata"] == pytest.approx(5 / 32, abs=1e-4)


@pytest.mark.usefixtures("workspace")
def test_a_forked_process_with_threads_can_measure() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 7, done.stderr


def test_missing_and_foreign_files_are_named(workspace: Workspace) -> None:
    made = chips(workspace, 2)
    workspace.store.open_path(made[0].features[0].href).unlink()
    assert "image" not in measure_chip(workspace.store, made[0]).qa
    assert made[0].checksums[0] in str(measure_chip(workspace.store, made[0]).problem)
    moved = ChipSource(**{**vars(made[1]), "grid": Grid("EPSG:32631", made[1].grid.transform, (32, 32))})
    assert "lies in EPSG:32630" in str(measure_chip(workspace.store, moved).problem)
