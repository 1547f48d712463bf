"""Cutting a scene and its mask into chips, each pixel read once.

The scene comes strip by strip; as soon as a row of chips is complete, its chips are measured and compressed by a few
threads (outside Python's lock) while the next strip is read, and stored many at once. The edge remainder is padded:
the image with nodata, the mask with 255. A chip whose image has no valid pixel at all is left out and counted. A mask
is the label as given: a labelled pixel keeps its label also where the image has no data.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.store import Store
from terralab.datasets.chip_storing import CHIP_ALGORITHM, in_threads, stored_chips
from terralab.datasets.cog import encode_chip
from terralab.datasets.grid import ChipWindow, chip_windows
from terralab.datasets.raster_file import open_raster, strips, valid_pixels
from terralab.datasets.statistics import BandSums
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, Grid

_WAITING_ROWS = 4


@dataclass(frozen=True)
class ChipRecipe:
    """What all chips of a dataset have in common.

    Attributes:
        size: rows and columns, pixels; a multiple of 16.
        bands: names of the image's bands.
        data_type: numpy's name of the image's pixel type.
        source_nodata: the scenes' value of pixels without data, if any.
        nodata: the chips' own, if any.
        padding: fills the image beyond the scene's edge.
        classes: classes of the mask.
    """

    size: int
    bands: tuple[str, ...]
    data_type: str
    source_nodata: float | None
    nodata: float | None
    padding: float
    classes: tuple[ClassDefinition, ...]


@dataclass(frozen=True)
class Chip:
    """A stored chip.

    Attributes:
        id: item id.
        window: its place in the scene.
        grid: its own grid.
        image: the stored image.
        mask: the stored mask.
        bands: sums over the valid pixels of each band.
        class_counts: labelled pixels by class name.
        valid_share: share (0 … 1) of pixels with data in every band.
    """

    id: str
    window: ChipWindow
    grid: Grid
    image: StoredFile
    mask: StoredFile
    bands: tuple[BandSums, ...]
    class_counts: dict[str, int]
    valid_share: float

    def band_records(self, recipe: ChipRecipe) -> list[BandRecord]:
        """Return the bands as STAC describes them."""
        return [
            BandRecord(name, recipe.data_type, recipe.nodata, sums.statistics())
            for name, sums in zip(recipe.bands, self.bands, strict=True)
        ]


@dataclass(frozen=True)
class _Part:
    """The pixels of one chip that lie in the scene: image (bands, height, width), mask (height, width) uint8."""

    window: ChipWindow
    image: NDArray[Any]
    mask: NDArray[np.uint8]


def cut_chips(
    store: Store,
    recipe: ChipRecipe,
    *,
    scene_id: str,
    scene_grid: Grid,
    image: Path,
    mask: Path,
    on_chip: Callable[[], object] = lambda: None,
) -> tuple[list[Chip], int]:
    """Cut, measure and store the chips of one scene.

    Args:
        store: takes the chips' bytes.
        recipe: what all chips have in common.
        scene_id: begin of the chips' ids.
        scene_grid: the scene's grid.
        image: the scene's COG.
        mask: the label's COG, uint8 with 255 where there is no label, on the same grid.
        on_chip: called after each window.

    Returns:
        The chips, row by row, and the number of windows without a valid pixel.
    """
    with store.scratch() as folder, open_raster(image) as image_file, open_raster(mask) as mask_file:

        def make(part: _Part) -> _Unstored | None:
            return _make_chip(folder, recipe, scene_id, scene_grid, part)

        parts = _parts(image_file, mask_file, scene_grid.shape, recipe.size)
        made = in_threads(make, parts, ahead=_WAITING_ROWS * (scene_grid.shape[1] // recipe.size + 1))
        chips: list[Chip] = []
        windows = 0
        for cut, files in stored_chips(store, ((one, [] if one is None else one.files) for one in made)):
            windows += 1
            on_chip()
            if cut is not None:
                chips.append(cut.stored(*files))
    return chips, windows - len(chips)


def padded(part: NDArray[Any], size: int, fill: float) -> NDArray[Any]:
    """Return `part` (…, height, width) in the upper left of an array (…, size, size) of `fill`."""
    if part.shape[-2:] == (size, size):
        return part
    whole = np.full((*part.shape[:-2], size, size), fill, part.dtype)
    whole[..., : part.shape[-2], : part.shape[-1]] = part
    return whole


def chip_rows(pieces: Iterable[tuple[int, NDArray[Any]]], size: int) -> Iterator[NDArray[Any]]:
    """Turn strips (bands, rows, columns) of any heights into strips of `size` rows; the last may have fewer."""
    held: NDArray[Any] | None = None
    for _, pixels in pieces:
        held = pixels if held is None else np.concatenate([held, pixels], axis=1)
        while held.shape[1] >= size:
            yield held[:, :size]
            held = held[:, size:]
    if held is not None and held.shape[1]:
        yield held


def _parts(image_file: Any, mask_file: Any, shape: tuple[int, int], size: int) -> Iterator[_Part]:
    windows = chip_windows(shape, size)
    across = -(-shape[1] // size)
    images = chip_rows(strips(image_file, image_file.name), size)
    masks = chip_rows(strips(mask_file, mask_file.name), size)
    for image, mask in zip(images, masks, strict=True):
        for _ in range(across):
            window = next(windows)
            columns = slice(window.column, window.column + window.width)
            yield _Part(window, image[:, :, columns], mask[0, :, columns])


@dataclass(frozen=True)
class _Unstored:
    """A chip whose files still lie in the scratch folder."""

    files: tuple[tuple[Path, str], tuple[Path, str]]
    stored: Callable[[StoredFile, StoredFile], Chip]


def _make_chip(folder: Path, recipe: ChipRecipe, scene_id: str, scene_grid: Grid, part: _Part) -> _Unstored | None:
    valid = valid_pixels(part.image, recipe.source_nodata)
    if not valid.any():
        return None
    grid, id = part.window.grid(scene_grid), part.window.chip_id(scene_id)
    mask = padded(part.mask[np.newaxis], recipe.size, MASK_NODATA)
    content = encode_chip(padded(part.image, recipe.size, recipe.padding), grid, recipe.nodata, recipe.bands)
    image_path, mask_path = folder / f"{id}.tif", folder / f"{id}_mask.tif"
    image_path.write_bytes(content)
    mask_path.write_bytes(encode_chip(mask, grid, MASK_NODATA, ["mask"]))
    sums, counts = tuple(part_sums(part.image, valid, recipe.size)), count_classes(mask, recipe.classes)
    share = float(valid.all(axis=0).sum()) / recipe.size**2

    def chip(image: StoredFile, label: StoredFile) -> Chip:
        return Chip(id, part.window, grid, image, label, sums, counts, share)

    return _Unstored(((image_path, image_path.name), (mask_path, mask_path.name)), chip)


def count_classes(mask: NDArray[np.uint8], classes: Sequence[ClassDefinition]) -> dict[str, int]:
    """Return the number of pixels of each class by its name."""
    counted = np.bincount(mask.ravel(), minlength=MASK_NODATA + 1)
    return {entry.name: int(counted[entry.value]) for entry in classes}


def part_sums(image: NDArray[Any], valid: NDArray[np.bool_], size: int) -> Iterator[BandSums]:
    """Yield the sums of each band of a part of a chip (bands, height, width); padding counts as pixels without data."""
    beyond = size * size - image.shape[1] * image.shape[2]
    for band, usable in zip(image, valid, strict=True):
        sums = BandSums.of_pixels(band, usable)
        yield BandSums.pooled([sums, BandSums(pixels=beyond)]) if beyond else sums


def put_chip(store: Store, path: Path, content: bytes) -> StoredFile:
    """Store a chip's file, by the checksum that DVC wants."""
    path.write_bytes(content)
    return store.put(path, algorithm=CHIP_ALGORITHM)
