import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from terralab.catalog.logs import FIELDS, REQUEST_ID, JsonLines
from terralab.catalog.redaction import Redaction
from terralab.catalog.request_record import RequestRecord
from terralab.catalog.workspace import Workspace
from tests.conftest import ROOT, free_port

PASSWORD = "S3NT1NEL-database"
SENTINELS = (PASSWORD, "S3NT1NEL-header", "S3NT1NEL-query", "S3NT1NEL-key", "S3NT1NEL-local-token")


def line_of(message: str, *arguments: Any, known: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("terralab.x", logging.WARNING, "x.py", 1, message, arguments, more.pop("exc_info", None))
    record.__dict__.update(more)
    return json.loads(JsonLines(Redaction(known)).format(record))


def test_a_line_has_time_level_message_and_fields() -> None:
    line = line_of("%s items", 3, **{FIELDS: {"route": "/a", "status": 200, "caller": None}})
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "terralab.x", "3 items")
    assert (line["route"], line["status"], line["caller"]) == ("/a", 200, None)
    assert line["time"].endswith("Z")
    assert "request" not in line


def test_secrets_are_in_no_part_of_a_line() -> None:
    try:
        raise ValueError("cannot connect to postgresql://lab:S3NT1NEL@host/lab")
    except ValueError:
        error = sys.exc_info()
    line = line_of(
        "token=%s known hunter22", "S3NT1NEL", known=("hunter22",), exc_info=error, **{FIELDS: {"a": "sig=S3NT1NEL"}}
    )
    assert "S3NT1NEL" not in json.dumps(line)
    assert "hunter22" not in json.dumps(line)
    assert "ValueError" in line["exception"]


def app_with_routes() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestRecord)

    @app.get("/things/{name}")
    def thing(name: str) -> dict[str, str | None]:
        logging.getLogger("terralab.test").warning("working on %s", name)
        return {"seen": REQUEST_ID.get()}

    return app


def test_every_request_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "terralab.access"):
        answer = TestClient(app_with_routes()).get("/things/secret-name?token=S3NT1NEL")
    record = caplog.records[-1]
    fields = getattr(record, FIELDS)
    assert record.message == "GET /things/{name} 200"
    assert (fields["method"], fields["route"], fields["status"]) == ("GET", "/things/{name}", 200)
    assert fields["bytes"] == len(answer.content)
    assert fields["ms"] > 0
    assert fields["caller"] is None
    assert "secret-name" not in str(fields)


def test_what_is_logged_during_a_request_has_its_id() -> None:
    answer = TestClient(app_with_routes()).get("/things/a")
    assert answer.json()["seen"] == answer.headers["x-request-id"]
    assert REQUEST_ID.get() is None
    token = REQUEST_ID.set("0123456789abcdef")
    assert line_of("x")["request"] == "0123456789abcdef"
    REQUEST_ID.reset(token)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("0b5f6a52-1c8e-4f5e-9d5c-3a0d3b2f9d11", True),
        ("abcdefgh", True),
        ("short", False),
        ("x" * 65, False),
        ('abcdefgh"}{"level":"forged', False),
        ("abcdefgh ijkl", False),
        ("", False),
    ],
)
def test_an_id_of_the_caller_is_taken_where_it_is_plain(given: str, taken: bool) -> None:
    answer = TestClient(app_with_routes()).get("/things/a", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is taken
    assert answer.headers["x-request-id"]


def test_the_web_process_logs_json_lines_without_secrets(lab: Workspace, tmp_path: Path) -> None:
    address = lab.settings.database_url.replace("postgres@", f"postgres:{PASSWORD}@")
    secrets = tmp_path / "home" / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "token").write_text("S3NT1NEL-local-token\n")
    port, log = free_port(), tmp_path / "web.log"
    environment = {
        **os.environ,
        "TERRALAB_DATABASE_URL": address,
        "TERRALAB_HOME": str(tmp_path / "home"),
        "TERRALAB_STORE_S3_SECRET_KEY": "S3NT1NEL-key",
    }
    # uvicorn's own access log, which `terralab up` turns off, would have whole addresses.
    command = [sys.executable, "-m", "uvicorn", "terralab.infra.web:create_app", "--factory", "--port", str(port)]
    with log.open("wb") as file, subprocess.Popen(command, env=environment, cwd=ROOT, stderr=file) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                wait_until_alive(client)
                client.get("/stac/search?limit=1", headers={"Authorization": "Bearer S3NT1NEL-local-token"})
                client.get("/files/x/y?signature=S3NT1NEL-query", headers={"X-Request-ID": "given-by-the-caller"})
                client.get("/stac/collections", headers={"Authorization": "Bearer S3NT1NEL-header"})
        finally:
            process.terminate()
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    requests = {line["route"]: line for line in lines if line["logger"] == "terralab.access"}
    assert requests["/stac/search"]["caller"] == "lab"
    assert requests["/stac/search"]["status"] == 200
    assert requests["/files/{checksum}/{name}"]["request"] == "given-by-the-caller"
    assert any(line["logger"] == "uvicorn.access" and "signature=[removed]" in line["message"] for line in lines)
    for sentinel in SENTINELS:
        assert sentinel not in text


def wait_until_alive(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            if client.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the web process did not start")
