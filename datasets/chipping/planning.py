"""From labels and scenes to chips: which chips are cut, from what, and what could not be cut and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from shapely.geometry.base import BaseGeometry

from terralab.datasets.chipping.burning import ValuedShape
from terralab.datasets.chipping.global_grid import Cell, GlobalGrid
from terralab.datasets.chipping.places import GridRecipe, cell_at, cells_over
from terralab.datasets.chipping.plan import Acquisition, ChipPlan, FeatureRecipe, ItemKey, TargetPlan
from terralab.datasets.chipping.scenes import DateRecipe, Scene, SceneFinder
from terralab.datasets.chipping.sources import RasterSource
from terralab.datasets.chipping.zones import short_name
from terralab.datasets.grid import chip_windows
from terralab.extensions.ids import digest
from terralab.extensions.item import format_time, parse_time
from terralab.extensions.raster import Grid

_LONGEST_NAME = 100


@dataclass(frozen=True)
class LabelSource:
    """One label: a raster, or a shape.

    Attributes:
        area: what it labels, in degrees.
        time: when it holds, None for always.
        raster: its file, for rasters.
        shape: its value and place, for shapes.
        item: its item in the catalog, where there is one already.
        scene: the scene that it labels, where it says so.
        name: as messages show it.
    """

    area: BaseGeometry
    time: datetime | None
    raster: RasterSource | None = None
    shape: ValuedShape | None = None
    item: ItemKey | None = None
    scene: ItemKey | None = None
    name: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a plan is made for.

    Attributes:
        grid: the global grids; of `scene_grid` only the size counts.
        scene_grid: chips lie on the pixels of the first feature's scene.
        dates: which dates a chip shows.
        features: what is read.
        finders: of each feature's scenes.
        reference: date of labels without one.
        within: chips must share ground with this area; None for everywhere.
        everywhere: chips are cut in all of this area, labelled or not.
    """

    grid: GridRecipe
    scene_grid: bool
    dates: DateRecipe
    features: Sequence[FeatureRecipe]
    finders: Sequence[SceneFinder]
    reference: datetime | None = None
    within: BaseGeometry | None = None
    everywhere: BaseGeometry | None = None


@dataclass
class Plans:
    """The chips to be cut; labels that no chip has, and why.

    Attributes:
        chips: in no order.
        unused: reason → names of labels.
    """

    chips: list[ChipPlan] = field(default_factory=list)
    unused: dict[str, list[str]] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """Return the labels without a chip as sentences."""
        return [
            f"{len(names)} labels are in no chip, {reason}: {', '.join(names[:5])}"
            + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            for reason, names in self.unused.items()
        ]


@dataclass
class _Place:
    """A chip's place with the labels on it."""

    name: str
    grid: Grid
    window: tuple[int, int]
    labels: list[LabelSource]
    scene: Scene | None = None


def plan_chips(labels: Sequence[LabelSource], wanted: Wanted, label_item: ItemKey | None) -> Plans:
    """Plan the chips of a dataset.

    Args:
        labels: all labels.
        wanted: what the dataset is.
        label_item: gives the collection of label items that are still to be made, each called like its scene.
    """
    groups: dict[tuple[object, ...], tuple[_Place, _Dates, list[LabelSource]]] = {}
    for place in _places(labels, wanted):
        outline = _outline(place.grid)
        if wanted.within is not None and not outline.intersects(wanted.within):
            continue
        for (moment, scene), here in _by_time(place, wanted.reference).items():
            dates = _dates_of(wanted, outline, moment, scene, place.scene)
            if dates is not None:
                groups.setdefault((place.name, dates.scenes), (place, dates, []))[2].extend(here)
    plans = Plans()
    used = {id(label) for _, _, here in groups.values() for label in here}
    unused = [label.name for label in labels if id(label) not in used]
    if unused:
        plans.unused["as no scenes show their place at their time"] = unused
    names = Counter(_id_of(place, dates) for place, dates, _ in groups.values())
    for place, dates, here in groups.values():
        name = _id_of(place, dates)
        if names[name] > 1:
            name = f"{name}-{digest([f'{key.collection}/{key.id}' for key in dates.scenes])[:6]}"
        plans.chips.append(_chip(name, place, dates, here, label_item))
    return plans


def _by_time(
    place: _Place, reference: datetime | None
) -> dict[tuple[datetime | None, ItemKey | None], list[LabelSource]]:
    """Return the labels of a place by time and by the scene that they say they label; one entry where none is."""
    groups: dict[tuple[datetime | None, ItemKey | None], list[LabelSource]] = {}
    for label in place.labels:
        groups.setdefault((label.time or reference, label.scene), []).append(label)
    return groups or {(reference, None): []}


@dataclass(frozen=True)
class _Dates:
    """The acquisitions of each feature and date."""

    features: tuple[tuple[tuple[Acquisition, ...], ...], ...]

    @property
    def scenes(self) -> tuple[ItemKey, ...]:
        return tuple(part.item for feature in self.features for date in feature for each in date for part in each.parts)

    @property
    def times(self) -> list[str]:
        """Return the times of the first feature, which label and other features follow."""
        return [date[0].time for date in self.features[0]]

    def period(self) -> tuple[str, str]:
        """Return begin and end of what the dated features show."""
        moments = sorted(parse_time(time) for time in self.times)
        return format_time(moments[0]), format_time(moments[-1])


