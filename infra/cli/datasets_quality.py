"""`terralab datasets qa`: how good a dataset is, and where its report lies."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.flow_command import run_shown
from terralab.infra.cli.output import AsJson, print_json, print_table

if TYPE_CHECKING:
    from terralab.infra.flow_client import FlowResult


def qa(
    name: Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure every chip, judge the dataset, and compute its quality level; prints what to look at and the report."""
    from terralab.catalog.settings import Settings

    result = run_shown("qa", {"name": name, "seed": seed})
    web = Settings().web.url
    if as_json:
        print_json({**vars(result), "addresses": _addresses(result.details, web)})
        return
    _print(result, web)


def _addresses(details: dict[str, Any], web: str) -> dict[str, str]:
    """Return the addresses of the page and of the JSON."""
    from terralab.catalog.store import parse_href

    parts = {name: parse_href(str(details[name])) for name in ("page", "report")}
    return {name: f"{web}/files/{checksum}/{file}" for name, (checksum, file) in parts.items()}


def _print(result: "FlowResult", web: str) -> None:
    details = result.details
    missed = [rule for rule in details["rules"] if not rule["met"]]
    print_table(("", ""), [("level", details["level"]), ("chips", f"{result.metrics['chips']:.0f}")])
    findings = [(entry["weight"], entry["text"], entry["advice"]) for entry in details["findings"]]
    if findings:
        print_table(("", "found", "what to do"), findings)
    if missed:
        print_table(("for", "is missing", "found"), [(rule["level"], rule["rule"], rule["why"]) for rule in missed])
    addresses = _addresses(details, web)
    rows = [("report", addresses["page"]), ("numbers", addresses["report"]), ("run", result.run)]
    rows += [("review", f"terralab labels review {details['dataset']}")] if details["to_review"] else []
    rows.append(("seconds", f"{result.seconds:.1f}{' (done before)' if result.reused else ''}"))
    print_table(("", ""), rows)
