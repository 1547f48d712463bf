"""A validation chip as TerraTorch's tasks show it to a logger: the image, what is to be found, what was found."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from terralab.datasets.loading.chip_arrays import NO_TARGET, ChipArrays
from terralab.extensions.chip_parts import Task
from terralab.extensions.imagery import TRUE_COLOR
from terralab.extensions.raster import MASK_NODATA

_INCHES = 3.0
_SPREADS = 2.0


def plot_chip(chips: ChipArrays, sample: Mapping[str, Any]) -> Figure:
    """Return a figure of one sample.

    Args:
        chips: that the sample is one of.
        sample: `image`, or each modality by its name; `mask` or `label`; `prediction` where there is one.
    """
    names = ["image", *(name for name in ("mask", "prediction") if name in sample)]
    figure = Figure(figsize=(_INCHES * len(names), _INCHES), layout="tight")
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), place)
        axes.imshow(_picture(chips, sample) if name == "image" else _painted(chips, np.asarray(sample[name])))
        axes.set_title(name, fontsize=9)
        axes.axis("off")
    if "label" in sample:
        figure.suptitle(f"label {np.asarray(sample['label']).tolist()}", fontsize=9)
    return figure


def _picture(chips: ChipArrays, sample: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return true colour where the bands allow it, else the first bands; of the last date; mean ± 2 σ."""
    feature = chips.features[0]
    image = np.asarray(sample[feature.name if feature.name in sample else "image"], np.float32)
    if image.ndim == 4:
        image = image[:, -1]
    named = [feature.bands.index(band) for band in TRUE_COLOR if band in feature.bands]
    shown = named if len(named) == len(TRUE_COLOR) else [place % len(image) for place in range(len(TRUE_COLOR))]
    return np.asarray(np.clip(image[shown].transpose(1, 2, 0) / (2 * _SPREADS) + 0.5, 0, 1))


def _painted(chips: ChipArrays, values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as they are, and classes in their colours."""
    if chips.contents.task is Task.REGRESSION:
        return np.where(values == NO_TARGET, np.nan, values).squeeze()
    colors = np.full((MASK_NODATA + 1, 3), 255, np.uint8)
    for channel, entry in enumerate(chips.contents.classes):
        colors[channel] = [int(entry.color[place : place + 2], 16) for place in (0, 2, 4)]
    return colors[values.astype(np.uint8).squeeze()]
