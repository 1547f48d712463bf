"""Freezing a dataset: its chips and split become a version that DVC and the catalog can prove."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field

from terralab.catalog.errors import AlreadyExists, InvalidInput
from terralab.catalog.frozen_items import ITEMS_FILE, write_items
from terralab.catalog.frozen_versions import note_archive
from terralab.catalog.workspace import Workspace
from terralab.datasets.dvc_repository import DVC_FILE, VersionRepository, dvc_file
from terralab.datasets.quality.recorded import recorded_quality
from terralab.datasets.versioning.difference import difference
from terralab.datasets.versioning.frozen_version import FrozenVersion
from terralab.datasets.versions import (
    Version,
    class_counts,
    make_manifest,
    manifest_bytes,
    split_counts,
    split_table,
    tree_hash,
)
from terralab.extensions.checksum import multihash_of_bytes
from terralab.extensions.dataset import DATASETS_COLLECTION, dataset_item, datasets_collection
from terralab.extensions.ids import code_version, derived_id
from terralab.extensions.item import Footprint, StoredFile, item_link, known
from terralab.extensions.lab import (
    DATASET_PROP,
    DATASET_VERSION_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    OWNER_PROP,
    PROJECT_PROP,
    VISIBILITY_PROP,
    RunType,
)
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run
from terralab.flows.split import SPLIT_REPORT, dataset_chips_collection

_PREDECESSOR, _SUCCESSOR, _LATEST = "predecessor-version", "successor-version", "latest-version"
_VERSION_RELS = (_PREDECESSOR, _SUCCESSOR, _LATEST)
_MANIFEST_ASSET = "manifest"


class VersionRequest(BaseModel):
    """Which dataset to freeze, and under which tag."""

    name: str = Field(min_length=1, description="Name of the dataset.")
    tag: str = Field(description="Semantic version, such as `v1.0.0`.")


@flow(name="version", description="Freeze a dataset's chips and split as a version in DVC and the catalog.")
def version(
    name: str,
    tag: str,
) -> State[Any]:
    """Freeze a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset.
        tag: Semantic version, such as v1.0.0.
    """
    return in_lab(version_dataset, VersionRequest, name=name, tag=tag)


def version_dataset(workspace: Workspace, request: VersionRequest, progress: Progress) -> Outcome:
    """Freeze the chips of `<name>-v1` as the item `<name>-v1-0-0` of the collection `datasets`.

    Raises:
        UnknownName: there is no such dataset.
        InvalidInput: the tag is no version or of another version line, or the dataset has no split yet.
        AlreadyExists: the tag is taken by other content.
    """
    number = Version.parse(request.tag)
    collection = dataset_chips_collection(workspace, request.name)
    content = _content(workspace, collection, number)
    existing = workspace.catalog.find_item(DATASETS_COLLECTION, content.item_id)
    if existing is not None and existing["assets"][_MANIFEST_ASSET]["file:checksum"] != content.checksum:
        content = content.as_written(FrozenVersion(existing, workspace.store))
    run_id = derived_id(f"version-{content.dataset}", {"manifest": content.checksum}, {"tag": str(number)})
    if existing is not None and content.is_current(existing) and (done := finished_run(workspace, run_id)):
        return done
    with recorded_run(
        workspace,
        RunType.VERSION,
        run_id,
        footprint=content.footprint,
        params={"name": content.dataset, "tag": str(number)},
        inputs=content.sources,
        software={"terralab": code_version()},
    ) as run:
        return _freeze(workspace, run, content, collection, progress)


@dataclass(frozen=True)
class _Content:
    """What a version freezes.

    Attributes:
        dataset: its name.
        number: its version.
        chips: the chip items.
        manifest: their manifest.
        text: the manifest's bytes.
    """

    dataset: str
    number: Version
    chips: list[dict[str, Any]]
    manifest: dict[str, Any]
    text: bytes

    @property
    def item_id(self) -> str:
        return self.number.item_id(self.dataset)

    @property
    def checksum(self) -> str:
        return multihash_of_bytes(self.text)

    @property
    def footprint(self) -> Footprint:
        return Footprint.union(Footprint.of_item(chip) for chip in self.chips)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Return one `derived_from` link per scene and label."""
        links = [link for chip in self.chips for link in chip["links"] if link["rel"] == "derived_from"]
        return [link for _, link in sorted({str(link["href"]): link for link in links}.items())]

    def as_written(self, existing: FrozenVersion) -> "_Content":
        """Return the same with the manifest that was written first, perhaps by an earlier release in another form.

        Raises:
            AlreadyExists: that manifest says something else.
        """
        if not difference(existing.manifest, self.manifest).is_empty:
            raise AlreadyExists(
                f"version {self.number} of {self.dataset} is there already, with other chips or another split;"
                " choose a higher tag"
            )
        return replace(self, manifest=existing.manifest, text=existing.manifest_text)

    def is_current(self, existing: dict[str, Any]) -> bool:
        """Say whether every chip carries the version that `existing` describes."""
        wanted = (str(self.number), existing["properties"][DVC_TREE_PROP])
        return all(
            (chip["properties"].get(DATASET_VERSION_PROP), chip["properties"].get(DVC_TREE_PROP)) == wanted
            for chip in self.chips
        )


