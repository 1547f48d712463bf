"""What is to be cut: for every chip its place, the scenes of each date and modality, and its label."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from terralab.datasets.chipping.burning import ValuedShape
from terralab.datasets.chipping.cleaning import Cleaning
from terralab.datasets.chipping.composites import Composite
from terralab.datasets.chipping.label_shapes import Overlaps
from terralab.datasets.chipping.pixel_masks import PixelMask
from terralab.datasets.chipping.sources import RasterSource, Resampling
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition, Grid


@dataclass(frozen=True)
class FeatureRecipe:
    """What one modality is in all chips of a dataset.

    Attributes:
        key: of its asset.
        modality: name for people; None where there is only one.
        bands: names of the bands of one date.
        data_type: numpy's name of the pixel type.
        fill: value of pixels without data.
        dates: how many dates its file has, one after the other.
        resampling: how pixels of another grid are taken.
        composite: how several acquisitions become one image; None to take one.
        mask: which pixels count as without data.
    """

    key: str
    modality: str | None
    bands: tuple[str, ...]
    data_type: str
    fill: float
    dates: int = 1
    resampling: Resampling = Resampling.AUTO
    composite: Composite | None = None
    mask: PixelMask | None = None

    @property
    def file_bands(self) -> tuple[str, ...]:
        """Return the names of the bands in the file: `B02_t0`, … where there are several dates."""
        if self.dates == 1:
            return self.bands
        return tuple(f"{band}_t{number}" for number in range(self.dates) for band in self.bands)


@dataclass(frozen=True)
class TargetRecipe:
    """What the label is in all chips of a dataset.

    Attributes:
        task: what is learnt.
        classes: of masks, labels and boxes; empty for regression.
        all_touched: polygons take every pixel that they touch.
        overlaps: who wins a disputed pixel.
        background: class value outside of all polygons.
        radius: pixels around a point that take its label.
        least_share: smallest share of the labelled pixels by which a class is a label of the chip (multilabel).
        resampling: of a raster of numbers.
    """

    task: Task
    classes: tuple[ClassDefinition, ...] = ()
    all_touched: bool = False
    overlaps: Overlaps = Overlaps.UNLABEL
    background: int | None = None
    radius: int = 0
    least_share: float = 0.0
    resampling: Resampling = Resampling.AUTO


@dataclass(frozen=True)
class Recipe:
    """What all chips of a dataset have in common."""

    size: int
    features: tuple[FeatureRecipe, ...]
    target: TargetRecipe
    cleaning: Cleaning = field(default_factory=Cleaning)


@dataclass(frozen=True)
class ItemKey:
    """An item of the catalog: its collection and id."""

    collection: str
    id: str


@dataclass(frozen=True)
class ScenePart:
    """One scene of an acquisition: rasters whose bands follow one another, and one that says what is clouded."""

    item: ItemKey
    rasters: tuple[RasterSource, ...]
    quality: RasterSource | None = None


@dataclass(frozen=True)
class Acquisition:
    """Scenes of one pass, in the order in which they fill a chip, and its time (RFC 3339)."""

    time: str
    parts: tuple[ScenePart, ...]


@dataclass(frozen=True)
class TargetPlan:
    """Where the label of a chip comes from: rasters in the order in which they fill it, or shapes."""

    rasters: tuple[RasterSource, ...] = ()
    shapes: tuple[ValuedShape, ...] = ()


@dataclass(frozen=True)
class ChipPlan:
    """One chip to be cut.

    Attributes:
        id: item id.
        grid: where its pixels lie.
        dates: for each feature its dates, for each date its acquisitions (one, or those of a composite).
        target: its label.
        label: item of the label.
        start: begin of the time that it shows (RFC 3339).
        end: end of it.
        window: row and column of its upper left pixel in its scene or in the global grid.
        params: further facts of how it was made.
    """

    id: str
    grid: Grid
    dates: tuple[tuple[tuple[Acquisition, ...], ...], ...]
    target: TargetPlan
    label: ItemKey
    start: str
    end: str
    window: tuple[int, int]
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def scenes(self) -> list[ItemKey]:
        """Return the items that the features are cut from, the first feature's first, each once."""
        found = [
            part.item
            for feature in self.dates
            for date in feature
            for acquisition in date
            for part in acquisition.parts
        ]
        return list(dict.fromkeys(found))
