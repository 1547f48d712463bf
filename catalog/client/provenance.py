"""A lineage graph as the client gets it: the same graph as in the lab, which prints itself as a tree."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rich.console import Console

from terralab.catalog.lineage import Edge, Graph, Node
from terralab.catalog.lineage_tree import render_tree

_WIDTH = 1_000  # a line is not broken; who shows it may do so
_NODE_FIELDS = {entry.name for entry in fields(Node)}


class Provenance(Graph):
    """What an item was made from, or what was made from it; see `Graph`. `print(it)` shows a tree."""

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Provenance":
        """Read the answer of `GET /lineage/…`; members that a newer lab adds are left out."""
        nodes = [Node(**{key: node[key] for key in node if key in _NODE_FIELDS}) for node in document["nodes"]]
        return cls(
            document["root"],
            document["direction"],
            {node.id: node for node in nodes},
            [Edge(edge["product"], edge["source"], edge["rel"]) for edge in document["edges"]],
            [list(cycle) for cycle in document["cycles"]],
            document["complete"],
        )

    def of_kind(self, kind: str) -> list[Node]:
        """Return the nodes of a kind, such as `imagery`, in the order in which they were found."""
        return [node for node in self.nodes.values() if node.kind == kind]

    @property
    def missing(self) -> list[Node]:
        """Return the nodes that links lead to and that the catalog does not have, or not for this caller."""
        return [node for node in self.nodes.values() if node.missing]

    def __str__(self) -> str:
        console = Console(width=_WIDTH, color_system=None, force_terminal=False)
        with console.capture() as captured:
            console.print(render_tree(self))
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def __repr__(self) -> str:
        return str(self)
