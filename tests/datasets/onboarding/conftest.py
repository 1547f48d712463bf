"""Fixtures of the onboarding tests."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for one dataset."""
    made = tmp_path / "dataset"
    made.mkdir()
    return made
