"""Chips whose bands are in another order than those of the dataset.

The bands of real surfaces go together in a few ways only: the logarithms of the chips' band means and deviations fill
a thin part of their space. A chip with two bands exchanged lies outside of it, and back inside once they are exchanged
again. Distances are Mahalanobis distances with a shrunken covariance (Ledoit and Wolf, 2004), estimated twice, the
second time without the outliers of the first.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected

FEWEST_CHIPS = 20
_OUTSIDE = 0.9999
_TRIMMED = 0.97
_BACK_INSIDE = 0.35
_ROUNDS = 3

Numbers = NDArray[np.float64]


def exchanged_bands(chips: Collected) -> dict[int, tuple[str, str]] | None:
    """Return the chips with exchanged bands, and which; None where there are too few chips or bands to tell."""
    names, features = chips.bands.names, chips.bands.features
    own = [place for place, feature in enumerate(features) if feature == features[0]]
    told = chips.measured
    if len(own) < 3 or len(told) < FEWEST_CHIPS:
        return None
    vectors = _vectors(chips.means[told][:, own], chips.deviations[told][:, own])
    usable = np.isfinite(vectors).all(axis=1)
    told, vectors = told[usable], vectors[usable]
    if len(told) < FEWEST_CHIPS:
        return None
    center, precision, limit = _typical(vectors)
    distances = _distances(vectors, center, precision)
    found = {}
    for place in np.flatnonzero(distances > limit):
        swap = _best_exchange(vectors[place], center, precision, len(own))
        if swap[0] < limit and swap[0] < _BACK_INSIDE * distances[place]:
            found[int(told[place])] = (names[own[swap[1]]], names[own[swap[2]]])
    return found


def _vectors(means: NDArray[np.float32], deviations: NDArray[np.float32]) -> Numbers:
    """Return logarithms of means and deviations, (chips, 2 x bands); the same scale for floats that may be negative."""
    low = np.nanmin(means, axis=0)
    shifted = means.astype(np.float64) if (low > 0).all() else means.astype(np.float64) - float(np.nanmin(low))
    scale = float(np.nanmedian(shifted)) or 1.0
    return np.concatenate(
        [np.log(shifted / scale + 1e-2), np.log(deviations.astype(np.float64) / scale + 1e-3)], axis=1
    )


def _typical(vectors: Numbers) -> tuple[Numbers, Numbers, float]:
    """Return center, inverse covariance, and the distance that hardly any unaltered chip exceeds."""
    from scipy.stats import chi2
    from sklearn.covariance import LedoitWolf

    kept = np.ones(len(vectors), bool)
    for _ in range(_ROUNDS):
        model = LedoitWolf().fit(vectors[kept])
        center, precision = np.asarray(model.location_), np.asarray(model.precision_)
        distances = _distances(vectors, center, precision)
        kept = distances <= np.quantile(distances, _TRIMMED)
    # Real chips have longer tails than a normal distribution: the limit is scaled by the middle of what is there.
    dimensions = vectors.shape[1]
    scale = float(np.median(distances)) / float(chi2.ppf(0.5, dimensions))
    return center, precision, float(chi2.ppf(_OUTSIDE, dimensions)) * scale * 1.5


def _distances(vectors: Numbers, center: Numbers, precision: Numbers) -> Numbers:
    away = vectors - center
    found: Numbers = np.einsum("ij,jk,ik->i", away, precision, away)
    return found


def _best_exchange(vector: Numbers, center: Numbers, precision: Numbers, bands: int) -> tuple[float, int, int]:
    """Return the smallest distance that exchanging two bands gives, and the two."""
    pairs = list(combinations(range(bands), 2))
    variants = np.repeat(vector[None], len(pairs), axis=0)
    for row, (one, other) in enumerate(pairs):
        for offset in (0, bands):
            variants[row, [offset + one, offset + other]] = vector[[offset + other, offset + one]]
    distances = _distances(variants, center, precision)
    best = int(distances.argmin())
    return float(distances[best]), *pairs[best]
