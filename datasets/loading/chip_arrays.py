"""Chips of a pack as numpy batches: scaled, turned, with what is to be found; no framework is needed.

Values are (value - mean) / standard deviation of the train split, in float32; pixels without data become 0, the mean.
Masks hold the channel of a class: its place among the classes in the order of their values, and 255 for no label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidInput, TooFewChips, UnknownName
from terralab.datasets.loading.scaling import Floats, Scaling
from terralab.datasets.loading.turns import turned
from terralab.datasets.packs.contents import Contents, Feature
from terralab.datasets.packs.pack import Pack
from terralab.extensions.chip_parts import MASK_ASSET, Task
from terralab.extensions.raster import MASK_NODATA

NO_TARGET = -9999.0
"""Where a regression has no value to find; TerraTorch's tasks take it as `ignore_index`."""

Turns = Sequence[int] | NDArray[np.integer]
Bands = Sequence[str] | Mapping[str, Sequence[str]]


class ChipArrays:
    """The chips of one split.

    Chips without one labelled pixel are left out where there is a mask: nothing can be learnt from or measured on them,
    and a batch of them alone has no loss.

    Args:
        pack: holds the pixels.
        contents: the chips, of one split; all of them are in the pack.
        bands: names of the bands to give, in order; of several modalities by their names. All by default.
        scale: whether to scale; else values are as stored, in float32.

    Raises:
        TooFewChips: no chip has a label.
        UnknownName: there is no such band.
    """

    def __init__(self, pack: Pack, contents: Contents, bands: Bands | None = None, scale: bool = True) -> None:
        self.pack, self.contents, self._scale = pack, contents, scale
        chosen = _chosen(contents, bands)
        self.features: tuple[Feature, ...] = tuple(
            _narrowed(feature, chosen[feature.key]) for feature in contents.features
        )
        self._bands = {key: None if picked is None else np.array(picked) for key, picked in chosen.items()}
        self.scalings = {f.key: Scaling(f.mean, f.stddev, f.nodata) for f in self.features}
        places = np.array([pack.position(chip.id) for chip in contents.chips], np.int64)
        counts = self._class_counts(places)
        kept = counts.sum(axis=1) > 0 if contents.task is Task.SEGMENTATION else np.ones(len(places), bool)
        self.chips = tuple(chip for chip, keep in zip(contents.chips, kept, strict=True) if keep)
        self.class_counts: NDArray[np.int64] = counts[kept]
        self._places = places[kept]
        self._gaps = {f.key: self._chips_with_gaps(f) for f in self.features}
        self._channel = np.full(MASK_NODATA + 1, MASK_NODATA, np.int64)
        self._channel[[entry.value for entry in contents.classes]] = np.arange(len(contents.classes))
        self._plain = self._chips_with_channels()
        if not self.chips:
            raise TooFewChips(f"no chip of {contents.name} has a labelled pixel")

    def __len__(self) -> int:
        return len(self.chips)

    @property
    def ids(self) -> list[str]:
        """Return the ids of the chips, in order."""
        return [chip.id for chip in self.chips]

    @property
    def size(self) -> tuple[int, int]:
        """Return rows and columns of a chip."""
        return self.pack.index.array(self.features[0].key).shape[1:]

    def images(self, positions: Sequence[int], turns: Turns | None = None) -> dict[str, Floats]:
        """Return a batch of every modality, by its name.

        Args:
            positions: of the chips.
            turns: of each of them.

        Returns:
            Float32 (batch, bands, rows, columns); of several dates (batch, bands, dates, rows, columns).
        """
        return {feature.name: self._feature(feature, positions, turns) for feature in self.features}

    def masks(self, positions: Sequence[int], turns: Turns | None = None) -> NDArray[np.int64]:
        """Return channels, int64 (batch, rows, columns); 255 where there is no label."""
        masks = np.empty((len(positions), *self.size), np.int64)
        for row, position in enumerate(positions):
            mask = self.pack.array(MASK_ASSET, self._places[position])[0]
            mask = turned(mask, int(turns[row]) if turns is not None else 0)
            masks[row] = mask if self._plain[position] else self._channel[mask]
        return masks

    def values(self, positions: Sequence[int], turns: Turns | None = None) -> Floats:
        """Return the numbers of a regression, float32 (batch, rows, columns); `NO_TARGET` where there is none."""
        key = str(self.contents.target)
        nodata = self.pack.index.array(key).nodata
        values = np.empty((len(positions), *self.size), np.float32)
        for row, position in enumerate(positions):
            found = self.pack.array(key, self._places[position])[0]
            values[row] = turned(found, int(turns[row]) if turns is not None else 0)
            missing = ~np.isfinite(values[row])
            if nodata is not None:
                missing |= values[row] == np.float32(nodata)
            values[row][missing] = NO_TARGET
        return values

    def labels(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the class of each chip, int64 (batch,), or of multilabel chips 0 and 1, int64 (batch, classes)."""
        counts = self.class_counts[list(positions)]
        if self.contents.task is Task.MULTILABEL:
            return (counts > 0).astype(np.int64)
        return np.asarray(counts.argmax(axis=1), np.int64)

    def raw(self, position: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return the first modality of a chip as stored, and its mask (rows, columns); read-only."""
        mask = self.pack.array(MASK_ASSET, self._places[position])[0]
        return self.stored(self.features[0].key, position), mask

    def stored(self, key: str, position: int) -> NDArray[Any]:
        """Return a modality of a chip as stored, (bands, rows, columns)."""
        image = self.pack.array(key, self._places[position])
        picked = self._bands[key]
        return image if picked is None else image[picked]

    def _feature(self, feature: Feature, positions: Sequence[int], turns: Turns | None) -> Floats:
        scaling, gaps = self.scalings[feature.key], self._gaps[feature.key]
        rows, columns = self.size
        dated = (feature.dates, len(feature.bands), rows, columns)
        images = np.empty((len(positions), len(feature.bands), feature.dates, rows, columns), np.float32)
        for row, position in enumerate(positions):
            image = self.stored(feature.key, position).reshape(dated)
            image = turned(image, int(turns[row])) if turns is not None else image
            out = images[row].transpose(1, 0, 2, 3)
            if self._scale:
                scaling.into(image, out, bool(gaps[position]))
            else:
                np.copyto(out, image, casting="unsafe")
        return images if feature.dates > 1 else images[:, :, 0]

    def _class_counts(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (chips, classes) labelled pixels, or labels; without columns for a regression."""
        contents = self.contents
        if contents.task is Task.SEGMENTATION:
            values = [str(entry.value) for entry in contents.classes]
            packed = self.pack.index.chips
            rows = [[packed[place].counts.get(value, 0) for value in values] for place in places]
        else:
            names = [entry.name for entry in contents.classes]
            rows = [[int(name in chip.labels) for name in names] for chip in contents.chips]
        counts = np.array(rows, np.int64).reshape(len(places), len(contents.classes))
        if contents.task is Task.CLASSIFICATION and (counts.sum(axis=1) != 1).any():
            chip = contents.chips[int(np.flatnonzero(counts.sum(axis=1) != 1)[0])]
            raise InvalidInput(f"{contents.name}: the chip {chip.id} has the labels {list(chip.labels)}, not one class")
        return counts

    def _chips_with_channels(self) -> NDArray[np.bool_]:
        """Return whose masks hold the channels already: no value stands for another channel or for no label."""
        kept = {str(value) for value in range(MASK_NODATA + 1) if self._channel[value] == value}
        packed = self.pack.index.chips
        return np.array([packed[place].counts.keys() <= kept for place in self._places], bool)

    def _chips_with_gaps(self, feature: Feature) -> NDArray[np.bool_]:
        packed = self.pack.index.chips
        known = _same(self.pack.index.array(feature.key).nodata, feature.nodata)
        return np.array([not known or feature.key in packed[place].gaps for place in self._places], bool)


def _chosen(contents: Contents, bands: Bands | None) -> dict[str, list[int] | None]:
    """Return which layers of each modality's file are wanted; None for all."""
    if bands is None:
        return {feature.key: None for feature in contents.features}
    by_name = dict(bands) if isinstance(bands, Mapping) else {contents.features[0].name: list(bands)}
    known = [feature.name for feature in contents.features]
    for name in by_name:
        if name not in known:
            raise UnknownName.of("modality", name, known)
    return {f.key: _layers(f, by_name[f.name]) if f.name in by_name else None for f in contents.features}


def _layers(feature: Feature, names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in feature.bands:
            raise UnknownName.of("band", name, list(feature.bands))
    count = len(feature.bands)
    return [date * count + feature.bands.index(name) for date in range(feature.dates) for name in names]


def _narrowed(feature: Feature, layers: Sequence[int] | None) -> Feature:
    if layers is None:
        return feature
    first = layers[: len(layers) // feature.dates]
    return replace(
        feature,
        bands=tuple(feature.bands[place] for place in first),
        mean=tuple(feature.mean[place] for place in first),
        stddev=tuple(feature.stddev[place] for place in first),
    )


def _same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and np.isnan(one) and np.isnan(other))
