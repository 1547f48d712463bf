"""Looking through labels that are no pixels: classes of samples as a whole, and boxes of objects."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from terralab.catalog.errors import InvalidLabels
from terralab.datasets.classes import PALETTE
from terralab.datasets.onboarding.findings import Finding, error, warning
from terralab.datasets.onboarding.plan import BoxesPlan, NamesPlan
from terralab.datasets.onboarding.samples import Box, BoxLabel, NameLabel
from terralab.datasets.raster_file import RasterFacts
from terralab.extensions.ids import slug
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_SHOWN = 5


def check_names(
    labels: Mapping[str, NameLabel], several: bool, classes: Sequence[ClassDefinition] | None, found: list[Finding]
) -> tuple[dict[str, NamesPlan], tuple[ClassDefinition, ...]]:
    """Check classes of samples as a whole.

    Args:
        labels: by sample name.
        several: whether a sample may have more than one.
        classes: the classes; None to take every name that occurs.
        found: takes the findings.

    Returns:
        Plans by sample name, and the classes.
    """
    defined, ids = _classes((name for label in labels.values() for name in label.names), classes, found)
    plans = {}
    for sample, label in labels.items():
        unknown = [name for name in label.names if name not in ids]
        if unknown:
            continue  # `_classes` has told it
        if not several and len(label.names) != 1:
            text = f"{sample}: has {len(label.names)} classes; one is needed, or --task multilabel"
            found.append(error("values", text, InvalidLabels))
            continue
        plans[sample] = NamesPlan(tuple(dict.fromkeys(ids[name] for name in label.names)), label.path)
    return plans, defined


def check_boxes(
    labels: Mapping[str, BoxLabel],
    images: Mapping[str, RasterFacts],
    classes: Sequence[ClassDefinition] | None,
    found: list[Finding],
) -> tuple[dict[str, BoxesPlan], tuple[ClassDefinition, ...]]:
    """Check boxes of objects; the arguments are those of `check_names`, with the headers of the images."""
    defined, ids = _classes((box.name for label in labels.values() for box in label.boxes), classes, found)
    plans = {}
    for sample, label in labels.items():
        if sample in images:
            boxes = tuple(box for box in label.boxes if _fits(box, sample, images[sample], found))
            known = tuple(Box(ids[box.name], box.pixels) for box in boxes if box.name in ids)
            plans[sample] = BoxesPlan(known, label.path)
    return plans, defined


def _fits(box: Box, sample: str, image: RasterFacts, found: list[Finding]) -> bool:
    rows, columns = image.grid.shape
    left, top, right, bottom = box.pixels
    if not (left < right and top < bottom):
        text = f"{sample}: a box of {box.name!r} has no area ({left:g}, {top:g}, {right:g}, {bottom:g}); correct it"
        found.append(error("box", text, InvalidLabels))
        return False
    if right <= 0 or bottom <= 0 or left >= columns or top >= rows:
        text = (
            f"{sample}: a box of {box.name!r} ({left:g}, {top:g}, {right:g}, {bottom:g}) lies outside its image of"
            f" {columns} x {rows} pixels; correct or drop it"
        )
        found.append(error("outside", text, InvalidLabels))
        return False
    if left < 0 or top < 0 or right > columns or bottom > rows:
        found.append(warning("box", f"{sample}: a box of {box.name!r} reaches beyond its image and is cut at the edge"))
    return True


def _classes(
    names: Iterable[str], given: Sequence[ClassDefinition] | None, found: list[Finding]
) -> tuple[tuple[ClassDefinition, ...], dict[str, str]]:
    """Return the classes, and the class name that each written name stands for."""
    counted = Counter(names)
    if given:
        ids = {str(entry.value): entry.name for entry in given}
        ids |= {str(entry.title): entry.name for entry in given if entry.title} | {
            entry.name: entry.name for entry in given
        }
        wrong = [name for name in counted if name not in ids]
        if wrong:
            known = ", ".join(entry.name for entry in given)
            text = f"classes {', '.join(sorted(wrong)[:_SHOWN])} are none of the given: {known}"
            found.append(error("values", text, InvalidLabels))
        return tuple(given), ids
    written = sorted(counted)
    if len(written) > MASK_NODATA:
        found.append(
            error("values", f"there are {len(written)} classes; at most {MASK_NODATA} are taken", InvalidLabels)
        )
        return (), {}
    ids = {name: _id(name, place) for place, name in enumerate(written)}
    by_id: dict[str, str] = {}
    for name, id in ids.items():
        if by_id.setdefault(id, name) != name:
            text = f"the classes {by_id[id]!r} and {name!r} give the same name {id!r}; rename one"
            found.append(error("values", text, InvalidLabels))
            return (), {}
    return tuple(
        ClassDefinition(value=place, name=ids[name], title=name, color=PALETTE[place % len(PALETTE)])
        for place, name in enumerate(written)
    ), ids


def _id(name: str, place: int) -> str:
    try:
        return slug(name).replace("-", "_")
    except ValueError:  # a name in another alphabet keeps its title
        return f"class_{place}"
