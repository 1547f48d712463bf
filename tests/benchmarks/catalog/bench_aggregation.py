"""Aggregation: counts of the whole catalog, of a collection, and of what a search matches."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from random import Random
from typing import Any
from urllib.parse import urlencode

from terralab.catalog.aggregation import AGGREGATIONS
from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES
from tests.benchmarks.catalog.corpus_predictions import MODELS
from tests.benchmarks.catalog.databases import OURS, prepare
from tests.benchmarks.catalog.load import measure
from tests.benchmarks.catalog.queries import Query, box
from tests.benchmarks.catalog.servers import serving
from tests.benchmarks.catalog.summary import Target

_ASKED = 100


def run_aggregation(context: Context) -> dict[str, Any]:
    """Measure each kind of aggregation with one client; requests differ, so that no answer is kept from before."""
    files = context.corpus()
    names = prepare(context.cluster, files, reuse=context.reuse, systems=(OURS,))
    found: dict[str, list[dict[str, Any]]] = {}
    with serving(OURS, context.cluster, names[OURS], context.logs) as server:
        kinds = _requests()
        for _ in range(context.rounds):
            for kind, queries in kinds.items():
                server.settle()
                measured = measure(server.url, queries, clients=1, seconds=context.seconds)
                found.setdefault(kind, []).append(asdict(measured))
    return {"targets": [asdict(target) for target in _targets(found)], "lines": _lines(found), "measurements": found}


def _requests() -> dict[str, list[Query]]:
    """Return requests by what they count."""
    random = Random("aggregation")
    names = list(AGGREGATIONS)
    made = {
        "whole catalog": [_get(random.sample(names, 3)) for _ in range(_ASKED)],
        "one collection": [
            _get(random.sample(names, 3), collections=random.choice([SCENES, CHIPS, PREDICTIONS]))
            for _ in range(_ASKED)
        ],
        "a box of 20°": [
            _get(["total_count", "kind_frequency"], bbox=",".join(map(str, box(random, 20)))) for _ in range(_ASKED)
        ],
        "a month": [
            _get(
                ["total_count", "kind_frequency"],
                datetime=f"202{index % 5}-{1 + index % 12:02d}-0{1 + index % 9}T00:00:00Z/"
                f"202{index % 5}-{1 + index % 12:02d}-28T00:00:0{index % 10}Z",
            )
            for index in range(_ASKED)
        ],
        "predictions of a model": [
            _get(
                ["total_count", "datetime_frequency"],
                filter=f'"mlm:name" = \'{random.choice(MODELS)}\' AND "lab:metrics.iou" > {random.uniform(0, 1):.4f}',
            )
            for _ in range(_ASKED)
        ],
    }
    return made


def _get(names: Sequence[str], **arguments: str) -> Query:
    return Query("GET", "/aggregate?" + urlencode({"aggregations": ",".join(names), **arguments}))


def _targets(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Target]:
    made = []
    for kind, measurements in found.items():
        errors = sum(m["errors"] for m in measurements)
        middle = None if errors else statistics.median(m["p50"] for m in measurements)
        made.append(
            Target(f"aggregation, {kind}, p50", "ms", middle, 50, 20, False, f"{errors} errors" if errors else "")
        )
    return made


def _lines(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = ["| of | p50 ms | p95 ms |", "|---|---|---|"]
    for kind, measurements in found.items():
        p50, p95 = (statistics.median(m[name] for m in measurements) for name in ("p50", "p95"))
        lines.append(f"| {kind} | {p50:.2f} | {p95:.2f} |")
    return lines
