"""Bulk load of a corpus, and a second load of the same items: ours beside `pypgstac load`, in fresh databases.

Ours checks every item by all schemas and writes the read model with it; pypgstac does neither.
"""

import logging
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus import CorpusFiles
from tests.benchmarks.catalog.databases import OURS, STOCK, create_ours, create_stock
from tests.benchmarks.catalog.machine import load_average
from tests.benchmarks.catalog.servers import clean_environment
from tests.benchmarks.catalog.summary import Target
from tests.benchmarks.catalog.timed import in_child

_CREATE: dict[str, Callable[..., str]] = {OURS: create_ours, STOCK: create_stock}
_MODES = {"new": "bulk load", "again": "reload of unchanged items"}
_BOUNDS = {"new": (1.0, 2.0), "again": (2.0, 4.0)}
_LOG = logging.getLogger(__name__)


def run_ingest(context: Context) -> dict[str, Any]:
    """Load twice into a fresh database of each system, in each round, and compare what is there then."""
    files = context.corpus()
    measured = list(_rounds(context, files))
    targets, lines = [], ["| what | ours items/s | pypgstac items/s | × (least) | MB |", "|---|---|---|---|---|"]
    for mode, title in _MODES.items():
        own, other = (_of(measured, system, mode) for system in (OURS, STOCK))
        ratios = [one["rate"] / two["rate"] for one, two in zip(own, other, strict=True)]
        wrong = {entry["stored"] for entry in measured} != {files.count}
        ratio = None if wrong else statistics.median(ratios)
        must, aim = _BOUNDS[mode]
        remark = "void: not all items are stored" if wrong else ""
        targets.append(asdict(Target(f"{title}, items/s vs pypgstac", "×", ratio, must, aim, True, remark)))
        rates = [statistics.median(entry["rate"] for entry in entries) for entries in (own, other)]
        peaks = "/".join(f"{max(entry['peak_mb'] for entry in entries):.0f}" for entries in (own, other))
        row = f"| {title} | {rates[0]:.0f} | {rates[1]:.0f} | {statistics.median(ratios):.2f} ({min(ratios):.2f})"
        lines.append(f"{row} | {peaks} |")
    return {"targets": targets, "lines": lines, "measurements": measured}


def _rounds(context: Context, files: CorpusFiles) -> Iterator[dict[str, Any]]:
    for number in range(context.rounds):
        for system, create in _CREATE.items():
            name = f"ingest_{system}"
            url = create(context.cluster, name)
            for mode in _MODES:
                load = load_average()
                found = _load(system, mode, url, files, context.logs)
                stored = context.cluster.execute("SELECT count(*) FROM pgstac.items", name)[0][0]
                rate = files.count / found["seconds"]
                _LOG.info("round %d %-5s %-5s %8.0f items/s", number, system, mode, rate)
                where = {"round": number, "system": system, "mode": mode, "load_average": load, "stored": stored}
                yield {**where, "rate": rate, **found}
            context.cluster.drop(name)


def _load(system: str, mode: str, url: str, files: CorpusFiles, folder: Path) -> dict[str, float]:
    method = ["insert" if mode == "new" else "upsert"] if system == STOCK else []
    arguments = [*method, url, files.collections, files.items]
    return in_child(f"load-{system}", *arguments, environment=clean_environment(), folder=folder)


def _of(measured: Sequence[Mapping[str, Any]], system: str, mode: str) -> list[Mapping[str, Any]]:
    return [entry for entry in measured if (entry["system"], entry["mode"]) == (system, mode)]
