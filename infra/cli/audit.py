"""`terralab catalog audit`: who made, changed or deleted what."""

from typing import TYPE_CHECKING, Annotated

import typer

from terralab.infra.cli.keys import parse_lifetime
from terralab.infra.cli.output import AsJson, print_json, print_table

if TYPE_CHECKING:
    from datetime import datetime

_SHORT_ETAG = 8


def audit(
    collection: Annotated[
        str | None, typer.Option(help="Only this collection and its items.", show_default="all")
    ] = None,
    item: Annotated[str | None, typer.Option(help="Only items with this id.", show_default="all")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only from then on: 12h or 7d ago, a day, or a time of RFC 3339.", show_default="ever"),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List who made, changed or deleted what, the newest first; the database refuses to change this log."""
    from dataclasses import asdict

    from terralab.catalog.audit import audit_entries
    from terralab.catalog.workspace import Workspace

    start = parse_since(since) if since else None
    with Workspace().catalog.connection() as connection:
        entries = audit_entries(connection, collection, item, start, limit)
    if as_json:
        print_json([{**asdict(entry), "at": entry.at.isoformat()} for entry in entries])
        return
    rows = [
        (
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.principal or "(a command or flow)",
            entry.action,
            f"{entry.collection}/{entry.item}" if entry.item is not None else entry.collection,
            (entry.etag_after or "")[:_SHORT_ETAG],
            entry.request_id,
        )
        for entry in entries
    ]
    print_table(("at (UTC)", "who", "did", "what", "etag", "request"), rows)


def parse_since(text: str) -> "datetime":
    """Read a time, a day (from its midnight, UTC) or how long ago.

    Raises:
        InvalidInput: it is none of them.
    """
    from datetime import UTC, datetime

    from terralab.catalog.errors import InvalidInput

    if text[-1:] in "mhdw":
        return datetime.now(UTC) - parse_lifetime(text)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time; write 12h, 7d, 2026-07-01 or 2026-07-01T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
