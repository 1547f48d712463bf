"""Whether a mask's edges lie where the image changes, and if not, how far they are shifted.

Between two neighbouring pixels the image changes by some amount, and the label changes or not. Where labels are right,
the image changes more at the label's edges than elsewhere. The same is asked with the label moved by up to eight pixels
in every direction, all offsets at once by a cross-correlation; the offset with the largest change is where the label
would fit best.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import irfft2, next_fast_len, rfft2

REACH = 8
"""Pixels in every direction that labels are moved by."""
SIDE = 2 * REACH + 1
_LEAST_EDGES = 60
_NEAR, _RING = 1.9, 4
_SIGMAS = 7.0
_GAIN = 2.0

Surface = NDArray[np.float32]


@dataclass(frozen=True)
class EdgeFit:
    """How a label's edges fit the image.

    Attributes:
        agreement: how much more the image changes at the label's edges than elsewhere, in its deviations; where labels
            say nothing about the image it is about 0.
        rows: offset that the label would have to be moved by, down.
        columns: the same, to the right.
        certain: whether that offset fits clearly better than none.
    """

    agreement: float
    rows: int
    columns: int
    certain: bool

    @property
    def pixels(self) -> float:
        """Return the length of the offset; 0 where it is not certain."""
        return float(np.hypot(self.rows, self.columns)) if self.certain else 0.0


def edge_surface(
    image: NDArray[np.float32], valid: NDArray[np.bool_], mask: NDArray[np.uint8], unlabelled: int
) -> tuple[Surface, int] | None:
    """Return the image's mean change at the label's edges for every offset, and the number of edge pixels.

    Args:
        image: (bands, rows, columns), each band with deviation 1.
        valid: (rows, columns), where all bands have data.
        mask: (rows, columns), class values.
        unlabelled: value of pixels without a label.

    Returns:
        (SIDE, SIDE) float32 in deviations of the change over the image, middle: no offset; None where there are too few
        edges to tell.
    """
    total, edges = np.zeros((SIDE, SIDE), np.float64), 0
    for axis in (0, 1):
        change = np.minimum(np.abs(np.diff(image, axis=axis + 1)), 3).mean(axis=0)
        usable = _both(valid, axis)
        labelled = _both(mask != unlabelled, axis)
        edge = (np.diff(mask.astype(np.int16), axis=axis) != 0) & labelled & usable
        inner = np.zeros_like(edge)
        inner[REACH:-REACH, REACH:-REACH] = edge[REACH:-REACH, REACH:-REACH]
        count = int(inner.sum())
        spread = float(change[usable].std()) if usable.any() else 0.0
        if not count or not spread:
            continue
        scaled = np.where(usable, (change - change[usable].mean()) / spread, 0)
        total += _correlation(inner.astype(np.float32), scaled.astype(np.float32))
        edges += count
    if edges < _LEAST_EDGES:
        return None
    return (total / edges).astype(np.float32), edges


def fit_of(surface: Surface, least: float = 1.5) -> EdgeFit:
    """Judge a surface: that of one chip, or the mean over many, weighted by their edges.

    Where a label fits, the surface has a narrow peak; clouds and coarse patterns make broad slopes, which do not count.

    Args:
        surface: (SIDE, SIDE), from `edge_surface`.
        least: offsets shorter than so many pixels count as none.
    """
    peaks = surface - _around(surface)
    best = np.unravel_index(int(peaks.argmax()), peaks.shape)
    rows, columns = int(best[0]) - REACH, int(best[1]) - REACH
    noise = 1.4826 * float(np.median(np.abs(peaks - np.median(peaks))))
    here, there = float(peaks[REACH, REACH]), float(peaks.max())
    certain = there > _SIGMAS * noise and there > _GAIN * here and np.hypot(rows, columns) >= least
    return EdgeFit(float(surface[REACH, REACH]), rows, columns, bool(certain))


def _around(surface: Surface) -> NDArray[np.float64]:
    """Return the mean of the ring around each offset, as far as it is inside."""
    distance = np.hypot(*np.mgrid[-_RING : _RING + 1, -_RING : _RING + 1])
    ring = ((distance > _NEAR) & (distance <= _RING)).astype(np.float64)
    total = ndimage.convolve(surface.astype(np.float64), ring, mode="constant")
    count = ndimage.convolve(np.ones(surface.shape), ring, mode="constant")
    means: NDArray[np.float64] = total / count
    return means


def _both(flags: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return where a pixel and the next one along the axis both have the flag."""
    first, second = (flags[:-1], flags[1:]) if axis == 0 else (flags[:, :-1], flags[:, 1:])
    both: NDArray[np.bool_] = first & second
    return both


def _correlation(edge: NDArray[np.float32], change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Σ edge(p) · change(p + offset) for every offset; edges keep their distance from the border."""
    shape = [next_fast_len(side, real=True) for side in edge.shape]
    product = np.conj(rfft2(edge, shape)) * rfft2(change, shape)
    middle: NDArray[np.float32] = np.roll(irfft2(product, shape), (REACH, REACH), axis=(0, 1))[:SIDE, :SIDE]
    return middle
