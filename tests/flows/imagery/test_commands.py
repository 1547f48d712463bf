"""`terralab imagery` against a second lab on loopback, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.imagery.conftest import Provider


def terralab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from terralab.infra.cli import main; main()", "imagery", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def at(provider: Provider, box: list[float]) -> list[str]:
    return ["--connector", "other", "--bbox", *map(str, box), "--dates", "2024-05-01/2024-05-31"]


def test_find_lists_scenes_and_what_goes_together(provider: Provider, at: list[str]) -> None:
    done = terralab("find", "-m", "S2L2A", "-m", "S1RTC", *at, "--align-days", "4", "--cloud", "90", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [scene["id"] for scene in found["scenes"]] == ["s2l2a-05", "s2l2a-15", "s1rtc-06", "s1rtc-18"]
    assert [row["dates"] for row in found["found"]] == [["2024-05-05", "2024-05-15"], ["2024-05-06", "2024-05-18"]]
    assert len(found["aligned"]) == 2
    assert found["left_out"] == {"no date of another modality near": 1}
    assert provider.door.requests["file"] == 0


def test_a_dry_run_says_scenes_dates_and_bytes(provider: Provider, at: list[str]) -> None:
    done = terralab("fetch", "here", "-m", "S2L2A", *at, "--bands", "S2L2A=B04,B03,B02", "--dry-run")
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[1].split()
    assert row[:3] == ["S2L2A", "3", "1"]
    assert "2024-05-05, 2024-05-15, 2024-05-25" in done.stdout
    assert "MB" in done.stdout
    assert provider.door.requests["file"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["find", "-m", "S2L2A"], 3, "--bbox or --area"),
        (["find", "-m", "S3", "--bbox", "0", "0", "1", "1"], 3, "no modality is called 'S3'"),
        (["find", "-m", "S2L2A", "--bbox", "0", "0", "1", "1"], 3, "dates: give a day"),
        (["find", "-m", "DEM", "--bbox", "0", "0", "1", "1", "--connector", "senti"], 4, "sentinelhub"),
        (["find", "-m", "DEM", "--bbox", "-1", "0", "1", "1", "--connector", "sentinelhub"], 9, "SH_CLIENT_ID"),
        (["find", "-m", "DEM", "--area", "nothing.geojson"], 3, "cannot be read"),
        (["find", "-m", "DEM", "--bbox", "0", "0", "1", "1", "--bands", "DEM"], 3, "MODALITY=value"),
        (["fetch", "Not A Name", "-m", "DEM", "--bbox", "0", "0", "1", "1", "--dry-run"], 3, "name"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    done = terralab(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert message in done.stderr


def test_providers_are_listed_with_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NASA_EARTH_BEARER_TOKEN", raising=False)
    monkeypatch.setenv("TERRALAB_IMAGERY_PROVIDERS", "mine=https://stac.example.org")
    rows = {row["connector"]: row for row in json.loads(terralab("providers", "--json").stdout)}
    assert rows["nasa_earthdata"]["missing"] == ["NASA_EARTH_BEARER_TOKEN"]
    assert rows["mine"]["collections"]["S2L2A"] == "sentinel-2-l2a"
