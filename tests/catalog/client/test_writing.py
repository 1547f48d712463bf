from datetime import UTC, datetime
from pathlib import Path

import httpx
import pystac
import pytest

from terralab.catalog import Lab
from terralab.catalog.errors import (
    AlreadyExists,
    Changed,
    ConditionMissing,
    InvalidInput,
    InvalidItem,
    NotAuthenticated,
    UnknownName,
)
from tests.catalog.conftest import Server


def note(id: str, collection: str | None = "notes") -> pystac.Item:
    """Return an item of no kind that the lab knows."""
    place = {"type": "Point", "coordinates": [1.0, 2.0]}
    item = pystac.Item(id, place, [1.0, 2.0, 1.0, 2.0], datetime(2026, 1, 2, tzinfo=UTC), {"title": f"Note {id}"})
    item.collection_id = collection
    return item


def notes() -> pystac.Collection:
    extent = pystac.Extent(
        pystac.SpatialExtent([[1.0, 2.0, 1.0, 2.0]]), pystac.TemporalExtent([[datetime(2026, 1, 1, tzinfo=UTC), None]])
    )
    return pystac.Collection("notes", "Notes of a test", extent)


@pytest.fixture
def with_notes(lab: Lab) -> Lab:
    lab.publish(note("a"), collection=notes())
    return lab


def test_items_are_published_with_their_collection(lab: Lab) -> None:
    assert lab.publish([note("a"), note("b", None)], collection=notes()) == {
        "notes/a": "created",
        "notes/b": "created",
    }
    assert lab.item("notes/a").properties["title"] == "Note a"
    assert lab.publish(note("c"), collection=notes()) == {"notes/c": "created"}
    assert lab.search(["notes"]).matched() == 3


def test_what_is_there_is_replaced_only_when_asked(with_notes: Lab) -> None:
    with pytest.raises(AlreadyExists) as error:
        with_notes.publish([note("a"), note("b")])
    assert error.value.members["errors"][0]["id"] == "a"
    assert with_notes.search(["notes"]).matched() == 1
    changed = note("a")
    changed.properties["title"] = "Another"
    assert with_notes.publish([changed, note("b")], replace=True) == {"notes/a": "updated", "notes/b": "created"}
    assert with_notes.publish(changed, replace=True) == {"notes/a": "unchanged"}


def test_files_are_uploaded_and_open_again(with_notes: Lab, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"0123456789" * 300_000)
    item = note("f")
    item.add_asset("text", pystac.Asset("large.txt", "A text", media_type="text/plain", roles=["data"]))
    with_notes.publish(item, files={"text": path})
    asset = with_notes.item("notes/f").assets["text"]
    assert httpx.get(asset.href).content == path.read_bytes()
    assert asset.extra_fields["file:size"] == 3_000_000
    assert asset.extra_fields["file:checksum"].startswith("1220")
    assert asset.title == "A text"
    path.unlink()
    with pytest.raises(InvalidInput, match=r"large\.txt: cannot be read"):
        with_notes.publish(item, files={"text": path}, replace=True)
    with pytest.raises(InvalidInput, match="no asset 'other'"):
        with_notes.publish(item, files={"other": path}, replace=True)
    with pytest.raises(InvalidInput, match="'x'"):
        with_notes.publish([item], files={"x": {"text": path}}, replace=True)


def test_a_file_that_the_lab_has_is_not_sent_again(with_notes: Lab, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the same")
    item = note("f")
    item.add_asset("text", pystac.Asset("a.txt", media_type="text/plain", roles=["data"]))
    with_notes.publish(item, files={"text": path})
    sent: list[str] = []
    with_notes._transport._client.event_hooks["request"] = [lambda request: sent.append(str(request.method))]
    assert with_notes.publish(item, files={"text": path}, replace=True) == {"notes/f": "unchanged"}
    assert sent == ["HEAD", "POST"]


def test_a_change_is_refused_where_somebody_was_faster(with_notes: Lab) -> None:
    mine, other = (with_notes.item("notes/a") for _ in range(2))
    other.properties["title"] = "Theirs"
    now = with_notes.update(other)
    assert now.properties["title"] == "Theirs"
    mine.properties["title"] = "Mine"
    with pytest.raises(Changed) as error:
        with_notes.update(mine)
    assert error.value.code == "changed"
    now.properties["count"] = 1
    assert with_notes.update(now).properties["count"] == 1
    with_notes.update(mine, if_match="*")
    assert with_notes.item("notes/a").properties["title"] == "Mine"


def test_what_was_not_read_is_not_changed_by_chance(with_notes: Lab) -> None:
    found = with_notes.search(["notes"]).first()
    assert found is not None
    for change in (with_notes.update, with_notes.delete):
        with pytest.raises(ConditionMissing, match=r"lab\.item"):
            change(found)
    etag = with_notes._transport.send("GET", "/stac/collections/notes/items/a").headers["etag"]
    found.properties["title"] = "Found"
    with_notes.update(found, if_match=etag)


def test_items_are_deleted(with_notes: Lab) -> None:
    seen = with_notes.item("notes/a")
    with_notes.update(with_notes.item("notes/a"))
    with_notes.delete(seen)  # the update changed nothing
    with pytest.raises(UnknownName):
        with_notes.item("notes/a")
    with_notes.publish(note("b"))
    with_notes.delete("notes/b")
    with pytest.raises(UnknownName):
        with_notes.delete("notes/b")


def test_an_item_that_is_not_valid_is_refused_with_its_problems(with_notes: Lab) -> None:
    bad = note("bad").to_dict(include_self_link=False)
    bad["properties"]["datetime"] = "yesterday"
    with pytest.raises(InvalidItem) as error:
        with_notes.publish([note("good"), bad])
    entry = error.value.members["errors"][0]
    assert (entry["index"], entry["id"]) == (1, "bad")
    assert entry["problems"]
    assert with_notes.search(["notes"]).matched() == 1


def test_words_are_searched(with_notes: Lab) -> None:
    item = note("r")
    item.properties["description"] = "About rivers and their banks"
    with_notes.publish(item)
    for words in ("rivers", ["glaciers", "banks"]):
        assert [found.id for found in with_notes.search(["notes"], q=words)] == ["r"]
    assert with_notes.search(["notes"], q="glaciers").matched() == 0


def test_many_items_go_in_several_writes(with_notes: Lab) -> None:
    written = with_notes.publish([note(f"n{number:04d}") for number in range(620)])
    assert len(written) == 620
    assert with_notes.search(["notes"]).matched() == 621


def test_writing_needs_a_token(web: Server) -> None:
    with Lab(web.url) as stranger, pytest.raises(NotAuthenticated) as error:
        stranger.publish(note("a"), collection=notes())
    assert error.value.code == "not_authenticated"


def test_an_item_that_is_given_twice_is_named(with_notes: Lab) -> None:
    with pytest.raises(InvalidInput, match="notes/b is given twice"):
        with_notes.publish([note("b"), note("c"), note("b")])
    assert with_notes.search(["notes"]).matched() == 1


def test_an_item_without_a_collection_is_named(lab: Lab) -> None:
    with pytest.raises(InvalidInput, match="collection"):
        lab.publish(note("a", None))
