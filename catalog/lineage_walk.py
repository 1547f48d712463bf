"""What `sql/40_lineage.sql` knows of an item's provenance, as one caller may see it.

`walk` asks for the links, `described` for the things at their ends. Things are named by the address that links have:
`collections/<c>/items/<i>` for an item, `collections/<c>/items` for the chips of a collection together.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson
import psycopg

from terralab.catalog.access.policy import OPEN, Guarded, guarded, may_read, readable_sql
from terralab.catalog.access.principal import Principal
from terralab.catalog.rendering import BASE
from terralab.catalog.writing import Key, read_items
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.item import item_href
from terralab.extensions.lab import EXECUTION_REL

Direction = Literal["up", "down"]
PROVENANCE_RELS = ("derived_from", "source")
MAX_LINKS = 5_000
_RELS = [*PROVENANCE_RELS, MEMBERS_REL]
_ADDRESS = re.compile(r"collections/([^/]+)/items(?:/([^/]+))?")

_WALK = "SELECT origin, rel, found FROM lab.lineage(%s, %s, %s, %s, %s, %s)"
_ITEMS = """
    SELECT i.collection, i.id, i.owner, i.visibility, i.project, i.body
    FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN lab.items i ON i.collection = w.collection AND i.id = w.id
    WHERE NOT EXISTS (SELECT FROM lab.stale s WHERE s.collection = w.collection AND s.id = w.id)"""
_COUNTS = """
    SELECT collection, owner, visibility, project, sum(items)::bigint FROM lab.facets
    WHERE facet = 'item' AND collection = ANY(%(names)s) GROUP BY 1, 2, 3, 4"""
_STALE_COUNTS = """
    SELECT s.collection, s.owner, s.visibility, s.project, count(*) FROM lab.stale_items() AS s
    WHERE s.collection = ANY(%(names)s)
    AND NOT EXISTS (SELECT FROM lab.items i WHERE i.collection = s.collection AND i.id = s.id) GROUP BY 1, 2, 3, 4"""
_READABLE_LINKS = """
    SELECT l.collection, l.rel, l.target FROM lab.items i JOIN lab.links l
    ON l.collection = i.collection AND l.id = i.id
    WHERE i.collection = ANY(%(names)s) AND l.rel = ANY(%(rels)s) AND {items}
    UNION SELECT s.collection, s.rel, s.target FROM lab.stale_links() AS s
    WHERE s.collection = ANY(%(names)s) AND s.rel = ANY(%(rels)s) AND {stale}"""


@dataclass(frozen=True)
class Link:
    """A link that the walk followed: `product` was made from `source`."""

    product: str
    source: str
    rel: str


@dataclass
class Described:
    """What a caller may know of the things at the ends of links.

    Attributes:
        items: JSON of the items that it may read, by address.
        counts: numbers of chips that it may read, by address of the group.
        links: the links of groups of which it may read some chips and not others, by address of the group.
    """

    items: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    links: dict[str, set[Link]] = field(default_factory=dict)

    def readable(self, address: str) -> bool:
        """Return whether it is there for the caller."""
        return address in self.items or self.counts.get(address, 0) > 0

    def shows(self, link: Link) -> bool:
        """Return whether the caller may know of a link, which it may where it can read the product."""
        return self.readable(link.product) and (link.product not in self.links or link in self.links[link.product])


def parts_of(address: str) -> tuple[str | None, str | None]:
    """Return the collection and the item that an address names; no item for a group, neither for anything else."""
    match = _ADDRESS.fullmatch(address)
    return (match[1], match[2]) if match else (None, None)


def walk(
    connection: psycopg.Connection[Any], root: str, direction: Direction, depth: int | None
) -> tuple[list[Link], bool]:
    """Return the links on the way from an item, and whether there were too many of them.

    Some go one farther than `depth`, so that it can be seen whether there is more.
    """
    down = direction == "down"
    first = [*_RELS, EXECUTION_REL] if down else _RELS  # what a run made names the run
    rows = connection.execute(_WALK, (root, down, depth, _RELS, first, MAX_LINKS)).fetchall()
    links = [Link(found, origin, rel) if down else Link(origin, found, rel) for origin, rel, found in rows[:MAX_LINKS]]
    return list(dict.fromkeys(links)), len(rows) > MAX_LINKS


def described(
    connection: psycopg.Connection[Any], addresses: Iterable[str], principal: Principal, hidden: Collection[str]
) -> Described:
    """Return what a caller may know of things; `hidden` are the collections that it may not read."""
    parts = [(collection, item) for collection, item in map(parts_of, addresses) if collection not in (None, *hidden)]
    groups = sorted({cast(str, collection) for collection, item in parts if item is None})
    found = Described(_items(connection, [cast(Key, key) for key in parts if key[1] is not None], principal))
    if not groups:
        return found
    mixed = []
    for name, counts in _counts(connection, groups).items():
        shown = sum(count for access, count in counts.items() if may_read(principal, access, OPEN))
        found.counts[f"collections/{name}/items"] = shown
        if 0 < shown < sum(counts.values()):
            mixed.append(name)
    if mixed:
        found.links = _readable_links(connection, mixed, principal)
    return found


def _items(connection: psycopg.Connection[Any], keys: list[Key], principal: Principal) -> dict[str, bytes]:
    """Return the JSON of those of the items `keys` that the caller may read, by address."""
    rows = connection.execute(_ITEMS, ([key[0] for key in keys], [key[1] for key in keys]), binary=True).fetchall()
    found = {
        item_href(collection, item): bytes(body).replace(BASE, b"")
        for collection, item, *access, body in rows
        if may_read(principal, Guarded(*access), OPEN)
    }
    rest = set(keys) - {(row[0], row[1]) for row in rows}
    if rest and _any_stale(connection):
        for key, item in read_items(connection, sorted(rest)).items():
            if may_read(principal, guarded(item), OPEN):
                found[item_href(*key)] = orjson.dumps(item)
    return found


def _counts(connection: psycopg.Connection[Any], names: list[str]) -> dict[str, dict[Guarded, int]]:
    """Return how many chips of collections there are, by collection and who may read them."""
    rows = connection.execute(_COUNTS, {"names": names}).fetchall()
    if _any_stale(connection):
        rows += connection.execute(_STALE_COUNTS, {"names": names}).fetchall()
    found: dict[str, dict[Guarded, int]] = {name: {} for name in names}
    for collection, *access, count in rows:
        key = Guarded(*access)
        found[collection][key] = found[collection].get(key, 0) + int(count)
    return found


def _readable_links(
    connection: psycopg.Connection[Any], names: list[str], principal: Principal
) -> dict[str, set[Link]]:
    """Return the links of the chips that the caller may read, by address of the group."""
    items, parameters = readable_sql(principal, "i")
    stale, _ = readable_sql(principal, "s")
    statement = _READABLE_LINKS.format(items=items, stale=stale).encode()
    rows = connection.execute(statement, {**parameters, "names": names, "rels": [*_RELS, EXECUTION_REL]}).fetchall()
    found: dict[str, set[Link]] = {f"collections/{name}/items": set() for name in names}
    for collection, rel, target in rows:
        address = f"collections/{collection}/items"
        found[address].add(Link(address, target, rel))
    return found


def _any_stale(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT EXISTS (SELECT FROM lab.stale)").fetchone()
    return bool(row and row[0])
