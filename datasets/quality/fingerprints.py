"""Fingerprints of chips: one that only equal pixels share, and one that pictures of the same thing share nearly."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 16
"""Cells along each side of a chip."""
GROUPS = 2
DIMENSIONS = CELLS * CELLS * GROUPS
_LEAST_VALID = 0.5
_LEAST_STRUCTURE = 0.3

Descriptor = NDArray[np.float16]


def pixel_hash(images: Sequence[NDArray[Any]]) -> str:
    """Return a hash of pixels, types and shapes: equal for equal pictures, however their files are written."""
    state = hashlib.blake2b(digest_size=16)
    for image in images:
        state.update(f"{image.dtype.str}{image.shape}".encode())
        state.update(np.ascontiguousarray(image).data)
    return state.hexdigest()


def descriptor(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> Descriptor | None:
    """Return what the picture shows at a coarse resolution: a vector of length 1.

    Brightness and contrast of each band are taken out, so that only the structure counts: two chips of open water,
    which are alike in every value, have nothing in common in their noise.

    Args:
        image: (bands, rows, columns), each band with mean 0 and deviation 1.
        valid: (rows, columns), where all bands have data.

    Returns:
        `DIMENSIONS` numbers; None where there is too little data or structure to tell.
    """
    rows, columns = (side // CELLS * CELLS for side in valid.shape)
    if not rows or not columns or valid.mean() < _LEAST_VALID:
        return None
    groups = [part.mean(axis=0) for part in np.array_split(image, min(GROUPS, len(image)))]
    cells = np.stack([_cell_means(np.where(valid, group, 0)[:rows, :columns]) for group in groups])
    if float(cells.std()) < _LEAST_STRUCTURE:
        return None
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    vector = np.resize(cells.ravel(), DIMENSIONS)
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float16) if length else None


def _cell_means(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = picture.shape
    means: NDArray[np.float32] = picture.reshape(CELLS, rows // CELLS, CELLS, columns // CELLS).mean(axis=(1, 3))
    return means
