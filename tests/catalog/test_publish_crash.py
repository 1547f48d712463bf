"""A publish that dies at any step: nothing visible lacks bytes, the same command again ends well, no garbage stays."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.workspace import Workspace
from tests.catalog.s3_server import s3_server

ROOT = Path(__file__).parents[2]


def deaths(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.catalog.crashing_publish", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("store", ["folder", "folder, many files at once", "s3"])
def test_whatever_the_step(workspace: Workspace, store: str) -> None:
    if store == "s3":
        with s3_server() as server:
            found = deaths("--port", str(server.port))
    else:
        found = deaths(*(["--many"] if "many" in store else []))
    steps = [death["step"] for death in found]
    wanted = ("obstore.put",) if store == "s3" else ("os.fsync", "os.replace")
    for step in (*wanted, "Path.write_bytes", "Connection.execute", "Cursor.copy"):
        assert any(step in name for name in steps), step
    for death in found:
        assert death["then"] in ({"items": 0, "bytes": True}, {"items": 1, "bytes": True}), death
        assert death["again"] == death["after"] == {"items": 1, "bytes": True}, death
        assert death["orphans"] == 0, death
    seen = [death["then"]["items"] for death in found]
    assert seen == sorted(seen), "visible from one step on, and not before"
    assert {0, 1} == set(seen)
    assert any(death["leftovers"] for death in found), "a death in the middle of a file leaves it in tmp"
