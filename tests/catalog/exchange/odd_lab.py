"""A lab with one object of every kind and what is hard to carry from one lab to another."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terralab.catalog.audit import ObjectChange, note_changes
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.dataset import dataset_item
from terralab.extensions.item import asset, item_link
from tests.catalog.conftest import GRID, WHEN, fill
from tests.catalog.test_writing import collection, item
from tests.conftest import execute, official_schemas

LONG_ID = "L" + 254 * "o" + "g"
ODD_IDS = ("catalog.json", "-", "..a", "files", "x-2", "Item", "item", "items", LONG_ID)
ODD_COLLECTIONS = ("items", "catalog.json", "x-c", ".hidden")
PROJECTS = {
    "floods": ([], ["flood-scenes", "flood-labels"]),
    "spain": (["floods"], ["odd"]),
    "other": ([], ["datasets"]),
    "both": (["spain", "other"], ["flood-v1"]),
}


@contextmanager
def new_lab(postgres: str, template: str, name: str, home: Path) -> Iterator[Workspace]:
    """Yield a lab with a database and a store of its own, both empty."""
    execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/{name}"
    settings.lab.home, settings.lab.schemas = home, official_schemas()
    try:
        yield Workspace(settings)
    finally:
        execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def fill_oddly(workspace: Workspace) -> Workspace:
    """Publish everything of `fill`, odd objects, a version with its tree, and projects."""
    fill(workspace)
    publish(workspace, [_collection(workspace)], [_plain(_odd(id), **fields) for id, fields in _odd_fields()])
    workspace.catalog.write([], [_with_files(workspace), _version(workspace), *_unlike_pgstac()])
    for name in ODD_COLLECTIONS:
        publish(workspace, [collection(name)], [{**_plain(_odd("one")), "collection": name, "links": [_link(name)]}])
    publish(workspace, [collection("empty", **{"lab:owner": "ann", "lab:visibility": "private"})], [])
    with workspace.catalog.connection() as connection:
        for id, (_, members) in PROJECTS.items():
            content = {"type": "Catalog", "id": id, "stac_version": "1.1.0", "description": id, "lab:owner": "ann"}
            connection.execute("INSERT INTO lab.projects VALUES (%s, %s)", (id, json.dumps(content)))
            for member in members:
                connection.execute("INSERT INTO lab.project_collections VALUES (%s, %s)", (id, member))
        for id, (parents, _) in PROJECTS.items():
            for parent in parents:
                connection.execute("INSERT INTO lab.project_catalogs VALUES (%s, %s)", (parent, id))
        note_changes(connection, "ann", [ObjectChange("projects", "floods", None, "a")])
    return workspace


def contents(workspace: Workspace) -> dict[str, list[Any]]:
    """Return what a lab holds: items with their entity tags and served bytes, collections and projects."""
    queries = {
        "items": "SELECT collection, id, encode(hash, 'hex'), body, owner, visibility FROM lab.items",
        "pgstac": "SELECT collection, id, datetime, end_datetime, geometry::text FROM items",
        "links": "SELECT collection, id, rel, target FROM lab.links",
        "files": "SELECT checksum, collection, id FROM lab.files",
        "stale": "SELECT collection, id FROM lab.stale",
        "collections": "SELECT id, content::text FROM collections",
        "projects": "SELECT id, content::text FROM lab.projects",
        "parents": "SELECT parent, child FROM lab.project_catalogs",
        "members": "SELECT project, collection FROM lab.project_collections",
    }
    with workspace.catalog.connection() as connection:
        found = {name: sorted(connection.execute(query.encode()).fetchall()) for name, query in queries.items()}
        # Served bytes of equal items may differ in the order of members alone.
        found["items"] = [(*row[:3], _canonical(bytes(row[3])), *row[4:]) for row in found["items"]]
        found["hydrated"] = sorted(
            connection.execute("SELECT collection, id, pgstac.content_hydrate(i)::text FROM items i").fetchall()
        )
    return found


def _canonical(body: bytes) -> str:
    return json.dumps(json.loads(body.replace(b"\1", b"<address>")), sort_keys=True)


def _collection(workspace: Workspace) -> dict[str, Any]:
    picture = workspace.store.put_bytes(b"picture", "files.json")
    return collection(
        "odd", assets={"files": asset(picture, "image/png", ["thumbnail"], "Picture")}, title="Odd \u2603"
    )


def _link(name: str = "odd") -> dict[str, str]:
    return {"rel": "collection", "href": f"collections/{name}"}


def _odd(id: str) -> dict[str, Any]:
    return {**item(name="odd"), "id": id}


def _plain(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    links = [_link(document["collection"]), {"rel": "derived_from", "href": "collections/flood-scenes/items/spain-s2"}]
    return {**document, "assets": {}, "links": links, **fields}


def _odd_fields() -> Iterator[tuple[str, dict[str, Any]]]:
    base = item()["properties"]
    for id in ODD_IDS:
        yield id, {}
    yield "private", {"properties": {**base, "lab:owner": "ann", "lab:visibility": "private"}}
    yield "shared", {"properties": {**base, "lab:owner": "bob", "lab:visibility": "project", "lab:project": "floods"}}
    numbers = {"one": 1.0, "two": 2, "big": 1e300, "large": 1e16, "small": -5e-324, "zero": -0.0, "list": [1, 1.0, "1"]}
    yield "numbers", {"properties": {**base, **numbers, "deep": {"a": [{"b": 3.0}, None, []], "": {}}}}
    yield "text", {"properties": {**base, "title": 'quote " \\ \u2603 \U0001f600', "asset://no": "asset://no"}}
    yield (
        "range",
        {
            "properties": {
                "datetime": None,
                "start_datetime": "2020-01-01T00:00:00Z",
                "end_datetime": "2020-02-01T00:00:00Z",
            }
        },
    )
    point = {"geometry": {"type": "Point", "coordinates": [1.0, 2.0, 3.0]}, "bbox": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]}
    yield "point", point
    yield "integers", {"geometry": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 1, 2]}
    yield "unordered", {"links": [{"rel": "about", "href": "https://example.org/"}, _link()]}
    yield "extra", {"odd:member": {"a": None}, "properties": {**base, "odd:null": None}}


def _with_files(workspace: Workspace) -> dict[str, Any]:
    """Return an item whose files have the names of what else lies in its folder, and one name twice."""
    put = workspace.store.put_bytes
    names = ["with-files.json", "same.txt", "same.txt", "x-2", "a\u2603+(1)'%20.txt", "%41"]
    files = [put(f"{number}".encode(), name) for number, name in enumerate(names)]
    assets = {f"{number}/a": {"href": file.href, "type": "text/plain"} for number, file in enumerate(files)}
    chip = put(b"chip", "chip.tif", algorithm="md5")
    assets |= {"chip": {"href": chip.href}, "far": {"href": "https://example.org/x.tif"}, "again": assets["1/a"]}
    return _plain(_odd("with-files"), assets=assets)


def _version(workspace: Workspace) -> dict[str, Any]:
    """Return a version with a tree, of which one chip is shown by no item."""
    put = workspace.store.put_bytes
    chips = [put(f"chip {number}".encode(), f"{number}.tif", algorithm="md5") for number in range(3)]
    tree = [{"md5": chip.checksum[6:], "relpath": f"images/{number}.tif"} for number, chip in enumerate(chips)]
    stored = put(json.dumps(tree).encode(), "tree", algorithm="md5", suffix=".dir")
    return dataset_item(
        id="flood-v2-0-0",
        dataset="flood",
        chips_collection="flood-v1",
        version="2.0.0",
        footprint=GRID.footprint(WHEN),
        dvc_rev="a" * 40,
        dvc_tree=f"{stored.checksum[6:]}.dir",
        manifest=put(b'{"files": []}', "manifest.json"),
        dvc_file=put(b"outs: []\n", "chips.dvc"),
        class_counts={"land": 1},
        split_counts={"train": 1},
        split_report={},
        sources=[item_link("derived_from", "flood-scenes", "spain-s2")],
    )


def _unlike_pgstac() -> list[dict[str, Any]]:
    """Return items that pgstac stores without what their collection says of all, or that lack a part of it."""
    scene = {"type": "Feature", "stac_version": "1.1.0", "geometry": item()["geometry"], "bbox": item()["bbox"]}
    return [
        {**scene, "stac_extensions": [], "id": f"bare-{number}", "collection": "flood-scenes", "assets": assets,
         "links": [_link("flood-scenes")], "properties": item()["properties"]}
        for number, assets in enumerate(({}, {"image": {"href": "https://example.org/i.tif"}}))
    ]  # fmt: skip
