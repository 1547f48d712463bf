"""What a manifest says of its chips: features, target, classes, files, splits; the same for old and new manifests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from terralab.catalog.errors import AssetCorrupt, InvalidInput, TooFewChips, UnknownName
from terralab.datasets.versions import Version, make_manifest, tree_hash
from terralab.extensions.chip_parts import IMAGE_ASSET, MASK_ASSET, TARGET_ASSET, Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.lab import SPLIT_PROP
from terralab.extensions.raster import ClassDefinition, classes_of_stac

_TARGETS = {Task.SEGMENTATION: MASK_ASSET, Task.REGRESSION: TARGET_ASSET}
_QUERY = "query"
_NO_VERSION = Version(0, 0, 0)


@dataclass(frozen=True)
class Feature:
    """One modality of all chips.

    Attributes:
        key: of its asset.
        name: what networks call it, such as `S2L2A`.
        bands: names of the bands of one date.
        dates: how many dates one after the other a file holds.
        mean: of each band over the train chips, and over all dates.
        stddev: likewise; 1 for a band that is constant.
        nodata: value of pixels without data.
    """

    key: str
    name: str
    bands: tuple[str, ...]
    dates: int
    mean: tuple[float, ...]
    stddev: tuple[float, ...]
    nodata: float | None

    @property
    def layers(self) -> int:
        """Return the number of bands of the file."""
        return len(self.bands) * self.dates


@dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        id: of its item.
        split: `train`, `validate`, `test`, or None.
        group: what no split divides.
        fold: of a cross validation.
        files: the manifest's entries (`relpath`, `md5`, `size`) by asset key.
        labels: names of its classes, for chips that are labelled as a whole.
    """

    id: str
    split: str | None
    group: str
    fold: int | None
    files: Mapping[str, Mapping[str, Any]]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What is to be loaded.

    Attributes:
        name: for messages, such as `floods 1.0.0`.
        task: what the chips teach.
        features: the modalities, in order.
        classes: of the target, in the order of a network's channels.
        chips: by id.
    """

    name: str
    task: Task
    features: tuple[Feature, ...]
    classes: tuple[ClassDefinition, ...]
    chips: tuple[Chip, ...]

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> "Contents":
        """Read the manifest of a dataset version.

        Raises:
            InvalidInput: a band has no statistics.
            AssetCorrupt: a chip's file is not among the files.
        """
        files = {str(entry["relpath"]): entry for entry in manifest["files"]}
        name = f"{manifest['dataset']} {manifest['version']}"
        features = tuple(_feature(name, entry) for entry in _modalities(manifest))
        chips = sorted((_chip(entry, files) for entry in manifest["chips"]), key=lambda chip: chip.id)
        classes = sorted(classes_of_stac(manifest.get("classes") or []), key=lambda entry: entry.value)
        return cls(name, Task(manifest.get("task") or Task.SEGMENTATION), features, tuple(classes), tuple(chips))

    @classmethod
    def of_items(cls, items: Iterable[Mapping[str, Any]]) -> "Contents":
        """Read chip items, as a search gives them; values are scaled by the train chips among them, else by all.

        Raises:
            TooFewChips: there are none.
            InvalidInput: they are not chips of one dataset.
        """
        chips = list(items)
        if not chips:
            raise TooFewChips("no chip matches the search")
        names = sorted({str(chip["collection"]) for chip in chips})
        if len(names) > 1:
            raise InvalidInput(f"the search found chips of {', '.join(names)}; search one collection")
        split = any(chip["properties"].get(SPLIT_PROP) for chip in chips)
        known = chips if split else [_with_split(chip) for chip in chips]
        found = cls.of_manifest({**make_manifest(names[0], _NO_VERSION, known), "version": _QUERY})
        if split:
            return found
        return replace(found, chips=tuple(replace(chip, split=None) for chip in found.chips))

    @property
    def target(self) -> str | None:
        """Return the key of the raster to be found, None for labels of a chip as a whole."""
        return _TARGETS.get(self.task)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of all rasters of a chip: the features, then the target."""
        return (*(feature.key for feature in self.features), *([self.target] if self.target else []))

    @cached_property
    def tree(self) -> str:
        """Return the tree hash of the chips' rasters, which names their pack."""
        return tree_hash(chip.files[key] for chip in self.chips for key in self.keys)

    def of_split(self, split: str | None) -> "Contents":
        """Return the same with the chips of one split; all of them for None.

        Raises:
            UnknownName: there is no such split.
            TooFewChips: no chip is in it.
        """
        if split is None:
            return self
        if split not in SPLITS:
            raise UnknownName.of("split", split, list(SPLITS))
        chips = tuple(chip for chip in self.chips if chip.split == split)
        if not chips:
            raise TooFewChips(f"the split {split!r} of {self.name} has no chips")
        return replace(self, chips=chips)

    def checked(self) -> "Contents":
        """Return the same, where it can be loaded.

        Raises:
            InvalidInput: the task's target is no array of one size.
        """
        if self.task is Task.DETECTION:
            raise InvalidInput(f"{self.name}: boxes cannot be loaded as arrays; export the dataset for detection")
        for chip in self.chips:
            lacking = [key for key in self.keys if key not in chip.files]
            if lacking:
                raise InvalidInput(f"{self.name}: the chip {chip.id} has no file for {', '.join(lacking)}")
        return self


