"""Texture: local standard deviation, and contrast and homogeneity of the grey-level co-occurrence matrix.

Contrast is the mean of (i - j)² over the pairs of neighbouring pixels in a window, homogeneity that of
1 / (1 + (i - j)²), where i and j are grey levels (Haralick, Shanmugam and Dinstein 1973). Both are means over pairs, so
sums over windows give them without a matrix for each pixel. They are the mean over horizontal and vertical pairs.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from terralab.catalog.errors import InvalidInput
from terralab.datasets.recipes.recipe import Block, Parameters, Plan, Recipe, Source, Values

Measure = Literal["std", "contrast", "homogeneity"]
Numbers = NDArray[np.float64]
_SPREADS = 2.0


class TextureParameters(Parameters):
    """Of which band, and how wide it looks around."""

    band: str = Field(description="Band to look at.")
    measures: tuple[Measure, ...] = Field(
        default=("std", "contrast", "homogeneity"), min_length=1, description="std, contrast, homogeneity."
    )
    window: int = Field(default=7, ge=3, le=101, description="Side of the window, pixels; odd.")
    levels: int = Field(default=16, ge=2, le=256, description="Grey levels.")
    low: float | None = Field(default=None, description="Value of the lowest level; by default mean - 2 σ.")
    high: float | None = Field(default=None, description="Value of the highest level; by default mean + 2 σ.")

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("the window must have a middle; give an odd number")
        return value


def plan_texture(sources: Sequence[Source], parameters: TextureParameters) -> Plan:
    """Plan the texture of one band.

    Raises:
        UnknownName: there is no such band.
        InvalidInput: nothing says what the grey levels are.
    """
    place = sources[0].band(parameters.band)
    low, high = _range(sources[0], place, parameters)
    radius = parameters.window // 2

    def compute(block: Block) -> Values:
        values = block.values[0][place].astype(np.float64)
        measured = {
            "std": lambda: local_std(values, radius),
            "contrast": lambda: co_occurrence(_grey(values, low, high, parameters.levels), radius, contrast=True),
            "homogeneity": lambda: co_occurrence(_grey(values, low, high, parameters.levels), radius, contrast=False),
        }
        found = np.stack([measured[name]() for name in parameters.measures])
        found[:, ~np.isfinite(values)] = np.nan
        return found[:, block.inner].astype(np.float32)

    names = tuple(f"{parameters.band}_{measure}" for measure in parameters.measures)
    formula = {**parameters.model_dump(mode="json"), "low": low, "high": high, "offsets": [[0, 1], [1, 0]]}
    return Plan(names, formula, compute, halo=radius)


def local_std(values: Numbers, radius: int) -> Numbers:
    """Return the standard deviation of the valid pixels in the square window around each pixel."""
    seen = np.isfinite(values)
    # Sums of squares lose digits where the mean is large; the overall mean is as good a zero as any.
    middle = float(values[seen].mean()) if seen.any() else 0.0
    known = np.where(seen, values - middle, 0.0)
    square = (radius, radius, radius, radius)
    count = _sums(seen.astype(np.float64), *square)
    with np.errstate(all="ignore"):
        mean = _sums(known, *square) / count
        variance = _sums(known * known, *square) / count - mean * mean
    return np.sqrt(np.maximum(variance, 0.0))


def co_occurrence(grey: Numbers, radius: int, contrast: bool) -> Numbers:
    """Return contrast or homogeneity around each pixel, the mean over horizontal and vertical pairs.

    Args:
        grey: levels; NaN where there is no data.
        radius: of the window.
        contrast: else homogeneity.
    """
    found = [_of_pairs(grey, radius, contrast, vertical=False), _of_pairs(grey, radius, contrast, vertical=True)]
    return np.asarray((found[0] + found[1]) / 2)


def _of_pairs(grey: Numbers, radius: int, contrast: bool, vertical: bool) -> Numbers:
    pairs = np.full(grey.shape, np.nan)  # each at its left or upper pixel
    if vertical:
        pairs[:-1] = (grey[1:] - grey[:-1]) ** 2
    else:
        pairs[:, :-1] = (grey[:, 1:] - grey[:, :-1]) ** 2
    seen = np.isfinite(pairs)
    values = np.where(seen, pairs if contrast else 1.0 / (1.0 + pairs), 0.0)
    window = (radius, radius - 1, radius, radius) if vertical else (radius, radius, radius, radius - 1)
    with np.errstate(all="ignore"):
        return np.asarray(_sums(values, *window) / _sums(seen.astype(np.float64), *window))


def _sums(values: Numbers, up: int, down: int, left: int, right: int) -> Numbers:
    """Return sums over the window from `up` rows above to `down` below, and likewise columns, cut at the edges."""
    rows, columns = values.shape
    total = np.zeros((rows + 1, columns + 1))
    total[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    row, column = np.arange(rows), np.arange(columns)
    top, bottom = np.maximum(row - up, 0), np.minimum(row + down + 1, rows)
    west, east = np.maximum(column - left, 0), np.minimum(column + right + 1, columns)
    return np.asarray(
        total[np.ix_(bottom, east)] - total[np.ix_(top, east)] - total[np.ix_(bottom, west)] + total[np.ix_(top, west)]
    )


def _grey(values: Numbers, low: float, high: float, levels: int) -> Numbers:
    """Return levels 0 … levels - 1; values beyond the range have the outermost level."""
    return np.clip(np.floor((values - low) / (high - low) * levels), 0, levels - 1)


def _range(source: Source, place: int, parameters: TextureParameters) -> tuple[float, float]:
    known = source.bands[place].statistics
    low, high = parameters.low, parameters.high
    if known is not None:
        low = known.mean - _SPREADS * known.stddev if low is None else low
        high = known.mean + _SPREADS * known.stddev if high is None else high
    if low is None or high is None:
        raise InvalidInput(f"{source.name} has no statistics of {parameters.band}; say the grey levels by low and high")
    if not high > low:
        raise InvalidInput(f"the grey levels of {parameters.band} go from {low:g} to {high:g}; high must be above low")
    return float(low), float(high)


RECIPE = Recipe("texture", "Texture of a band", TextureParameters, plan_texture)
