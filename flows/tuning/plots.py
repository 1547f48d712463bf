"""Plots of a tuning as PNG bytes; equal numbers give equal bytes (no time, no version in the file).

Figures are made without pyplot, whose global state is not safe in long-lived workers.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning.measures import ConfusionMatrix

_DPI = 110
_UNKNOWN = "e6e6e6"
_TRUE_COLOUR = ("B04", "B03", "B02")
_STRETCH = (2, 98)  # percentiles over all examples, so that their brightness can be compared
_DARK = 0.6


@dataclass(frozen=True)
class Example:
    """One test chip: image (bands, size, size) in the imagery's units; truth and prediction (size, size) as values."""

    id: str
    image: NDArray[Any]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


def curves(history: Sequence[dict[str, float]], best_epoch: int) -> bytes:
    """Plot losses and validation mIoU by epoch.

    Args:
        history: per epoch `train_loss`, `val_loss` and `val_miou`.
        best_epoch: from 1; marked, because its weights were kept.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    for key, label in (("train_loss", "train"), ("val_loss", "validation")):
        losses.plot(epochs, [record[key] for record in history], label=label)
    losses.set(title="Loss", xlabel="epoch")
    losses.legend(frameon=False)
    scores.plot(epochs, [record["val_miou"] for record in history], color="tab:green")
    scores.axvline(best_epoch, color="grey", linestyle=":")
    scores.set(title=f"Validation mIoU, best in epoch {best_epoch}", xlabel="epoch", ylim=(0, 1))
    return _png(figure)


def confusion(matrix: ConfusionMatrix, classes: Sequence[ClassDefinition], title: str = "Test split") -> bytes:
    """Plot the confusion matrix as shares of each true class, with the number of pixels."""
    names = [entry.title or entry.name for entry in classes]
    shares = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
    side = 2.6 + 0.7 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix.counts):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(
            column, row, f"{shares[row, column]:.1%}\n{count:,}", ha="center", va="center", fontsize=8, color=colour
        )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    return _png(figure)


def examples(shown: Sequence[Example], bands: Sequence[str], classes: Sequence[ClassDefinition]) -> bytes:
    """Plot chips side by side: image, label and prediction in the colours of the classes, with a legend."""
    figure = Figure(figsize=(7.2, 2.3 * len(shown) + 0.7), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False)
    colours = ListedColormap([f"#{entry.color}" for entry in classes] + [f"#{_UNKNOWN}"])
    pictures = _pictures(shown, bands)
    for axes, example, picture in zip(grid, shown, pictures, strict=True):
        axes[0].imshow(picture, interpolation="nearest", cmap="gray", vmin=0, vmax=1)
        for place, raster in ((1, example.truth), (2, example.predicted)):
            axes[place].imshow(
                _channels(raster, classes), cmap=colours, vmin=-0.5, vmax=len(classes) + 0.5, interpolation="nearest"
            )
        axes[0].set_ylabel(example.id, fontsize=6)
        for one in axes:
            one.set_xticks([])
            one.set_yticks([])
    for one, title in zip(grid[0], (_image_title(bands), "Label", "Prediction"), strict=True):
        one.set_title(title, fontsize=10)
    patches = [Patch(color=f"#{entry.color}", label=entry.title or entry.name) for entry in classes]
    patches.append(Patch(color=f"#{_UNKNOWN}", label="no label or no data"))
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 5), frameon=False, fontsize=8)
    return _png(figure)


def _pictures(shown: Sequence[Example], bands: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return each chip as (size, size, 3), or (size, size) where the bands give no colours, with values 0 … 1."""
    chosen = [list(bands).index(name) for name in _TRUE_COLOUR] if set(_TRUE_COLOUR) <= set(bands) else [0]
    stacks = np.stack([np.nan_to_num(example.image[chosen].astype(float)) for example in shown])
    low, high = np.percentile(stacks, _STRETCH, axis=(0, 2, 3), keepdims=True)
    stretched = np.clip((stacks - low) / np.maximum(high - low, 1e-9), 0, 1)
    return [np.squeeze(stack.transpose(1, 2, 0)) for stack in stretched]


def _image_title(bands: Sequence[str]) -> str:
    return "True colour" if set(_TRUE_COLOUR) <= set(bands) else f"Band {bands[0]}"


def _channels(raster: NDArray[np.uint8], classes: Sequence[ClassDefinition]) -> NDArray[np.int64]:
    """Return each pixel's place in the legend; unknown pixels come last."""
    places = np.full(256, len(classes), np.int64)
    places[[entry.value for entry in classes]] = np.arange(len(classes))
    return places[raster]


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    return target.getvalue()
