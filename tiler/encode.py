"""From pixels to image files: class rasters as small palette images, all else as rio-tiler does it."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rio_tiler.colormap import apply_cmap
from rio_tiler.models import ImageData
from rio_tiler.utils import linear_rescale, render
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from terralab.tiler.renders import Colormap, Stretch, View

_VALUES = 256
_TABLE_BYTES = 2  # a table of all values of two bytes has 65,536 entries
_FAST = 1  # deflate level; 6 takes twice as long or more to save a tenth of the bytes


def encode(image: ImageData, view: View, image_format: str, own_colormap: Colormap | None = None) -> tuple[bytes, str]:
    """Return an image file and its media type.

    Args:
        image: what the reader gave, any data type (bands, height, width).
        view: stretch, colours and whether to have transparency.
        image_format: `png`, `webp`, `jpg` or `tif`.
        own_colormap: the raster's colour table, for a view that has no colours.

    Raises:
        rio_tiler.errors.InvalidFormat: such an image does not fit into that format.
    """
    kind = ImageType[image_format]
    colormap = view.colormap or (None if view.rescale else own_colormap) or None
    if view.rescale:
        _stretch(image, view.rescale)
    if kind.driver == "PNG" and _fits_palette(image, view, colormap):
        assert colormap is not None
        return _palette_png(image, colormap), kind.mediatype
    if kind.driver != "PNG":
        content, media_type = render_image(image, colormap=colormap, output_format=kind, add_mask=view.add_mask)
        return bytes(content), str(media_type)
    return _png(image, view, colormap), kind.mediatype


def _stretch(image: ImageData, ranges: Stretch) -> None:
    """Make the image uint8 as rio-tiler does; for small integers by a table, as few values occur often."""
    if image.array.dtype.kind not in "ui" or image.array.dtype.itemsize > _TABLE_BYTES or len(ranges) != image.count:
        image.rescale(ranges)
        return
    first = np.iinfo(image.array.dtype).min
    values = np.ma.getdata(image.array)
    places = values if first == 0 else values.astype(np.int32) - first
    tables = [_table(image.array.dtype.str, low, high) for low, high in ranges]
    stretched = np.stack([table.take(band) for table, band in zip(tables, places, strict=True)])
    mask = np.ma.getmaskarray(image.array)
    stretched[mask] = 0
    image.array = np.ma.MaskedArray(stretched, mask)


@lru_cache(maxsize=128)
def _table(dtype: str, low: float, high: float) -> NDArray[np.uint8]:
    limits = np.iinfo(dtype)
    scaled = linear_rescale(np.arange(limits.min, limits.max + 1), (low, high))
    return np.asarray(scaled).astype(np.uint8)


def _fits_palette(image: ImageData, view: View, colormap: Colormap | None) -> bool:
    return (
        colormap is not None
        and view.add_mask
        and view.rescale is None
        and image.count == 1
        and image.array.dtype == np.uint8
        and len(colormap) < _VALUES
        and all(0 <= value < _VALUES for value in colormap)
    )


def _palette_png(image: ImageData, colormap: Colormap) -> bytes:
    """Return a PNG of as few bits a pixel as its colours need; colour 0 is 'nothing', transparent."""
    place = np.zeros(_VALUES, np.uint8)
    place[list(colormap)] = np.arange(1, len(colormap) + 1)
    pixels = place[image.array.data[0]]
    pixels[np.ma.getmaskarray(image.array)[0]] = 0
    colours = np.array([(0, 0, 0, 0), *colormap.values()], np.uint8)
    picture = Image.fromarray(pixels)
    picture.putpalette(colours[:, :3].tobytes())
    bits = next(bits for bits in (1, 2, 4, 8) if len(colours) <= 2**bits)
    stream = BytesIO()
    picture.save(stream, "PNG", bits=bits, transparency=colours[:, 3].tobytes(), compress_level=_FAST)
    return stream.getvalue()


def _png(image: ImageData, view: View, colormap: Colormap | None) -> bytes:
    """Return what titiler's `render_image` does, with a faster deflate level and no alpha band where all is opaque."""
    if colormap is None and image.array.dtype != np.uint8:
        return bytes(render_image(image, output_format=ImageType.png, add_mask=view.add_mask)[0])
    data, mask = image.data, image.mask
    if colormap is not None:
        data, alpha = apply_cmap(data, colormap)
        mask = np.where(mask != 0, alpha, 0).astype(data.dtype)
    opaque = bool((mask == np.iinfo(mask.dtype).max).all())
    options: dict[str, Any] = {"mask": mask} if view.add_mask and not opaque else {}
    return bytes(render(data, img_format="PNG", zlevel=_FAST, **options))
