"""A lab of a test's own, met as a user meets it: by the command line."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, free_port

TERRALAB = ROOT / ".venv" / "bin" / "terralab"


class Lab:
    """A lab of its own: home folder, ports, and the command line in its environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.web = f"http://127.0.0.1:{free_port()}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TERRALAB_", "PREFECT_"))},
            "TERRALAB_HOME": str(home),
            "TERRALAB_WEB_PORT": self.web.rsplit(":", 1)[1],
            "TERRALAB_PREFECT_PORT": str(free_port()),
        }

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command; a failure shows what it said."""
        found = subprocess.run([TERRALAB, *arguments], env=self.environment, capture_output=True, text=True)
        assert not check or found.returncode == 0, found.stderr[-3000:]
        return found

    def json(self, *arguments: str | Path) -> Any:
        """Run a command with `--json` and return what it printed."""
        return json.loads(self.run(*arguments, "--json").stdout)
