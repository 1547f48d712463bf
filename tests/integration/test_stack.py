"""A whole lab, started for real in a folder of its own: ready, watched, killed in pieces, stopped and started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.infra import stack
from terralab.infra.errors import RunCancelled, RunCrashed
from terralab.infra.flow_client import run_flow
from terralab.infra.home import LabHome
from terralab.infra.prefect_client import PrefectClient
from terralab.infra.status import SERVICES, lab_status, services_status
from terralab.infra.supervision import Supervisor
from tests.conftest import free_port, official_schemas

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
COMMAND = [sys.executable, "-c", "from terralab.infra.cli import main; main()"]


class Silent:
    """Watches a run without a word, and notes its steps."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    def state(self, name: str) -> None:
        pass

    def step(self, name: str, percent: float) -> None:
        self.steps[name] = percent

    def log(self, level: int, message: str) -> None:
        pass


def terralab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture(scope="module")
def lab() -> Iterator[Settings]:
    """Yield the settings of a lab that runs; what is killed in it comes back by itself."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TERRALAB_DATABASE_URL", raising=False)
        patch.setenv("TERRALAB_HOME", str(folder / "home"))
        patch.setenv("TERRALAB_WEB_PORT", str(free_port()))
        patch.setenv("TERRALAB_PREFECT_PORT", str(free_port()))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        if schemas := official_schemas():
            patch.setenv("TERRALAB_SCHEMAS", str(schemas))
        done = terralab("up", "--detach")
        assert done.returncode == 0, done.stderr
        settings = Settings()
        deploy_sample(settings)
        yield settings
        stack.down(settings, lambda line: None)
    assert Supervisor(LabHome(settings)).orphans() == []
    shutil.rmtree(folder)


def deploy_sample(settings: Settings) -> None:
    with PrefectClient(settings.prefect.api_url) as client:
        flow = client.ask("POST", "/flows/", {"name": "sample"}).json()["id"]
        deployment = {
            "name": "sample",
            "flow_id": flow,
            "entrypoint": "sample_flows.sample",
            "work_pool_name": "terralab",
            "job_variables": {"imports": "light"},
            "parameter_openapi_schema": {
                "type": "object",
                "properties": {"run": {"type": "string"}},
                "required": ["run"],
            },
            "enforce_parameter_schema": True,
        }
        assert client.ask("POST", "/deployments/", deployment).is_success


def wait_for(condition: Callable[[], bool], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def healthy(settings: Settings) -> bool:
    states = Supervisor(LabHome(settings)).states()
    return all(service.healthy for service in services_status(settings, states).values())


def in_background(settings: Settings, **parameters: Any) -> tuple[threading.Thread, list[BaseException]]:
    """Run the sample in a thread; the list holds its error when it has ended by one."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            run_flow(settings, "sample", parameters, Silent())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def run_status(settings: Settings, run: str) -> str | None:
    item = Workspace(settings).catalog.find_item("runs", run)
    return item["properties"]["lab:status"] if item else None


