"""`terralab datasets scan`, as a user meets it: a report and an exit code, without a running lab."""

import json
import os
import subprocess
import sys
from pathlib import Path

from terralab.catalog.errors import InvalidInput
from terralab.infra.cli.exit_codes import EXIT_CODES
from tests.datasets.onboarding.sets import image, mask, pairs

WRONG = EXIT_CODES[InvalidInput]


def scan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from terralab.infra.cli import main; main()", "datasets", "scan"]
    environment = {**os.environ, "TERRALAB_HOME": "/nonexistent", "TERRALAB_ONBOARD_HOSTS": "data.example.org"}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, env=environment
    )


def test_a_report_of_a_dataset(tmp_path: Path) -> None:
    done = scan(pairs(tmp_path / "set"), "--datetime", "2024-06-01", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["form"], report["ready"], report["samples"], report["files"]) == ("folder", True, 2, 4)
    assert report["bands"] == {"image": ["B02", "B03"]}
    assert report["classes"] == [{"value": 0, "name": "class_0"}, {"value": 1, "name": "class_1"}]
    assert report["crs"] == {"EPSG:32630": 2}


def test_bands_of_modalities_are_given_by_name(tmp_path: Path) -> None:
    for name in ("S2", "S1", "labels"):
        (mask if name == "labels" else image)(tmp_path / "set" / name / "a.tif")
    done = scan(tmp_path / "set", "--datetime", "2024-06-01", "--json", "--bands", "S2=red,nir", "--bands", "S1=VV,VH")
    assert json.loads(done.stdout)["bands"] == {"S2": ["B04", "B08"], "S1": ["VV", "VH"]}
    wrong = scan(tmp_path / "set", "--bands", "red,nir")
    assert wrong.returncode == WRONG
    assert "error: the dataset has the modalities S1, S2, not 'image'" in wrong.stderr


def test_what_is_wrong_is_told_with_an_exit_code(tmp_path: Path) -> None:
    image(pairs(tmp_path / "set") / "images" / "lonely.tif")
    done = scan(tmp_path / "set", "--datetime", "2024-06-01")
    assert done.returncode == WRONG
    assert "lonely.tif: no label belongs to this image" in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_there_and_hosts_that_nobody_allowed(tmp_path: Path) -> None:
    assert "no such file or folder" in scan(tmp_path / "nothing").stderr
    done = scan("https://evil.example/set.zip")
    assert done.returncode == WRONG
    assert "its host evil.example is not allowed" in done.stderr


def test_onboard_asks_no_host_that_nobody_allowed() -> None:
    command = [sys.executable, "-c", "from terralab.infra.cli import main; main()", "datasets", "onboard", "x"]
    environment = {**os.environ, "TERRALAB_HOME": "/nonexistent", "TERRALAB_ONBOARD_HOSTS": ""}
    words = [*command, "https://evil.example/set.zip"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == WRONG
    assert "its host evil.example is not allowed" in done.stderr
