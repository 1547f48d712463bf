"""Whether two rasters lie on the same grid, and what is said where they do not."""

from terralab.catalog.errors import GridMismatch
from terralab.datasets.raster_file import RasterFacts
from terralab.extensions.raster import Grid

_PIXEL_TOLERANCE = 1e-3
_RESAMPLE = "resample the label to the image's grid with nearest neighbour"


def check_same_grid(image: RasterFacts, label: RasterFacts) -> None:
    """Check that an image and its label have the same size, coordinate system and transform.

    Raises:
        GridMismatch: they do not; the message has both values.
    """
    one, other = image.grid, label.grid
    both = f"{image.name} and {label.name} differ in"
    if one.shape != other.shape:
        raise GridMismatch(f"{both} size: {_size(one)} and {_size(other)} pixels; {_RESAMPLE}")
    if one.crs != other.crs:
        raise GridMismatch(f"{both} coordinate system: {one.crs[:60]} and {other.crs[:60]}; {_RESAMPLE}")
    pixel = min(abs(one.transform[0]), abs(one.transform[4]))
    rows, columns = one.shape
    shifts = [abs(a - b) for a, b in zip(one.transform, other.transform, strict=True)]
    shift = max(shifts[2], shifts[5], columns * shifts[0], rows * shifts[4])
    if shift > _PIXEL_TOLERANCE * pixel:
        raise GridMismatch(
            f"{both} position by {shift / pixel:.3g} pixels: transforms {one.transform} and {other.transform};"
            f" {_RESAMPLE}"
        )


def _size(grid: Grid) -> str:
    return f"{grid.shape[1]} x {grid.shape[0]}"
