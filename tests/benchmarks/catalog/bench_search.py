"""Search: ours beside stock at its defaults and stock at its best tuning, class by class, in interleaved rounds."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus import write_corpus
from tests.benchmarks.catalog.databases import OURS, STOCK, TUNED, prepare, prepare_gate, sizes
from tests.benchmarks.catalog.gate import Verdict, compare_systems
from tests.benchmarks.catalog.gate_queries import gate_queries
from tests.benchmarks.catalog.load import Measurement, measure
from tests.benchmarks.catalog.machine import load_average
from tests.benchmarks.catalog.queries import Query, workload
from tests.benchmarks.catalog.servers import Server, serving

CLIENTS = (1, 16)
SYSTEMS = (OURS, STOCK, TUNED)
GATE_ITEMS = 1000
_WARM_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_ANSWERS_PER_CLIENT = 5
_LOG = logging.getLogger(__name__)


def run_gate(context: Context) -> Verdict:
    """Compare ours and stock on every form of search, over a small corpus with variants."""
    files = write_corpus(context.folder / "corpus", GATE_ITEMS, with_variants=True)
    names = prepare_gate(context.cluster, files)
    with ExitStack() as stack:
        servers = _serve(stack, context, names)
        return compare_systems(servers[OURS].url, servers[STOCK].url, gate_queries())


def run_search(context: Context) -> dict[str, Any]:
    """Compare the answers of the three systems over the whole corpus, then measure them."""
    files = context.corpus()
    names = prepare(context.cluster, files, reuse=context.reuse)
    queries = workload(context.count, context.requests)
    with ExitStack() as stack:
        servers = _serve(stack, context, names)
        verdicts = {
            other: compare_systems(servers[OURS].url, servers[other].url, queries).to_json() for other in (STOCK, TUNED)
        }
        seconds = {name: _durations(context, servers, chosen) for name, chosen in queries.items()}
        measured = list(_rounds(context, servers, queries, seconds))
        memory = {system: server.memory() for system, server in servers.items()}
    return {
        "items": files.count,
        "corpus": {"sha256": files.sha256, "bytes": files.size, "item_assets": context.item_assets},
        "database_bytes": sizes(context.cluster, names),
        "web_memory_bytes": memory,
        "gate": verdicts,
        "measurements": measured,
    }


def _serve(stack: ExitStack, context: Context, names: Mapping[str, str]) -> dict[str, Server]:
    return {
        system: stack.enter_context(serving(system, context.cluster, database, context.logs))
        for system, database in names.items()
    }


def _durations(
    context: Context, servers: Mapping[str, Server], queries: Sequence[Query]
) -> dict[tuple[str, int], float]:
    """Warm the systems up, and return how long to measure each one so that every client gets some answers."""
    cores, made = os.cpu_count() or 1, {}
    for system, server in servers.items():
        server.settle()
        warm = measure(server.url, queries, clients=1, seconds=_WARM_SECONDS)
        one = 1 / warm.rps if warm.requests else _LONGEST_SECONDS
        for clients in CLIENTS:
            needed = _ANSWERS_PER_CLIENT * clients * one / min(clients, cores)
            made[system, clients] = min(max(context.seconds, needed), _LONGEST_SECONDS)
    return made


def _rounds(
    context: Context,
    servers: Mapping[str, Server],
    queries: Mapping[str, Sequence[Query]],
    seconds: Mapping[str, Mapping[tuple[str, int], float]],
) -> Iterator[dict[str, Any]]:
    """Measure: in each round every class, for each number of clients, one system after the other."""
    for number in range(context.rounds):
        for name, chosen in queries.items():
            first = number * len(chosen) // context.rounds
            for clients in CLIENTS:
                for system, server in servers.items():
                    server.settle()
                    load, before = load_average(), server.cpu_seconds()
                    found = measure(
                        server.url, chosen, clients=clients, seconds=seconds[name][system, clients], first=first
                    )
                    spent = server.cpu_seconds() - before
                    _LOG.info("round %d %-10s c%-2d %-5s %s", number, name, clients, system, _shown(found))
                    yield {
                        "round": number,
                        "class": name,
                        "clients": clients,
                        "system": system,
                        "load_average": load,
                        "web_cpu_ms": 1000 * spent / found.requests if found.requests else None,
                        **asdict(found),
                    }


def _shown(found: Measurement) -> str:
    return f"{found.rps:9.1f}/s  p50 {found.p50:9.2f} ms  p95 {found.p95:9.2f} ms  {found.errors} errors"
