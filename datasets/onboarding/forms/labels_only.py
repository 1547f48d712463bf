"""Labels without imagery: what they are, where and when, and which request would fetch the imagery."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import shapely

from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import date_in_name, parse_period
from terralab.datasets.onboarding.findings import error
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import RASTER_SUFFIXES, VECTOR_SUFFIXES
from terralab.datasets.onboarding.samples import Sample, SampleTable, VectorLabel
from terralab.datasets.onboarding.shape_labels import moved_to
from terralab.datasets.onboarding.vector_files import LONLAT, Layer, read_layer
from terralab.datasets.raster_file import read_facts
from terralab.extensions.chips import Task

FORM = "labels"
_ALLOWANCE = timedelta(days=3)
_DIGITS = 4
_MARGIN = 0.00005  # degrees: the box holds the labels after rounding, too


@dataclass(frozen=True)
class WantedImagery:
    """The imagery that labels need.

    Attributes:
        bbox: west, south, east, north in degrees.
        dates: a day or a range with '/', None where the labels have no date.
    """

    bbox: tuple[float, float, float, float]
    dates: str | None

    def command(self, name: str, modality: str = "S2L2A") -> str:
        """Return the command that fetches it."""
        words = ["terralab", "imagery", "fetch", name, "--modality", modality, "--bbox", *map(str, self.bbox)]
        return f"{shlex.join(words)} --dates {self.dates or 'YYYY-MM-DD/YYYY-MM-DD'}"


def read(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    """Read a folder, or one file, of labels without images; the table says which imagery has to be fetched.

    Raises:
        InvalidInput: there is no label.
    """
    paths = [root / path for path in files] if files else [root]
    vectors = [path for path in paths if path.suffix.lower() in (*VECTOR_SUFFIXES, ".json", ".parquet")]
    rasters = [path for path in paths if path.suffix.lower() in RASTER_SUFFIXES]
    if not vectors and not rasters:
        raise InvalidInput(f"{root.name}: has neither images nor labels (GeoJSON, GeoPackage, GeoParquet, GeoTIFF)")
    wanted = wanted_imagery(vectors, rasters, hints)
    label = VectorLabel(tuple(vectors))
    samples = tuple(Sample(path.stem, {}, label) for path in (vectors or rasters))
    table = SampleTable(FORM, root, samples, (), hints.task or Task.SEGMENTATION)
    name = root.stem.lower().replace(" ", "-") or "area"
    return table.noting(
        error("no_imagery", f"{root.name}: labels without images; fetch imagery of their place and time first:"
              f" {wanted.command(name)}; then make chips of both with `terralab datasets make`")
    )  # fmt: skip


def wanted_imagery(vectors: Sequence[Path], rasters: Sequence[Path], hints: Hints) -> WantedImagery:
    """Return where and when labels are."""
    layers = {path: read_layer(path, hints.limits) for path in vectors}
    bounds = [shapely.total_bounds(moved_to(LONLAT, layer)) for layer in layers.values()]
    now = datetime.now(UTC)
    bounds += [read_facts(path).grid.footprint(now).geometry.bounds for path in rasters]
    west, south = (min(float(box[place]) for box in bounds) for place in (0, 1))
    east, north = (max(float(box[place]) for box in bounds) for place in (2, 3))
    times = [moment for path, layer in layers.items() for moment in _times(path, layer)]
    times += [moment for path in rasters if (moment := date_in_name(path.stem))]
    bbox = (_down(west), _down(south), _up(east), _up(north))
    return WantedImagery(bbox, _range(times))


def _times(path: Path, layer: Layer) -> list[datetime]:
    found = []
    for text in layer.dates:
        try:
            found.append(parse_period(text)[0])
        except InvalidInput:
            continue  # a field called `date` may hold anything
    named = date_in_name(path.stem)
    return found or ([named] if named else [])


def _range(times: Sequence[datetime]) -> str | None:
    if not times:
        return None
    return f"{min(times) - _ALLOWANCE:%Y-%m-%d}/{max(times) + _ALLOWANCE:%Y-%m-%d}"


def _down(value: float) -> float:
    return round(value - _MARGIN, _DIGITS)


def _up(value: float) -> float:
    return round(value + _MARGIN, _DIGITS)
