"""Fixtures for the running of the lab: a home folder that the database's own user may enter."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from terralab.catalog.settings import Settings
from terralab.infra.home import LabHome


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Yield a folder with a short path that every user may enter; pytest's own are 0700."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> LabHome:
    """Return a prepared home folder."""
    monkeypatch.setenv("TERRALAB_HOME", str(open_folder / "home"))
    monkeypatch.delenv("TERRALAB_DATABASE_URL", raising=False)
    prepared = LabHome(Settings())
    prepared.prepare()
    return prepared
