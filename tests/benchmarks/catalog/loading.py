"""One load of a corpus in a process of its own, timed from open files to committed rows.

`python -m tests.benchmarks.catalog.loading SYSTEM MODE DATABASE COLLECTIONS ITEMS` prints one line of JSON. What Python
needs to import is not counted for either system.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson


def main() -> None:
    """Load as the arguments say."""
    system, mode, database, collections, items = sys.argv[1:]
    load = _LOADERS[system](mode, database, Path(collections), Path(items))
    started = time.perf_counter()
    load()
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sys.stdout.buffer.write(orjson.dumps({"seconds": seconds, "peak_mb": peak / 1000}) + b"\n")


def _stock(mode: str, database: str, collections: Path, items: Path) -> Callable[[], None]:
    """Return what `pypgstac load` does; a second load upserts."""
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    method = Methods.insert if mode == "new" else Methods.upsert

    def load() -> None:
        with PgstacDB(dsn=database) as connection:
            loader = Loader(connection)
            loader.load_collections(str(collections), method)
            loader.load_items(str(items), method)

    return load


def _ours(mode: str, database: str, collections: Path, items: Path) -> Callable[[], None]:
    """Return what `terralab catalog load` does, validation included; a second load is the same one."""
    from tests.benchmarks.catalog.databases import load_ours

    def load() -> None:
        load_ours(database, collections, items)

    return load


_LOADERS = {"stock": _stock, "ours": _ours}

if __name__ == "__main__":
    main()
