"""Supervisord with real processes: restarts, their count, orphans."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from terralab.infra.errors import StartFailed
from terralab.infra.home import LabHome
from terralab.infra.stack import end_orphans
from terralab.infra.supervision import Program, Supervisor


@pytest.fixture
def supervisor(home: LabHome) -> Iterator[Supervisor]:
    made = Supervisor(home)
    sleep = [sys.executable, "-c", "import time; print('up % now', flush=True); time.sleep(600)"]
    made.start(
        [Program("first", sleep, home.run, starts_first=True), Program("second", sleep, home.run)], {"X": "100%"}
    )
    yield made
    if made.is_running():
        made.stop()
    end_orphans(home, made, lambda line: None)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(supervisor: Supervisor, name: str) -> bool:
    return supervisor.states()[name].state == "RUNNING"


def test_programs_start_in_the_order_that_was_asked(supervisor: Supervisor, home: LabHome) -> None:
    wait_for(lambda: running(supervisor, "first"))
    assert supervisor.states()["second"].state == "STOPPED"
    supervisor.start_program("second")
    wait_for(lambda: running(supervisor, "second"))
    environment = psutil.Process(supervisor.states()["second"].pid).environ()
    assert environment["X"] == "100%"
    assert (home.logs / "second.log").read_text() == "up % now\n"


def test_killed_process_is_restarted_and_named(supervisor: Supervisor) -> None:
    wait_for(lambda: running(supervisor, "first"))
    before = supervisor.states()["first"].pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: running(supervisor, "first") and supervisor.states()["first"].pid != before)
    state = supervisor.states()["first"]
    assert (state.restarts, state.last_exit) == (1, "terminated by SIGKILL")


def test_processes_of_a_killed_supervisor_are_found_and_ended(supervisor: Supervisor, home: LabHome) -> None:
    wait_for(lambda: running(supervisor, "first"))
    child = supervisor.states()["first"].pid
    os.kill(int((home.run / "supervisord.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not supervisor.is_running())
    assert [process.pid for process in supervisor.orphans()] == [child]
    said: list[str] = []
    assert end_orphans(home, supervisor, said.append)
    assert said == ["ending 1 processes that an earlier start left behind"]
    assert supervisor.orphans() == []


def test_supervisor_that_cannot_start_says_why(home: LabHome) -> None:
    with pytest.raises(StartFailed, match="supervisor does not start"):
        Supervisor(home).start([Program("first", ["true"], home.run, user="no-such-user")], {})
