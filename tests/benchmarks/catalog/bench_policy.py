"""What the policy costs: the eight classes of reads for a user beside an admin, on one server with closed reads.

Both send a key, so that the difference is the policy in the query and nothing else. One item in ten of the corpus is
private and one a project's. The user owns a tenth of the former and is a member of all ten projects: so it sees 91 % of
what the admin sees, by a filter as long as it gets. Single items are those that the user may read: for others its
answer is 404, which is another thing than an item.
"""

import logging
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import httpx
import orjson

from terralab.catalog.access.keys import create_key
from terralab.catalog.database import Catalog
from tests.benchmarks.catalog.context import Context
from tests.benchmarks.catalog.corpus_places import USERS
from tests.benchmarks.catalog.databases import OURS, prepare
from tests.benchmarks.catalog.load import measure
from tests.benchmarks.catalog.machine import load_average
from tests.benchmarks.catalog.queries import Query, workload
from tests.benchmarks.catalog.servers import Server, serving
from tests.benchmarks.catalog.summary import Target, geomean

USER, PROJECTS = "user-3", [f"project-{number}" for number in range(USERS)]
CLIENTS = (1, 16)
_ADMIN = "an-admin"
_LOG = logging.getLogger(__name__)


def run_policy(context: Context) -> dict[str, Any]:
    """Check that the user sees what it may and no more, then measure both callers."""
    files = context.corpus()
    names = prepare(context.cluster, files, reuse=context.reuse, systems=(OURS,))
    queries = workload(context.count, context.requests)
    closed = {"TERRALAB_ACCESS_OPEN_READS": "false"}
    with serving(OURS, context.cluster, names[OURS], context.logs, **closed) as server:
        catalog = Catalog(context.cluster.url(names[OURS]))
        callers = {
            name: {"Authorization": f"Bearer {create_key(catalog, name, scopes, PROJECTS)[0]}"}
            for name, scopes in ((_ADMIN, ["admin"]), (USER, ["read"]))
        }
        compared, wrong = _check(server, queries, callers)
        queries["item"] = _readable(server, queries["item"], callers[USER])
        measured = list(_rounds(context, server, queries, callers))
    remark = f"void: {len(wrong)} answers are wrong" if wrong else ""
    rows = _rows(measured)
    overhead = geomean(row["overhead"] for row in rows)
    found = None if wrong or overhead is None else 100 * (overhead - 1)
    target = Target("policy filter, geomean of 8 classes", "%", found, 10, 3, False, remark)
    lines = [f"{compared} answers of the user compared with what it may see of the admin's; {len(wrong)} wrong.", ""]
    lines += ["| class | clients | admin p50 ms | user p50 ms | requests/s, admin over user |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['class']} | {r['clients']} | {r['admin']:.2f} | {r['user']:.2f} | {r['overhead']:.3f} |" for r in rows
    ]
    return {"targets": [asdict(target)], "lines": lines, "wrong": wrong, "measurements": measured}


def _check(
    server: Server, queries: Mapping[str, Sequence[Query]], callers: Mapping[str, Mapping[str, str]]
) -> tuple[int, list[str]]:
    """Compare complete answers: the user must see those of the admin's items that are public or its own, in order."""
    compared, wrong = 0, []
    with httpx.Client(timeout=60) as client:
        for chosen in queries.values():
            for query in chosen:
                mine, everything = (_ask(client, server, query, callers[name]) for name in (USER, _ADMIN))
                if any(link.get("rel") == "next" for link in everything.get("links", [])):
                    continue
                compared += 1
                visible = [item["id"] for item in everything.get("features", [everything]) if _may_read(item)]
                if [item["id"] for item in mine.get("features", [mine]) if "id" in item] != visible:
                    wrong.append(str(query))
    return compared, wrong


def _ask(client: httpx.Client, server: Server, query: Query, headers: Mapping[str, str]) -> dict[str, Any]:
    own = {"Content-Type": "application/json"} if query.body is not None else {}
    response = client.request(
        query.method, f"{server.url}{query.path}", content=query.content(), headers={**headers, **own}
    )
    found: dict[str, Any] = orjson.loads(response.content)
    return found if response.status_code == 200 else {}


def _may_read(item: Mapping[str, Any]) -> bool:
    fields = item.get("properties", {})
    own = {"public": True, "private": fields.get("lab:owner") == USER, "project": True}
    return bool(item) and own[fields.get("lab:visibility", "public")]


def _readable(server: Server, queries: Sequence[Query], headers: Mapping[str, str]) -> list[Query]:
    with httpx.Client(timeout=60) as client:
        return [query for query in queries if _ask(client, server, query, headers)]


def _rounds(
    context: Context,
    server: Server,
    queries: Mapping[str, Sequence[Query]],
    callers: Mapping[str, Mapping[str, str]],
) -> Iterator[dict[str, Any]]:
    for number in range(context.rounds):
        for name, chosen in queries.items():
            for clients in CLIENTS:
                # The order turns, lest the second of a pair always finds the warmer cache.
                for caller in sorted(callers, reverse=number % 2 == 1):
                    server.settle()
                    load = load_average()
                    found = measure(
                        server.url, chosen, clients=clients, seconds=context.seconds, headers=callers[caller]
                    )
                    _LOG.info("round %d %-10s c%-2d %-8s %9.1f/s", number, name, clients, caller, found.rps)
                    who = {"round": number, "class": name, "clients": clients, "caller": caller}
                    yield {**who, "load_average": load, **asdict(found)}


def _rows(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, clients in dict.fromkeys((m["class"], m["clients"]) for m in measured):
        chosen = [m for m in measured if (m["class"], m["clients"]) == (name, clients)]
        admin, user = ({m["round"]: m for m in chosen if (m["caller"] == USER) == own} for own in (False, True))
        ratios = [admin[number]["rps"] / user[number]["rps"] for number in admin]
        rows.append(
            {
                "class": name,
                "clients": clients,
                "admin": statistics.median(m["p50"] for m in admin.values()),
                "user": statistics.median(m["p50"] for m in user.values()),
                "overhead": statistics.median(ratios),
            }
        )
    return rows
