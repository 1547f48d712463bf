"""The equality gate: the same requests to both systems, and what differs in their answers.

A ratio of speeds counts only where the answers are equal: the same items in the same order with the same members, the
same count, and a walk by `next` that meets each item once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx
import orjson

from tests.benchmarks.catalog.canonical import canonical_item, differences
from tests.benchmarks.catalog.queries import Query

_MOST_PAGES = 400
_SHOWN = 8


@dataclass(frozen=True)
class Difference:
    """One request whose answers differ, with the first things that do."""

    group: str
    query: Query
    found: Sequence[str]


@dataclass
class Verdict:
    """What the gate found.

    Attributes:
        compared: requests by group.
        items: items that were compared.
        refused: requests that both systems answer with the same error.
        unanswered: requests that only we answer, or that stock answers with a server error.
        differences: requests with different answers.
    """

    compared: dict[str, int] = field(default_factory=dict)
    items: int = 0
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Return how many requests were compared."""
        return sum(self.compared.values())

    def failed(self, group: str) -> int:
        """Return how many requests of a group have different answers."""
        return sum(1 for difference in self.differences if difference.group == group)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        groups = {name: {"compared": count, "different": self.failed(name)} for name, count in self.compared.items()}
        shown = [{"group": d.group, "request": str(d.query), "found": list(d.found)} for d in self.differences]
        return {
            "compared": self.total,
            "items": self.items,
            "refused": self.refused,
            "groups": groups,
            "differences": shown,
        }


@dataclass(frozen=True)
class Answer:
    """An answer in its parts: status, ids in order, items in canonical form, count and whether a page follows."""

    status: int
    keys: list[tuple[str | None, str | None]]
    items: list[Any]
    matched: int | None
    follows: bool


def compare_systems(ours: str, theirs: str, groups: Mapping[str, Sequence[Query]]) -> Verdict:
    """Send all requests to both systems and compare.

    Args:
        ours: landing page of our API, without a slash at the end.
        theirs: that of the other.
        groups: requests by name.
    """
    verdict = Verdict()
    with httpx.Client(timeout=300) as client:
        for group, queries in groups.items():
            verdict.compared[group] = len(queries)
            for query in queries:
                pair = _ask(client, ours, query, stock=False), _ask(client, theirs, query, stock=True)
                statuses = pair[0].status, pair[1].status
                if statuses[1] >= 500 > statuses[0] or statuses[0] == 200 != statuses[1]:
                    verdict.unanswered.append(f"ours {statuses[0]}, stock {statuses[1]}: {query}")
                    continue
                if statuses[0] == statuses[1] != 200:
                    verdict.refused.append(f"{statuses[0]}: {query}")
                verdict.items += min(len(answer.items) for answer in pair)
                if found := list(islice(_compared(query, *pair), _SHOWN)):
                    verdict.differences.append(Difference(group, query, found))
    return verdict


def report(verdict: Verdict, title: str) -> str:
    """Return a verdict as Markdown."""
    lines = [f"## {title}", "", f"{verdict.total} requests, {verdict.items} items compared.", ""]
    lines += ["| group | requests | different |", "|---|---|---|"]
    lines += [f"| {name} | {count} | {verdict.failed(name)} |" for name, count in verdict.compared.items()]
    for title, texts in (
        ("Refused by both, with the same status:", verdict.refused),
        ("Not answered by stock:", verdict.unanswered),
    ):
        lines += ["", title, "", *(f"- `{text}`" for text in texts)] if texts else []
    for difference in verdict.differences:
        lines += ["", f"### {difference.group}", "```", str(difference.query), *difference.found, "```"]
    return "\n".join(lines) + "\n"


def _ask(client: httpx.Client, url: str, query: Query, *, stock: bool) -> Answer:
    if query.compare != "walk":
        return _send(client, url, query.method, f"{url}{query.path}", query.content(stock=stock))[0]
    answers: list[Answer] = []
    step = (query.method, f"{url}{query.path}", query.content(stock=stock))
    while len(answers) < _MOST_PAGES:
        answer, following = _send(client, url, *step)
        answers.append(answer)
        if following is None:
            break
        step = following
    return Answer(
        max(answer.status for answer in answers),
        [key for answer in answers for key in answer.keys],
        [item for answer in answers for item in answer.items],
        answers[0].matched,
        answers[-1].follows,
    )


def _send(
    client: httpx.Client, url: str, method: str, address: str, content: bytes | None
) -> tuple[Answer, tuple[str, str, bytes | None] | None]:
    """Send one request; return the answer and the request for the next page, where there is one."""
    headers = {"Content-Type": "application/json"} if content is not None else {}
    response = client.request(method, address, content=content, headers=headers)
    if response.status_code != 200:
        return Answer(response.status_code, [], [], None, False), None
    body = orjson.loads(response.content)
    features = body["features"] if body.get("type") == "FeatureCollection" else [body]
    following = next((link for link in body.get("links", []) if link.get("rel") == "next"), None)
    answer = Answer(
        200,
        [(item.get("collection"), item.get("id")) for item in features],
        [canonical_item(item, url) for item in features],
        body.get("numberMatched"),
        following is not None,
    )
    return answer, _request_of(following, content) if following else None


def _request_of(link: Mapping[str, Any], content: bytes | None) -> tuple[str, str, bytes | None]:
    """Return the request that a paging link stands for."""
    if link.get("method", "GET") == "GET":
        return "GET", str(link["href"]), None
    body = dict(link.get("body") or {})
    if link.get("merge") and content:
        body = {**orjson.loads(content), **body}
    return "POST", str(link["href"]), orjson.dumps(body)


def _compared(query: Query, ours: Answer, theirs: Answer) -> Iterable[str]:
    if ours.status != theirs.status:
        yield f"status: ours {ours.status}, stock {theirs.status}"
        return
    if ours.keys != theirs.keys:
        yield from _order_differences(ours.keys, theirs.keys)
        return
    if query.compare == "walk" and len(set(ours.keys)) != len(ours.keys):
        yield f"walk: {len(ours.keys) - len(set(ours.keys))} items were met more than once"
    if ours.follows != theirs.follows:
        yield f"next page: ours {ours.follows}, stock {theirs.follows}"
    if query.compare == "matched" and ours.matched != theirs.matched:
        yield f"numberMatched: ours {ours.matched}, stock {theirs.matched}"
    for key, one, other in zip(ours.keys, ours.items, theirs.items, strict=True):
        yield from differences(one, other, "/".join(str(part) for part in key))


def _order_differences(ours: list[Any], theirs: list[Any]) -> Iterable[str]:
    missing, more = set(theirs) - set(ours), set(ours) - set(theirs)
    if missing or more or len(ours) != len(theirs):
        examples = f"missing {sorted(missing, key=str)[:3]}, more {sorted(more, key=str)[:3]}"
        yield f"items: ours {len(ours)}, stock {len(theirs)}; {examples}"
        return
    first = next(index for index, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    yield f"order: from item {first} on, ours {ours[first : first + 3]}, stock {theirs[first : first + 3]}"
