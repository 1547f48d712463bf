"""Looking through label rasters: class values, or the numbers of a regression."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terralab.catalog.errors import GridMismatch, InvalidLabels, LabError
from terralab.datasets.classes import found_classes
from terralab.datasets.onboarding.findings import Finding, error, warning
from terralab.datasets.onboarding.plan import MaskPlan, NumbersPlan
from terralab.datasets.pixel_scan import label_values
from terralab.datasets.raster_file import RasterFacts, open_raster, read_facts, strips, valid_pixels
from terralab.datasets.same_grid import check_same_grid
from terralab.datasets.scan import SHOWN_VALUES, label_nodata
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_MANY_CLASSES = 100
Colors = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class _ReadMask:
    facts: RasterFacts
    unlabelled: tuple[float, ...]
    values: Counter[Any]
    colors: Colors


def check_masks(
    paths: Mapping[str, Path],
    images: Mapping[str, RasterFacts],
    classes: Sequence[ClassDefinition] | None,
    unlabelled: Sequence[int],
    found: list[Finding],
    on_file: Callable[[Path], None],
) -> tuple[dict[str, MaskPlan], tuple[ClassDefinition, ...]]:
    """Read masks of class values.

    Args:
        paths: mask by sample name.
        images: header of the image by sample name; samples without one are left out.
        classes: the classes; None to take every value that occurs.
        unlabelled: values that mean "no label", besides the files' own nodata.
        found: takes the findings.
        on_file: told of each file that was read.

    Returns:
        Plans by sample name, and the classes.
    """
    read = {}
    for name, path in paths.items():
        if name in images and (mask := _read(path, images[name], unlabelled, found)):
            read[name] = mask
        on_file(path)
    defined = tuple(classes) if classes else _classes_of(read.values())
    for mask in read.values():
        _check_values(mask, defined, found)
    _check_numbering(list(read.values()), found)
    if classes is None and len(defined) > _MANY_CLASSES:
        found.append(warning("many_classes", f"the labels have {len(defined)} values; where they are numbers,"
                             " not classes, give --task regression"))  # fmt: skip
    return {name: MaskPlan(mask.facts, mask.unlabelled) for name, mask in read.items()}, defined


def check_numbers(
    paths: Mapping[str, Path],
    images: Mapping[str, RasterFacts],
    unlabelled: Sequence[int],
    found: list[Finding],
    on_file: Callable[[Path], None],
) -> dict[str, NumbersPlan]:
    """Read rasters of numbers; the arguments are those of `check_masks`."""
    plans = {}
    for name, path in paths.items():
        if name in images:
            facts = _header(path, images[name], "of numbers", found)
            if facts is not None:
                nodata = facts.nodata if facts.nodata is not None else next(iter(map(float, unlabelled)), None)
                _check_any(facts, nodata, found)
                plans[name] = NumbersPlan(facts, nodata)
        on_file(path)
    return plans


def _header(path: Path, image: RasterFacts, what: str, found: list[Finding]) -> RasterFacts | None:
    try:
        facts = read_facts(path)
        if facts.count != 1:
            raise InvalidLabels(f"{facts.name}: has {facts.count} bands; a label has one band {what}")
        check_same_grid(image, facts)
    except GridMismatch as problem:
        found.append(error("grid", str(problem), GridMismatch))
        return None
    except LabError as problem:
        found.append(error("unreadable", str(problem), type(problem)))
        return None
    return facts


def _read(path: Path, image: RasterFacts, unlabelled: Sequence[int], found: list[Finding]) -> _ReadMask | None:
    facts = _header(path, image, "of class values", found)
    if facts is None:
        return None
    nodata = label_nodata(facts)
    try:
        counted = label_values(facts, nodata)
    except LabError as problem:
        found.append(error("no_label", str(problem), type(problem)))
        return None
    values = Counter({value: count for value, count in counted.items() if value not in unlabelled})
    if not values:
        found.append(
            error("no_label", f"{facts.name}: every pixel is without a label; leave the file out", InvalidLabels)
        )
        return None
    none = tuple(float(value) for value in ([] if nodata is None else [nodata]) + list(unlabelled))
    return _ReadMask(facts, none, values, _colors(path))


def _colors(path: Path) -> Colors:
    with open_raster(path) as dataset:
        try:
            table = dataset.colormap(1)
        except ValueError:  # it has none
            return {}
    return {value: tuple(color) for value, color in table.items() if color[:3] != (0, 0, 0)}


def _classes_of(masks: Any) -> tuple[ClassDefinition, ...]:
    occurring = {value for mask in masks for value in mask.values}
    return tuple(found_classes(int(v) for v in occurring if v == int(v) and 0 <= v < MASK_NODATA))


def _check_values(mask: _ReadMask, classes: Sequence[ClassDefinition], found: list[Finding]) -> None:
    known = {entry.value for entry in classes}
    wrong = sorted(value for value in mask.values if value not in known)
    if wrong:
        shown = ", ".join(f"{value:g} ({mask.values[value]} pixels)" for value in wrong[:SHOWN_VALUES])
        more = f" and {len(wrong) - SHOWN_VALUES} more values" if len(wrong) > SHOWN_VALUES else ""
        allowed = ", ".join(str(value) for value in sorted(known)) or "whole numbers from 0 to 254"
        found.append(
            error(
                "values",
                f"{mask.facts.name}: values {shown}{more} are no class; the classes are {allowed}; correct the label,"
                " or give its classes with --classes",
                InvalidLabels,
            )
        )
    if mask.facts.nodata in known:
        found.append(
            error(
                "values",
                f"{mask.facts.name}: {mask.facts.nodata:g} is both a class and the file's nodata value; remove the tag"
                " (`gdal_edit.py -unsetnodata`) or leave the class out",
                InvalidLabels,
            )
        )


def _check_numbering(masks: Sequence[_ReadMask], found: list[Finding]) -> None:
    """Look for files in which the same class has another number."""
    first_with: dict[tuple[int, ...], tuple[int, str]] = {}
    for mask in masks:
        for value, color in mask.colors.items():
            if value not in mask.values:
                continue
            other, name = first_with.setdefault(color, (value, mask.facts.name))
            if other != value:
                found.append(
                    error(
                        "renumbered",
                        f"{mask.facts.name}: its class {value} has the colour of class {other} in {name}; number the"
                        " classes alike in all files",
                        InvalidLabels,
                    )
                )
    _warn_of_disjoint(masks, found)


def _warn_of_disjoint(masks: Sequence[_ReadMask], found: list[Finding]) -> None:
    """Without colours, only files without a common value are suspicious, where the others all have one."""
    if len(masks) < 2:
        return
    usual = Counter(value for mask in masks for value in mask.values)
    for mask in masks:
        if all(usual[value] == 1 for value in mask.values):
            others = sorted({value for other in masks if other is not mask for value in other.values})
            found.append(
                warning(
                    "numbering",
                    f"{mask.facts.name}: has only values that no other label has"
                    f" ({', '.join(f'{value:g}' for value in sorted(mask.values)[:SHOWN_VALUES])}; the others have"
                    f" {', '.join(f'{value:g}' for value in others[:SHOWN_VALUES])}); look whether its classes are"
                    " numbered otherwise",
                )
            )


def _check_any(facts: RasterFacts, nodata: float | None, found: list[Finding]) -> None:
    try:
        with open_raster(facts.path) as dataset:
            anything = any(bool(np.any(valid_pixels(pixels, nodata))) for _, pixels in strips(dataset, facts.name))
    except LabError as problem:
        found.append(error("unreadable", str(problem), type(problem)))
        return
    if not anything:
        text = f"{facts.name}: every pixel is nodata ({nodata}); leave the file out"
        found.append(error("no_label", text, InvalidLabels))
