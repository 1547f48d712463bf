"""What changed between two versions: chips, splits, classes and the statistics of bands; from their manifests."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from terralab.datasets.statistics import total_counts
from terralab.datasets.versioning.frozen_version import paths_of
from terralab.extensions.chip_parts import IMAGE_ASSET

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class ChangedChip:
    """A chip whose files or labels differ.

    Attributes:
        id: of its item.
        parts: keys of the assets that differ, and `labels` where its names of classes do.
    """

    id: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class MovedChip:
    """A chip in another split or fold.

    Attributes:
        id: of its item.
        before: its split, with the fold behind a `/`.
        after: likewise.
    """

    id: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Pair:
    """A number in both versions; None where there was none."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Difference:
    """What changed.

    Attributes:
        before: name of the one version.
        after: name of the other.
        added: chips that only the other has.
        removed: chips that only the one has.
        changed: chips of both with other files or labels.
        moved: chips of both in another split or fold.
        regrouped: chips of both in another group, which no split divides.
        splits: chips by split, of those that differ in number.
        classes: pixels, labels or boxes by class, where they differ.
        bands: mean and standard deviation over the train chips, as `S2L2A B02 mean`, where they differ.
        bytes_added: size of files that only the other has.
    """

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[ChangedChip, ...]
    moved: tuple[MovedChip, ...]
    regrouped: tuple[str, ...]
    splits: tuple[Pair, ...]
    classes: tuple[Pair, ...]
    bands: tuple[Pair, ...]
    bytes_added: int

    @property
    def is_empty(self) -> bool:
        """Say whether both hold the same chips with the same labels in the same splits and groups."""
        return not (self.added or self.removed or self.changed or self.moved or self.regrouped)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def difference(before: Manifest, after: Manifest) -> Difference:
    """Compare two manifests."""
    one, other = _chips(before), _chips(after)
    both = sorted(one.keys() & other.keys())
    changed = [ChangedChip(id, parts) for id in both if (parts := _parts(one[id], other[id]))]
    moved = [MovedChip(id, _place(one[id]), _place(other[id])) for id in both if _place(one[id]) != _place(other[id])]
    known = {file["md5"] for file in before["files"]}
    new = {file["md5"]: int(file["size"]) for file in after["files"] if file["md5"] not in known}
    return Difference(
        before=_name(before),
        after=_name(after),
        added=tuple(sorted(other.keys() - one.keys())),
        removed=tuple(sorted(one.keys() - other.keys())),
        changed=tuple(changed),
        moved=tuple(moved),
        regrouped=tuple(id for id in both if one[id].get("group") != other[id].get("group")),
        splits=_pairs(_split_sizes(before), _split_sizes(after)),
        classes=_pairs(_class_counts(before), _class_counts(after)),
        bands=_pairs(_statistics(before), _statistics(after)),
        bytes_added=sum(new.values()),
    )


def _name(manifest: Manifest) -> str:
    return f"{manifest['dataset']}@v{manifest['version']}"


def _chips(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return the chips by id, each with the MD5s of its files by asset key."""
    by_path = {file["relpath"]: file["md5"] for file in manifest["files"]}
    return {
        str(chip["id"]): {**chip, "files": {key: by_path.get(path) for key, path in paths_of(chip).items()}}
        for chip in manifest["chips"]
    }


def _parts(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = one["files"], other["files"]
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return (*keys, *(["labels"] if one.get("labels") != other.get("labels") else []))


def _place(chip: Mapping[str, Any]) -> str | None:
    split, fold = chip.get("split"), chip.get("fold")
    return split if fold is None else f"{split or ''}/{fold}"


def _split_sizes(manifest: Manifest) -> dict[str, int]:
    return total_counts({str(chip.get("split") or "none"): 1} for chip in manifest["chips"])


def _class_counts(manifest: Manifest) -> dict[str, int]:
    return total_counts(chip.get("counts") or {} for chip in manifest["chips"])


def _statistics(manifest: Manifest) -> dict[str, float]:
    modalities = manifest.get("modalities") or [{"key": IMAGE_ASSET, "bands": manifest["bands"]}]
    return {
        f"{modality.get('modality') or modality['key']} {band['name']} {number}": float(band["statistics"][number])
        for modality in modalities
        for band in modality["bands"]
        if band.get("statistics")
        for number in ("mean", "stddev")
    }


def _pairs(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Pair, ...]:
    names = {**before, **after}
    return tuple(Pair(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))
