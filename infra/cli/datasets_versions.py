"""`terralab datasets tags|diff|checkout|push|pull|prove`: what can be done with frozen versions."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say
from terralab.infra.cli.progress import progress_bar

if TYPE_CHECKING:
    from terralab.datasets.versioning.difference import Difference
    from terralab.datasets.versioning.proof import Proof

_HELP = "Such as floods@v1.0.0; the name alone is the latest version."
Reference = Annotated[str, typer.Argument(metavar="NAME@VERSION", help=_HELP, show_default=False)]
Remote = Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix.", show_default=False)]
_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands to `terralab datasets`."""
    for command in (tags, diff, checkout, push, pull, prove):
        app.command()(command)


def tags(
    name: Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)], as_json: AsJson = False
) -> None:
    """List the versions of a dataset with their tags in git."""
    from terralab.catalog.errors import UnknownName
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.versioning.frozen_version import versions_of

    records = [version.record for version in versions_of(Workspace(), name).values()]
    if not records:
        raise UnknownName(f"there is no version of {name!r}; `terralab datasets version {name}` freezes one")
    found = [
        {
            "version": f"v{record.version}",
            "git_tag": f"{record.dataset}/v{record.version}",
            "commit": record.dvc_rev,
            "tree": record.dvc_tree,
            "chips": dict(record.split_counts),
        }
        for record in records
    ]
    if as_json:
        print_json({"dataset": name, "versions": found})
        return
    rows = [
        (one["version"], one["git_tag"], str(one["commit"])[:12], one["tree"], _counts(one["chips"])) for one in found
    ]
    print_table(("version", "git tag", "commit", "DVC tree", "chips"), rows)


def diff(
    before: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The earlier one.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The later one.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions: chips, splits, classes, statistics of bands."""
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.versioning.difference import difference
    from terralab.datasets.versioning.frozen_version import find_version

    workspace = Workspace()
    found = difference(find_version(workspace, before).manifest, find_version(workspace, after).manifest)
    if as_json:
        print_json({**found.to_json(), "same": found.is_empty})
    else:
        _print_difference(found)


def checkout(
    reference: Reference,
    folder: Annotated[Path | None, typer.Argument(help="Where to.", show_default="NAME-v1.0.0 here")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Files of the folder's own, which may be written to.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a version into a folder: links to the store's files where the disk can, else copies; each one verified."""
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.versioning.checkout import check_out
    from terralab.datasets.versioning.frozen_version import find_version

    workspace = Workspace()
    version = find_version(workspace, reference)
    target = folder or Path(version.name.replace("@", "-"))
    done = check_out(version, target, workspace.settings.work_folder / "dvc", copy, force)
    if as_json:
        print_json(asdict(done))
        return
    how = f" as {done.link}" if done.link else ""
    print_table(
        (version.name, str(done.folder)),
        [("files", done.files), (f"written{how}", done.written), ("removed", done.removed)],
    )


def push(reference: Reference, remote: Remote, as_json: AsJson = False) -> None:
    """Copy the files of a version that a remote lacks there, laid out for `dvc pull`."""
    _move("push", reference, remote, as_json)


def pull(reference: Reference, remote: Remote, as_json: AsJson = False) -> None:
    """Bring the files of a version that the store lacks, or has damaged, from a remote; each one verified."""
    _move("pull", reference, remote, as_json)


def prove(
    reference: Reference,
    read: Annotated[bool, typer.Option("--read", help="Also hash every file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compute a version's tree hash from the catalog alone and look for its files; exit code 6 where it fails."""
    from terralab.catalog.errors import AssetCorrupt
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.versioning.frozen_version import find_version
    from terralab.datasets.versioning.proof import prove as proof_of
    from terralab.infra.cli.exit_codes import exit_code

    workspace = Workspace()
    version = find_version(workspace, reference)
    proof = proof_of(workspace, version, read_bytes=read)
    if as_json:
        print_json({"version": version.name, "holds": proof.holds, **asdict(proof)})
    else:
        _print_proof(version.name, proof)
    if not proof.holds:
        raise typer.Exit(exit_code(AssetCorrupt()))


def _move(direction: str, reference: str, address: str, as_json: bool) -> None:
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.versioning import transfer
    from terralab.datasets.versioning.frozen_version import find_version

    workspace = Workspace()
    version, work = find_version(workspace, reference), workspace.settings.work_folder / "dvc"
    move = transfer.push if direction == "push" else transfer.pull
    with transfer.opened_remote(workspace.settings, address) as remote, progress_bar(direction) as tell:
        done = move(version, remote, work, tell)
    if as_json:
        print_json({"version": version.name, "remote": address, **asdict(done)})
        return
    print_table((version.name, address), [("files", done.files), ("moved", done.moved), ("bytes moved", done.size)])


def _print_difference(found: "Difference") -> None:
    if found.is_empty:
        say(f"{found.before} and {found.after} hold the same chips in the same splits")
    rows: list[tuple[str, Any, str]] = [
        ("added", len(found.added), _some(found.added)),
        ("removed", len(found.removed), _some(found.removed)),
        ("changed", len(found.changed), _some([f"{chip.id} ({', '.join(chip.parts)})" for chip in found.changed])),
        (
            "other split",
            len(found.moved),
            _some([f"{chip.id} ({chip.before} → {chip.after})" for chip in found.moved]),
        ),
        ("other group", len(found.regrouped), _some(found.regrouped)),
        ("new bytes", found.bytes_added, ""),
    ]
    print_table(("chips", "", ""), rows, f"{found.before} → {found.after}")
    for title, pairs in (("split", found.splits), ("class", found.classes), ("band (train)", found.bands)):
        if pairs:
            numbers = [(pair.name, _number(pair.before), _number(pair.after), _change(pair)) for pair in pairs]
            print_table((title, "before", "after", "change"), numbers)


def _print_proof(name: str, proof: "Proof") -> None:
    rows: list[tuple[str, Any]] = [
        ("recorded", proof.expected),
        ("computed", proof.found),
        ("files", proof.files),
        ("changed since", _listed(proof.changed)),
        ("gone since", _listed(proof.gone)),
        ("other checksum", _listed(proof.differing)),
        ("missing", _listed(proof.missing)),
        ("damaged", _listed(proof.damaged)),
    ]
    print_table((name, "holds" if proof.holds else "DOES NOT HOLD"), [row for row in rows if row[1] not in (None, "")])


def _listed(names: "tuple[str, ...]") -> str:
    return f"{len(names)}: {_some(names)}" if names else ""


def _some(names: "list[str] | tuple[str, ...]") -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])


def _counts(chips: Any) -> str:
    return ", ".join(f"{split} {count}" for split, count in chips.items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _change(pair: Any) -> str:
    if not pair.before or pair.after is None:
        return ""
    return f"{100 * (pair.after - pair.before) / abs(pair.before):+.2f} %"
