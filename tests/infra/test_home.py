"""The home folder: who may read it, and what happens where it cannot be used."""

import os
from pathlib import Path

import pytest

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.settings import Settings
from terralab.infra.errors import FolderUnwritable
from terralab.infra.home import LabHome, write_private


def test_secrets_are_private(home: LabHome) -> None:
    write_private(home.database_url_file, "postgresql://secret\n")
    assert home.secrets.stat().st_mode & 0o777 == 0o700
    assert home.database_url_file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(home.secrets) == ["database_url"]


def test_a_file_in_the_folders_place_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "taken"))
    with pytest.raises(FolderUnwritable, match="TERRALAB_HOME"):
        LabHome(Settings()).prepare()


def test_socket_of_a_deep_home_has_a_short_private_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / ("deep" * 30)))
    home = LabHome(Settings())
    home.prepare()
    socket = home.socket()
    assert len(os.fsencode(socket)) < 100
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert home.socket() == socket


def test_second_command_does_not_wait(home: LabHome) -> None:
    with home.lock(), pytest.raises(ServiceUnavailable, match="another command"), home.lock():
        pass
