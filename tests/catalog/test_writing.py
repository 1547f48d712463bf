import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from terralab.catalog.database import Catalog
from terralab.catalog.errors import AlreadyExists, Changed, UnknownName
from terralab.catalog.read_model import etag_of
from terralab.catalog.refresh import differences, rebuild, refresh
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import change_item, delete_items, write_items
from terralab.catalog.writing_collections import change_collection, delete_collection, write_collections

WHEN = datetime(2024, 5, 1, tzinfo=UTC)


def collection(name: str = "places", **fields: Any) -> dict[str, Any]:
    extent = {"spatial": {"bbox": [[1, 1, 2, 2]]}, "temporal": {"interval": [["2024-05-01T00:00:00Z"] * 2]}}
    described = {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": name, "license": "other"}
    return {**described, "extent": extent, "links": [], **fields}


def item(number: int = 0, x: float = 1.0, when: datetime = WHEN, name: str = "places", **properties: Any) -> dict:
    ring = [[x, 1.0], [x + 1, 1.0], [x + 1, 2.0], [x, 2.0], [x, 1.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"item-{number}",
        "collection": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [x, 1.0, x + 1, 2.0],
        "properties": {"datetime": when.isoformat().replace("+00:00", "Z"), **properties},
        "links": [{"rel": "derived_from", "href": "collections/places/items/source"}],
        "assets": {"image": {"href": f"asset://1220{'ab' * 32}/a.tif", "type": "image/tiff"}},
    }


@pytest.fixture
def catalog(workspace: Workspace) -> Catalog:
    workspace.catalog.write([collection()], [])
    return workspace.catalog


def rows(catalog: Catalog, statement: str) -> list[tuple[Any, ...]]:
    with catalog.connection() as connection:
        return connection.execute(statement.encode()).fetchall()


def write(catalog: Catalog, items: list[dict], **arguments: Any) -> list[str]:
    with catalog.connection() as connection:
        return [written.change for written in write_items(connection, items, **arguments)]


def test_items_are_created_updated_and_left_alone(catalog: Catalog) -> None:
    items = [item(number, cloud=number) for number in range(3)]
    assert write(catalog, items) == ["created"] * 3
    changed = {**items[1], "properties": {**items[1]["properties"], "cloud": 7}}
    assert write(catalog, [items[0], changed]) == ["unchanged", "updated"]
    assert catalog.item("places", "item-1") == changed
    assert catalog.item("places", "item-2") == items[2]
    assert list(differences(catalog)) == []


def test_the_last_of_two_in_one_batch_wins(catalog: Catalog) -> None:
    assert write(catalog, [item(cloud=1), item(cloud=2)]) == ["created", "created"]
    assert catalog.item("places", "item-0")["properties"]["cloud"] == 2


def test_preconditions(catalog: Catalog) -> None:
    first, second = item(), item(cloud=2)
    key = ("places", "item-0")
    with pytest.raises(UnknownName):
        write(catalog, [first], mode="replace")
    write(catalog, [first], mode="create")
    with pytest.raises(AlreadyExists):
        write(catalog, [first], mode="create")
    with pytest.raises(Changed, match="read it again"):
        write(catalog, [second], if_match={key: "0" * 32})
    assert write(catalog, [second], if_match={key: etag_of(first)}) == ["updated"]
    with pytest.raises(UnknownName, match="places"):
        write(catalog, [item(name="place")])


def test_a_batch_with_one_bad_item_stores_nothing(catalog: Catalog) -> None:
    write(catalog, [item(2)])
    with pytest.raises(AlreadyExists):
        write(catalog, [item(1), item(2), item(3)], mode="create")
    assert rows(catalog, "SELECT id FROM items UNION SELECT id FROM lab.items") == [("item-2",)]


def test_an_id_in_another_month_is_the_same_item(catalog: Catalog) -> None:
    with catalog.connection() as connection:
        connection.execute("UPDATE collections SET partition_trunc = 'month'")
    write(catalog, [item(0, when=WHEN)])
    with pytest.raises(AlreadyExists):
        write(catalog, [item(0, when=WHEN + timedelta(days=60))], mode="create")
    moved = item(0, when=WHEN + timedelta(days=60))
    assert write(catalog, [moved, item(1, when=WHEN + timedelta(days=100))]) == ["updated", "created"]
    assert rows(catalog, "SELECT count(*), count(DISTINCT tableoid) FROM items") == [(2, 2)]
    assert catalog.item("places", "item-0") == moved


def test_extents_follow_the_items(catalog: Catalog) -> None:
    def extent() -> tuple[Any, Any]:
        found = catalog.collection("places")["extent"]
        return found["spatial"]["bbox"][0], found["temporal"]["interval"][0]

    write(catalog, [item(0), item(1, x=20, when=WHEN + timedelta(days=400))])
    assert extent() == ([1, 1, 21, 2], ["2024-05-01T00:00:00Z", "2025-06-05T00:00:00Z"])
    catalog.write([collection(title="again")], [])
    assert extent() == ([1, 1, 21, 2], ["2024-05-01T00:00:00Z", "2025-06-05T00:00:00Z"])
    with catalog.connection() as connection:
        assert delete_items(connection, [("places", "item-1")]) == 1
    assert extent() == ([1, 1, 2, 2], ["2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"])
    assert catalog.find_item("places", "item-1") is None
    assert rows(catalog, "SELECT count(*) FROM lab.files") == [(1,)]


def test_an_open_interval_stays_open(catalog: Catalog) -> None:
    catalog.write([collection("open", extent={**collection()["extent"], "temporal": {"interval": [[None, None]]}})], [])
    write(catalog, [item(name="open")])
    assert catalog.collection("open")["extent"]["temporal"]["interval"] == [[None, None]]


def test_eight_writers_lose_no_increment(catalog: Catalog) -> None:
    write(catalog, [item(n=0)])

    def increments() -> None:
        for _ in range(10):
            with catalog.connection() as connection:
                change_item(
                    connection,
                    "places",
                    "item-0",
                    lambda found: {**found, "properties": {**found["properties"], "n": found["properties"]["n"] + 1}},
                )

    threads = [threading.Thread(target=increments) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert catalog.item("places", "item-0")["properties"]["n"] == 80
    assert list(differences(catalog)) == []


def test_writers_of_the_same_items_in_opposite_order_do_not_block_each_other(catalog: Catalog) -> None:
    catalog.write([collection(name) for name in ("a", "b", "c")], [])
    errors: list[Exception] = []

    def writes(order: int) -> None:
        try:
            for turn in range(5):
                batch = [item(n, name=name, turn=turn, order=order) for name in ("a", "b", "c") for n in range(20)]
                write(catalog, batch[::order])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=writes, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(catalog, "SELECT count(*) FROM items") == [(60,)]


def test_what_others_write_is_stale_until_it_is_rendered(catalog: Catalog) -> None:
    write(catalog, [item(0), item(1)])
    with catalog.connection() as connection:
        connection.execute("SELECT upsert_item(%s::jsonb)", (json.dumps(item(1, cloud=5)),))
        connection.execute("SELECT create_item(%s::jsonb)", (json.dumps(item(2, x=9)),))
        connection.execute("SELECT delete_item('item-0', 'places')")
    assert {row[0] for row in rows(catalog, "SELECT id FROM lab.stale")} == {"item-0", "item-1", "item-2"}
    assert refresh(catalog) > 0
    assert rows(catalog, "SELECT count(*) FROM lab.stale") == [(0,)]
    assert rows(catalog, "SELECT id FROM lab.items ORDER BY 1") == [("item-1",), ("item-2",)]
    assert catalog.collection("places")["extent"]["spatial"]["bbox"] == [[1, 1, 10, 2]]
    assert list(differences(catalog)) == []


def test_differences_are_found_and_a_rebuild_mends_them(catalog: Catalog) -> None:
    write(catalog, [item(0), item(1), item(2)])
    with catalog.connection() as connection:
        connection.execute("DELETE FROM lab.items WHERE id = 'item-0'")
        connection.execute("UPDATE lab.items SET body = convert_to('{}', 'UTF8') WHERE id = 'item-1'")
        connection.execute("UPDATE lab.items SET id = 'ghost' WHERE id = 'item-2'")
    assert sorted(difference.id for difference in differences(catalog)) == ["ghost", "item-0", "item-1", "item-2"]
    rebuild(catalog)
    assert list(differences(catalog)) == []


def test_new_renders_of_a_collection_reach_its_items(catalog: Catalog) -> None:
    write(catalog, [item(0)])
    renders = {"default": {"title": "Default", "assets": ["image"]}}
    with catalog.connection() as connection:
        change_collection(connection, "places", lambda found: {**found, "renders": renders})
    (body,) = rows(catalog, "SELECT body FROM lab.items")[0]
    assert b'"rel":"xyz"' in bytes(body)
    assert rows(catalog, "SELECT count(*) FROM lab.stale") == [(0,)]


def test_deleting_a_collection_leaves_nothing(catalog: Catalog) -> None:
    write(catalog, [item(0), item(1)])
    with catalog.connection() as connection:
        delete_collection(connection, "places")
    for table in ("items", "lab.items", "lab.links", "lab.files", "lab.stale"):
        assert rows(catalog, f"SELECT count(*) FROM {table}") == [(0,)]


def test_text_that_stands_for_the_address_goes_by_pgstac(catalog: Catalog) -> None:
    write(catalog, [item(0, note="http://terralab-base.invalid/x")])
    assert rows(catalog, "SELECT id FROM lab.stale") == [("item-0",)]
    assert catalog.item("places", "item-0")["properties"]["note"] == "http://terralab-base.invalid/x"


def test_an_item_of_before_the_read_model_is_rendered(catalog: Catalog, workspace: Workspace) -> None:
    from terralab.catalog.migration import migrate

    write(catalog, [item(0)])
    with psycopg.connect(workspace.settings.database_url) as connection:
        connection.execute("DROP SCHEMA lab CASCADE")
    migrate(str(workspace.settings.database_url))
    assert rows(catalog, "SELECT id FROM lab.stale") == [("item-0",)]
    refresh(catalog)
    assert list(differences(catalog)) == []


def test_collections_are_guarded_too(catalog: Catalog) -> None:
    with catalog.connection() as connection:
        with pytest.raises(AlreadyExists):
            write_collections(connection, [collection()], "create")
        with pytest.raises(UnknownName):
            write_collections(connection, [collection("other")], "replace")
        with pytest.raises(Changed):
            write_collections(connection, [collection()], if_match={"places": "0" * 32})
        seen = etag_of(catalog.collection("places"))
        assert write_collections(connection, [collection(title="T")], if_match={"places": seen})[0].change == "updated"


def test_many_writers_of_a_new_collection_in_far_years_do_not_block_each_other(catalog: Catalog) -> None:
    catalog.write([collection("fresh")], [])
    errors: list[Exception] = []

    def writes(place: int) -> None:
        try:
            for turn in range(6):
                when = WHEN + timedelta(days=400 * (place - 4) * (turn + 1))
                write(catalog, [item(place * 10 + turn, x=1.0 + place + turn, when=when, name="fresh")])
                with catalog.connection() as connection:
                    change_item(
                        connection, "fresh", f"item-{place * 10 + turn}", lambda found: {**found, "bbox": found["bbox"]}
                    )
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=writes, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(catalog, "SELECT count(*) FROM items WHERE collection = 'fresh'") == [(48,)]
    assert list(differences(catalog)) == []
