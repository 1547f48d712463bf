"""Lineage of depth 6: what predictions were made from, and what was made from scenes."""

import statistics
from dataclasses import asdict
from random import Random
from typing import Any

import httpx

from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus_places import PREDICTIONS, SCENES, numbered
from tests.benchmarks.catalog.databases import OURS, prepare
from tests.benchmarks.catalog.load import measure
from tests.benchmarks.catalog.queries import Query
from tests.benchmarks.catalog.servers import serving
from tests.benchmarks.catalog.summary import Target

DEPTH = 6
_ASKED = 200


def run_lineage(context: Context) -> dict[str, Any]:
    """Measure both directions with one client."""
    files = context.corpus()
    names = prepare(context.cluster, files, reuse=context.reuse, systems=(OURS,))
    kinds = {"up from predictions": _up(context.count), "down from scenes": _down(context.count)}
    targets, lines, found = [], ["| direction | nodes | p50 ms | p95 ms |", "|---|---|---|---|"], {}
    with serving(OURS, context.cluster, names[OURS], context.logs) as server:
        root = server.url.removesuffix("/stac")
        for kind, queries in kinds.items():
            nodes = _nodes(root, queries)
            measured = []
            for _ in range(context.rounds):
                server.settle()
                measured.append(measure(root, queries, clients=1, seconds=context.seconds))
            errors = sum(entry.errors for entry in measured)
            p50, p95 = (statistics.median(getattr(entry, name) for entry in measured) for name in ("p50", "p95"))
            what = f"lineage of depth {DEPTH}, {kind}, p50"
            targets.append(
                Target(what, "ms", None if errors else p50, 20, 5, False, f"{errors} errors" if errors else "")
            )
            lines.append(f"| {kind} | {statistics.mean(nodes):.1f} | {p50:.2f} | {p95:.2f} |")
            found[kind] = [asdict(entry) for entry in measured]
    return {"targets": [asdict(target) for target in targets], "lines": lines, "measurements": found}


def _up(count: int) -> list[Query]:
    random = Random("lineage-up")
    return [_lineage(PREDICTIONS, random.randrange(count // 10) * 10 + 9, "up") for _ in range(_ASKED)]


def _down(count: int) -> list[Query]:
    """Return scenes but for the first six: the labels were drawn on those, and all models follow from the labels."""
    random = Random("lineage-down")
    tens = [random.randrange(1, max(2, count // 10)) for _ in range(_ASKED)]
    return [_lineage(SCENES, ten * 10 + random.randrange(6), "down") for ten in tens]


def _lineage(collection: str, number: int, direction: str) -> Query:
    return Query("GET", f"/lineage/{collection}/{numbered(number)[1]}?direction={direction}&depth={DEPTH}")


def _nodes(root: str, queries: list[Query]) -> list[int]:
    """Return how many nodes the answers have."""
    with httpx.Client(timeout=60) as client:
        return [len(client.get(f"{root}{query.path}").raise_for_status().json()["nodes"]) for query in queries[:20]]
