"""What the asset store has and what refers to it, side by side in two temporary tables of the database.

A file is referred to

    by an asset of an item or a collection, or by any other mention of `asset://<its multihash>/` in one;
    as a chip of a dataset version: by the tree that `lab:dvc_tree` of any object names, or by the version's manifest;
    by a tree that the repository of versions tracks (the caller lists those).

So it works for millions of files in little memory, and pgstac, not the read model, is asked.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.store import TREE_SUFFIX, Store, StoredObject, parse_href
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import MD5_PREFIX, multihash_of_bytes, split_multihash

_PAGE = 10_000
_TABLES = """
    CREATE TEMP TABLE present (name text, size bigint, modified timestamptz);
    CREATE TEMP TABLE referred (name text, size bigint, place text)"""
_INDEXES = """
    CREATE INDEX ON present (name); CREATE INDEX ON referred (name); ANALYZE present; ANALYZE referred"""
_ASSETS = r"""
    INSERT INTO referred
    SELECT substring(asset.value->>'href' FROM '^asset://([0-9a-f]+)/'),
        CASE WHEN asset.value->>'file:size' ~ '^[0-9]{1,18}$' THEN (asset.value->>'file:size')::bigint END,
        object.name || ', asset ''' || asset.key || ''''
    FROM (SELECT collection || '/' || id AS name, content FROM items
        UNION ALL SELECT id, content FROM collections) AS object
    CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(object.content->'assets')
        WHEN 'object' THEN object.content->'assets' ELSE '{}' END) AS asset
    WHERE asset.value->>'href' ~ '^asset://[0-9a-f]+/'"""
_MENTIONS = r"""
    INSERT INTO referred
    SELECT DISTINCT mention[1], NULL::bigint, NULL
    FROM (SELECT content::text || coalesce(private::text, '') AS text FROM items
        UNION ALL SELECT content::text || coalesce(private::text, '') FROM collections
        UNION ALL SELECT base_item::text FROM base_items) AS object
    CROSS JOIN LATERAL regexp_matches(object.text, 'asset://([0-9a-f]+)/', 'g') AS mention"""
_TREES = r"""
    SELECT DISTINCT tree[1] FROM (SELECT content->'properties'->>'lab:dvc_tree' AS name FROM items
        UNION ALL SELECT content->>'lab:dvc_tree' FROM collections) AS object
    CROSS JOIN LATERAL regexp_matches(object.name, '^[0-9a-f]{32}\.dir$') AS tree"""
_MANIFESTS = """
    SELECT content->'assets'->'manifest'->>'href', collection || '/' || id FROM items
    WHERE content->'properties'->>'lab:dvc_tree' = %s AND content->'assets'->'manifest'->>'href' LIKE 'asset://%%'"""
_GARBAGE = """
    SELECT name, size, modified FROM present p
    WHERE modified < %s AND NOT EXISTS (SELECT FROM referred r WHERE r.name = p.name) ORDER BY name"""
_MISSING = """
    SELECT DISTINCT ON (r.name) r.name, r.size, r.place FROM referred r
    WHERE NOT EXISTS (SELECT FROM present p WHERE p.name = r.name) ORDER BY r.name, r.place"""
_WRONG_SIZES = """
    SELECT DISTINCT ON (r.name) r.name, r.size, r.place, p.size FROM referred r JOIN present p USING (name)
    WHERE r.size <> p.size ORDER BY r.name, r.place"""


@dataclass(frozen=True)
class Reference:
    """That something refers to a file.

    Attributes:
        name: the file's.
        size: bytes that it says; None where it says nothing.
        place: what refers to it, such as `imagery/scene-1, asset 'image'`.
    """

    name: str
    size: int | None
    place: str


@dataclass
class Holdings:
    """The two tables, and what could not be found out.

    Attributes:
        connection: the one that has the tables.
        lost_trees: trees of dataset versions that are not in the store and whose files no manifest tells.
    """

    connection: psycopg.Connection[Any]
    lost_trees: list[str] = field(default_factory=list)

    def garbage(self, before: datetime) -> list[StoredObject]:
        """Return what nothing refers to and was stored before a time. Where a tree is lost, chips are not judged."""
        rows = self.connection.execute(_GARBAGE, (before,)).fetchall()
        found = [StoredObject(*row) for row in rows]
        return [entry for entry in found if not (self.lost_trees and entry.name.startswith(MD5_PREFIX))]

    def missing(self) -> list[Reference]:
        """Return one reference to each file that the store does not have."""
        return [Reference(name, size, place or "a mention") for name, size, place in self.connection.execute(_MISSING)]

    def wrong_sizes(self) -> list[tuple[Reference, int]]:
        """Return references that say another size than the file has, with the latter."""
        rows = self.connection.execute(_WRONG_SIZES).fetchall()
        return [(Reference(name, size, place), found) for name, size, place, found in rows]

    def names(self, sample: int | None = None) -> list[str]:
        """Return the names of all files in the store, or of so many at random."""
        some = "SELECT name FROM (SELECT name FROM present ORDER BY random() LIMIT %s) AS picked ORDER BY name"
        return [row[0] for row in self.connection.execute(some, (sample,))]  # LIMIT NULL is no limit

    def places(self, name: str) -> list[str]:
        """Return what refers to a file."""
        rows = self.connection.execute(
            "SELECT DISTINCT place FROM referred WHERE name = %s AND place IS NOT NULL ORDER BY 1 LIMIT 5", (name,)
        )
        return [row[0] for row in rows]

    def sums(self, which: str) -> dict[str, tuple[int, int]]:
        """Return number and bytes of files by algorithm.

        Args:
            which: `present`, or `referred` for those of them that something refers to.
        """
        some = "WHERE EXISTS (SELECT FROM referred r WHERE r.name = p.name)" if which == "referred" else ""
        rows = self.connection.execute(
            f"SELECT CASE WHEN name LIKE '%.dir' THEN 'trees' WHEN name LIKE '{MD5_PREFIX}%' THEN 'md5'"  # noqa: S608
            f" ELSE 'sha256' END, count(*), sum(size) FROM present p {some} GROUP BY 1 ORDER BY 1".encode()
        )
        return {row[0]: (row[1], int(row[2])) for row in rows}


@contextmanager
def holdings(workspace: Workspace, trees: Iterable[str] = ()) -> Iterator[Holdings]:
    """Yield what the store has and what refers to it, as of now.

    Args:
        workspace: the lab.
        trees: `<md5>.dir` of trees that are tracked outside of the catalog.
    """
    with workspace.catalog.connection() as connection:
        connection.execute(_TABLES)
        _list_store(connection, workspace.store)
        connection.execute(_ASSETS)
        connection.execute(_MENTIONS)
        found = Holdings(connection)
        named, tracked = {row[0] for row in connection.execute(_TREES)}, set(trees)
        for tree in sorted(named | tracked):
            _refer_to_chips(found, workspace.store, tree)
            if tree in tracked or workspace.store.size(MD5_PREFIX + tree) is not None:
                _refer_to_tree(connection, tree)
        connection.execute(_INDEXES)
        connection.commit()  # whoever hashes for hours keeps no transaction open
        yield found


def _list_store(connection: psycopg.Connection[Any], store: Store) -> None:
    with connection.cursor().copy("COPY present FROM STDIN") as rows:
        for entry in store.objects():
            rows.write_row((entry.name, entry.size, entry.modified))


def _refer_to_chips(found: Holdings, store: Store, tree: str) -> None:
    """Note the files of a tree, from the tree itself or from the manifest of its version."""
    manifests = found.connection.execute(_MANIFESTS, (tree,)).fetchall()
    sources = [(MD5_PREFIX + tree, f"tree {tree}"), *((parse_href(href)[0], place) for href, place in manifests)]
    known = False
    for name, place in sources:
        content = _intact(store, name)
        if content is None:
            continue
        known = True
        entries = json.loads(content) if name.endswith(TREE_SUFFIX) else json.loads(content)["files"]
        with found.connection.cursor().copy("COPY referred FROM STDIN") as rows:
            for entry in entries:
                split_multihash(MD5_PREFIX + entry["md5"])
                rows.write_row((MD5_PREFIX + entry["md5"], entry.get("size"), f"{place}, {entry['relpath']}"))
    if not known:
        found.lost_trees.append(tree)


def _refer_to_tree(connection: psycopg.Connection[Any], tree: str) -> None:
    """Note a tree itself: an item that came from another lab may name one that never was here."""
    connection.execute("INSERT INTO referred VALUES (%s, NULL, %s)", (MD5_PREFIX + tree, f"the versions, tree {tree}"))


def _intact(store: Store, name: str) -> bytes | None:
    """Return a file's bytes; None where they are lost or damaged, which must not make chips look unused."""
    checksum = name.removesuffix(TREE_SUFFIX)
    try:
        content = store.open_name(name).read_bytes()
    except AssetCorrupt:
        return None
    return content if multihash_of_bytes(content, split_multihash(checksum)[0]) == checksum else None
