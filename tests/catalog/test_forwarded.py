"""Forwarded headers: believed from trusted proxies, from nobody else; and who may call from which page."""

from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.app import create_app
from terralab.catalog.errors import SetupProblem
from terralab.catalog.forwarded import TrustedProxies, networks_of
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve

PROXIES = "10.0.0.7, 192.168.0.0/16,fd00::/8"
NAMES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix")


def seen(peer: str, headers: Any, path: str = "/x") -> dict[str, Any]:
    """Return what an app behind the middleware sees of a request."""
    app = FastAPI()

    @app.get("/{rest:path}")
    def show(request: Request) -> dict[str, Any]:
        return {
            "base": str(request.base_url),
            "url": str(request.url),
            "client": request.client.host if request.client else None,
            "headers": [name for name in NAMES if name.lower() in request.headers],
        }

    app.add_middleware(TrustedProxies, networks=networks_of(PROXIES))
    with TestClient(app, base_url="http://inner:8080", client=(peer, 50000)) as client:
        document: dict[str, Any] = client.get(path, headers=headers).json()
        return document


DIRECT = {"base": "http://inner:8080/", "url": "http://inner:8080/x", "client": "203.0.113.9", "headers": []}
TOLD = {
    "X-Forwarded-For": "203.0.113.5",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "eo.example.org",
    "X-Forwarded-Prefix": "/lab/",
}
AS_SENT = {
    "base": "https://eo.example.org/lab/",
    "url": "https://eo.example.org/lab/x",
    "client": "203.0.113.5",
    "headers": [],
}


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.3.4", "fd12::1", "::ffff:10.0.0.7"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    assert seen(peer, TOLD) == AS_SENT


@pytest.mark.parametrize("peer", ["10.0.0.8", "203.0.113.9", "::1", "testclient"])
def test_nobody_else_is(peer: str) -> None:
    assert seen(peer, TOLD) == {**DIRECT, "client": peer}


def test_the_standard_header_is_read_as_well() -> None:
    value = 'for="[2001:db8::1]:4711";proto=HTTPS ; host="eo.example.org:8443"'
    assert seen("10.0.0.7", {"Forwarded": value}) == {
        **AS_SENT,
        "base": "https://eo.example.org:8443/",
        "url": "https://eo.example.org:8443/x",
        "client": "2001:db8::1",
    }


def test_only_what_the_proxy_itself_wrote_counts() -> None:
    forged = {
        "X-Forwarded-For": "1.1.1.1, 203.0.113.5, 192.168.0.3",
        "X-Forwarded-Proto": "http, https",
        "X-Forwarded-Host": "evil.example, eo.example.org",
        "X-Forwarded-Prefix": "/evil, /lab",
    }
    assert seen("10.0.0.7", forged) == AS_SENT
    two = [("Forwarded", "for=1.1.1.1;host=evil.example"), ("Forwarded", "for=203.0.113.5;host=eo.example.org")]
    assert seen("10.0.0.7", two)["url"] == "http://eo.example.org/x"
    quoted = {"Forwarded": 'for="1.1.1.1, for=2.2.2.2", for=203.0.113.5'}
    assert seen("10.0.0.7", quoted)["client"] == "203.0.113.5"


@pytest.mark.parametrize(
    "told",
    [
        {"X-Forwarded-Host": "evil.example/path?"},
        {"X-Forwarded-Host": "user@evil.example"},
        {"X-Forwarded-Host": "eo.example.org:99999"},
        {"X-Forwarded-Host": ""},
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Prefix": "/a/../.."[:2] + "?x"},
        {"X-Forwarded-Prefix": "lab"},
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": "_hidden, 10.0.0.7"},
        {"Forwarded": "host"},
        {"Forwarded": "===;,,,"},
    ],
)
def test_what_is_no_address_changes_nothing(told: dict[str, str]) -> None:
    assert seen("10.0.0.7", told) == {**DIRECT, "client": "10.0.0.7"}


def test_a_prefix_that_the_proxy_left_is_not_doubled() -> None:
    assert seen("10.0.0.7", TOLD, "/lab/x")["url"] == "https://eo.example.org/lab/x"
    assert seen("10.0.0.7", TOLD, "/labels")["url"] == "https://eo.example.org/lab/labels"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
)
def test_no_header_breaks_it(told: dict[str, str]) -> None:
    assert seen("10.0.0.7", told)["headers"] == []
    assert seen("203.0.113.9", told) == DIRECT


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/33", "10.0.0.7;10.0.0.8", "*"])
def test_what_is_no_network_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(SetupProblem, match="TRUSTED_PROXIES"):
        networks_of(text)


def test_the_web_process_believes_only_whom_it_is_told_to(workspace: Workspace) -> None:
    told = {"X-Forwarded-Host": "eo.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/lab"}
    for proxies, root in (("", None), ("127.0.0.1", "https://eo.example.org/lab/stac/")):
        workspace.settings.api.trusted_proxies = proxies
        for server in serve(create_app(workspace.settings)):
            document = server.get("/stac/", headers=told).json()
            found = next(link["href"] for link in document["links"] if link["rel"] == "self")
            assert found == (root or f"{server.url}/stac/")


def test_behind_a_proxy_reads_are_not_open_by_default() -> None:
    settings = Settings()
    assert settings.open_reads
    settings.api.trusted_proxies = "127.0.0.1"
    assert not settings.open_reads


@pytest.fixture
def closed_server(workspace: Workspace) -> Any:
    workspace.settings.api.cors_origins = "https://map.example, https://other.example"
    yield from serve(create_app(workspace.settings))


def test_pages_of_configured_origins_may_write(closed_server: Server) -> None:
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,if-match,idempotency-key,content-type,x-api-key",
    }
    allowed = closed_server.client.options("/stac/collections/c", headers={**asked, "Origin": "https://map.example"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://map.example"
    assert {"PUT", "PATCH", "DELETE"} <= set(allowed.headers["access-control-allow-methods"].split(", "))
    assert "access-control-allow-credentials" not in allowed.headers
    refused = closed_server.client.options("/stac/collections/c", headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_may_read_why_its_token_is_refused(closed_server: Server) -> None:
    answer = closed_server.get("/stac/", headers={"Origin": "https://map.example", "Authorization": "Bearer x"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://map.example"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
