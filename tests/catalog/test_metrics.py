import re

import psycopg
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from terralab.catalog.app import create_app
from terralab.catalog.metrics import RequestMetrics
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: dict, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/livez", "/livez", "200"),
        ("/items/models/flood-net-abc", "/items/{collection}/{item}", "200"),
        ("/stac/search?limit=1", "/stac/search", "200"),
        ("/stac/collections", "/stac/collections", "200"),
        ("/stac/collections/flood-v1/items", "/stac/collections/{collection_id}/items", "200"),
        ("/stac/collections/models/items/flood-net-abc", "/stac/collections/{collection_id}/items/{item_id}", "200"),
        ("/stac/collections/none/items/none", "/stac/collections/{collection_id}/items/{item_id}", "404"),
        ("/stac/queryables", "/stac/queryables", "200"),
        ("/no/such/route", "(none)", "404"),
        ("/stac/no-such-route", "/stac/(none)", "404"),
    ],
)
def test_requests_are_counted_by_template(server: Server, path: str, route: str, status: str) -> None:
    labels = {"method": "GET", "route": route, "status": status}
    before = value(samples(server.get("/metrics").text), "terralab_http_requests_total", **labels) or 0
    size = len(server.get(path, headers={"Accept-Encoding": "identity"}).content)
    found = samples(server.get("/metrics").text)
    assert value(found, "terralab_http_requests_total", **labels) == before + 1
    assert value(found, "terralab_http_request_seconds_count", method="GET", route=route) >= 1
    assert value(found, "terralab_http_response_bytes_total", method="GET", route=route) >= size
    # The scrape itself is the one in flight.
    assert value(found, "terralab_http_requests_in_flight") == 1


def test_names_of_objects_are_no_labels(server: Server) -> None:
    for name in ("flood-net-abc", "x" * 50):
        server.get(f"/stac/collections/models/items/{name}")
        server.client.request("PROPFIND", f"/lineage/models/{name}")
    text = server.get("/metrics").text
    assert "flood-net-abc" not in text
    assert "xxx" not in text
    assert "PROPFIND" not in text
    assert 'method="other"' in text


def test_the_lab_is_described(workspace: Workspace) -> None:
    with TestClient(create_app(workspace.settings)) as client:
        client.get("/stac/search")
        found = samples(client.get("/metrics").text)
        assert value(found, "terralab_database_up") == 1
        assert value(found, "terralab_stale_items") == 0
        assert value(found, "terralab_database_connections", state="limit") == 10
        assert value(found, "terralab_database_connections", state="idle") >= 1
        assert any(name == "terralab_process_resident_memory_bytes" for name, _ in found)


def test_items_are_counted_by_kind(server: Server) -> None:
    found = samples(server.get("/metrics").text)
    counts = {dict(labels)["kind"]: number for (name, labels), number in found.items() if name == "terralab_items"}
    assert counts == {"imagery": 1, "chips": 4, "labels": 1, "dataset": 1, "model": 1, "run": 3, "prediction": 1}


def test_without_a_database_the_rest_is_still_told(workspace: Workspace, postgres: str) -> None:
    name = workspace.settings.database_url.rsplit("/", 1)[1]
    with TestClient(create_app(workspace.settings)) as client:
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            found = samples(client.get("/metrics").text)
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert value(found, "terralab_database_up") == 0
        assert not any(name == "terralab_items" for name, _ in found)
        assert value(found, "terralab_http_requests_in_flight") == 1


def test_metrics_are_for_who_may_read_everything(workspace: Workspace) -> None:
    settings = workspace.settings
    settings.access.open_reads = False
    settings.secrets_folder.mkdir(parents=True)
    (settings.secrets_folder / "token").write_text("the-token-of-the-lab")
    with TestClient(create_app(settings)) as client:
        answer = client.get("/metrics")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        answer = client.get("/metrics", headers={"Authorization": "Bearer the-token-of-the-lab"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert client.get("/readyz").status_code == 200


def test_every_metric_says_what_it_is(server: Server) -> None:
    for line in re.findall(r"# HELP (terralab\S*)(.*)", server.get("/metrics").text):
        assert line[1].strip(), line


def test_two_apps_count_apart() -> None:
    one, other = (RequestMetrics(CollectorRegistry()) for _ in range(2))
    one.count("GET", "/x", 200, 0.1, 5)
    other.count("GET", "/x", None, 0.1, 0)
