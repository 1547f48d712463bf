"""Bytes that the collection of garbage takes between the check of a document and its transaction."""

from collections.abc import Iterable
from typing import Any

import pytest

from terralab.catalog.folder_store import FolderStore
from terralab.catalog.workspace import Workspace
from tests.catalog.transactions.conftest import Api, collection, item


def with_file(document: dict[str, Any], href: str) -> dict[str, Any]:
    return {**document, "assets": {"data": {"href": href, "roles": ["data"]}}}


@pytest.mark.parametrize("kind", ["item", "batch", "replaced item", "collection"])
def test_nothing_becomes_visible_without_bytes(
    api: Api, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    stored = workspace.store.put_bytes(b"bytes of nobody", "a.bin")
    assert api("POST", "/collections/places/items", item("old")).status_code == 201
    sizes = FolderStore.sizes

    def look_and_lose(store: FolderStore, names: Iterable[str]) -> dict[str, int]:
        found = sizes(store, names)
        store.remove(found)
        return found

    monkeypatch.setattr(FolderStore, "sizes", look_and_lose)
    features = {"type": "FeatureCollection", "features": [with_file(item("new"), stored.href)]}
    asked = {
        "item": lambda: api("POST", "/collections/places/items", with_file(item("new"), stored.href)),
        "batch": lambda: api("POST", "/collections/places/items", features),
        "replaced item": lambda: api("PUT", "/collections/places/items/old", with_file(item("old"), stored.href)),
        "collection": lambda: api("POST", "/collections", with_file(collection("new"), stored.href)),
    }
    answer = asked[kind]()
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_item"), answer.text
    with workspace.catalog.connection() as connection:
        rows = connection.execute("SELECT id FROM items WHERE content::text LIKE '%asset://%'").fetchall()
    assert rows == []
    assert workspace.catalog.find_collection("new") is None
