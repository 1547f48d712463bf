"""The report of a run: JSON with everything, a table in Markdown, a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.catalog.databases import OURS, STOCK, TUNED
from tests.benchmarks.catalog.queries import TITLES
from tests.benchmarks.catalog.summary import Target, search_targets, table


def write_report(out: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json`, `report.md` and `search.png` into a folder and return the Markdown's path.

    Args:
        out: the folder.
        results: `machine`, `search` by size, `gate`, and the other parts as they come: `targets` of each.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    tables = {int(count): table(search) for count, search in results.get("search", {}).items()}
    targets = search_targets(tables) if tables else []
    for name, part in results.get("parts", {}).items():
        size = name.rsplit(", ", 1)[1]
        targets += [Target(**{**target, "what": f"{target['what']}, {size}"}) for target in part["targets"]]
    lines = ["# Benchmark of the catalog", "", *_machine(results["machine"]), *_gate(results), *_targets(targets)]
    for count, rows in tables.items():
        lines += _table(count, rows, results["search"][count])
    for name, part in results.get("parts", {}).items():
        lines += ["", f"## {name}", "", *part["lines"]]
    if tables:
        plot(tables, out / "search.png")
        lines += ["", "![Requests a second](search.png)"]
    path = out / "report.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def plot(tables: Mapping[int, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw requests a second by class: one panel for each size and number of clients."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(count, clients) for count in tables for clients in sorted({row["clients"] for row in tables[count]})]
    height = 3.2 * len(panels)
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(11, height), squeeze=False, layout="constrained")
    for axis, (count, clients) in zip(axes[:, 0], panels, strict=True):
        rows = [row for row in tables[count] if row["clients"] == clients]
        for offset, (system, colour) in enumerate(((OURS, "#1b7837"), (STOCK, "#969696"), (TUNED, "#525252"))):
            places = [index + (offset - 1) * 0.27 for index in range(len(rows))]
            axis.bar(places, [row[system]["rps"] for row in rows], 0.25, color=colour, label=_NAMES[system])
        for index, row in enumerate(rows):
            ratio = f"{row['vs_stock']['median']:.0f}×" if row["vs_stock"] else "void"
            axis.annotate(ratio, (index - 0.27, row[OURS]["rps"]), ha="center", va="bottom", fontsize=8)
        axis.set_yscale("log")
        axis.set_xticks(range(len(rows)), [row["class"] for row in rows])
        axis.set_ylabel("requests/s")
        axis.set_title(
            f"{count:,} items, {clients} client{'s' if clients > 1 else ''}; above ours: times stock", fontsize=10
        )
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=8, ncols=3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


_NAMES = {OURS: "TerraLab", STOCK: "stac-fastapi-pgstac, defaults", TUNED: "stac-fastapi-pgstac, tuned, 2 workers"}


def _machine(machine: Mapping[str, Any]) -> list[str]:
    packages = machine["packages"]
    changed = f", {machine['changed_files']} changed files" if machine["changed_files"] else ""
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; {machine['system']};"
        f" Python {machine['python']}; PostgreSQL {machine['postgresql']};"
        f" stac-fastapi-pgstac {packages['stac-fastapi-pgstac']}, pypgstac {packages['pypgstac']},"
        f" uvicorn {packages['uvicorn']}; revision {(machine['revision'] or '?')[:10]}{changed};"
        f" load average at the start {machine['load_average']}.",
        "",
    ]


def _gate(results: Mapping[str, Any]) -> list[str]:
    lines = ["## Answers", "", "| over | requests | items | different |", "|---|---|---|---|"]
    if gate := results.get("gate"):
        lines.append(
            f"| hard cases, against stock | {gate['compared']} | {gate['items']} | {len(gate['differences'])} |"
        )
    for count, search in results.get("search", {}).items():
        for other, found in search["gate"].items():
            row = f"| {count} items, against {other} | {found['compared']} | {found['items']} |"
            lines.append(f"{row} {len(found['differences'])} |")
    return [*lines, ""]


def _targets(targets: Sequence[Target]) -> list[str]:
    lines = ["## Targets", "", "| what | found | must | aim | reached |", "|---|---|---|---|---|"]
    for target in targets:
        found = target.remark if target.found is None else f"{_number(target.found)} {target.unit}"
        found += f" ({target.remark})" if target.remark and target.found is not None else ""
        bounds = f"{_number(target.must)} {target.unit} | {_number(target.aim)} {target.unit}"
        lines.append(f"| {target.what} | {found} | {bounds} | {target.verdict} |")
    return lines


def _table(count: int, rows: Sequence[Mapping[str, Any]], search: Mapping[str, Any]) -> list[str]:
    sizes = ", ".join(f"{system} {size / 1e6:.0f} MB" for system, size in search["database_bytes"].items())
    lines = [
        "",
        f"## Search, {search['items']} items",
        "",
        f"Databases: {sizes}. Medians of the rounds; p50/p95 in ms, requests/s in brackets.",
        "",
        "| class | clients | ours | stock | tuned | × stock (least) | × tuned (least) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [_cell(row[system]) for system in (OURS, STOCK, TUNED)]
        ratios = [_ratio(row[f"vs_{other}"]) for other in (STOCK, TUNED)]
        lines.append("| " + " | ".join([TITLES[row["class"]], str(row["clients"]), *cells, *ratios]) + " |")
    return lines


def _cell(found: Mapping[str, float]) -> str:
    return f"{_number(found['p50'])}/{_number(found['p95'])} ({_number(found['rps'])})"


def _ratio(found: Mapping[str, float] | None) -> str:
    return "void" if found is None else f"{_number(found['median'])} ({_number(found['least'])})"


def _number(number: float) -> str:
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"
