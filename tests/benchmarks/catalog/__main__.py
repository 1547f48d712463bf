"""The catalog's benchmark in one command: `python -m tests.benchmarks.catalog --items 100000 --rounds 5 --out DIR`."""

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.catalog.bench_aggregation import run_aggregation
from tests.benchmarks.catalog.bench_geoparquet import run_geoparquet
from tests.benchmarks.catalog.bench_ingest import run_ingest
from tests.benchmarks.catalog.bench_lineage import run_lineage
from tests.benchmarks.catalog.bench_policy import run_policy
from tests.benchmarks.catalog.bench_search import run_gate, run_search
from tests.benchmarks.catalog.cluster import running
from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.databases import make_reachable
from tests.benchmarks.catalog.gate import report as gate_report
from tests.benchmarks.catalog.machine import describe, load_average
from tests.benchmarks.catalog.queries import REQUESTS
from tests.benchmarks.catalog.report import write_report

PARTS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "ingest": run_ingest,
    "policy": run_policy,
    "aggregation": run_aggregation,
    "lineage": run_lineage,
    "geoparquet": run_geoparquet,
}
_LOG = logging.getLogger("benchmark")


def main() -> None:
    """Run the chosen parts at each size; the report is written anew after every part."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the servers and the database, as Ctrl-C does
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for name in ("benchmark", "tests.benchmarks.catalog"):
        logging.getLogger(name).setLevel(logging.INFO)
    with _folder(options.data) as folder, running(folder) as cluster:
        results: dict[str, Any] = {"machine": {**describe(cluster), "load_average": load_average()}, "parts": {}}
        for count in options.items:
            context = Context(
                cluster=cluster,
                folder=folder,
                count=count,
                rounds=options.rounds,
                seconds=options.seconds,
                requests=options.requests,
                item_assets=not options.bare_collections,
                reuse=options.reuse,
            )
            _run(context, options.parts, results, options.out)
    print((options.out / "report.md").read_text())


def _run(context: Context, parts: list[str], results: dict[str, Any], out: Path) -> None:
    for part in parts:
        _LOG.info("%s, %d items", part, context.count)
        if part == "gate":
            if "gate" in results:
                continue
            verdict = run_gate(context)
            out.mkdir(parents=True, exist_ok=True)
            (out / "gate.md").write_text(gate_report(verdict, "Our answers beside stock's"))
            results["gate"] = verdict.to_json()
        elif part == "search":
            results.setdefault("search", {})[context.count] = run_search(context)
        else:
            results["parts"][f"{part}, {context.count} items"] = PARTS[part](context)
        write_report(out, results)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given:
        yield make_reachable(given.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="catalog-benchmark-", ignore_cleanup_errors=True) as name:
        yield make_reachable(Path(name))


def _options() -> argparse.Namespace:
    names = ["gate", "search", *PARTS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.catalog", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[2000], help="sizes of the corpus, one or more")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement; longer where answers are slow")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests in each class")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="what to measure")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/catalog"), help="folder of the report")
    parser.add_argument("--data", type=Path, help="folder to keep corpora and databases in; else they are removed")
    parser.add_argument("--reuse", action="store_true", help="take the databases that --data has from an earlier run")
    parser.add_argument(
        "--bare-collections", action="store_true", help="collections without item_assets, stock's best case"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