def _content(workspace: Workspace, collection: dict[str, Any], number: Version) -> _Content:
    dataset, line = str(collection[DATASET_PROP]), str(collection["id"]).rsplit("-v", 1)[-1]
    if str(number.major) != line:
        raise InvalidInput(
            f"tag v{number}: {collection['id']} holds version line {line};"
            f" tag it v{line}.x.y, or onboard changed data under another name"
        )
    chips = sorted(workspace.catalog.search(collections=[collection["id"]]), key=lambda chip: str(chip["id"]))
    manifest = make_manifest(dataset, number, chips)
    return _Content(dataset, number, chips, manifest, manifest_bytes(manifest))


def _freeze(
    workspace: Workspace, run: RecordedRun, content: _Content, collection: dict[str, Any], progress: Progress
) -> Outcome:
    """Write the version into DVC and git, then publish it."""
    settings, files = workspace.settings, content.manifest["files"]
    repository = VersionRepository(settings.versions_folder, workspace.store, settings.work_folder / "dvc")
    progress.step("dvc")
    tree, tracked = tree_hash(files), dvc_file(repository.write_trees(files))
    written = {DVC_FILE: tracked, "manifest.json": content.text, "split.csv": split_table(content.manifest)}
    revision = repository.commit(content.dataset, f"v{content.number}", written)
    progress.step("publish")
    counts = split_counts(content.manifest)
    chips = [_frozen(chip, content, tree, revision) for chip in content.chips]
    item = dataset_item(
        id=content.item_id,
        dataset=content.dataset,
        chips_collection=str(collection["id"]),
        version=str(content.number),
        footprint=content.footprint,
        dvc_rev=revision,
        dvc_tree=tree,
        manifest=workspace.store.put_bytes(content.text, "manifest.json"),
        dvc_file=workspace.store.put_bytes(tracked, DVC_FILE),
        class_counts=class_counts(content.chips),
        split_counts=counts,
        split_report=collection.get(SPLIT_REPORT, {}),
        sources=content.sources,
        quality=recorded_quality(collection, content.chips),
        items=_archived(workspace, chips, content),
        access=known({name: collection.get(name) for name in (OWNER_PROP, VISIBILITY_PROP, PROJECT_PROP)}),
        links=[run.link],
    )
    others = _other_versions(workspace, content)
    return run.succeed(
        collections=[
            datasets_collection(content.footprint),
            {**collection, "version": str(content.number), DVC_TREE_PROP: tree, DVC_REV_PROP: revision},
        ],
        items=[*_linked([*others, item]), *chips],
        produced=[(DATASETS_COLLECTION, content.item_id)],
        metrics={"chips": len(content.chips), **{f"{name}_chips": count for name, count in counts.items()}},
        details={
            "dataset": content.dataset,
            "version": str(content.number),
            "collection": collection["id"],
            "dvc_tree": tree,
            "dvc_rev": revision,
            "git_tag": f"{content.dataset}/v{content.number}",
        },
    )


def _archived(workspace: Workspace, chips: Sequence[dict[str, Any]], content: _Content) -> StoredFile:
    """Store the chip items as they are now, since the catalog's own may change."""
    with workspace.store.scratch() as folder:
        write_items(chips, folder / ITEMS_FILE)
        stored = workspace.store.put(folder / ITEMS_FILE)
    with workspace.catalog.connection() as connection:
        note_archive(connection, stored.checksum, content.item_id, str(chips[0]["collection"]), chips)
    return stored


def _frozen(chip: dict[str, Any], content: _Content, tree: str, revision: str) -> dict[str, Any]:
    number = str(content.number)
    frozen = {"version": number, DATASET_VERSION_PROP: number, DVC_REV_PROP: revision, DVC_TREE_PROP: tree}
    return {**chip, "properties": {**chip["properties"], **frozen}}


def _other_versions(workspace: Workspace, content: _Content) -> list[dict[str, Any]]:
    if workspace.catalog.find_collection(DATASETS_COLLECTION) is None:
        return []
    items = workspace.catalog.search(collections=[DATASETS_COLLECTION])
    return [
        item for item in items if item["properties"][DATASET_PROP] == content.dataset and item["id"] != content.item_id
    ]


def _linked(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Link the versions of one dataset in their order; the latest is the highest number."""
    ordered = sorted(items, key=lambda item: Version.parse(item["properties"]["version"]))
    last = len(ordered) - 1
    linked = []
    for place, item in enumerate(ordered):
        wanted = {_PREDECESSOR: place - 1, _SUCCESSOR: place + 1, _LATEST: last}
        links = [link for link in item["links"] if link["rel"] not in _VERSION_RELS]
        links += [
            item_link(rel, DATASETS_COLLECTION, ordered[other]["id"])
            for rel, other in wanted.items()
            if 0 <= other <= last and (rel == _LATEST or other != place)
        ]
        linked.append({**item, "links": links})
    return linked
