"""`terralab catalog …`: check what the catalog holds, and what is to go into it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.audit import audit
from terralab.infra.cli.catalog_exchange import export, import_
from terralab.infra.cli.catalog_load import check, load, refresh
from terralab.infra.cli.exit_codes import EXIT_CODES
from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from terralab.catalog.stac_files import FileDocument
    from terralab.catalog.workspace import Workspace

app = typer.Typer(help="The catalog: check what it holds and what goes in.", no_args_is_help=True)

_SHOWN_ROWS = 200
_SAID_EVERY = 10_000


@app.callback()
def _catalog() -> None:
    # Typer drops the name of a command that stands alone in its group; with a callback it is kept.
    pass


app.command()(audit)
app.command()(load)
app.command()(export)
app.command("import")(import_)
app.command()(refresh)
app.command()(check)


@app.command()
def validate(
    what: Annotated[
        str | None,
        typer.Argument(
            help="`collection/item`, a collection (with its items), a JSON or ndjson file, the folder of a static"
            " catalog, or `-` for standard input.",
            show_default="the whole catalog",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="An extension whose schema the schema store lacks is a problem too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check STAC by the official schemas, the catalog's rules and the lab's profile; exit code 3 where it is not valid.

    The rules are in the documentation under `Validation`.
    """
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.validation import problems_of
    from terralab.catalog.workspace import Workspace

    workspace = Workspace()
    files = what is not None and _is_file(what)
    found: list[dict[str, str]] = []
    missing: dict[str, None] = {}
    checked = invalid = 0
    for document in _documents(workspace, what, files):
        problems = problems_of(workspace, document.content, known_extensions=strict, files=files)
        found.extend({"document": document.name, **problem.to_dict()} for problem in problems)
        checked, invalid = checked + 1, invalid + bool(problems)
        if isinstance(document.content, dict):
            missing.update(dict.fromkeys(workspace.schemas.missing(document.content)))
        if checked % _SAID_EVERY == 0:
            say(f"checked {checked:,} documents, {invalid:,} of them not valid")
    if not checked:
        raise InvalidInput(f"{what or 'the catalog'} holds no STAC document")
    if as_json:
        print_json(
            {"valid": not found, "checked": checked, "invalid": invalid, "problems": found, "not_checked": [*missing]}
        )
    else:
        _show(found, checked, invalid, [*missing])
    if found:
        raise typer.Exit(EXIT_CODES[InvalidInput])


def _is_file(what: str) -> bool:
    return what == "-" or Path(what).exists()


def _documents(workspace: "Workspace", what: str | None, files: bool) -> Iterator["FileDocument"]:
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.stac_files import FileDocument, read_documents

    if what is not None and files:
        yield from read_documents(what)
        return
    if what is not None and Path(what).suffix in (".json", ".geojson", ".ndjson", ".jsonl"):
        raise InvalidInput(f"there is no file {what}")
    catalog = workspace.catalog
    collection, _, item = (what or "").partition("/")
    if item:
        yield _stored(catalog.item(collection, item))
        return
    for entry in [catalog.collection(collection)] if collection else catalog.collections():
        yield FileDocument(str(entry["id"]), entry)
    within: dict[str, Any] = {"collections": [collection]} if collection else {}
    for entry in catalog.search(**within):
        yield _stored(entry)


def _stored(item: dict[str, Any]) -> "FileDocument":
    from terralab.catalog.served_items import restore_nulls
    from terralab.catalog.stac_files import FileDocument

    restore_nulls(item)
    return FileDocument(f"{item['collection']}/{item['id']}", item)


def _show(found: list[dict[str, str]], checked: int, invalid: int, missing: list[str]) -> None:
    if found:
        columns = ("document", "where", "rule", "message", "fix")
        print_table(columns, [[row[column] for column in columns] for row in found[:_SHOWN_ROWS]])
    if len(found) > _SHOWN_ROWS:
        say(f"and {len(found) - _SHOWN_ROWS:,} problems more; --json lists all")
    if missing:
        say(
            "not checked, for the schema store has no schema of them (set TERRALAB_SCHEMAS to a folder that has, or"
            f" TERRALAB_FETCH_SCHEMAS=true): {', '.join(missing)}"
        )
    say(f"{checked:,} {'document' if checked == 1 else 'documents'} checked, {invalid:,} not valid")
