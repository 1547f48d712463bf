"""Labels as shapes: their classes, and the faults that must not pass unseen.

A self-crossing polygon has no certain inside, and where polygons of two classes overlap nobody knows which is right.
The first is refused, repaired or left out, as the user chooses; of the second the disputed pixels get no label unless
the user says which polygon wins. Both are reported, with the features' names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import shapely
from shapely import STRtree
from shapely.validation import explain_validity

from terralab.catalog.errors import InvalidLabels
from terralab.datasets.chipping.shape_files import LabelShape
from terralab.datasets.classes import PALETTE, check_classes
from terralab.extensions.ids import slug
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_SHOWN = 5
_LEAST_OVERLAP = 1e-12  # square degrees, about a hundredth of a square metre: neighbours that share a border


class Invalid(StrEnum):
    """What is done with polygons that cross themselves."""

    REFUSE = "refuse"
    REPAIR = "repair"
    DROP = "drop"


class Overlaps(StrEnum):
    """Which label a pixel gets that polygons of several classes cover."""

    UNLABEL = "unlabel"
    FIRST = "first"
    LAST = "last"
    REFUSE = "refuse"


@dataclass(frozen=True)
class CheckedShapes:
    """Shapes that can be used, and what was found amiss.

    Attributes:
        shapes: valid ones with a label.
        warnings: sentences for people.
    """

    shapes: tuple[LabelShape, ...]
    warnings: tuple[str, ...]


def check_shapes(shapes: Sequence[LabelShape], invalid: Invalid, overlaps: Overlaps) -> CheckedShapes:
    """Find labels that cannot be taken as they are.

    Raises:
        InvalidLabels: there are some, and they are to be refused; or none is left.
    """
    warnings = []
    labelled = [shape for shape in shapes if shape.label is not None]
    if len(labelled) < len(shapes):
        without = [shape.name for shape in shapes if shape.label is None]
        warnings.append(f"{_listed(without)}: no label, left out")
    crossing = [shape for shape in labelled if not shape.geometry.is_valid]
    if crossing:
        reasons = [f"{shape.name} ({explain_validity(shape.geometry)})" for shape in crossing]
        if invalid is Invalid.REFUSE:
            raise InvalidLabels(f"polygons that cross themselves: {_listed(reasons)}; repair or drop them")
        done = "repaired" if invalid is Invalid.REPAIR else "left out"
        warnings.append(f"polygons that cross themselves were {done}: {_listed(reasons)}")
        bad = {id(shape) for shape in crossing}
        kept = [shape for shape in labelled if id(shape) not in bad or invalid is Invalid.REPAIR]
        labelled = [replace(shape, geometry=shapely.make_valid(shape.geometry)) for shape in kept]
    if not labelled:
        raise InvalidLabels("no labelled feature is left; see which field has the labels, and name it")
    pairs = overlapping_pairs(labelled)
    if pairs:
        text = _listed([f"{one.name} and {other.name}" for one, other in pairs])
        if overlaps is Overlaps.REFUSE:
            raise InvalidLabels(f"polygons of different classes overlap: {text}; correct them or choose who wins")
        result = {
            Overlaps.UNLABEL: "disputed pixels get no label",
            Overlaps.FIRST: "the first in the file wins",
            Overlaps.LAST: "the last in the file wins",
        }[overlaps]
        warnings.append(f"polygons of different classes overlap ({len(pairs)} pairs): {text}; {result}")
    return CheckedShapes(tuple(labelled), tuple(warnings))


def overlapping_pairs(shapes: Sequence[LabelShape]) -> list[tuple[LabelShape, LabelShape]]:
    """Return the pairs of shapes with different labels that share an area."""
    polygons = [shape for shape in shapes if shape.geometry.area > 0]
    if not polygons:
        return []
    geometries = np.array([shape.geometry for shape in polygons], dtype=object)
    ones, others = STRtree(geometries).query(geometries, predicate="intersects")
    found = []
    for one, other in zip(ones, others, strict=True):
        if one >= other or polygons[one].label == polygons[other].label:
            continue
        if geometries[one].intersection(geometries[other]).area > _LEAST_OVERLAP:
            found.append((polygons[one], polygons[other]))
    return found


def classes_of_labels(
    labels: Sequence[str | float], given: Sequence[ClassDefinition] | None, background: str | None = None
) -> tuple[tuple[ClassDefinition, ...], dict[str | float, int]]:
    """Return the classes, and the class value of each label.

    Args:
        labels: texts or whole numbers.
        given: the classes; None to take the labels found, in order.
        background: name of a further class of value 0 for pixels outside all polygons.

    Raises:
        InvalidLabels: a label is of no class.
    """
    found = sorted(set(labels), key=lambda label: (isinstance(label, str), label))
    classes = list(given) if given else _found_classes(found, background)
    check_classes(classes)
    by_name = {name.lower(): entry.value for entry in classes for name in (entry.name, entry.title or entry.name)}
    values: dict[str | float, int] = {}
    known = {entry.value for entry in classes}
    for label in found:
        value = by_name.get(label.lower()) if isinstance(label, str) else int(label) if label in known else None
        if value is None:
            names = ", ".join(f"{entry.value} {entry.name}" for entry in classes)
            raise InvalidLabels(f"label {label!r} is no class; the classes are {names}; correct it or give --classes")
        values[label] = value
    return tuple(classes), values


def _found_classes(labels: Sequence[str | float], background: str | None) -> list[ClassDefinition]:
    classes = []
    if background is not None:
        classes.append(ClassDefinition(value=0, name=background, color=PALETTE[7]))
    if all(isinstance(label, float) for label in labels):
        wrong = [label for label in labels if label != int(label) or not 0 <= label < MASK_NODATA]
        if wrong:
            shown = _listed([f"{label:g}" for label in wrong])
            raise InvalidLabels(f"labels {shown} are no whole numbers from 0 to 254")
        names = {int(label): f"class_{int(label)}" for label in labels}
        taken = {entry.value for entry in classes}
        names = {value: name for value, name in names.items() if value not in taken}
    else:
        names = dict(enumerate((_name(str(label)) for label in labels), start=len(classes)))
    for value, name in names.items():
        title = next((str(label) for label in labels if isinstance(label, str) and _name(label) == name), None)
        classes.append(
            ClassDefinition(
                value=value, name=name, title=title if title != name else None, color=PALETTE[value % len(PALETTE)]
            )
        )
    return classes


def _name(label: str) -> str:
    try:
        return slug(label)
    except ValueError as error:
        raise InvalidLabels(f"label {label!r} has no letter for a name; give --classes") from error


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
