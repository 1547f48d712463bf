"""`terralab demo`: the main job from data to map, with a table of what came out."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from terralab.catalog.settings import Settings
    from terralab.infra.demo import DemoReport
    from terralab.infra.flow_client import FlowResult


def demo(
    folder: Annotated[
        Path | None, typer.Option("--from", help="Use real files in the layout of Sen1Floods11.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the main job: dataset, version, model, prediction, map. The lab is started where none runs."""
    from terralab.catalog.settings import Settings
    from terralab.infra.demo import run_demo

    settings = Settings()
    _ensure_running(settings)
    report = run_demo(settings, folder, _run)
    if as_json:
        print_json(asdict(report))
    else:
        _print(report)


def _ensure_running(settings: "Settings") -> None:
    from terralab.infra import stack
    from terralab.infra.errors import AlreadyRunning

    try:
        stack.up(settings, say)
    except AlreadyRunning:
        return


def _run(flow: str, parameters: dict[str, Any]) -> "FlowResult":
    from terralab.infra.cli.flow_command import run_shown

    result = run_shown(flow, parameters)
    say(f"{flow}: {result.seconds:.1f} s{' (done before)' if result.reused else ''}")
    return result


def _print(report: "DemoReport") -> None:
    made = ("dataset", "version", "model", "prediction")
    print_table(("made", "in the catalog"), [(name, getattr(report, name)) for name in made])
    model, baseline = report.metrics["test_miou"], report.metrics["baseline_miou"]
    rows = [(name.replace("_", " "), f"{value:.3f}") for name, value in report.metrics.items()]
    verdict = "the model beats the pixel baseline" if model > baseline else "the model does NOT beat the pixel baseline"
    print_table(("metric", "on the test split"), [*rows, ("", verdict)])
    print_table(("step", "seconds"), [(step, f"{seconds:.1f}") for step, seconds in report.seconds.items()])
    links = [
        *report.urls.items(),
        ("map as PNG", report.map_png),
        ("provenance", f"terralab lineage {report.prediction}"),
    ]
    print_table(("look at", ""), links)
    say("the lab goes on running; `terralab down` stops it")
