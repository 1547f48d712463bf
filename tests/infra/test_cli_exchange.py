"""`terralab catalog export` and `import`, as processes: what they print, their exit codes, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from terralab.catalog.errors import AlreadyExists, InvalidInput, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from tests.catalog.conftest import fill
from tests.catalog.exchange.odd_lab import contents, new_lab

COMMAND = [sys.executable, "-c", "from terralab.infra.cli import main; main()", "catalog"]


@pytest.fixture
def other(postgres: str, template: str, tmp_path: Path) -> Iterator[Workspace]:
    """Yield another, empty lab."""
    with new_lab(postgres, template, "other_lab", tmp_path / "other") as lab:
        yield lab


def begun(lab: Workspace, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "TERRALAB_HOME": str(lab.settings.lab.home),
        "TERRALAB_DATABASE_URL": lab.catalog.url,
        "TERRALAB_SCHEMAS": str(lab.settings.lab.schemas or ""),
    }
    # A process in the background of a script would take no notice of Ctrl-C.
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def called(*arguments: str) -> Result:
    """Run a command in this process, on the lab of the environment."""
    return CliRunner().invoke(app, ["catalog", *arguments])


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def report(lab: Workspace, *arguments: str) -> Any:
    code, stdout, stderr = ended(begun(lab, *arguments, "--json"))
    assert code == 0, stderr
    return json.loads(stdout)


def test_a_lab_goes_into_another(workspace: Workspace, other: Workspace, tmp_path: Path) -> None:
    lab, folder = fill(workspace), str(tmp_path / "export")
    written = report(lab, "export", folder, "--format", "static", "--assets", "copy")
    assert (sum(written["items"].values()), written["format"]) == (12, "static")
    assert written["asset_files"] == sum(1 for _ in lab.store.objects())
    imported = report(other, "import", folder)
    assert (imported["created"], imported["collections"], imported["files"]) == (12, 7, written["asset_files"])
    assert contents(other) == contents(lab)
    code, stdout, _ = ended(begun(other, "import", folder))
    assert (code, "unchanged" in stdout) == (0, True)

    part = called("export", str(tmp_path / "two"), "--collection", "runs")
    assert (part.exit_code, "runs" in part.stdout, "models" in part.stdout) == (0, True, False)
    assert "0 stored files listed" in part.stderr
    assert "neither listed" in called("export", str(tmp_path / "three"), "--assets", "none").stderr


def test_what_cannot_be_done_is_told(workspace: Workspace, other: Workspace, tmp_path: Path) -> None:
    fill(workspace)
    folder = str(tmp_path / "export")
    assert called("export", folder).exit_code == 0
    for kind, message, arguments in (
        (AlreadyExists, "is there already", ("export", folder)),
        (UnknownName, "did you mean runs", ("export", f"{folder}-2", "--collection", "run")),
        (InvalidInput, "is no export", ("import", str(tmp_path))),
    ):
        error = called(*arguments).exception
        assert (type(error), message in str(error)) == (kind, True), error
    assert called("import", str(tmp_path / "nothing")).exit_code == 2
    code, _, stderr = ended(begun(other, "import", folder))
    assert (code, stderr.count("\n"), "--assets copy" in stderr) == (6, 1, True)
    assert not any(contents(other).values())


def waits(lab: Workspace) -> bool:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with lab.catalog.connection() as connection:
        row = connection.execute(statement).fetchone()
    return bool(row and row[0])


def broken_off(lab: Workspace, table: str, *arguments: str) -> tuple[int, str, str]:
    """Press Ctrl-C while a command waits for a table that is locked."""
    with psycopg.connect(lab.catalog.url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        process = begun(lab, *arguments)
        deadline = time.monotonic() + 60
        while not waits(lab):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the command never came to the table"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        return ended(process)


def test_ctrl_c(workspace: Workspace, other: Workspace, tmp_path: Path) -> None:
    lab, folder = fill(workspace), tmp_path / "export"
    code, _, stderr = broken_off(lab, "lab.items", "export", str(folder), "--assets", "copy")
    assert (code, stderr) == (130, "broken off; nothing was exported\n")
    assert not [path for path in tmp_path.iterdir() if "export" in path.name]

    with lab.catalog.connection() as connection:
        connection.execute("INSERT INTO lab.projects VALUES ('floods', '{}')")
    report(lab, "export", str(folder), "--assets", "copy")
    for table in ("lab.links", "lab.projects"):  # among the items, and after them
        code, _, stderr = broken_off(other, table, "import", str(folder))
        assert (code, stderr) == (130, "broken off; the same command goes on from here\n"), table
    assert report(other, "import", str(folder))["unchanged"] == 12
    assert contents(other) == contents(lab)
