"""Provenance as a tree for people: tile → prediction → model → dataset version → chips → scenes and labels → files."""

from rich.text import Text
from rich.tree import Tree

from terralab.catalog.lineage import Graph, Node

SHOWN_NEIGHBOURS = 20
_STYLES = {
    "prediction": "magenta",
    "model": "cyan",
    "dataset": "green",
    "chips": "green",
    "imagery": "blue",
    "labels": "yellow",
    "run": "white",
}


def render_tree(graph: Graph, web_url: str = "") -> Tree:
    """Return the graph as a tree that `rich` prints, beginning with the tile link of the root where it has one.

    Args:
        graph: from `lineage.lineage`.
        web_url: address of the web process, put before the tile link.
    """
    root = graph.nodes[graph.root]
    shown: set[str] = set()
    if root.tiles is None:
        tree = Tree(_label(root))
        _grow(tree, graph, root, shown)
    else:
        tree = Tree(Text(f"tile {web_url}{root.tiles}"))
        _grow(tree.add(_label(root)), graph, root, shown)
    for cycle in graph.cycles:
        tree.add(Text(f"cycle: {' → '.join(cycle)}", "red"))
    if not graph.complete:
        tree.add(Text("… there is more; give a larger depth", "dim"))
    return tree


def _grow(branch: Tree, graph: Graph, node: Node, shown: set[str]) -> None:
    """Add what `node` was made from; an object reached twice is opened once."""
    shown.add(node.id)
    if node.source:
        branch.add(Text(f"file {node.source.get('file', '?')}  sha256 {node.source.get('sha256', '?')}"))
    following = list(dict.fromkeys(graph.neighbours(node.id)))
    for name in following[:SHOWN_NEIGHBOURS]:
        neighbour = graph.nodes.get(name)
        if neighbour is None:
            continue
        if name in shown:
            branch.add(Text(f"{neighbour.kind} {name} (see above)", "dim"))
        else:
            _grow(branch.add(_label(neighbour)), graph, neighbour, shown)
    if len(following) > SHOWN_NEIGHBOURS:
        branch.add(Text(f"… and {len(following) - SHOWN_NEIGHBOURS} more", "dim"))


def _label(node: Node) -> Text:
    if node.missing:
        return Text(f"missing: {node.id} is linked but not in the catalog", "red")
    label = Text.assemble((node.kind, _STYLES.get(node.kind, "")), " ", (node.id, "bold"))
    if node.title not in (node.id, node.id.partition("/")[2]):
        label.append(f"  {node.title}")
    for key, checksum in node.checksums.items():
        label.append(f"\n{key} {checksum}", "dim")
    return label
