"""stac-geoparquet: the corpus from ndjson to a file and back, ours beside the library stac_geoparquet."""

import logging
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tests.benchmarks.catalog.canonical import differences, without_nulls
from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus import CorpusFiles, read_lines
from tests.benchmarks.catalog.machine import load_average
from tests.benchmarks.catalog.servers import clean_environment
from tests.benchmarks.catalog.summary import Target
from tests.benchmarks.catalog.timed import in_child

SYSTEMS = ("ours", "stock")
_CROSS_CHECKED = 500
_LOG = logging.getLogger(__name__)


def run_geoparquet(context: Context) -> dict[str, Any]:
    """Write, read, and compare every item with what it was before."""
    files = context.corpus()
    folder = context.folder / "geoparquet"
    folder.mkdir(exist_ok=True)
    paths = {system: folder / f"{system}.parquet" for system in SYSTEMS}
    measured = list(_rounds(context, files, paths))
    different, foreign = _unequal(files.items, paths["ours"]), _unequal_in_the_library(paths)
    targets, lines = (
        [],
        ["| what | ours items/s | stac_geoparquet items/s | × (least) | peak MB |", "|---|---|---|---|---|"],
    )
    for work in ("export", "import"):
        own, other = ([m for m in measured if (m["work"], m["system"]) == (work, system)] for system in SYSTEMS)
        ratios = [one["rate"] / two["rate"] for one, two in zip(own, other, strict=True)]
        ratio = None if different or foreign else statistics.median(ratios)
        remark = f"void: {different} items come back changed, {foreign} by the library" if ratio is None else ""
        targets.append(asdict(Target(f"stac-geoparquet {work} vs stac_geoparquet", "×", ratio, 3, 10, True, remark)))
        rates = [statistics.median(m["rate"] for m in chosen) for chosen in (own, other)]
        peaks = "/".join(f"{max(m['peak_mb'] for m in chosen):.0f}" for chosen in (own, other))
        row = f"| {work} | {rates[0]:.0f} | {rates[1]:.0f} | {statistics.median(ratios):.2f} ({min(ratios):.2f})"
        lines.append(f"{row} | {peaks} |")
    sizes = " and ".join(f"{paths[system].stat().st_size / 1e6:.1f} MB ({system})" for system in SYSTEMS)
    lines += [
        "",
        f"Files of {sizes} from {files.size / 1e6:.1f} MB of ndjson. Compared: {files.count} items through ours,",
    ]
    lines += [
        f"and {_CROSS_CHECKED} of our file as the library reads them, with those of its own file (but for nulls)."
    ]
    return {"targets": targets, "lines": lines, "measurements": measured}


def _rounds(context: Context, files: CorpusFiles, paths: dict[str, Path]) -> Iterator[dict[str, Any]]:
    for number in range(context.rounds):
        for work in ("export", "import"):
            for system in SYSTEMS:
                arguments = [files.items, paths[system]] if work == "export" else [paths[system]]
                if work == "export":
                    paths[system].unlink(missing_ok=True)
                load = load_average()
                found = in_child(f"{work}-{system}", *arguments, environment=clean_environment(), folder=context.logs)
                rate = files.count / found["seconds"]
                _LOG.info("round %d %s %-5s %8.0f items/s", number, work, system, rate)
                yield {"round": number, "work": work, "system": system, "load_average": load, "rate": rate, **found}


def _unequal(items: Path, parquet: Path) -> int:
    """Return how many items our reader gives back otherwise than they were."""
    from terralab.catalog.geoparquet.reader import read_geoparquet

    pairs = zip_longest(read_lines(items), read_geoparquet(parquet))
    return sum(1 for before, after in pairs if before != after or _types(before) != _types(after))


def _unequal_in_the_library(paths: dict[str, Path]) -> int:
    """Return how many items the library reads otherwise from our file than from its own, but for our own column."""
    pair = (_first_items(paths[system]) for system in SYSTEMS)
    return sum(1 for one, other in zip_longest(*pair) if list(differences(without_nulls(one), without_nulls(other))))


def _first_items(parquet: Path) -> list[dict[str, Any]]:
    """Return the first items of a file as the library reads them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from stac_geoparquet.arrow import stac_table_to_items

    batch = next(pq.ParquetFile(parquet).iter_batches(_CROSS_CHECKED))
    items = list(stac_table_to_items(pa.Table.from_batches([batch])))
    for item in items:
        item["properties"].pop("terralab:exact", None)
    return items


def _types(value: Any) -> Any:
    """Return a value with the types of its numbers, since 1 equals 1.0 in Python."""
    if isinstance(value, dict):
        return {key: _types(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_types(part) for part in value]
    return type(value)
