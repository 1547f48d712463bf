"""`terralab store …`: what the asset store holds, whether it is intact, and what may go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say
from terralab.infra.cli.progress import progress_bar

if TYPE_CHECKING:
    from datetime import timedelta

    from terralab.catalog.garbage import Garbage
    from terralab.catalog.store_check import StoreReport

app = typer.Typer(help="The asset store: use, check, clean.", no_args_is_help=True)
_SHOWN = 20


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without this it is only listed.")] = False,
    grace: Annotated[str, typer.Option(help="What is younger stays: 30m, 24h, 7d, or 0.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """List or delete files that nothing refers to, and what broken-off work left behind."""
    from terralab.catalog.garbage import delete_garbage, find_garbage
    from terralab.catalog.workspace import Workspace
    from terralab.infra.garbage import staged_folders, trees_of_versions

    workspace, younger = Workspace(), _grace(grace)
    settings = workspace.settings
    garbage = find_garbage(workspace, younger, trees_of_versions(settings), staged_folders(settings))
    deleted = None
    if delete:
        with progress_bar("deleting") as tell:
            deleted = delete_garbage(workspace, garbage, younger, tell)
    if as_json:
        print_json(_garbage_as_dict(garbage, deleted))
    else:
        _print_garbage(garbage, deleted)
    for note in garbage.notes:
        say(note)


@app.command()
def verify(
    sample: Annotated[
        int | None, typer.Option(min=1, help="Read so many files, chosen at random.", show_default="all")
    ] = None,
    repair: Annotated[
        Path | None,
        typer.Option(help="Take good bytes from another store's folder, such as `store` of a backup.", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the files and compare them with their hashes and with the catalog; exit code 6 where one is not right."""
    from terralab.catalog.errors import AssetCorrupt
    from terralab.catalog.folder_store import FolderStore
    from terralab.catalog.store_check import check_store
    from terralab.catalog.workspace import Workspace
    from terralab.infra.cli.exit_codes import exit_code
    from terralab.infra.garbage import trees_of_versions

    workspace = Workspace()
    with progress_bar("reading") as tell:
        source, trees = FolderStore(repair) if repair else None, trees_of_versions(workspace.settings)
        report = check_store(workspace, sample, source, trees, tell)
    if as_json:
        print_json(_report_as_dict(report))
    else:
        _print_report(report)
    if not report.intact:
        raise typer.Exit(exit_code(AssetCorrupt()))


@app.command()
def usage(as_json: AsJson = False) -> None:
    """Show how many files and bytes the store holds, and how much of it something refers to."""
    import shutil

    from terralab.catalog.holdings import holdings
    from terralab.catalog.pages import human_size
    from terralab.catalog.workspace import Workspace
    from terralab.infra.garbage import trees_of_versions

    workspace = Workspace()
    with holdings(workspace, trees_of_versions(workspace.settings)) as found:
        present, used = found.sums("present"), found.sums("referred")
    folder = workspace.store.folder
    free = shutil.disk_usage(folder).free if folder.is_dir() else None
    if as_json:
        kinds = {
            kind: {"files": count, "bytes": size, "used_files": _of(used, kind)[0], "used_bytes": _of(used, kind)[1]}
            for kind, (count, size) in present.items()
        }
        print_json({"store": workspace.store.place, "kinds": kinds, "free_bytes": free})
        return
    rows = [(kind, count, human_size(size), *_use(_of(used, kind))) for kind, (count, size) in sorted(present.items())]
    title = f"{workspace.store.place} ({human_size(free)} free on {folder})"
    print_table(("kind", "files", "size", "in use", "size in use"), rows, title=title)


def _of(sums: dict[str, tuple[int, int]], kind: str) -> tuple[int, int]:
    return sums.get(kind, (0, 0))


def _use(sums: tuple[int, int]) -> tuple[int, str]:
    from terralab.catalog.pages import human_size

    return sums[0], human_size(sums[1])


def _grace(text: str) -> "timedelta":
    from datetime import timedelta

    from terralab.infra.cli.keys import parse_lifetime

    return timedelta(0) if text == "0" else parse_lifetime(text)


def _garbage_as_dict(garbage: "Garbage", deleted: int | None) -> dict[str, Any]:
    return {
        "files": [{"name": entry.name, "bytes": entry.size, "modified": entry.modified} for entry in garbage.files],
        "leftovers": [{"path": str(entry.path), "bytes": entry.size} for entry in garbage.leftovers],
        "bytes": garbage.size,
        "deleted_files": deleted,
        "notes": garbage.notes,
    }


def _print_garbage(garbage: "Garbage", deleted: int | None) -> None:
    from terralab.catalog.pages import human_size

    entries = [(entry.name, entry.size) for entry in garbage.files]
    entries += [(str(entry.path), entry.size) for entry in garbage.leftovers]
    if entries:
        print_table(("what nothing refers to", "size"), [(name, human_size(size)) for name, size in entries[:_SHOWN]])
    if len(entries) > _SHOWN:
        say(f"and {len(entries) - _SHOWN} more; --json lists all")
    what = f"{len(garbage.files)} files and {len(garbage.leftovers)} folders, {human_size(garbage.size)}"
    if deleted is None:
        say(f"{what}, may go; --delete deletes them" if entries else "nothing may go")
    else:
        say(f"deleted {deleted} of {what}")


def _report_as_dict(report: "StoreReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "intact": report.intact,
        "files": report.files,
        "hashed": report.hashed,
        "damages": [asdict(damage) for damage in report.damages],
    }


def _print_report(report: "StoreReport") -> None:
    rows = [
        (f"{damage.problem}{', repaired' if damage.repaired else ''}", damage.name, "; ".join(damage.places))
        for damage in report.damages
    ]
    if rows:
        print_table(("problem", "file", "where"), rows)
    state = "intact" if report.intact else f"{sum(not damage.repaired for damage in report.damages)} not right"
    say(f"{report.hashed} of {report.files} files read: {state}")
