"""Medians, ratios and the verdict on each target, from the raw measurements."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.catalog.databases import OURS, STOCK, TUNED
from tests.benchmarks.catalog.queries import INDEXED


@dataclass(frozen=True)
class Target:
    """One line of the table of targets.

    Attributes:
        what: the measure.
        unit: `×`, `ms` or `%`.
        found: what was measured, None where it was not or where the answers differ.
        must: what it must reach.
        aim: what it should reach.
        more_is_better: whether a larger figure is better.
        remark: why there is no figure, or what it rests on.
    """

    what: str
    unit: str
    found: float | None
    must: float
    aim: float
    more_is_better: bool = True
    remark: str = ""

    @property
    def verdict(self) -> str:
        """Return `aim`, `must`, `short`, or `-` where there is no figure."""
        if self.found is None:
            return "-"
        for name, bound in (("aim", self.aim), ("must", self.must)):
            if self.found >= bound if self.more_is_better else self.found <= bound:
                return name
        return "short"


def table(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the medians of each class and number of clients, with the ratios to both others; None where void.

    A ratio is void where answers of its class differ or a request failed.
    """
    rows = []
    for name, clients in sorted({(m["class"], m["clients"]) for m in search["measurements"]}, key=_order(search)):
        chosen = [m for m in search["measurements"] if (m["class"], m["clients"]) == (name, clients)]
        row: dict[str, Any] = {"class": name, "clients": clients}
        for system in (OURS, STOCK, TUNED):
            own = [m for m in chosen if m["system"] == system]
            row[system] = {key: statistics.median(m[key] for m in own) for key in ("rps", "p50", "p95", "mbps")}
            row[system]["errors"] = sum(m["errors"] for m in own)
        for other in (STOCK, TUNED):
            row[f"vs_{other}"] = _ratios(chosen, other) if _counts(search, row, name, other) else None
        rows.append(row)
    return rows


def geomean(numbers: Iterable[float]) -> float | None:
    """Return the geometric mean, None of nothing."""
    logs = [math.log(number) for number in numbers]
    return math.exp(sum(logs) / len(logs)) if logs else None


def search_targets(tables: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Target]:
    """Return the targets of search over the tables of all sizes."""
    rows = [(count, row) for count, table in tables.items() for row in table]
    made = []
    for other, must, aim in ((STOCK, 10, 25), (TUNED, 6, 15)):
        ratios = [row[f"vs_{other}"]["median"] if row[f"vs_{other}"] else None for _, row in rows]
        made.append(_all(f"search, requests/s vs {other}, geomean", ratios, must, aim, geomean))
    least = [row[f"vs_{STOCK}"]["median"] if row[f"vs_{STOCK}"] else None for _, row in rows]
    made.append(_all("search, least class vs stock", least, 4, 6, min))
    for count, row in rows:
        if (row["class"], row["clients"]) == ("item", 1):
            made.append(Target(f"item lookup at 1 client, {count} items", "ms", row[OURS]["p50"], 1, 0.5, False))
    return [*made, *_growth(tables)]


def _growth(tables: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Target]:
    if len(tables) < 2:
        return []
    small, large = min(tables), max(tables)
    grown = []
    for clients in sorted({row["clients"] for row in tables[small]}):
        for name in INDEXED:
            one, other = (_row(tables[count], name, clients)[OURS]["p95"] for count in (small, large))
            grown.append((other / one, f"{name}, {clients} clients"))
    worst = max(grown)
    middle = geomean(number for number, _ in grown)
    what = f"growth of p95 from {small} to {large}, indexed classes"
    return [
        Target(f"{what}, worst", "×", worst[0], 1.5, 1.1, False, worst[1]),
        Target(f"{what}, geomean", "×", middle, 1.5, 1.1, False),
    ]


def _all(what: str, ratios: Sequence[float | None], must: float, aim: float, fold: Any) -> Target:
    valid = [ratio for ratio in ratios if ratio is not None]
    void = len(ratios) - len(valid)
    found = fold(valid) if valid and not void else None
    return Target(
        what, "×", found, must, aim, True, f"void: {void} of {len(ratios)} have unequal answers" if void else ""
    )


def _counts(search: Mapping[str, Any], row: Mapping[str, Any], name: str, other: str) -> bool:
    different: int = search["gate"][other]["groups"][name]["different"]
    return not (different or row[OURS]["errors"] or row[other]["errors"])


def _ratios(measurements: Sequence[Mapping[str, Any]], other: str) -> dict[str, float]:
    """Return the ratios of requests/s round by round: their median and their least."""
    own = {m["round"]: m["rps"] for m in measurements if m["system"] == OURS}
    ratios = [own[m["round"]] / m["rps"] for m in measurements if m["system"] == other]
    return {"median": statistics.median(ratios), "least": min(ratios)}


def _row(table: Sequence[Mapping[str, Any]], name: str, clients: int) -> Mapping[str, Any]:
    return next(row for row in table if (row["class"], row["clients"]) == (name, clients))


def _order(search: Mapping[str, Any]) -> Any:
    classes = list(dict.fromkeys(m["class"] for m in search["measurements"]))
    return lambda key: (key[1], classes.index(key[0]))
