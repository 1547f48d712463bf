"""Requests made up from our own OpenAPI documents, right and wrong ones: none may meet an error of the server.

A short run with every test; a long one by hand, with its number of cases:

    TERRALAB_TEST_EXAMPLES=200 pytest -s tests/catalog/test_schemathesis.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server

EXAMPLES = int(os.environ.get("TERRALAB_TEST_EXAMPLES", "3"))
LONG = EXAMPLES > 20
# (description, address of the app, phases); coverage tries every keyword of every schema, some 3,000 requests.
APPS = {
    "stac": ("/stac/api", "/stac", "examples,coverage,fuzzing,stateful" if LONG else "examples,fuzzing"),
    "web": ("/openapi.json", "", "examples,coverage,fuzzing"),
}


@pytest.mark.parametrize("app", APPS)
@pytest.mark.timeout(3600 if LONG else 300)
def test_no_request_meets_an_error_of_the_server(app: str, lab: Workspace, server: Server, tmp_path: Path) -> None:
    document, root, phases = APPS[app]
    token = kept_secret(lab.settings.secrets_folder, TOKEN)
    report = tmp_path / "report.json"
    command = [
        f"{Path(sys.executable).parent}/schemathesis",
        *("run", f"{server.url}{document}", "--url", f"{server.url}{root}"),
        *("--phases", phases, "--checks", "not_a_server_error", "--max-examples", str(EXAMPLES)),
        *("--workers", "2", "--continue-on-failure", "--request-timeout", "30", "--warnings", "off"),
        *("--suppress-health-check", "all", "--report", "json", "--report-json-path", str(report)),
        *("--header", f"Authorization: Bearer {token}", "--no-color"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert report.is_file(), done.stdout + done.stderr  # a tool that broke off has shown nothing
    found = json.loads(report.read_text())
    print(f"{app}: {found['test_cases']['generated']} cases, {found['test_cases']['unique_failures']} failures")
    assert found["complete"]
    assert done.returncode == 0, done.stdout
