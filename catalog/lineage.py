"""Provenance: what an object was made from, or what was made from it, found by the links in the catalog alone.

The graph is walked level by level with one query per collection and level. The chips of a dataset, thousands of items
with the same few sources, are one node. Missing objects and cycles are part of the answer, not an error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from terralab.catalog.database import Catalog
from terralab.catalog.served_items import map_links, renders_of
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.item import item_href
from terralab.extensions.lab import EXECUTION_REL, KIND_PROP, PARAMS_PROP, Kind

Direction = Literal["up", "down"]
PROVENANCE_RELS = ("derived_from", "source")
MAX_NODES = 5_000

_MEMBERS_SOURCES = """
    SELECT link->>'rel', link->>'href', count(*) FROM items, jsonb_array_elements(content->'links') AS link
    WHERE collection = %s AND link->>'rel' = ANY(%s) GROUP BY 1, 2 ORDER BY 1, 2"""
_USERS = """
    SELECT i.collection, i.id, link->>'rel', link->>'href', c.content->>'lab:kind'
    FROM items i JOIN collections c ON c.id = i.collection, jsonb_array_elements(i.content->'links') AS link
    WHERE link->>'rel' = ANY(%s) AND link->>'href' = ANY(%s) ORDER BY 1, 2"""
_MEMBER_COUNT = "SELECT count(*) FROM items WHERE collection = %s"


@dataclass(frozen=True)
class Node:
    """One object of the graph.

    Attributes:
        id: `collection/item`; the collection alone for a group of chips.
        kind: `lab:kind`; `unknown` where it is missing.
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
    catalog: Catalog, collection: str, item: str, direction: Direction = "up", depth: int | None = None
) -> Graph:
    """Return the provenance of an item.

    Args:
        catalog: where to look.
        collection: the item's collection.
        item: the item's id.
        direction: `up` to what it was made from, `down` to what was made from it.
        depth: at most so many links away; None for all.

    Raises:
        UnknownName: there is no such item.
    """
    root = catalog.item(collection, item)
    graph = Graph(f"{collection}/{item}", direction)
    step = _step_up if direction == "up" else _step_down
    graph.nodes[graph.root] = node_of_item(root)
    frontier: dict[str, dict[str, Any] | None] = {graph.root: root}
    level = 0
    while frontier and (depth is None or level < depth) and len(graph.nodes) < MAX_NODES:
        frontier = step(catalog, graph, frontier)
        level += 1
    graph.complete = not any(_has_more(document, direction) for document in frontier.values())
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
    found: list[list[str]] = []
    done: set[str] = set()
    for start in graph.nodes:
        path, stack = [start], [iter(graph.neighbours(start))] if start not in done else []
        while stack:
            following = next(stack[-1], None)
            if following is None:
                done.add(path.pop())
                stack.pop()
            elif following in path:
                found.append([*path[path.index(following) :], following])
            elif following not in done:
                path.append(following)
                stack.append(iter(graph.neighbours(following)))
    return found


def _step_up(
    catalog: Catalog, graph: Graph, frontier: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, dict[str, Any] | None]:
    targets: dict[str, None] = {}
    for product, document in frontier.items():
        groups = [_members_collection(link) for link in _links(document, [MEMBERS_REL])]
        covered = {source for group in groups for source in _add_group(catalog, graph, product, group)}
        sources = [(link["rel"], _name(link["href"])) for link in _links(document, PROVENANCE_RELS)]
        kept = [(rel, source) for rel, source in sources if source not in covered]
        graph.edges += [Edge(product, source, rel) for rel, source in kept]
        targets.update(dict.fromkeys([*sorted(covered), *(source for _, source in kept)]))
    return _add_items(catalog, graph, [name for name in targets if name not in graph.nodes])


def _step_down(
    catalog: Catalog, graph: Graph, frontier: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, dict[str, Any] | None]:
    hrefs = {_href(name): name for name in frontier}
    rels = [*PROVENANCE_RELS, MEMBERS_REL]
    with catalog.connection() as connection:
        rows = connection.execute(_USERS, (rels, list(hrefs))).fetchall()
    found: dict[str, None] = {}
    groups: dict[str, dict[str, Any] | None] = {}
    for collection, item, rel, href, kind in rows:
        product = collection if kind == Kind.CHIPS else f"{collection}/{item}"
        edge = Edge(product, hrefs[href], rel)
        if edge not in graph.edges:
            graph.edges.append(edge)
        if product == collection and product not in graph.nodes:
            graph.nodes[product] = _group_node(catalog, collection)
            groups[product] = None
        elif product not in graph.nodes:
            found[product] = None
    return {**groups, **_add_items(catalog, graph, list(found))}


def _add_group(catalog: Catalog, graph: Graph, product: str, collection: str) -> list[str]:
    """Add the chips of a collection as one node, and return the ids of their sources."""
    graph.edges.append(Edge(product, collection, MEMBERS_REL))
    with catalog.connection() as connection:
        rows = connection.execute(_MEMBERS_SOURCES, (collection, list(PROVENANCE_RELS))).fetchall()
    if collection not in graph.nodes:
        graph.nodes[collection] = _group_node(catalog, collection)
        graph.edges += [Edge(collection, _name(href), rel) for rel, href, _ in rows]
    return [_name(href) for _, href, _ in rows]


def _group_node(catalog: Catalog, collection: str) -> Node:
    with catalog.connection() as connection:
        row = connection.execute(_MEMBER_COUNT, (collection,)).fetchone()
    count = int(row[0]) if row else 0
    return Node(collection, Kind.CHIPS, f"{count} chips of {collection}", count=count, missing=count == 0)


def _add_items(catalog: Catalog, graph: Graph, names: list[str]) -> dict[str, dict[str, Any] | None]:
    """Add the nodes of items, those that are not in the catalog as missing, and return the items by id."""
    found = {f"{item['collection']}/{item['id']}": item for item in read_items(catalog, names)}
    for name in names:
        absent = Node(name, "unknown", name, missing=True)
        graph.nodes[name] = node_of_item(found[name]) if name in found else absent
    return {name: found[name] for name in names if name in found}


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


def _links(document: Mapping[str, Any] | None, rels: Iterable[str]) -> list[dict[str, Any]]:
    return [link for link in (document or {}).get("links", []) if link["rel"] in rels]


def _has_more(document: Mapping[str, Any] | None, direction: Direction) -> bool:
    return direction == "down" or bool(_links(document, [*PROVENANCE_RELS, MEMBERS_REL]))


def _name(href: str) -> str:
    """Turn `collections/<c>/items/<i>` into `<c>/<i>`; any other address stays as it is."""
    parts = href.split("/")
    return f"{parts[1]}/{parts[3]}" if len(parts) == 4 and parts[0] == "collections" else href


def _href(name: str) -> str:
    collection, slash, item = name.partition("/")
    return item_href(collection, item) if slash else f"collections/{collection}/items"


def _members_collection(link: Mapping[str, Any]) -> str:
    return str(link["href"]).split("/")[1]