def test_status_tells_services_versions_and_counts(lab: Settings) -> None:
    done = terralab("status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["services"]) == set(SERVICES)
    for service in found["services"].values():
        assert service["healthy"]
        assert psutil.pid_exists(service["pid"])
    assert found["versions"]["pgstac"] == "0.10.0"
    assert "password" not in done.stdout.lower()
    assert isinstance(found["counts"], dict)
    assert httpx.get(f"{lab.web.url}/stac/collections").status_code == 200


def test_starting_twice_says_so(lab: Settings) -> None:
    done = terralab("up", "--detach")
    assert (done.returncode, done.stderr.count("\n")) == (13, 1)
    assert lab.web.url in done.stderr


def test_postgres_is_not_root(lab: Settings) -> None:
    pid = lab_status(lab).services["postgres"].pid
    assert pid is not None
    assert psutil.Process(pid).uids().real != 0


def test_flows_are_deployed_with_their_forms(lab: Settings) -> None:
    with PrefectClient(lab.prefect.api_url) as client:
        deployed = {entry["name"]: entry for entry in client.deployments()}
    onboard = deployed["onboard"]
    assert onboard["work_pool_name"] == "terralab"
    assert onboard["parameter_openapi_schema"]["properties"]["chip_size"]["default"] == 128


def test_the_token_of_this_machine_writes_and_nobody_else(lab: Settings) -> None:
    file = lab.secrets_folder / "token"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    url, token = f"{lab.web.url}/stac/collections/none", {"Authorization": f"Bearer {file.read_text().strip()}"}
    assert httpx.get(f"{lab.web.url}/stac/collections").status_code == 200, "reads are open on loopback"
    assert httpx.delete(url).status_code == 401
    assert httpx.delete(url, headers=token).status_code == 404
    made = json.loads(terralab("keys", "create", "ana", "--json").stdout)
    key = {"X-API-Key": made["key"]}
    assert httpx.delete(url, headers=key).status_code == 403
    assert terralab("keys", "revoke", made["prefix"]).returncode == 0
    time.sleep(5)
    assert httpx.get(url, headers=key).status_code == 401


def test_prefect_refuses_forged_requests(lab: Settings) -> None:
    forged = httpx.post(f"{lab.prefect.api_url}/flows/", json={"name": "x"}, headers={"Origin": "https://evil.example"})
    assert forged.status_code == 403
    assert "access-control-allow-origin" not in forged.headers


def test_run_gives_its_result_and_a_record(lab: Settings) -> None:
    watcher = Silent()
    result = run_flow(lab, "sample", {"run": "sample-good", "seconds": 0.5}, watcher)
    assert result.run == "runs/sample-good"
    assert result.details == {"threads": "1"}
    assert watcher.steps["sleeping"] == 100
    assert run_status(lab, "sample-good") == "succeeded"


def test_error_of_a_flow_is_the_error_of_the_command(lab: Settings) -> None:
    with pytest.raises(TooFewChips, match="give 6"):
        run_flow(lab, "sample", {"run": "sample-bad", "fail": True}, Silent())
    assert run_status(lab, "sample-bad") == "failed"


def test_wrong_parameters_are_refused_before_a_run(lab: Settings) -> None:
    with pytest.raises(InvalidInput, match="run"):
        run_flow(lab, "sample", {"seconds": 1}, Silent())


def test_cancelled_run_is_stopped_and_closed(lab: Settings) -> None:
    thread, errors = in_background(lab, run="sample-cancelled", seconds=60)
    wait_for(lambda: run_status(lab, "sample-cancelled") == "running")
    with PrefectClient(lab.prefect.api_url) as client:
        client.cancel(flow_run_of(lab, "sample-cancelled"))
    thread.join(30)
    assert isinstance(errors[0], RunCancelled)
    wait_for(lambda: run_status(lab, "sample-cancelled") == "cancelled")


def test_killed_run_is_closed_as_crashed(lab: Settings) -> None:
    thread, errors = in_background(lab, run="sample-killed", seconds=60)
    wait_for(lambda: run_status(lab, "sample-killed") == "running")
    os.kill(run_pid(lab, "sample-killed"), signal.SIGKILL)
    thread.join(30)
    assert isinstance(errors[0], RunCrashed)
    wait_for(lambda: run_status(lab, "sample-killed") == "crashed")


def test_every_killed_process_comes_back_and_its_run_is_closed(lab: Settings) -> None:
    thread, _ = in_background(lab, run="sample-orphan", seconds=600)
    wait_for(lambda: run_status(lab, "sample-orphan") == "running")
    run = psutil.Process(run_pid(lab, "sample-orphan"))
    for service in lab_status(lab).services.values():
        os.kill(service.pid or 0, signal.SIGKILL)
    assert psutil.wait_procs([run], timeout=10)[1] == [], "a run went on without its worker"
    wait_for(lambda: healthy(lab), within=90)
    for service in lab_status(lab).services.values():
        assert (service.restarts >= 1, service.last_exit) == (True, "terminated by SIGKILL")
    wait_for(lambda: run_status(lab, "sample-orphan") == "crashed")
    thread.join(30)
    assert run_flow(lab, "sample", {"run": "sample-orphan"}, Silent()).run == "runs/sample-orphan"


def test_killed_supervisor_is_told_and_the_lab_starts_again_with_its_data(lab: Settings) -> None:
    home = LabHome(lab)
    os.kill(int((home.run / "supervisord.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not Supervisor(home).is_running())
    told = terralab("status", "--json")
    assert told.returncode == 8
    assert "the supervisor is gone" in told.stderr
    foreground = subprocess.Popen([*COMMAND, "up"], stderr=subprocess.PIPE, text=True)
    said = lines_until(foreground, "the lab is ready")
    assert "an earlier start left behind" in said
    assert run_status(lab, "sample-good") == "succeeded"
    foreground.send_signal(signal.SIGINT)
    assert foreground.wait(120) == 0
    assert not Supervisor(home).is_running()


def lines_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def flow_run_of(settings: Settings, run: str) -> str:
    return str(Workspace(settings).catalog.item("runs", run)["properties"]["lab:flow_run"])


def run_pid(settings: Settings, run: str) -> int:
    with PrefectClient(settings.prefect.api_url) as client:
        wanted = flow_run_of(settings, run)
        wait_for(lambda: bool(client.flow_run(wanted)["infrastructure_pid"]))
        return int(client.flow_run(wanted)["infrastructure_pid"])
