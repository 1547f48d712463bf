"""Connections: kept ones, their limits, and what the database's errors become."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from terralab.catalog.database import Catalog
from terralab.catalog.database_errors import meaning_of
from terralab.catalog.errors import AlreadyExists, InvalidInput, OutOfSpace, ServiceUnavailable
from terralab.catalog.workspace import Workspace

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"


@pytest.fixture
def kept(workspace: Workspace) -> Iterator[Catalog]:
    catalog = workspace.catalog
    catalog.open_pool(2, statement_timeout_s=0.5, lock_timeout_s=0.2)
    yield catalog
    catalog.close_pool()


def backend(catalog: Catalog) -> int:
    with catalog.connection() as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def test_connections_are_kept_until_the_pool_is_closed(kept: Catalog) -> None:
    assert backend(kept) == backend(kept)
    kept.close_pool()
    assert backend(kept) != backend(kept)


def test_a_connection_that_broke_is_replaced(kept: Catalog) -> None:
    first = backend(kept)
    with psycopg.connect(kept.url, autocommit=True) as admin:
        admin.execute(TERMINATE, (admin.info.dbname,))
    assert backend(kept) != first


def test_a_failed_transaction_leaves_nothing(kept: Catalog) -> None:
    def fail() -> None:
        with kept.connection() as connection:
            connection.execute("CREATE TABLE lab.probe ()")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with kept.connection() as connection:
        assert connection.execute("SELECT to_regclass('lab.probe')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("statement", "error", "text"),
    [
        ("SELECT pg_sleep(2)", ServiceUnavailable, "took the database too long"),
        ("SELECT 1 FROM lab.nowhere", ServiceUnavailable, "not ready"),
        ("SELECT repeat('x', 2000000000)", InvalidInput, "cannot hold"),
        ("SELECT 'x'::int", InvalidInput, "cannot store"),
        ("SELECT ST_GeomFromGeoJSON('{}')", InvalidInput, "cannot store"),
        ("INSERT INTO lab.collections (id) VALUES ('a'), ('a')", AlreadyExists, "at the same time"),
        ("INSERT INTO lab.collections (id) VALUES (NULL)", InvalidInput, "cannot store"),
        ("SET TRANSACTION READ ONLY; CREATE TABLE lab.probe ()", ServiceUnavailable, "cannot write now"),
    ],
)
def test_errors_of_the_database_are_the_labs(kept: Catalog, statement: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text), kept.connection() as connection:
        connection.execute(statement.encode())


def test_a_wrong_statement_is_our_own_error(kept: Catalog) -> None:
    with pytest.raises(psycopg.errors.SyntaxError), kept.connection() as connection:
        connection.execute(b"SELEKT 1")
    assert meaning_of(psycopg.errors.DiskFull("full")).__class__ is OutOfSpace


def test_a_lock_that_lasts_is_unavailable(kept: Catalog) -> None:
    with kept.connection() as holder, kept.connection() as other:
        holder.execute("LOCK TABLE lab.stale")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("LOCK TABLE lab.stale")
        other.rollback()


def test_too_many_at_once_wait_and_then_are_told(kept: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept._pool, "timeout", 0.2)
    with kept.connection(), kept.connection():
        with pytest.raises(ServiceUnavailable, match="try again soon"):
            backend(kept)
    assert backend(kept)


def test_a_database_that_is_away_is_unavailable() -> None:
    catalog = Catalog("postgresql://postgres@127.0.0.1:1/nothing")
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        backend(catalog)


def test_of_two_that_block_one_another_both_are_done(workspace: Workspace) -> None:
    """The database breaks one off; it is done again at once."""
    barrier, attempts = threading.Barrier(2, timeout=10), []

    def work(order: tuple[str, str]) -> None:
        def lock(connection: psycopg.Connection[Any]) -> None:
            attempts.append(order)
            connection.execute(b"INSERT INTO lab.collections (id) VALUES (%s)", (order[0],))
            if len(attempts) <= 2:
                barrier.wait()
            connection.execute(b"INSERT INTO lab.collections (id) VALUES (%s) ON CONFLICT DO NOTHING", (order[1],))
            connection.execute(b"DELETE FROM lab.collections WHERE id = ANY(%s)", (list(order),))

        workspace.catalog.run(lock)

    threads = [threading.Thread(target=work, args=(order,)) for order in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attempts) == 3


def test_items_of_whole_collections_are_those_that_pgstac_finds(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terralab.catalog.database._PAGE", 3)
    for names in (["flood-v1"], ["models", "runs", "flood-v1", "flood-net-predictions"], ["none"], []):
        found = list(lab.catalog.search(collections=names))
        expected = list(lab.catalog.search(collections=names, limit=1000)) if names else []
        # pgstac drops nulls that were written.
        assert sorted(map(_without_nulls, found), key=_name) == sorted(map(_without_nulls, expected), key=_name)
        times = [item["properties"].get("datetime") or item["properties"]["start_datetime"] for item in found]
        assert times == sorted(times, reverse=True)


def test_what_is_done_to_one_item_is_not_done_to_another(lab: Workspace) -> None:
    first, *others = lab.catalog.search(collections=["flood-v1"])
    first["assets"]["image"]["roles"].append("changed")
    first["assets"]["image"]["bands"][0]["name"] = "changed"
    assert "changed" not in str(others)
    assert "changed" not in str(list(lab.catalog.search(collections=["flood-v1"])))


def _name(item: dict[str, Any]) -> tuple[str, str]:
    return item["collection"], item["id"]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
