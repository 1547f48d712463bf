"""The inbox: what the command line puts in, and what a pattern may not reach."""

import os
from pathlib import Path

import pytest

from terralab.catalog.errors import InvalidInput
from terralab.catalog.inbox import resolve, stage
from terralab.catalog.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERRALAB_SOURCE_FOLDERS", str(tmp_path / "sources"))
    return Settings()


def made(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_staging_twice_gives_the_same_pattern_and_files(settings: Settings, tmp_path: Path) -> None:
    files = [made(tmp_path / "a [1].tif"), made(tmp_path / "é.tif", b"y")]
    pattern = stage(settings, files)
    assert stage(settings, files) == pattern
    assert [path.name for path in resolve(settings, pattern)] == ["a [1].tif", "é.tif"]


@pytest.mark.parametrize(
    "pattern", ["../x.tif", "a/../../x.tif", "/etc/*", "/etc/nothing", "../../../../etc/*", "a\0b", "{}/../x.tif"]
)
def test_a_pattern_that_leads_outside_is_refused_whether_or_not_something_is_there(
    settings: Settings, tmp_path: Path, pattern: str
) -> None:
    made(tmp_path / "home" / "x.tif")
    made(tmp_path / "x.tif")
    (tmp_path / "sources").mkdir()
    with pytest.raises(InvalidInput, match="leads outside"):
        resolve(settings, pattern.format(tmp_path / "sources"))


def test_a_link_that_leads_outside_is_refused(settings: Settings, tmp_path: Path) -> None:
    secret = made(tmp_path / "secret" / "a.tif")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "link").symlink_to(secret.parent)
    with pytest.raises(InvalidInput, match="leads outside"):
        resolve(settings, f"{tmp_path}/sources/link/*")


def test_a_source_folder_may_be_a_link_itself(settings: Settings, tmp_path: Path) -> None:
    found = made(tmp_path / "real" / "a.tif")
    (tmp_path / "sources").symlink_to(found.parent)
    assert len(resolve(settings, f"{tmp_path}/sources/*.tif")) == 1
    assert len(resolve(settings, f"{found.parent}/*.tif")) == 1


def test_a_name_in_no_utf8_is_told(settings: Settings, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif"))
    path.write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"caf\\xe9.tif.*rename"):
        stage(settings, [path])
