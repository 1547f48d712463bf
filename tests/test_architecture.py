"""Rooms may only import the rooms below them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "extensions": set(),
    "catalog": {"extensions"},
    "tiler": {"extensions", "catalog"},
    "datasets": {"extensions", "catalog"},
    "flows": {"extensions", "catalog", "datasets", "tiler"},
    "infra": {"extensions", "catalog", "datasets", "flows", "tiler"},
}


def imported_rooms(source: Path) -> set[str]:
    """Return the rooms a module imports, wherever the import statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("terralab.")}


@pytest.mark.parametrize("room", ALLOWED)
def test_room_imports_only_rooms_below(room: str) -> None:
    for source in (ROOT / room).rglob("*.py"):
        assert imported_rooms(source) <= ALLOWED[room] | {room}, source


HEAVY = ("torch", "terratorch", "terrakit", "prefect")


@pytest.mark.parametrize("module", ["terralab.catalog.app", "terralab.tiler.app", "terralab.infra.cli.app"])
def test_web_and_command_line_load_nothing_heavy(module: str) -> None:
    check = f"import {module}, sys; sys.exit(', '.join(n for n in {HEAVY!r} if n in sys.modules) or None)"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_flows_are_read_without_torch() -> None:
    flows = ", ".join(
        f"terralab.flows.{name}"
        for name in ("ingest", "onboard", "split", "version", "tune", "predict", "validate", "features")
    )
    check = f"import {flows}, sys; sys.exit(int('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True).returncode == 0
