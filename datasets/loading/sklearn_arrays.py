"""Chips as the arrays that scikit-learn takes: pixels, or one row of features for each chip."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidInput
from terralab.datasets.loading.chip_arrays import NO_TARGET, ChipArrays
from terralab.datasets.raster_file import valid_pixels
from terralab.extensions.chip_parts import Task
from terralab.extensions.raster import MASK_NODATA

Unit = Literal["pixels", "chips"]
_MEASURES = ("mean", "std", "p10", "p50", "p90")
_PERCENTILES = (10, 50, 90)


@dataclass(frozen=True)
class SklearnArrays:
    """What an estimator's `fit` and a cross validation take.

    Attributes:
        X: (rows, features) float32, in the imagery's units; NaN where there is no data.
        y: what is to be found, for each row.
        groups: of each row, which no split should divide; for `GroupKFold` and its kind.
        features: names of the columns.
        classes: names of the classes by their number in `y`; empty for a regression.
        ids: of the chip that each row is from.
    """

    X: NDArray[np.float32]
    y: NDArray[Any]
    groups: NDArray[Any]
    features: list[str]
    classes: list[str]
    ids: NDArray[Any]


def sklearn_arrays(
    chips: ChipArrays, unit: Unit | None = None, pixels: int | None = 20_000, seed: int = 0
) -> SklearnArrays:
    """Return the chips as arrays.

    Args:
        chips: unscaled.
        unit: a row for every labelled pixel, or for every chip, with mean, standard deviation and percentiles of each
            band; by default what the task is about.
        pixels: about so many pixels, alike many from each chip; None for all.
        seed: of their choice.

    Raises:
        InvalidInput: pixels of chips that are labelled as a whole.
    """
    whole = chips.contents.target is None
    chosen = unit or ("chips" if whole else "pixels")
    if whole and chosen == "pixels":
        raise InvalidInput(f"{chips.contents.name} has labels of whole chips; ask for unit='chips'")
    return _of_chips(chips) if chosen == "chips" else _of_pixels(chips, pixels, seed)


def _of_pixels(chips: ChipArrays, pixels: int | None, seed: int) -> SklearnArrays:
    random = np.random.default_rng(seed)
    share = None if pixels is None else -(-pixels // len(chips))
    rows, truth, places = [], [], []
    for position in range(len(chips)):
        target = _targets(chips, position)
        known = np.flatnonzero(_labelled(chips, target))
        if share is not None and len(known) > share:
            known = np.sort(random.permutation(known)[:share])
        rows.append(_layers(chips, position).reshape(-1, target.size)[:, known].T)
        truth.append(target.ravel()[known])
        places.append(np.full(len(known), position))
    place = np.concatenate(places)
    return _arrays(chips, np.concatenate(rows), np.concatenate(truth), place, _band_names(chips))


def _of_chips(chips: ChipArrays) -> SklearnArrays:
    rows = [_measured(_layers(chips, position)) for position in range(len(chips))]
    names = [f"{band}_{measure}" for band in _band_names(chips) for measure in _MEASURES]
    everyone = range(len(chips))
    if chips.contents.target is None:
        truth: NDArray[Any] = chips.labels(everyone)
    elif chips.contents.task is Task.REGRESSION:
        values = np.where((found := chips.values(everyone)) == NO_TARGET, np.nan, found)
        truth = np.nanmean(values.reshape(len(chips), -1), axis=1)
    else:  # the class that most of a chip's labelled pixels have
        truth = chips.class_counts.argmax(axis=1)
    return _arrays(chips, np.stack(rows), truth, np.arange(len(chips)), names)


def _arrays(
    chips: ChipArrays, X: NDArray[np.float32], y: NDArray[Any], place: NDArray[np.integer], names: list[str]
) -> SklearnArrays:
    groups = np.array([chip.group for chip in chips.chips])[place]
    classes = [entry.name for entry in chips.contents.classes]
    return SklearnArrays(X, y, groups, names, classes, np.array(chips.ids)[place])


def _targets(chips: ChipArrays, position: int) -> NDArray[Any]:
    found: NDArray[Any] = (
        chips.values([position]) if chips.contents.task is Task.REGRESSION else chips.masks([position])
    )[0]
    return found


def _labelled(chips: ChipArrays, target: NDArray[Any]) -> NDArray[np.bool_]:
    nothing = NO_TARGET if chips.contents.task is Task.REGRESSION else MASK_NODATA
    return np.asarray(target != nothing, bool)


def _layers(chips: ChipArrays, position: int) -> NDArray[np.float32]:
    """Return all layers of all modalities, NaN where there is no data."""
    layers = []
    for feature in chips.features:
        image = chips.stored(feature.key, position)
        layers.append(np.where(valid_pixels(image, feature.nodata), image.astype(np.float32), np.float32(np.nan)))
    return np.concatenate(layers)


def _measured(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = layers.reshape(len(layers), -1)
    found = np.full((len(layers), len(_MEASURES)), np.nan, np.float32)
    for row, values in enumerate(flat):
        values = values[~np.isnan(values)]
        if len(values):
            found[row] = (
                values.mean(dtype=np.float64),
                values.std(dtype=np.float64),
                *np.percentile(values, _PERCENTILES),
            )
    return found.ravel()


def _band_names(chips: ChipArrays) -> list[str]:
    several = len(chips.features) > 1
    names = []
    for feature in chips.features:
        for date in range(feature.dates):
            for band in feature.bands:
                name = f"{band}_t{date}" if feature.dates > 1 else band
                names.append(f"{feature.name}_{name}" if several else name)
    return names
