"""The wheel must ship every folder that holds Python, and nothing else."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("catalog", "datasets", "extensions", "flows", "infra", "tiler")


def test_every_python_folder_is_declared() -> None:
    """Editable installs find undeclared subpackages; wheels silently drop them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    setuptools = project["tool"]["setuptools"]
    declared = {setuptools["package-dir"][package] for package in setuptools["packages"]}
    found = {
        path.parent.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "typing" not in path.parts
    }
    assert declared == found


def test_datasets_room_has_no_init() -> None:
    """An `__init__.py` here would shadow Hugging Face `datasets`."""
    assert not (ROOT / "datasets" / "__init__.py").exists()
