"""What may go and what never goes."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from terralab.catalog.access.file_access import note_upload
from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.garbage import delete_garbage, find_garbage
from terralab.catalog.inbox import stage
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items
from tests.catalog.conftest import fill
from tests.catalog.s3_server import s3_server
from tests.catalog.test_publish import imagery, scene

NONE = timedelta(0)
DAY = timedelta(hours=24)


@pytest.fixture(params=["folder", "s3"])
def both(request: pytest.FixtureRequest, workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """Yield a filled lab over each kind of store."""
    if request.param == "folder":
        yield fill(workspace)
        return
    with s3_server() as server:
        settings = Settings()
        settings.store = server.settings("lab")
        yield fill(Workspace(settings))


def unused(workspace: Workspace, grace: timedelta = NONE, trees: tuple[str, ...] = ()) -> list[str]:
    return [entry.name for entry in find_garbage(workspace, grace, trees, set()).files]


def everything(workspace: Workspace) -> list[str]:
    return sorted(entry.name for entry in workspace.store.objects())


def aged(path: Path, hours: float = 48) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_what_something_refers_to_never_goes(both: Workspace) -> None:
    before = everything(both)
    garbage = find_garbage(both, NONE, (), set())
    assert (garbage.files, garbage.leftovers, garbage.notes) == ([], [], [])
    assert delete_garbage(both, garbage, NONE) == 0
    assert everything(both) == before


def test_what_nothing_refers_to_goes_after_the_grace_period(both: Workspace) -> None:
    before = everything(both)
    loose = both.store.put_bytes(b"loose", "loose.txt").checksum
    with both.catalog.connection() as connection:
        note_upload(connection, loose, "ann")
    assert unused(both, DAY) == []
    garbage = find_garbage(both, NONE, (), set())
    assert [(entry.name, entry.size) for entry in garbage.files] == [(loose, 5)]
    assert delete_garbage(both, garbage, DAY) == 0, "it is younger than the grace period of the deletion"
    assert delete_garbage(both, garbage, NONE) == 1
    assert everything(both) == before
    with both.catalog.connection() as connection:
        assert connection.execute("SELECT count(*) FROM lab.uploads").fetchone() == (0,)


def test_bytes_go_with_the_last_item_that_has_them(both: Workspace) -> None:
    stored = both.store.put_bytes(b"shared", "a.tif")
    publish(both, [imagery()], [scene(stored, "one"), scene(stored, "two")])
    for item, left in (("one", []), ("two", [stored.checksum])):
        with both.catalog.connection() as connection:
            delete_items(connection, [("imagery", item)])
        assert unused(both) == left


def test_any_mention_keeps_a_file(lab: Workspace) -> None:
    names = [lab.store.put_bytes(str(number).encode(), "x").checksum for number in range(4)]
    hrefs = [f"asset://{name}/x" for name in names]
    item = scene(lab.store.put_bytes(b"bytes", "a.tif"))
    item["assets"]["image"]["alternate"] = {"copy": {"href": hrefs[0]}}
    item["links"].append({"rel": "about", "href": hrefs[1]})
    collection = {**imagery(), "assets": {"thumbnail": {"href": hrefs[2], "roles": ["thumbnail"]}}}
    collection["item_assets"]["image"]["legend"] = hrefs[3]
    lab.catalog.write([collection], [item])
    assert unused(lab) == []


def tree_of(workspace: Workspace, count: int) -> tuple[str, list[str]]:
    """Store chips and their tree; return the tree's and the chips' names."""
    chips = [workspace.store.put_bytes(f"chip {number}".encode(), "c", "md5").checksum for number in range(count)]
    entries = [{"md5": chip.removeprefix("d50110"), "relpath": f"images/{chip}"} for chip in chips]
    stored = workspace.store.put_bytes(json.dumps(entries).encode(), "tree", "md5", ".dir")
    return f"{stored.checksum.removeprefix('d50110')}.dir", chips


def test_the_chips_of_a_version_stay_without_items(lab: Workspace) -> None:
    tree, chips = tree_of(lab, 3)
    assert set(unused(lab)) == {f"d50110{tree}", *chips}
    assert unused(lab, trees=(tree,)) == [], "the repository of versions tracks it"
    item = lab.catalog.item("datasets", "flood-v1-0-0")
    item["properties"]["lab:dvc_tree"] = tree
    lab.catalog.write([], [item])
    assert unused(lab) == [], "a dataset version has it"


def test_where_a_tree_is_lost_its_manifest_tells_the_chips_and_else_no_chip_goes(lab: Workspace) -> None:
    tree, chips = tree_of(lab, 3)
    loose = lab.store.put_bytes(b"loose", "x").checksum
    item = lab.catalog.item("datasets", "flood-v1-0-0")
    item["properties"]["lab:dvc_tree"], first = tree, item["assets"]["manifest"]["file:checksum"]
    files = [{"md5": chip.removeprefix("d50110"), "relpath": chip, "size": 6} for chip in chips]
    item["assets"]["manifest"] |= {
        "href": (manifest := lab.store.put_bytes(json.dumps({"files": files}).encode(), "manifest.json")).href,
        "file:size": manifest.size,
        "file:checksum": manifest.checksum,
    }
    lab.catalog.write([], [item])
    path = lab.store.open_name(f"d50110{tree}")
    path.chmod(0o644)
    path.write_bytes(b"[]")
    assert set(unused(lab)) == {loose, first}
    lab.store.remove([manifest.checksum])
    garbage = find_garbage(lab, NONE, (), set())
    assert {entry.name for entry in garbage.files} == {loose, first}
    assert garbage.notes == [f"chips are left alone: the tree {tree} of a dataset version is lost or damaged"]


def test_what_is_referred_to_or_stored_again_meanwhile_stays(lab: Workspace) -> None:
    kept, again, third, gone = (lab.store.put_bytes(name.encode(), "a.tif") for name in ("kept", "again", "3", "gone"))
    for stored in (kept, again, third, gone):
        aged(lab.store.open_path(stored.href))
    garbage = find_garbage(lab, DAY, (), set())
    assert len(garbage.files) == 4
    publish(lab, [imagery()], [scene(kept)])
    lab.store.put_bytes(b"again", "a.tif")
    with lab.catalog.connection() as connection:  # by another program, so that the read model does not know it yet
        connection.execute(
            "UPDATE items SET content = replace(content::text, %s, %s)::jsonb WHERE id = 'spain-s2'",
            (lab.catalog.item("flood-scenes", "spain-s2")["assets"]["image"]["href"], third.href),
        )
    assert delete_garbage(lab, garbage, DAY) == 1
    assert {stored.checksum for stored in (kept, again, third, gone)} - set(everything(lab)) == {gone.checksum}


def test_publishing_and_deleting_at_once_never_leaves_an_item_without_bytes(workspace: Workspace) -> None:
    publish(workspace, [imagery()])
    published, refused, deleted = [], [], 0

    def write(worker: int, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            stored = workspace.store.put_bytes(f"{number % 5}".encode(), "a.tif")  # the same bytes come and go
            try:
                published.append(publish(workspace, [], [scene(stored, f"scene-{worker}")]))
            except AssetCorrupt:
                refused.append(number)

    for _ in range(4):
        stop = threading.Event()
        writers = [threading.Thread(target=write, args=(worker, stop)) for worker in range(2)]
        for writer in writers:
            writer.start()
        for _ in range(4):
            garbage = replace(find_garbage(workspace, NONE, (), set()), leftovers=[])  # what is being written stays
            deleted += delete_garbage(workspace, garbage, timedelta(seconds=-1))
        stop.set()
        for writer in writers:
            writer.join()
        for item in workspace.catalog.search(collections=["imagery"]):
            assert workspace.store.open_path(item["assets"]["image"]["href"]).is_file()
    assert deleted > 0
    assert published


def test_leftovers_of_broken_off_work(lab: Workspace, tmp_path: Path) -> None:
    settings = lab.settings
    (tmp_path / "a.tif").write_bytes(b"aaaa")
    (tmp_path / "b.tif").write_bytes(b"bbbb")
    old, waiting = (stage(settings, [tmp_path / name]).split("/")[0] for name in ("a.tif", "b.tif"))
    half = lab.store.folder / "tmp" / "half"
    half.mkdir()
    (half / "x").write_bytes(bytes(100))
    busy = lab.store.folder / "tmp" / "busy"
    busy.mkdir()
    (busy / "x").write_bytes(b"just written")
    for path in (half / "x", half, busy, *settings.inbox_folder.rglob("*"), tmp_path / "a.tif", tmp_path / "b.tif"):
        aged(path)
    assert find_garbage(lab, DAY).leftovers[0].path == half
    assert find_garbage(lab, DAY).notes == [
        "the inbox is left alone: Prefect does not say which files its runs are yet to read"
    ]
    garbage = find_garbage(lab, DAY, (), {waiting})
    assert [(entry.path, entry.size >= 4) for entry in garbage.leftovers] == [
        (half, True),
        (settings.inbox_folder / old, True),
    ]
    delete_garbage(lab, garbage, DAY)
    assert not half.exists()
    assert busy.exists()
    assert [path.name for path in settings.inbox_folder.iterdir()] == [waiting]
    assert (tmp_path / "a.tif").exists(), "only the inbox's link went"
    stage(settings, [tmp_path / "b.tif"])
    assert find_garbage(lab, DAY, (), set()).leftovers == [], "staged again, it is young again"
