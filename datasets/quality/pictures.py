"""Small pictures of chips for the report: the image in true colour where it has one, and its label beside it."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.store import Store
from terralab.datasets.quality.collected import Collected
from terralab.datasets.raster_file import open_raster
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_SIDE = 112
_TRUE_COLOUR = ("B04", "B03", "B02")
_STRETCH = (2, 98)
_NO_LABEL = (150, 150, 150)
_EMPTY = (90, 90, 90)


class Pictures:
    """Makes pictures, each once.

    Args:
        store: holds the chips' files.
        chips: the chips.
        classes: with their colours.
    """

    def __init__(self, store: Store, chips: Collected, classes: Sequence[ClassDefinition]) -> None:
        self._store, self._chips = store, chips
        self._colours = np.full((256, 3), _NO_LABEL, np.uint8)
        for entry in classes:
            self._colours[entry.value] = list(bytes.fromhex(entry.color))
        self._made: dict[int, tuple[str, str | None] | None] = {}
        first = chips.bands.features[0]
        own = [name for name, feature in zip(chips.bands.names, chips.bands.features, strict=True) if feature == first]
        self._places = [own.index(name) for name in _TRUE_COLOUR] if set(_TRUE_COLOUR) <= set(own) else None

    def of(self, number: int) -> tuple[str, str | None] | None:
        """Return the image and the label as `data:` addresses; None where the files cannot be read."""
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number]

    def _make(self, number: int) -> tuple[str, str | None] | None:
        if number in self._chips.problems:
            return None  # the finding that names the chip says why
        place = self._chips.places[number]
        return self._image(place.image), self._label(place.mask) if place.mask else None

    def _image(self, href: str) -> str:
        with open_raster(self._store.open_path(href)) as dataset:
            wanted = self._places or [0] * 3
            pixels = dataset.read([place + 1 for place in wanted]).astype(np.float32)
            nodata = dataset.nodata
        empty = ~np.isfinite(pixels).all(axis=0)
        if nodata is not None:
            empty |= (pixels == nodata).all(axis=0)
        if empty.all():
            return _address(np.full((*empty.shape, 3), _EMPTY, np.uint8))
        low, high = (float(cut) for cut in np.percentile(pixels[:, ~empty], _STRETCH))
        scaled = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255
        picture = np.moveaxis(np.nan_to_num(scaled), 0, -1).astype(np.uint8)
        picture[empty] = _EMPTY
        return _address(picture)

    def _label(self, href: str) -> str:
        with open_raster(self._store.open_path(href)) as dataset:
            mask: NDArray[np.uint8] = dataset.read(1)
        return _address(self._colours[np.where(mask == MASK_NODATA, MASK_NODATA, mask)], smooth=False)


def _address(picture: NDArray[Any], smooth: bool = True) -> str:
    """Return a picture (rows, columns, 3) as a small JPEG or PNG in a `data:` address."""
    from PIL import Image

    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    small = Image.fromarray(picture).resize((_SIDE, _SIDE), method)
    stream = io.BytesIO()
    if smooth:
        small.save(stream, "JPEG", quality=82)
    else:
        small.quantize(64).save(stream, "PNG", optimize=True)
    kind = "jpeg" if smooth else "png"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