def _dates_of(
    wanted: Wanted, outline: BaseGeometry, moment: datetime | None, labelled: ItemKey | None, place: Scene | None
) -> "_Dates | None":
    """Return the scenes of all features at a place, None where one has none.

    Args:
        wanted: what the dataset is.
        outline: of the chip.
        moment: when the label holds.
        labelled: the scene that the label is of.
        place: the scene on whose pixels the chip lies.
    """
    recipe = wanted.dates
    only = labelled if any(scene.item == labelled for scene in wanted.finders[0].scenes) else None
    if only is None and place is not None:
        only = place.item
    if only is not None and recipe.count > 1:
        moment = moment or next(scene for scene in wanted.finders[0].scenes if scene.item == only).footprint.start
        only = None
    targets = _targets(wanted, outline, None if only is not None and only == labelled else moment)
    features = []
    for number, (feature, finder) in enumerate(zip(wanted.features, wanted.finders, strict=True)):
        own = targets if feature.dates > 1 else targets[:1]
        found = finder.dates(outline, own, recipe, only if number == 0 else None)
        if found is None:
            return None
        if number == 0:  # other sensors should see what the first one saw, when it saw it
            targets = [parse_time(date[0].time) for date in found]
        features.append(tuple(found[::-1]))  # in the file, from the oldest to the newest
    return _Dates(tuple(features))


def _targets(wanted: Wanted, outline: BaseGeometry, moment: datetime | None) -> list[datetime | None]:
    """Return the wanted dates, the newest first; None where any will do."""
    recipe = wanted.dates
    if moment is None and recipe.count > 1:
        newest = wanted.finders[0].dates(outline, [None], recipe)
        moment = None if newest is None else parse_time(newest[0][0].time)
    if moment is None:
        return [None] * recipe.count
    return [moment - number * recipe.step for number in range(recipe.count)]


def _places(labels: Sequence[LabelSource], wanted: Wanted) -> Iterable[_Place]:
    return _scene_places(labels, wanted) if wanted.scene_grid else _global_places(labels, wanted)


def _global_places(labels: Sequence[LabelSource], wanted: Wanted) -> Iterable[_Place]:
    places: dict[tuple[str, Cell], _Place] = {}

    def place_of(grid: GlobalGrid, cell: Cell) -> _Place:
        known = places.get((grid.crs, cell))
        if known is None:
            name = f"{short_name(grid.crs)}-{grid.name(cell)}"
            window = (grid.top_row(cell), grid.left_column(cell))
            known = places[grid.crs, cell] = _Place(name, grid.grid(cell), window, [])
        return known

    if wanted.everywhere is not None:
        for grid, cell in cells_over(wanted.grid, wanted.everywhere):
            place_of(grid, cell)
    for label in labels:
        point = label.area.geom_type == "Point"
        cells = [cell_at(wanted.grid, label.area.x, label.area.y)] if point else cells_over(wanted.grid, label.area)
        for grid, cell in cells:
            if wanted.everywhere is None or (grid.crs, cell) in places:
                place_of(grid, cell).labels.append(label)
    return places.values()


def _scene_places(labels: Sequence[LabelSource], wanted: Wanted) -> Iterable[_Place]:
    """Yield the windows of the first feature's scenes with the labels that lie on them."""
    for scene in wanted.finders[0].scenes:
        grid = scene.part.rasters[0].grid
        here = [
            label
            for label in labels
            if label.scene in (None, scene.item) and label.area.intersects(scene.footprint.geometry)
        ]
        if not here and wanted.everywhere is None:
            continue
        for window in chip_windows(grid.shape, wanted.grid.size):
            chip = window.grid(grid)
            labelled = [label for label in here if label.area.intersects(_outline(chip))]
            if labelled or (wanted.everywhere is not None and wanted.everywhere.intersects(_outline(chip))):
                name = window.chip_id(scene.item.id[:_LONGEST_NAME])
                yield _Place(name, chip, (window.row, window.column), labelled, scene)


@lru_cache(maxsize=4096)
def _outline(grid: Grid) -> BaseGeometry:
    return grid.footprint(datetime.min.replace(tzinfo=UTC)).geometry


def _id_of(place: _Place, dates: _Dates) -> str:
    moment = parse_time(dates.times[-1])
    return f"{place.name}-{moment:%Y%m%dt%H%M%S}"


def _chip(
    name: str, place: _Place, dates: _Dates, labels: Sequence[LabelSource], label_item: ItemKey | None
) -> ChipPlan:
    start, end = dates.period()
    unique = list({id(label): label for label in labels}.values())
    item = next((label.item for label in unique if label.item is not None), None)
    if item is None:
        assert label_item is not None
        item = ItemKey(label_item.collection, dates.scenes[0].id)
    return ChipPlan(
        name,
        place.grid,
        dates.features,
        TargetPlan(
            tuple(label.raster for label in unique if label.raster is not None),
            tuple(label.shape for label in unique if label.shape is not None),
        ),
        item,
        start,
        end,
        place.window,
    )
