"""Looking through outlines: whether they are valid, what their classes are, and which of them lie on which image."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidLabels, LabError
from terralab.datasets.classes import PALETTE
from terralab.datasets.onboarding.choices import Choices
from terralab.datasets.onboarding.findings import Finding, error, note, warning
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.plan import ShapesPlan
from terralab.datasets.onboarding.samples import Shape, VectorLabel
from terralab.datasets.onboarding.vector_files import LONLAT, Layer, read_layer
from terralab.datasets.raster_file import RasterFacts
from terralab.extensions.ids import slug
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_SHOWN = 3
_LEAST_OVERLAP = 1e-3
"""Share of the smaller outline; neighbours drawn along the same line overlap by less."""

_Numbers = Mapping[str | int, int]


def check_shapes(
    labels: Mapping[str, VectorLabel],
    images: Mapping[str, RasterFacts],
    classes: Sequence[ClassDefinition] | None,
    choices: Choices,
    limits: Limits,
    found: list[Finding],
) -> tuple[dict[str, ShapesPlan], tuple[ClassDefinition, ...]]:
    """Read outlines and put them on the images.

    Args:
        labels: files of outlines by sample name.
        images: header of the image by sample name; samples without one are left out.
        classes: the classes; None to take those of the outlines.
        choices: what the user says.
        limits: how large the files may be.
        found: takes the findings.

    Returns:
        Plans by sample name, and the classes.
    """
    layers = _layers(labels, choices, limits, found)
    _check_names(layers, found)
    defined, numbers = _classes(layers, classes, choices, found)
    plans: dict[str, ShapesPlan] = {}
    used: set[str] = set()
    moved = _Moved(layers)
    for name, label in labels.items():
        if name in images:
            plan = _on_image(images[name], label.paths, moved, numbers, choices, used)
            if not plan.shapes and plan.background is None:
                found.append(warning("no_label", f"{images[name].name}: no outline lies on it; it has no label at all"))
            plans[name] = plan
    if images:
        _check_used(layers, used, found)
    return plans, defined


def _layers(
    labels: Mapping[str, VectorLabel], choices: Choices, limits: Limits, found: list[Finding]
) -> dict[Path, Layer]:
    layers = {}
    for path in dict.fromkeys(path for label in labels.values() for path in label.paths):
        try:
            layer = read_layer(path, limits, choices.class_field)
        except LabError as problem:
            found.append(error("unreadable", str(problem), type(problem)))
            continue
        layer = _checked(layer, path, choices, found)
        _check_overlaps(layer, choices, found)
        layers[path] = layer
    return layers


def _checked(layer: Layer, path: Path, choices: Choices, found: list[Finding]) -> Layer:
    """Return the layer with valid outlines, the crossing ones mended where that was asked for."""
    shapes, crossing = [], []
    for shape in layer.shapes:
        geometry = shape.geometry
        if geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
            found.append(error("geometry", f"{shape.where}: its outline is empty or has no numbers", InvalidLabels))
            continue
        if not geometry.is_valid:
            crossing.append(shape)
            geometry = shapely.make_valid(geometry)
        shapes.append(Shape(geometry, shape.value, shape.name, shape.where))
    if crossing:
        shown = "; ".join(f"{shape.where}: {shapely.is_valid_reason(shape.geometry)}" for shape in crossing[:_SHOWN])
        text = f"{len(crossing)} outlines cross themselves or are otherwise invalid ({shown})"
        found.append(
            warning("crossing", f"{text}; they were made valid")
            if choices.repair
            else error("crossing", f"{text}; correct them, or give --repair to have them made valid", InvalidLabels)
        )
    bounds = shapely.total_bounds([shape.geometry for shape in shapes]) if shapes else np.zeros(4)
    if layer.crs == LONLAT and (np.abs(bounds[[0, 2]]).max() > 360 or np.abs(bounds[[1, 3]]).max() > 90):
        found.append(
            error(
                "crs",
                f"{path.name}: its coordinates ({bounds[0]:.0f}, {bounds[1]:.0f} …) are no degrees, and"
                " it names no coordinate system; export it in EPSG:4326 or with its `crs`",
                InvalidLabels,
            )
        )
    return Layer(layer.crs, tuple(shapes), layer.dates)


def _check_overlaps(layer: Layer, choices: Choices, found: list[Finding]) -> None:
    """Look for outlines of different classes on the same ground."""
    geometries = np.array([shape.geometry for shape in layer.shapes])
    first, second = shapely.STRtree(geometries).query(geometries, predicate="intersects")
    pairs = []
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        if one < other and layer.shapes[one].value != layer.shapes[other].value:
            shared = geometries[one].intersection(geometries[other]).area
            smaller = min(geometries[one].area, geometries[other].area)
            if smaller and shared > _LEAST_OVERLAP * smaller:
                pairs.append((one, other, shared / smaller))
    if not pairs:
        return
    shown = "; ".join(
        f"{layer.shapes[one].where} ({layer.shapes[one].value}) and {layer.shapes[other].where}"
        f" ({layer.shapes[other].value}) by {100 * share:.0f} %"
        for one, other, share in pairs[:_SHOWN]
    )
    text = f"{len(pairs)} pairs of outlines of different classes overlap: {shown}"
    if choices.overlaps == "refuse":
        found.append(
            error(
                "overlap", f"{text}; correct them, or give --overlaps last (or first) to say which wins", InvalidLabels
            )
        )
    else:
        found.append(warning("overlap", f"{text}; the {choices.overlaps} wins"))


def _check_names(layers: Mapping[Path, Layer], found: list[Finding]) -> None:
    """Look for a class that has another number in another file, or a number with another name."""
    by_name: dict[str, tuple[int, str]] = {}
    by_value: dict[int, tuple[str, str]] = {}
    for path, layer in layers.items():
        for value, name in sorted({(s.value, s.name) for s in layer.shapes if isinstance(s.value, int) and s.name}):
            number, where = by_name.setdefault(name, (value, path.name))
            other, there = by_value.setdefault(value, (name, path.name))
            if number != value:
                text = f"{path.name}: class {name!r} has the number {value}, in {where} it has {number}"
            elif other != name:
                text = f"{path.name}: the number {value} is {name!r}, in {there} it is {other!r}"
            else:
                continue
            found.append(error("renumbered", f"{text}; number the classes alike in all files", InvalidLabels))


def _classes(
    layers: Mapping[Path, Layer], given: Sequence[ClassDefinition] | None, choices: Choices, found: list[Finding]
) -> tuple[tuple[ClassDefinition, ...], _Numbers]:
    """Return the classes, and the number of each value that outlines have."""
    shapes = [shape for layer in layers.values() for shape in layer.shapes]
    values = sorted({shape.value for shape in shapes}, key=lambda value: (isinstance(value, str), value))
    if given:
        return tuple(given), _given_numbers(values, given, found)
    free = (number for number in range(1 if choices.background else 0, MASK_NODATA) if number not in values)
    numbers = {value: value if isinstance(value, int) else next(free, MASK_NODATA) for value in values}
    wrong = [str(number) for number in numbers.values() if not 0 <= number < MASK_NODATA]
    if wrong:
        text = f"outlines have the class values {', '.join(wrong[:5])}; values are 0 to 254"
        found.append(error("values", text, InvalidLabels))
        return (), {}
    if choices.background and 0 in numbers.values():
        text = "outlines have the class 0, which would be the background; leave --background out"
        found.append(error("values", text, InvalidLabels))
    titles = {shape.value: shape.name for shape in shapes if shape.name}
    entries = {number: str(titles.get(value) or f"class_{value}") for value, number in numbers.items()}
    if choices.background:
        entries[0] = choices.background
    return tuple(_definition(number, entries[number], place) for place, number in enumerate(sorted(entries))), numbers


def _given_numbers(
    values: Sequence[str | int], given: Sequence[ClassDefinition], found: list[Finding]
) -> dict[str | int, int]:
    names = {entry.name: entry.value for entry in given} | {str(entry.title): entry.value for entry in given}
    known = {entry.value for entry in given}
    numbers = {value: names.get(value, -1) if isinstance(value, str) else value for value in values}
    wrong = [str(value) for value, number in numbers.items() if number not in known]
    if wrong:
        text = f"outlines have the classes {', '.join(wrong[:5])}, not among {', '.join(entry.name for entry in given)}"
        found.append(error("values", text, InvalidLabels))
    return {value: number for value, number in numbers.items() if number in known}


def _definition(value: int, title: str, place: int) -> ClassDefinition:
    try:
        name = slug(title).replace("-", "_")
    except ValueError:  # a name in another alphabet keeps its title
        name = f"class_{value}"
    return ClassDefinition(value=value, name=name, title=title, color=PALETTE[place % len(PALETTE)])


def _on_image(
    image: RasterFacts,
    paths: Sequence[Path],
    layers: "_Moved",
    numbers: _Numbers,
    choices: Choices,
    used: set[str],
) -> ShapesPlan:
    """Return the outlines that reach an image, in its coordinate system."""
    a, _, left, _, e, top = image.grid.transform
    rows, columns = image.grid.shape
    frame = shapely.box(left, top + e * rows, left + a * columns, top)
    drawn: list[tuple[BaseGeometry, int]] = []
    for path in paths:
        for shape, geometry in layers.within(path, image.grid.crs, frame):
            if shape.value in numbers:
                used.add(shape.where)
                drawn.append((geometry, numbers[shape.value]))
    if choices.overlaps == "first":
        drawn.reverse()
    return ShapesPlan(tuple(paths), tuple(drawn), 0 if choices.background else None, choices.all_touched)


class _Moved:
    """Layers in the coordinate systems of the images, each moved once."""

    def __init__(self, layers: Mapping[Path, Layer]) -> None:
        self._layers = layers
        self._trees: dict[tuple[Path, str], shapely.STRtree] = {}

    def within(self, path: Path, crs: str, frame: BaseGeometry) -> list[tuple[Shape, BaseGeometry]]:
        """Return the outlines of a file that reach a frame, in the frame's coordinate system, in the file's order."""
        layer = self._layers.get(path)
        if layer is None:
            return []
        if (path, crs) not in self._trees:
            self._trees[path, crs] = shapely.STRtree(moved_to(crs, layer))
        tree = self._trees[path, crs]
        places = sorted(tree.query(frame, predicate="intersects").tolist())
        return [(layer.shapes[place], tree.geometries[place]) for place in places]


def moved_to(crs: str, layer: Layer) -> list[BaseGeometry]:
    """Return the outlines of a layer in another coordinate system."""
    move = Transformer.from_crs(layer.crs, crs, always_xy=True).transform
    return [shapely.transform(shape.geometry, lambda xy: np.column_stack(move(*xy.T))) for shape in layer.shapes]


def _check_used(layers: Mapping[Path, Layer], used: set[str], found: list[Finding]) -> None:
    """Tell outlines that lie on no image."""
    outside: dict[Path, list[Shape]] = defaultdict(list)
    for path, layer in layers.items():
        outside[path] = [shape for shape in layer.shapes if shape.where not in used]
    for path, shapes in outside.items():
        if not shapes:
            continue
        classes = ", ".join(
            f"{count} {name}" for name, count in Counter(str(s.value) for s in shapes).most_common(_SHOWN)
        )
        if len(shapes) == len(layers[path].shapes):
            text = f"{path.name}: none of its {len(shapes)} outlines lies on an image; look at its coordinate system"
            found.append(error("outside", text, InvalidLabels))
        else:
            text = f"{path.name}: {len(shapes)} of {len(layers[path].shapes)} outlines lie on no image ({classes})"
            found.append(warning("outside", text))
    points = sum(shape.geometry.area == 0 for layer in layers.values() for shape in layer.shapes)
    if points:
        found.append(note("points", f"{points} labels are points or lines; each takes the pixels that it lies on"))