def _chip(entry: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> Chip:
    paths = entry.get("files") or {key: entry[key] for key in (IMAGE_ASSET, MASK_ASSET) if key in entry}
    unknown = [path for path in paths.values() if path not in files]
    if unknown:
        raise AssetCorrupt(f"the manifest names {unknown[0]} of the chip {entry['id']}, which is not among its files")
    fold = entry.get("fold")
    return Chip(
        str(entry["id"]),
        entry.get("split"),
        str(entry.get("group") or entry["id"]),
        None if fold is None else int(fold),
        {key: files[path] for key, path in paths.items()},
        tuple(str(label) for label in entry.get("labels") or ()),
    )


def _modalities(manifest: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] | None = manifest.get("modalities")
    return found or [{"key": IMAGE_ASSET, "bands": manifest["bands"], "nodata": manifest.get("nodata")}]


def _feature(name: str, entry: Mapping[str, Any]) -> Feature:
    bands: Sequence[Mapping[str, Any]] = entry["bands"]
    blank = [str(band["name"]) for band in bands if "statistics" not in band]
    if blank:
        raise InvalidInput(f"{name}: no statistics of band {', '.join(blank)}; make the version anew")
    dates = len(entry.get("times") or ()) or 1
    count = len(bands) // dates
    pooled = [_pooled([bands[date * count + place]["statistics"] for date in range(dates)]) for place in range(count)]
    names = [str(band["name"]) for band in bands[:count]]
    nodata = entry.get("nodata")
    return Feature(
        key=str(entry["key"]),
        name=str(entry.get("modality") or entry["key"]),
        bands=tuple(band.removesuffix("_t0") if dates > 1 else band for band in names),
        dates=dates,
        mean=tuple(mean for mean, _ in pooled),
        stddev=tuple(stddev for _, stddev in pooled),
        nodata=None if nodata is None else float(nodata),
    )


def _pooled(statistics: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return mean and standard deviation of a band over its dates, so that a value means the same on each of them."""
    if len(statistics) == 1:
        return float(statistics[0]["mean"]), float(statistics[0]["stddev"]) or 1.0
    weights = [float(one.get("valid_percent", 100.0)) for one in statistics]
    total = sum(weights) or 1.0
    mean = sum(weight * float(one["mean"]) for weight, one in zip(weights, statistics, strict=True)) / total
    squares = [float(one["stddev"]) ** 2 + (float(one["mean"]) - mean) ** 2 for one in statistics]
    variance = sum(weight * square for weight, square in zip(weights, squares, strict=True)) / total
    return mean, math.sqrt(variance) or 1.0


def _with_split(chip: Mapping[str, Any]) -> dict[str, Any]:
    return {**chip, "properties": {**chip["properties"], SPLIT_PROP: SPLITS[0]}}
