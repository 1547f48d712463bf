"""One piece of work in a process of its own, timed without what Python needs to import.

`python -m tests.benchmarks.catalog.timed WORK ARGUMENT…` prints one line of JSON: seconds and the peak of memory.
"""

import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import orjson

from tests.benchmarks.catalog.corpus import read_lines

Work = Callable[[], object]


def in_child(work: str, *arguments: object, environment: dict[str, str], folder: Path) -> dict[str, float]:
    """Do some work in a child process and return what it printed.

    Args:
        work: name of it.
        arguments: of it.
        environment: variables of the child.
        folder: where it runs.

    Raises:
        RuntimeError: it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.benchmarks.catalog.timed", work, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{work} failed: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, float] = orjson.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Do what the arguments say."""
    name, *arguments = sys.argv[1:]
    work = WORKS[name](*arguments)
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sys.stdout.buffer.write(orjson.dumps({"seconds": seconds, "peak_mb": peak / 1000}) + b"\n")


def _load_stock(method: str, database: str, collections: str, items: str) -> Work:
    """Return what `pypgstac load --method …` does with both files."""
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    def load() -> None:
        with PgstacDB(dsn=database) as connection:
            loader = Loader(connection)
            loader.load_collections(collections, Methods(method))
            loader.load_items(items, Methods(method))

    return load


def _load_ours(database: str, collections: str, items: str) -> Work:
    """Return what `terralab catalog load` does with both files, validation included."""
    from tests.benchmarks.catalog.databases import load_ours

    return lambda: load_ours(database, Path(collections), Path(items))


def _export_stock(items: str, parquet: str) -> Work:
    from stac_geoparquet.arrow import parse_stac_ndjson_to_parquet

    return lambda: parse_stac_ndjson_to_parquet(items, parquet)


def _export_ours(items: str, parquet: str) -> Work:
    from terralab.catalog.geoparquet.writer import write_geoparquet

    return lambda: write_geoparquet(Path(parquet), lambda: read_lines(Path(items)), {})


def _import_stock(parquet: str) -> Work:
    import pyarrow.parquet as pq
    from stac_geoparquet.arrow import stac_table_to_items

    return lambda: deque(stac_table_to_items(pq.read_table(parquet)), maxlen=0)


def _import_ours(parquet: str) -> Work:
    from terralab.catalog.geoparquet.reader import read_geoparquet

    return lambda: deque(read_geoparquet(Path(parquet)), maxlen=0)


WORKS: dict[str, Callable[..., Work]] = {
    "load-stock": _load_stock,
    "load-ours": _load_ours,
    "export-stock": _export_stock,
    "export-ours": _export_ours,
    "import-stock": _import_stock,
    "import-ours": _import_ours,
}

if __name__ == "__main__":
    main()
