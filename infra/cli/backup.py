"""`terralab backup` and `terralab restore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.output import AsJson, print_json, say
from terralab.infra.cli.progress import progress_bar

if TYPE_CHECKING:
    from terralab.catalog.backup.manifest import Manifest


def backup(
    folder: Annotated[Path, typer.Argument(help="New folder for the backup, best on another disk.")],
    files: Annotated[
        bool | None,
        typer.Option("--files/--no-files", help="Take the stored files.", show_default="unless they are in a bucket"),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy and check every file, where hard links could do on the same disk.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up the whole lab into a folder, beside whatever runs."""
    from terralab.catalog.settings import Settings
    from terralab.infra.backup import Tellers, back_up

    with progress_bar("preparing") as tell:
        manifest = back_up(Settings(), folder.absolute(), files, not copy, Tellers(tell.step, tell))
    _report(manifest, as_json)
    for name in manifest.files.missing[:5]:
        say(f"not in the backup, since it is missing or damaged in the store: {name}")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of a backup.", exists=True, file_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace what the lab has.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a lab that stands still, and compare every row and file with it."""
    from terralab.catalog.settings import Settings
    from terralab.infra.backup import Tellers
    from terralab.infra.backup import restore as restore_lab

    with progress_bar("preparing") as tell:
        manifest = restore_lab(Settings(), folder.absolute(), force, Tellers(tell.step, tell))
    _report(manifest, as_json)
    if not as_json:
        say("every row and file is as in the backup; start the lab with `terralab up`")


def _report(manifest: "Manifest", as_json: bool) -> None:
    items = sum(manifest.counts.values())
    if as_json:
        print_json(_as_dict(manifest))
    else:
        say(
            f"{items} items in {len(manifest.counts)} collections, {manifest.files.count} files"
            f"{'' if manifest.files.included else ' (their names only)'}, of {manifest.created}"
        )


def _as_dict(manifest: "Manifest") -> dict[str, Any]:
    return {
        "created": manifest.created,
        "versions": manifest.versions,
        "items": manifest.counts,
        "tables": {
            f"{entry.table.schema}.{entry.table.name}": {"rows": entry.rows.count, "hash": entry.rows.hash}
            for entry in manifest.tables
        },
        "files": {
            "place": manifest.files.place,
            "count": manifest.files.count,
            "bytes": manifest.files.size,
            "included": manifest.files.included,
            "missing": manifest.files.missing,
        },
    }
