"""`terralab datasets pack`: the chips of a version in the form that training reads."""

from typing import Annotated

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say


def pack(
    name: Annotated[str, typer.Argument(help="Dataset, or a version as NAME@1.0.0.", show_default=False)],
    verify: Annotated[bool, typer.Option(help="Compare every chip of the pack with its hash.")] = False,
    store: Annotated[bool, typer.Option(help="Also put it into the asset store, for other machines.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pack the chips of a version, each compared with its checksum, where they are not packed yet."""
    from terralab.catalog.workspace import Workspace
    from terralab.catalog.writing import change_item
    from terralab.datasets.loaders import from_store
    from terralab.datasets.packs.contents import Contents
    from terralab.datasets.packs.pack_folder import PackFolder
    from terralab.datasets.packs.stored_pack import store_pack, with_pack
    from terralab.flows.tuning.dataset_version import load_version
    from terralab.infra.cli.progress import progress_bar

    workspace = Workspace()
    dataset, _, tag = name.partition("@")
    version = load_version(workspace, dataset, tag or None)
    contents = Contents.of_manifest(version.manifest)
    with progress_bar("pack") as advance:
        made = PackFolder.of_settings(workspace.settings).open(contents, from_store(workspace.store), advance)
    if verify:
        made.verify()
    if store:
        assets = store_pack(workspace.store, made)
        with workspace.catalog.connection() as connection:
            change_item(connection, version.item["collection"], version.id, lambda item: with_pack(item, assets))
        say(f"pack: stored in {workspace.store.place}")
    facts = {
        "version": version.id,
        "chips": len(made.index.chips),
        "megabytes": round(made.index.size / 1e6, 1),
        "shards": len(made.index.shards),
        "folder": str(made.folder),
    }
    if as_json:
        print_json(facts)
    else:
        print_table(("", ""), list(facts.items()))
