"""Provenance: what an object was made from, or what was made from it, found by the links in the catalog alone.

The database walks the graph in one call (`lineage_walk`); here it becomes nodes and edges for one caller. The chips of
a dataset, thousands of items with the same few sources, are one node. Missing objects and cycles are part of the
answer, not an error; what the caller may not read is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from terralab.catalog.access.principal import Principal
from terralab.catalog.database import Catalog
from terralab.catalog.lineage_walk import Described, Direction, Link, described, parts_of, walk
from terralab.catalog.readable import EVERYTHING, hidden_collections, readable_item
from terralab.catalog.served_items import map_links, renders_of
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.item import item_href
from terralab.extensions.lab import EXECUTION_REL, KIND_PROP, PARAMS_PROP, Kind

EXTERNAL = "external"
"""Kind of a source that is not in the catalog but at an address of its own."""


@dataclass(frozen=True)
class Node:
    """One object of the graph.

    Attributes:
        id: `collection/item`; the collection alone for a group of chips.
        kind: `lab:kind`; `unknown` where it is missing, `external` where it is an address elsewhere.
        title: for people.
        version: semantic version, where it has one.
        checksums: multihash by asset key.
        source: `{"file": name, "sha256": hex}` of the user's original file, where the object was made from one.
        count: how many items a group stands for; 1 otherwise.
        run: id of the run that made it.
        tiles: path of its tile link on the web process, where it has one.
        missing: True where a link points to it but the catalog does not have it.
    """

    id: str
    kind: str
    title: str
    version: str | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] | None = None
    count: int = 1
    run: str | None = None
    tiles: str | None = None
    missing: bool = False


@dataclass(frozen=True)
class Edge:
    """A link from one object to what it was made from."""

    product: str
    source: str
    rel: str


@dataclass
class Graph:
    """Objects and the links between them.

    Attributes:
        root: id of the node that was asked for.
        direction: `up` to what it was made from, `down` to what was made from it.
        nodes: by id, in the order in which they were found.
        edges: links, always from the product to its source.
        cycles: lists of ids, each a path that comes back to its start.
        complete: False where the depth or the number of nodes ended the walk.
    """

    root: str
    direction: Direction
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    cycles: list[list[str]] = field(default_factory=list)
    complete: bool = True

    def neighbours(self, node: str) -> list[str]:
        """Return the next ids in the direction of the walk."""
        if self.direction == "up":
            return [edge.source for edge in self.edges if edge.product == node]
        return [edge.product for edge in self.edges if edge.source == node]

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as JSON values."""
        return {
            "root": self.root,
            "direction": self.direction,
            "complete": self.complete,
            "nodes": [asdict(node) for node in self.nodes.values()],
            "edges": [asdict(edge) for edge in self.edges],
            "missing": [node.id for node in self.nodes.values() if node.missing],
            "cycles": self.cycles,
        }


def lineage(
    catalog: Catalog,
    collection: str,
    item: str,
    direction: Direction = "up",
    depth: int | None = None,
    principal: Principal = EVERYTHING,
) -> Graph:
    """Return the provenance of an item.

    Args:
        catalog: where to look.
        collection: the item's collection.
        item: the item's id.
        direction: `up` to what it was made from, `down` to what was made from it.
        depth: at most so many links away; None for all.
        principal: who asks.

    Raises:
        UnknownName: there is no such item, or the caller may not read it.
    """
    root = item_href(collection, item)
    hidden = hidden_collections(catalog, principal)
    with catalog.connection() as connection:
        links, too_many = walk(connection, root, direction, depth)
        # Downwards the policy hides the ends of links, so that it must be known of what lies too far as well.
        reach = depth if direction == "up" else None
        known = described(connection, _nearest(root, _steps(links, direction), reach), principal, hidden)
    if not known.readable(root):
        known.items[root] = orjson.dumps(readable_item(catalog, collection, item, principal))
    steps = _steps(filter(known.shows, links), direction)
    found = _nearest(root, steps, depth)
    graph = Graph(f"{collection}/{item}", direction)
    graph.nodes = {_name(address): _node(address, known) for address in found}
    graph.edges = _edges([link for links in steps.values() for link, _ in links], found)
    graph.complete = not (too_many or _has_more(found, steps, known, depth if direction == "up" else None))
    graph.cycles = find_cycles(graph)
    return graph


