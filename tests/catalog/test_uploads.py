"""Uploading files: what arrives is what was sent, or nothing is there."""

import base64
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import multihash_of_bytes
from tests.catalog.conftest import Server, serve

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def web(workspace: Workspace) -> Iterator[Server]:
    workspace.settings.store.max_upload_mb = 3
    token = kept_secret(workspace.settings.secrets_folder, TOKEN)
    for server in serve(create_app(workspace.settings)):
        server.client.headers["Authorization"] = f"Bearer {token}"
        yield server


def stored_files(workspace: Workspace) -> list[str]:
    """Return the names of all files in the store, finished or not."""
    return [path.name for path in workspace.store.folder.rglob("*") if path.is_file()]


def test_an_uploaded_file_is_served_as_it_was_sent(web: Server, workspace: Workspace) -> None:
    answer = web.client.post("/files", params={"name": "é-a(1).tif"}, content=CONTENT)
    checksum = multihash_of_bytes(CONTENT)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"href": f"asset://{checksum}/é-a(1).tif", "size": len(CONTENT), "checksum": checksum}
    assert web.get(answer.headers["location"]).content == CONTENT
    assert workspace.store.open_path(answer.json()["href"]).read_bytes() == CONTENT
    again = web.client.post("/files?name=other.bin", content=iter([CONTENT[:5], CONTENT[5:]]))
    assert (again.status_code, again.json()["checksum"]) == (201, checksum)
    assert len(stored_files(workspace)) == 1
    with workspace.catalog.connection() as connection:
        assert connection.execute("SELECT count(*) FROM lab.uploads").fetchone() == (1,)


def digests(content: bytes) -> dict[str, str]:
    raw = hashlib.sha256(content).digest()
    encoded = base64.b64encode(raw).decode()
    return {
        "Content-Digest": f"sha-512=:AAAA:, sha-256=:{encoded}:",
        "Repr-Digest": f"sha-256=:{encoded}:",
        "Digest": f"SHA-256={encoded}",
        "X-Checksum": raw.hex(),
        "X-CHECKSUM": f"1220{raw.hex()}",
    }


def test_a_checksum_is_compared(web: Server, workspace: Workspace) -> None:
    for header, value in digests(b"other").items():
        wrong = web.client.post("/files?name=a", content=CONTENT, headers={header: value})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "checksum_mismatch"), header
        assert stored_files(workspace) == []
    for header, value in digests(CONTENT).items():
        right = web.client.post("/files?name=a", content=CONTENT, headers={header: value})
        assert right.status_code == 201, header


def test_a_checksum_that_says_nothing_is_refused(web: Server, workspace: Workspace) -> None:
    for headers in (
        {"X-Checksum": "abc"},
        {"Digest": "md5=abc"},
        {"Content-Digest": "sha-256=:AAAA:"},
        {"Content-Digest": "sha-256=:\xff:"},
        {"X-Checksum": "0" * 64, "Digest": digests(CONTENT)["Digest"]},
    ):
        sent = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = web.client.post("/files?name=a", content=CONTENT, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), headers
    assert stored_files(workspace) == []


def test_names_that_are_no_names(web: Server, workspace: Workspace) -> None:
    for name in ("", "a/b", "..", ".", "a b", "a\nb", 'a"b', "a%2fb", "a\\b", "x" * 201, "a?b", "\0"):
        assert web.client.post("/files", params={"name": name}, content=b"1").status_code == 400, name
    assert web.client.post("/files", content=b"1").status_code == 400
    assert stored_files(workspace) == []


def test_what_is_too_large_is_refused(web: Server, workspace: Workspace) -> None:
    for content in (bytes(3_000_001), iter([bytes(2_000_000)] * 2)):
        answer = web.client.post("/files?name=a", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert stored_files(workspace) == []
    assert web.client.post("/files?name=a", content=bytes(3_000_000)).status_code == 201


def test_wrapped_bodies_are_refused(web: Server, workspace: Workspace) -> None:
    form = web.client.post("/files?name=a", files={"file": b"1"})
    packed = web.client.post("/files?name=a", content=b"1", headers={"Content-Encoding": "gzip"})
    assert (form.status_code, packed.status_code) == (415, 415)
    assert stored_files(workspace) == []


def test_strangers_may_not_upload(web: Server, workspace: Workspace) -> None:
    del web.client.headers["Authorization"]
    answer = web.client.post("/files?name=a", content=b"1")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert stored_files(workspace) == []


def test_an_upload_that_breaks_off_leaves_nothing(web: Server, workspace: Workspace) -> None:
    host, port = web.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        token = web.client.headers["Authorization"]
        head = f"POST /files?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 2000000\r\n\r\n"
        line.sendall(head.encode() + bytes(1_500_000))
    assert web.client.post("/files?name=b", content=b"whole").status_code == 201
    assert len([name for name in stored_files(workspace) if name != "upload"]) == 1
    deadline = 50
    while any(Path(workspace.store.folder / "tmp").iterdir()) and deadline:
        deadline -= 1
        web.get("/livez")
    assert len(stored_files(workspace)) == 1
