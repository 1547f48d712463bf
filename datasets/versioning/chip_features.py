"""What the chips of a version have in common: modalities with the statistics of the train chips, task and classes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from terralab.catalog.errors import InvalidInput
from terralab.datasets.statistics import BandSums
from terralab.extensions.chip_parts import BOXES_ASSET, MASK_ASSET, TARGET_ASSET, Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.lab import MODALITY_FIELD, SPLIT_PROP, TASK_PROP, TIMES_FIELD

_ROLE = "ml-aoi:role"
_REFERENCE = "ml-aoi:reference-grid"
_CLASSES = "classification:classes"
_CLASS_ASSETS = {Task.SEGMENTATION: MASK_ASSET, Task.DETECTION: BOXES_ASSET}

Chips = Sequence[Mapping[str, Any]]


def task_of(chips: Chips) -> Task:
    """Return what the chips teach.

    Raises:
        InvalidInput: they teach different things.
    """
    tasks = {str(chip["properties"].get(TASK_PROP) or Task.SEGMENTATION) for chip in chips}
    if len(tasks) > 1:
        raise InvalidInput(f"the chips have different tasks: {', '.join(sorted(tasks))}")
    return Task(tasks.pop())


def modalities_of(chips: Chips) -> list[dict[str, Any]]:
    """Return key, name, bands, nodata and times of every modality, the reference first.

    Bands carry statistics over the train chips (over all, where no chip is in that split). `times` has one entry for
    each date: the time, or null where the chips' differ.

    Args:
        chips: in the order of their ids.

    Raises:
        InvalidInput: a modality has other bands in one chip than in another.
    """
    keys = dict.fromkeys(key for chip in chips for key in feature_keys(chip))
    return [_modality(key, [chip for chip in chips if key in chip["assets"]]) for key in keys]


def target_of(chips: Chips, task: Task) -> dict[str, Any] | None:
    """Return key, bands and nodata of the raster of numbers that a regression is to find; None for other tasks."""
    if task is not Task.REGRESSION:
        return None
    return _modality(TARGET_ASSET, [chip for chip in chips if TARGET_ASSET in chip["assets"]])


def classes_of(chips: Chips, task: Task) -> list[dict[str, Any]]:
    """Return the classes, without the one of pixels without label; empty for numbers.

    Raises:
        InvalidInput: a class has another number or name in one chip than in another.
    """
    found = [(chip["id"], _classes(chip, task)) for chip in chips]
    first, expected = found[0]
    meant = {(entry["value"], entry.get("name")) for entry in expected}
    for chip, classes in found:
        if {(entry["value"], entry.get("name")) for entry in classes} != meant:
            raise InvalidInput(f"the chips {first} and {chip} have different classes; make all labels say the same")
    return expected


def feature_keys(chip: Mapping[str, Any]) -> list[str]:
    """Return the keys of what a network looks at: the reference first, the others by name, as `Feature.all_of`."""
    assets = chip["assets"]
    keys = [key for key, asset in assets.items() if asset.get(_ROLE) == "feature"]
    return sorted(keys, key=lambda key: (not assets[key].get(_REFERENCE), key))


def _classes(chip: Mapping[str, Any], task: Task) -> list[dict[str, Any]]:
    key = _CLASS_ASSETS.get(task)
    place = chip["assets"][key] if key else chip["properties"]
    return [entry for entry in place.get(_CLASSES) or () if not entry.get("nodata")]


def _modality(key: str, chips: Chips) -> dict[str, Any]:
    first = chips[0]["assets"][key]
    times = _times(key, chips)
    named = first.get(MODALITY_FIELD)
    return {
        "key": key,
        **({"modality": named} if named else {}),
        "bands": _train_bands(key, chips),
        "nodata": first["bands"][0].get("nodata"),
        **({"times": times} if times else {}),
    }


def _times(key: str, chips: Chips) -> list[str | None]:
    lists = {chip["id"]: chip["assets"][key].get(TIMES_FIELD) or [] for chip in chips}
    if len({len(times) for times in lists.values()}) > 1:
        raise InvalidInput(f"the chips have different numbers of dates of {key}; make them of as many")
    return [dates[0] if len(set(dates)) == 1 else None for dates in zip(*lists.values(), strict=True)]


def _train_bands(key: str, chips: Chips) -> list[dict[str, Any]]:
    train = [chip for chip in chips if chip["properties"].get(SPLIT_PROP) == SPLITS[0]] or chips
    described: list[dict[str, Any]] = chips[0]["assets"][key]["bands"]
    names = [band["name"] for band in described]
    for chip in chips:
        if [band["name"] for band in chip["assets"][key]["bands"]] != names:
            raise InvalidInput(f"the chips {chips[0]['id']} and {chip['id']} have different bands of {key}")
    bands = []
    for place, band in enumerate(described):
        statistics = _pooled(key, place, train).statistics()
        plain = {name: value for name, value in band.items() if name != "statistics"}
        bands.append({**plain, **({"statistics": statistics.to_stac()} if statistics else {})})
    return bands


def _pooled(key: str, place: int, chips: Chips) -> BandSums:
    """Pool one band over chips: `BandSums.pooled` in columns, since there may be a hundred thousand of them."""
    names = ("valid_percent", "mean", "stddev", "minimum", "maximum")
    pixels = np.array([math.prod(chip["properties"]["proj:shape"]) for chip in chips], dtype=np.int64)
    known = [chip["assets"][key]["bands"][place].get("statistics") or {} for chip in chips]
    percent, mean, stddev, least, most = (
        np.array([entry.get(name, 0.0) for entry in known], dtype=np.float64) for name in names
    )
    count = np.rint(percent * pixels / 100)
    total = int(count.sum())
    if not total:
        return BandSums(pixels=int(pixels.sum()))
    whole = math.fsum(mean * count) / total
    spread = math.fsum(np.square(stddev) * count + count * np.square(mean - whole))
    valid = count > 0
    return BandSums(int(pixels.sum()), total, whole, spread, float(least[valid].min()), float(most[valid].max()))
