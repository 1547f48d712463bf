"""What an item's assets are: images or labels, their bands and classes, and the task that they are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from terralab.datasets.onboarding.layout import RASTER_SUFFIXES, VECTOR_SUFFIXES, is_label_role
from terralab.datasets.onboarding.samples import Label, NameLabel, RasterLabel, VectorLabel
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition, classes_of_stac

_TASKS = {
    "regression": Task.REGRESSION, "segmentation": Task.SEGMENTATION, "semantic-segmentation": Task.SEGMENTATION,
    "classification": Task.CLASSIFICATION, "detection": Task.DETECTION, "object-detection": Task.DETECTION,
    "multilabel": Task.MULTILABEL,
}  # fmt: skip
_Assets = dict[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ItemAssets:
    """The assets of an item that are images, and those that are labels."""

    images: _Assets
    labels: _Assets


def assets_of(item: Mapping[str, Any]) -> ItemAssets:
    """Return which assets of an item are images and which are labels, by role, else by key."""
    images: _Assets = {}
    labels: _Assets = {}
    is_label_item = "label:type" in (item.get("properties") or {})
    for key, asset in (item.get("assets") or {}).items():
        if not isinstance(asset, dict) or not asset.get("href"):
            continue
        roles = set(asset.get("roles") or ())
        suffix = PurePosixPath(str(asset["href"])).suffix.lower()
        role = asset.get("ml-aoi:role")
        if roles & {"thumbnail", "overview", "metadata"}:
            continue
        named = roles & {"labels", "labels-raster", "labels-vector", "label", "target"} or is_label_role(key)
        if role == "label" or (role is None and (named or is_label_item)):
            if suffix in (*RASTER_SUFFIXES, *VECTOR_SUFFIXES):
                labels[key] = asset
        elif suffix in RASTER_SUFFIXES:
            images[key] = asset
    return ItemAssets(images, labels)


def bands_of(asset: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of an asset's bands; None where it does not name each."""
    bands: Sequence[Any] = asset.get("bands") or asset.get("eo:bands") or ()
    names = [str(band["name"]) for band in bands if isinstance(band, dict) and band.get("name")]
    return tuple(names) if names and len(names) == len(bands) else None


def classes_of(item: Mapping[str, Any]) -> tuple[ClassDefinition, ...] | None:
    """Return the classes that an item's properties or label assets name; None where they name none."""
    places = [item.get("properties") or {}, *assets_of(item).labels.values()]
    for place in places:
        bands = [band for band in place.get("bands") or place.get("raster:bands") or () if isinstance(band, dict)]
        for holder in (place, *bands):
            entries = holder.get("classification:classes")
            if entries:
                try:
                    return tuple(sorted(classes_of_stac(entries), key=lambda entry: entry.value))
                except (ValidationError, KeyError, TypeError):
                    return None  # described so that a mask cannot have them; the labels' values are told then
    return None


def label_of(item: Mapping[str, Any], files: Mapping[str, Path]) -> Label | None:
    """Return the label of an item: its files, else the classes that it names for the whole."""
    rasters = [path for path in files.values() if path.suffix.lower() in RASTER_SUFFIXES]
    if rasters:
        return RasterLabel(rasters[0])
    if files:
        return VectorLabel(tuple(files.values()))
    names = (item.get("properties") or {}).get("lab:labels")
    return NameLabel(tuple(map(str, names))) if isinstance(names, list) else None


def task_of(item: Mapping[str, Any], label: Label | None) -> Task:
    """Return the task that an item names, else the one that its label fits."""
    properties = item.get("properties") or {}
    for named in (properties.get("lab:task"), *(properties.get("label:tasks") or ())):
        if str(named).lower() in _TASKS:
            return _TASKS[str(named).lower()]
    return Task.CLASSIFICATION if isinstance(label, NameLabel) else Task.SEGMENTATION
