"""Medians, ratios and verdicts from raw measurements, and what makes a ratio void."""

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.catalog.queries import CLASSES
from tests.benchmarks.catalog.report import write_report
from tests.benchmarks.catalog.summary import Target, search_targets, table

RATES = {"ours": (100.0, 120.0, 110.0), "stock": (10.0, 10.0, 10.0), "tuned": (20.0, 20.0, 20.0)}


def searched(different: str = "", errors: int = 0, p95: float = 2.0) -> dict[str, Any]:
    groups = {name: {"compared": 4, "different": int(name == different)} for name in CLASSES}
    verdict = {"compared": 32, "items": 99, "groups": groups, "differences": []}
    measured = [
        {
            "round": number,
            "class": name,
            "clients": clients,
            "system": system,
            "rps": rate,
            "p50": 0.7,
            "p95": p95,
            "mbps": 1.0,
            "errors": errors if system == "ours" else 0,
        }
        for system, rates in RATES.items()
        for number, rate in enumerate(rates)
        for name in CLASSES
        for clients in (1, 16)
    ]
    return {"items": 10, "gate": {"stock": verdict, "tuned": verdict}, "measurements": measured, "database_bytes": {}}


def test_ratios_are_medians_of_the_rounds() -> None:
    row = table(searched())[0]
    assert row["vs_stock"] == {"median": 11.0, "least": 10.0}
    assert row["ours"]["rps"] == 110.0


def test_targets_are_judged() -> None:
    targets = {target.what: target for target in search_targets({10: table(searched())})}
    stock, tuned = (targets[f"search, requests/s vs {name}, geomean"] for name in ("stock", "tuned"))
    assert (stock.found, tuned.found) == pytest.approx((11.0, 5.5))
    assert (stock.verdict, tuned.verdict) == ("must", "short")
    assert targets["item lookup at 1 client, 10 items"].verdict == "must"


@pytest.mark.parametrize("search", [searched(different="split"), searched(errors=1)])
def test_a_ratio_without_equal_answers_is_void(search: dict[str, Any]) -> None:
    rows = {(row["class"], row["clients"]): row for row in table(search)}
    assert rows["split", 1]["vs_stock"] is None
    target = search_targets({10: table(search)})[0]
    assert (target.found, target.verdict) == (None, "-")
    assert "void" in target.remark


def test_growth_from_size_to_size() -> None:
    tables = {10: table(searched(p95=2.0)), 100: table(searched(p95=2.4))}
    growth = next(target for target in search_targets(tables) if "worst" in target.what)
    assert growth.found == pytest.approx(1.2)
    assert growth.verdict == "must"


@pytest.mark.parametrize(("found", "verdict"), [(None, "-"), (3.0, "aim"), (9.0, "must"), (11.0, "short")])
def test_less_can_be_better(found: float | None, verdict: str) -> None:
    assert Target("policy", "%", found, 10, 3, more_is_better=False).verdict == verdict


def test_the_report_has_every_part(tmp_path: Path) -> None:
    machine = {
        "processor": "x",
        "cores": 2,
        "memory_gb": 1,
        "system": "Linux",
        "python": "3.11",
        "postgresql": "15",
        "packages": {"stac-fastapi-pgstac": "7", "pypgstac": "0.10", "uvicorn": "1"},
        "revision": "abc",
        "changed_files": 0,
        "load_average": 0.1,
    }
    part = {"targets": [{"what": "one more", "unit": "ms", "found": 5.0, "must": 6.0, "aim": 3.0}], "lines": ["a line"]}
    results = {"machine": machine, "search": {10: searched()}, "parts": {"lineage, 10 items": part}}
    text = write_report(tmp_path, results).read_text()
    assert "| one more, 10 items | 5.00 ms | 6.00 ms | 3.00 ms |" in text
    assert "a line" in text
    assert (tmp_path / "search.png").stat().st_size > 10_000
    assert (tmp_path / "results.json").is_file()
