"""The warm process: forks runs that live and die alone, and leaves no trace of what its imports do."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from terralab.catalog.errors import SetupProblem
from terralab.flows.warm_process import refuse_unsafe_checkpoints, unchanged_environment

# Stands in for Prefect's engine: what a run does is said by its environment.
FLOW = """
    import os, sys, time
    import terralab.flows.warm_process as warm
    os.environ["GDAL_HTTP_COOKIEFILE"] = "~/cookies.txt"
    def act(run):
        exec(os.environ["ACT"])
    warm.run_flow = act
    sys.modules["__main__"].run_flow = act
"""


class Warm:
    """A warm process and its channel."""

    def __init__(self, folder: Path) -> None:
        (folder / "acting.py").write_text(textwrap.dedent(FLOW))
        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-m",
            "terralab.flows.warm_process",
            str(theirs.fileno()),
            "acting",
            "no_such_module",
        ]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self.channel = ours
        self.lines = ours.makefile()

    def hear(self) -> dict[str, Any]:
        return dict(json.loads(self.lines.readline()))

    def run(self, name: str, act: str) -> int:
        order = {"run": name, "environment": {"ACT": act}}
        self.channel.sendall(json.dumps(order).encode() + b"\n")
        answer = self.hear()
        assert answer["run"] == name
        return int(answer["pid"])


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    made = Warm(tmp_path)
    assert made.hear() == {"ready": True}
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.parametrize(
    ("act", "code"),
    [("pass", 0), ("sys.exit(3)", 3), ("raise ValueError('x')", 1), ("os.kill(os.getpid(), 9)", -9)],
)
def test_exit_codes_come_back(warm: Warm, act: str, code: int) -> None:
    warm.run("a", act)
    assert warm.hear() == {"run": "a", "exit": code}


def test_runs_are_processes_of_their_own(warm: Warm) -> None:
    first, second = warm.run("a", "time.sleep(60)"), warm.run("b", "time.sleep(60)")
    assert os.getpgid(first) == first != second == os.getpgid(second)
    os.kill(first, signal.SIGKILL)
    assert warm.hear() == {"run": "a", "exit": -9}
    assert psutil.Process(second).is_running()


def test_environment_of_imports_does_not_reach_runs(warm: Warm) -> None:
    warm.run("a", "sys.exit('GDAL_HTTP_COOKIEFILE' in os.environ)")
    assert warm.hear()["exit"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal to orphans is Linux's")
def test_runs_die_with_their_warm_process(warm: Warm) -> None:
    run = psutil.Process(warm.run("a", "time.sleep(60)"))
    warm.process.kill()
    assert psutil.wait_procs([run], timeout=10)[1] == []


def test_warm_process_ends_with_its_worker(warm: Warm) -> None:
    warm.lines.close()
    warm.channel.close()
    assert warm.process.wait(10) == 0


def test_worker_starts_a_dead_warm_process_again() -> None:
    from terralab.flows.worker import WarmProcess

    async def scenario() -> list[bool]:
        warm = WarmProcess(["json"])
        await warm.start()
        assert warm._process is not None
        first = warm._process
        first.kill()
        await first.wait()
        await warm.start()
        again = warm._process is not first
        warm._process.kill()
        await warm._process.wait()
        return [again]

    assert asyncio.run(scenario()) == [True]


def test_environment_is_put_back() -> None:
    os.environ["KEPT"] = "1"
    with unchanged_environment():
        os.environ["KEPT"] = "2"
        os.environ["GDAL_NEW"] = "x"
    assert os.environ.pop("KEPT") == "1"
    assert "GDAL_NEW" not in os.environ


def test_unsafe_checkpoints_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(SetupProblem, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        refuse_unsafe_checkpoints()
