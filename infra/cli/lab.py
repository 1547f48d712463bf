"""`terralab up`, `down`, `status`, `logs`, `doctor`, `version`: the lab as a running thing."""

import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from terralab.catalog.settings import Settings
    from terralab.infra.status import LabStatus

_REFRESH_S = 3.0


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when the lab is ready.")] = False,
) -> None:
    """Start the lab: database, web process, Prefect and worker. Ctrl-C stops it again."""
    from terralab.catalog.settings import Settings
    from terralab.infra import stack

    settings = Settings()
    begun = time.monotonic()
    stack.up(settings, say)
    say(f"the lab is ready after {time.monotonic() - begun:.0f} s")
    say(f"  pages, STAC API and tiles   {settings.web.url}")
    say(f"  Prefect                     {settings.prefect.url}")
    say(f"  everything it keeps         {settings.lab.home}")
    if detach:
        return
    # Who runs the lab as a service stops it by SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _watch(settings)
    except KeyboardInterrupt:
        say("")
    finally:
        stack.down(settings, say)


def down() -> None:
    """Stop the lab; nothing is lost."""
    from terralab.catalog.settings import Settings
    from terralab.infra import stack

    say("stopped" if stack.down(Settings(), say) else "the lab was not running")


def status(as_json: AsJson = False) -> None:
    """Show what runs and whether it works, versions, and counts; the exit code is 0 where all is well."""
    from terralab.catalog.errors import ServiceUnavailable
    from terralab.catalog.settings import Settings
    from terralab.infra.cli.exit_codes import exit_code
    from terralab.infra.status import lab_status

    found = lab_status(Settings())
    if as_json:
        print_json(found.to_dict())
    else:
        _print_status(found)
    for note in found.notes:
        say(note)
    if not found.healthy:
        raise typer.Exit(exit_code(ServiceUnavailable()))


def logs(
    service: Annotated[
        str | None, typer.Argument(help="postgres, web, prefect, worker or supervisord.", show_default="all")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="So many of the last lines.")] = 40,
) -> None:
    """Print the services' logs."""
    from terralab.catalog.settings import Settings
    from terralab.infra.logs import last_lines, log_files, new_lines

    files = log_files(Settings(), service)
    for line in last_lines(files, lines):
        sys.stdout.write(line)
    try:
        for line in new_lines(files) if follow else ():
            sys.stdout.write(line)
            sys.stdout.flush()
    except KeyboardInterrupt:
        # Ctrl-C is the way to stop following.
        return


def doctor(as_json: AsJson = False) -> None:
    """Check whether this machine has what the lab needs."""
    from dataclasses import asdict

    from terralab.catalog.errors import SetupProblem
    from terralab.catalog.settings import Settings
    from terralab.infra.cli.exit_codes import exit_code
    from terralab.infra.doctor import examine

    findings = examine(Settings())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(("", "check", ""), [("ok" if one.ok else "NO", one.check, one.text) for one in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(exit_code(SetupProblem()))


def version(as_json: AsJson = False) -> None:
    """Print the versions of the lab and of what it is made of."""
    from importlib.metadata import version as installed

    if as_json:
        from terralab.infra.status import versions

        print_json(versions(None))
    else:
        sys.stdout.write(f"terralab {installed('terralab')}\n")


def _watch(settings: "Settings") -> None:
    """Show the lab's state until Ctrl-C: drawn in place on a terminal, a line for each change elsewhere."""
    from terralab.infra.home import LabHome
    from terralab.infra.status import services_status
    from terralab.infra.supervision import Supervisor

    supervisor, told = Supervisor(LabHome(settings)), ""
    while True:
        states = supervisor.states()
        if not states:
            say("the supervisor is gone; see `terralab status`")
            return
        services = services_status(settings, states)
        parts = [
            f"{name} {'ok' if one.healthy else one.problem}{_restarts(one.restarts)}" for name, one in services.items()
        ]
        line = " · ".join(parts)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{line}  (Ctrl-C stops the lab)")
            sys.stderr.flush()
        elif line != told:
            say(line)
        told = line
        time.sleep(_REFRESH_S)


def _restarts(count: int) -> str:
    return f" (restarted {count} ×)" if count else ""


def _print_status(found: "LabStatus") -> None:
    rows = [
        (name, "ok" if one.healthy else f"NO: {one.problem}", one.pid, one.url, one.restarts or None, one.last_exit)
        for name, one in found.services.items()
    ]
    print_table(("service", "health", "pid", "address", "restarts", "last exit"), rows)
    if found.counts:
        print_table(("catalog", "items"), sorted(found.counts.items()))
    print_table(("part", "version"), list(found.versions.items()))
