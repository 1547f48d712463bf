import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from terralab.catalog.audit import Entry, audit_entries
from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from terralab.infra.cli.audit import parse_since
from tests.catalog.transactions.conftest import Api, collection, item

ITEMS = "/collections/places/items"


def entries(workspace: Workspace, since: datetime) -> list[Entry]:
    with workspace.catalog.connection() as connection:
        return audit_entries(connection, since=since)[::-1]


@pytest.fixture
def start(workspace: Workspace) -> datetime:
    with workspace.catalog.connection() as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


def test_every_change_is_written_down_once(users: Callable[..., Api], workspace: Workspace, start: datetime) -> None:
    ann = users("ann")
    ann("POST", "/collections", collection("fields"))
    made = ann("POST", ITEMS, item("a"))
    put = ann("PUT", f"{ITEMS}/a", item("a", n=1))
    ann("PUT", f"{ITEMS}/a", item("a", n=1))  # as it was
    ann("PATCH", f"{ITEMS}/a", {"properties": {"n": 2}})
    ann("PATCH", "/collections/fields", {"title": "Fields"})
    users("bob")("DELETE", f"{ITEMS}/a")  # refused
    ann("POST", ITEMS, {"type": "FeatureCollection", "features": [item("b"), item("c")]})
    ann("DELETE", f"{ITEMS}/a")
    ann("DELETE", "/collections/fields")
    found = entries(workspace, start)
    assert [(entry.action, entry.collection, entry.item) for entry in found] == [
        ("create", "fields", None),
        ("create", "places", "a"),
        ("update", "places", "a"),
        ("update", "places", "a"),
        ("update", "fields", None),
        ("create", "places", "b"),
        ("create", "places", "c"),
        ("delete", "places", "a"),
        ("delete", "fields", None),
    ]
    assert {entry.principal for entry in found} == {"ann"}
    assert found[1].request_id == made.headers["x-request-id"]
    assert (found[2].etag_before, found[2].etag_after) == (
        made.headers["etag"].strip('"'),
        put.headers["etag"].strip('"'),
    )
    assert (found[1].etag_before, found[7].etag_after) == (None, None)
    assert found[7].etag_before == found[3].etag_after


def test_what_is_undone_leaves_no_entry(api: Api, workspace: Workspace, start: datetime) -> None:
    api("POST", ITEMS, item("b"))
    api("POST", ITEMS, {"type": "FeatureCollection", "features": [item("a"), item("b")]})
    assert [entry.item for entry in entries(workspace, start)] == ["b"]


@pytest.mark.parametrize(
    "statement", ["UPDATE lab.audit SET principal = 'eve'", "DELETE FROM lab.audit", "TRUNCATE lab.audit"]
)
def test_the_log_only_grows(api: Api, workspace: Workspace, statement: str) -> None:
    api("POST", ITEMS, item())
    url = workspace.settings.database_url
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error, match=r"lab\.audit only grows"):
        connection.execute(statement.encode())


def test_the_command_lists_it(api: Api, workspace: Workspace, start: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRALAB_DATABASE_URL", workspace.settings.database_url)
    api("POST", ITEMS, item("a"))
    api("POST", ITEMS, item("b"))
    arguments = ["catalog", "audit", "--collection", "places", "--item", "a", "--since", start.isoformat()]
    listed = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [(entry["action"], entry["item"], entry["principal"]) for entry in listed] == [("create", "a", "lab")]
    table = CliRunner().invoke(app, arguments).stdout
    assert "places/a" in table
    assert "places/b" not in table


def test_since() -> None:
    assert parse_since("2026-07-01") == datetime(2026, 7, 1, tzinfo=UTC)
    assert parse_since("2026-07-01T12:00:00+02:00") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert abs(parse_since("2d") - (datetime.now(UTC) - timedelta(days=2))) < timedelta(minutes=1)
    with pytest.raises(InvalidInput, match="no time"):
        parse_since("yesterdaz")


def test_what_flows_publish_is_written_down_too(workspace: Workspace, start: datetime) -> None:
    workspace.catalog.write([collection("fields")], [{**item("a"), "collection": "fields"}])
    workspace.catalog.write([collection("fields")], [{**item("a", n=1), "collection": "fields"}])
    found = entries(workspace, start)
    assert [(entry.action, entry.collection, entry.item, entry.principal) for entry in found] == [
        ("create", "fields", None, None),
        ("create", "fields", "a", None),
        ("update", "fields", "a", None),
    ]
    assert found[2].etag_before == found[1].etag_after
