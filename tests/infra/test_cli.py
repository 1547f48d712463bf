"""The command line without a lab: help, errors, exit codes, and that commands mirror the flows."""

import importlib
import inspect
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from terralab.catalog.errors import LabError
from terralab.catalog.settings import Settings
from terralab.infra.cli import (
    datasets,
    datasets_make,
    datasets_onboard,
    datasets_quality,
    datasets_split,
    features,
    imagery,
    labels,
    models,
    predict,
)
from terralab.infra.cli.exit_codes import EXIT_CODES, exit_code
from terralab.infra.flow_client import _refuse_failure

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, Callable[..., None]] = {
    "ingest": imagery.fetch,
    "onboard": datasets_onboard.onboard,
    "split": datasets_split.split,
    "qa": datasets_quality.qa,
    "version": datasets.version,
    "features": features.run,
    "tune": models.tune,
    "predict": predict.predict,
    "validate": models.validate,
}

# Their commands are made for people: `datasets make` fills a request, and each decision of a review has a command.
_OTHERWISE = {"chip": (datasets_make.make,), "review": (labels.accept, labels.fix, labels.drop)}
_OF_THE_COMMAND_ALONE = {"ingest": ("bbox", "dry_run")}


def terralab(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from terralab.infra.cli import main; main()", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_error_has_a_code_of_its_own() -> None:
    codes = list(EXIT_CODES.values())
    assert len(set(codes)) == len(codes)
    assert not {0, 2, 130} & set(codes)
    kinds = [LabError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        assert exit_code(kind()) in codes


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from terralab.infra.cli.app import app;"
        "print([m for m in ('prefect','torch','psycopg','fastapi','rasterio','numpy','pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("flow", COMMANDS)
def test_command_takes_the_parameters_of_its_flow(flow: str) -> None:
    entrypoint = next(entry["entrypoint"] for entry in deployments() if entry["name"] == flow)
    parameters = inspect.signature(function_of(entrypoint).fn).parameters
    options = inspect.signature(COMMANDS[flow]).parameters
    assert set(parameters) <= set(options)
    assert set(options) - set(parameters) <= {"as_json", *_OF_THE_COMMAND_ALONE.get(flow, ())}
    for name, parameter in parameters.items():
        if name in options and isinstance(parameter.default, bool | int | float | str):
            assert options[name].default == parameter.default, name


def test_prefect_yaml_is_the_packaged_file_and_names_every_flow() -> None:
    assert (ROOT / "prefect.yaml").resolve() == ROOT / "infra" / "prefect.yaml"
    assert {entry["name"] for entry in deployments()} == {*COMMANDS, *_OTHERWISE}
    for entry in deployments():
        assert function_of(entry["entrypoint"]).name == entry["name"]


def deployments() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def function_of(entrypoint: str) -> Any:
    module, _, function = entrypoint.rpartition(".")
    return getattr(importlib.import_module(module), function)


def test_no_lab_is_one_line_and_a_code(open_folder: Path) -> None:
    done = terralab("datasets", "list", TERRALAB_HOME=str(open_folder / "home"))
    assert done.returncode == 8
    assert done.stderr.startswith("error: there is no lab in ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_unwritable_home(open_folder: Path) -> None:
    (open_folder / "home").write_text("")
    done = terralab("up", "--detach", TERRALAB_HOME=str(open_folder / "home"))
    assert done.returncode == 12
    assert done.stderr.count("\n") == 1


def test_busy_port_names_who_has_it(open_folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = terralab("up", "--detach", TERRALAB_HOME=str(open_folder / "home"), TERRALAB_WEB_PORT=port)
    assert done.returncode == 11
    assert port in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert "TERRALAB_WEB_PORT" in done.stderr


def test_database_of_a_newer_pgstac(open_folder: Path, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE pgstac.migrations SET version = '99.0.0', datetime = now() + interval '1 day'")
    home = str(open_folder / "home")
    ports = {"TERRALAB_WEB_PORT": "38123", "TERRALAB_PREFECT_PORT": "38124"}
    done = terralab("up", "--detach", TERRALAB_HOME=home, TERRALAB_DATABASE_URL=database_url, **ports)
    assert done.returncode == 10, done.stderr
    assert "99.0.0" in done.stderr
    assert "password" not in done.stderr


def test_file_patterns_without_match(open_folder: Path) -> None:
    missing = str(open_folder / "*.tif")
    done = terralab(
        "datasets", "onboard", "x", "--images", missing, "--labels", missing, TERRALAB_HOME=str(open_folder)
    )
    assert done.returncode == 3
    assert "--images: no file matches" in done.stderr


def test_doctor_reports_every_check(open_folder: Path) -> None:
    home = str(open_folder / "home")
    done = terralab("doctor", "--json", TERRALAB_HOME=home, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    found = {finding["check"]: finding["ok"] for finding in json.loads(done.stdout)}
    assert found["home folder"]
    assert not found["checkpoint safety"]
    assert done.returncode == 9


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [
        ({"type": "FAILED", "message": "[too_few_chips] 3 chips\nare few"}, 3, "3 chips\nare few"),
        ({"type": "FAILED", "message": "boom"}, 1, "tune failed: boom"),
        ({"type": "CRASHED", "message": "killed. More"}, 15, "crashed: killed; repeat"),
        ({"type": "CANCELLED", "message": None}, 16, "was cancelled"),
    ],
)
def test_a_runs_end_becomes_an_error(state: dict[str, Any], code: int, text: str) -> None:
    with pytest.raises(LabError) as caught:
        _refuse_failure("tune", {"name": "red-fox", "state": state})
    assert exit_code(caught.value) == code
    assert text in str(caught.value)


def test_settings_are_read_only_when_a_command_runs() -> None:
    assert Settings().worker.runs >= 1
