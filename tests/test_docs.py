"""Documentation that is made from the code must be that of the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from terralab.infra.rules_reference import rules_page
from terralab.infra.settings_reference import settings_page

ROOT = Path(__file__).parents[1]


def test_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run `make docs`"


def test_validation_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "validation.md").read_text() == rules_page(), "run `make docs`"


def test_command_line_page_is_up_to_date(tmp_path: Path) -> None:
    page = tmp_path / "cli.md"
    command = [
        "-m",
        "typer",
        "terralab.infra.cli.app",
        "utils",
        "docs",
        "--name",
        "terralab",
        "--title",
        "Command line",
    ]
    subprocess.run([sys.executable, *command, "--output", str(page)], check=True, cwd=ROOT, capture_output=True)
    assert (ROOT / "docs" / "cli.md").read_text() == page.read_text(), "run `make docs`"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(name for part in project["optional-dependencies"].values() for name in part)]
    names = {re.split(r"[\[<>=;]", name)[0] for name in wanted}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    missing = {name for name in names if name not in page and not name.startswith(("types-", "terralab"))}
    assert not missing


def test_lock_pins_by_hash_and_names_no_address() -> None:
    for name in ("lock.txt", "uv.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text
