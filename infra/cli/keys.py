"""`terralab keys …`: API keys for the people and programs that may use the lab."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from datetime import timedelta

    from terralab.catalog.access.keys import ApiKey

app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="User that the key speaks for.", show_default=False)],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; may be repeated.", show_default="read")
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(help="Project that the user is a member of; may be repeated.", show_default=False),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it holds: 30m, 12h, 30d or 8w.", show_default="for ever")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown this once; the lab keeps a hash only."""
    from terralab.catalog.access.keys import create_key
    from terralab.catalog.workspace import Workspace

    lifetime = parse_lifetime(expires) if expires else None
    key, made = create_key(Workspace().catalog, owner, scope or ["read"], project or [], lifetime)
    if as_json:
        print_json({"key": key, **_as_dict(made)})
        return
    say(f"key {made.prefix} of {made.owner}: {', '.join(made.scopes)}{_until(made)}; it is shown this once")
    sys.stdout.write(f"{key}\n")


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, the newest first, without their secrets."""
    from terralab.catalog.access.keys import list_keys as known_keys
    from terralab.catalog.workspace import Workspace

    found = known_keys(Workspace().catalog)
    if as_json:
        print_json([_as_dict(key) for key in found])
        return
    rows = [
        (key.prefix, key.owner, ", ".join(key.scopes), ", ".join(key.projects), _state(key), _day(key.last_used))
        for key in found
    ]
    print_table(("key", "owner", "scopes", "projects", "state", "last used"), rows)


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's first part, as `list` shows it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Revoke a key; it stops to work within five seconds."""
    from terralab.catalog.access.keys import revoke_key
    from terralab.catalog.workspace import Workspace

    revoked = revoke_key(Workspace().catalog, prefix)
    if as_json:
        print_json(_as_dict(revoked))
    else:
        say(f"key {revoked.prefix} of {revoked.owner} is revoked")


def parse_lifetime(text: str) -> "timedelta":
    """Read a length of time such as `30d`.

    Raises:
        InvalidInput: it is none.
    """
    from datetime import timedelta

    from terralab.catalog.errors import InvalidInput

    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS or not 0 < int(number) <= 100_000:
        raise InvalidInput(f"{text!r} is no length of time; write 30m, 12h, 30d or 8w")
    return timedelta(**{_UNITS[unit]: int(number)})


def _as_dict(key: "ApiKey") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(key), "valid": key.is_valid}


def _state(key: "ApiKey") -> str:
    if key.revoked:
        return f"revoked {_day(key.revoked)}"
    return f"{'valid' if key.is_valid else 'expired'}{_until(key)}"


def _until(key: "ApiKey") -> str:
    return f" until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else ""


def _day(moment: Any) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else None