def node_of_item(item: Mapping[str, Any]) -> Node:
    """Return the node of a stored item."""
    properties = item["properties"]
    maps = map_links(item, renders_of(item) or {}, "")
    runs = [link["href"].rsplit("/", 1)[-1] for link in item["links"] if link["rel"] == EXECUTION_REL]
    params = properties.get(PARAMS_PROP)
    source = params.get("source") if isinstance(params, Mapping) else None
    return Node(
        f"{item['collection']}/{item['id']}",
        str(properties.get(KIND_PROP, "unknown")),
        str(properties.get("title") or item["id"]),
        properties.get("version"),
        {key: asset["file:checksum"] for key, asset in item["assets"].items() if "file:checksum" in asset},
        {key: str(value) for key, value in source.items()} if isinstance(source, Mapping) else None,
        run=runs[0] if runs else None,
        tiles=next((link["href"] for link in maps if link["rel"] == "xyz"), None),
    )


def find_cycles(graph: Graph) -> list[list[str]]:
    """Return each path of the graph that comes back to its start, once."""
    following: dict[str, list[str]] = {}
    for edge in graph.edges:
        start, end = (edge.product, edge.source) if graph.direction == "up" else (edge.source, edge.product)
        following.setdefault(start, []).append(end)
    found: list[list[str]] = []
    done: set[str] = set()
    for start in graph.nodes:
        path, stack = [start], [iter(following.get(start, []))] if start not in done else []
        while stack:
            step = next(stack[-1], None)
            if step is None:
                done.add(path.pop())
                stack.pop()
            elif step in path:
                found.append([*path[path.index(step) :], step])
            elif step not in done:
                path.append(step)
                stack.append(iter(following.get(step, [])))
    return found


def read_items(catalog: Catalog, names: Iterable[str]) -> list[dict[str, Any]]:
    """Read items by `collection/item`, one search per collection; those that are missing are left out."""
    by_collection: dict[str, list[str]] = {}
    for name in names:
        collection, slash, item = name.partition("/")
        if slash:
            by_collection.setdefault(collection, []).append(item)
    return [
        item
        for collection, ids in by_collection.items()
        for item in catalog.search(limit=len(ids), collections=[collection], ids=ids)
    ]


def _steps(links: Iterable[Link], direction: Direction) -> dict[str, list[tuple[Link, str]]]:
    """Return links and where they lead, by where they start."""
    steps: dict[str, list[tuple[Link, str]]] = {}
    for link in links:
        start, end = (link.product, link.source) if direction == "up" else (link.source, link.product)
        steps.setdefault(start, []).append((link, end))
    return steps


def _nearest(root: str, steps: Mapping[str, list[tuple[Link, str]]], depth: int | None) -> dict[str, int]:
    """Return how many links away from the root things are, those at most `depth` away, the nearest first."""
    found, frontier, level = {root: 0}, [root], 0
    while frontier and (depth is None or level < depth):
        level += 1
        ends = dict.fromkeys(end for start in frontier for _, end in steps.get(start, []))
        frontier = [end for end in ends if end not in found]
        found.update(dict.fromkeys(frontier, level))
    return found


def _has_more(
    found: Mapping[str, int], steps: Mapping[str, list[tuple[Link, str]]], known: Described, last: int | None
) -> bool:
    """Say whether links lead on from what was found; chips on the level `last` have sources that nobody asked for."""
    return any(
        known.counts.get(address, 0) > 0
        if level == last and address in known.counts
        else any(end not in found for _, end in steps.get(address, []))
        for address, level in found.items()
    )


def _edges(links: Iterable[Link], found: Mapping[str, int]) -> list[Edge]:
    """Return the edges between what was found, without those that a group of chips says already."""
    kept = [link for link in links if link.product in found and link.source in found]
    groups: dict[str, list[str]] = {}
    for link in kept:
        if link.rel == MEMBERS_REL:
            groups.setdefault(link.product, []).append(link.source)
    direct = {(link.product, link.source) for link in kept}
    return [
        Edge(_name(link.product), _name(link.source), link.rel)
        for link in kept
        if link.rel == MEMBERS_REL or not any((group, link.source) in direct for group in groups.get(link.product, []))
    ]


def _node(address: str, known: Described) -> Node:
    if address in known.items:
        return node_of_item(orjson.loads(known.items[address]))
    collection, item = parts_of(address)
    name = _name(address)
    if collection is None:
        return Node(name, EXTERNAL, name)
    if item is not None:
        return Node(name, "unknown", name, missing=True)
    count = known.counts.get(address, 0)
    return Node(name, Kind.CHIPS, f"{count} chips of {collection}", count=count, missing=count == 0)


def _name(address: str) -> str:
    """Turn `collections/<c>/items/<i>` into `<c>/<i>`; any other address stays as it is."""
    collection, item = parts_of(address)
    return address if collection is None else f"{collection}/{item}" if item else collection
