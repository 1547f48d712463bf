"""Looking through users' images and labels before anything is made of them.

Every file is read once from end to end, so that a damaged block, a wrong label value or an empty image is found here
and not halfway through the work. All problems of all files are told together.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from terralab.catalog.errors import InvalidInput, InvalidLabels, LabError
from terralab.datasets.classes import found_classes
from terralab.datasets.dates import date_of, parse_period
from terralab.datasets.pairs import pair_files
from terralab.datasets.pixel_scan import label_values, padding_candidates, values_taken
from terralab.datasets.raster_file import RasterFacts, read_facts
from terralab.datasets.same_grid import check_same_grid
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.ids import slug
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

SHOWN_PROBLEMS = 10
SHOWN_VALUES = 5
_LONGEST_ID = 100  # leaves room for the chip's own part within 128 characters


@dataclass(frozen=True)
class ScenePair:
    """An image and its label on one grid.

    Attributes:
        id: item id of the scene, from the image's file name.
        image: the image's header.
        label: the label's header.
        label_nodata: value of label pixels without a label, None where every pixel has one.
        start: begin of the acquisition.
        end: end of it.
    """

    id: str
    image: RasterFacts
    label: RasterFacts
    label_nodata: float | None
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Scan:
    """What a set of images and labels is.

    Attributes:
        pairs: at least one.
        bands: names of the images' bands.
        data_type: numpy's name of the images' pixel type.
        nodata: the images' own value of pixels without data, if any.
        padding: value that fills chips beyond the scene's edge. It is `nodata` where there is one; else a value that no
            pixel has, which then counts as nodata of the chips.
        padding_is_nodata: False only where every candidate occurs as data, so that the padding (0) cannot be told.
        classes: classes of the labels, by value.
    """

    pairs: tuple[ScenePair, ...]
    bands: tuple[str, ...]
    data_type: str
    nodata: float | None
    padding: float
    padding_is_nodata: bool
    classes: tuple[ClassDefinition, ...]

    @property
    def chip_nodata(self) -> float | None:
        """Return the nodata value of the chips."""
        return self.padding if self.padding_is_nodata else None


def scan(
    images: Sequence[Path],
    labels: Sequence[Path],
    *,
    classes: Sequence[ClassDefinition] | None = None,
    bands: Sequence[str] | None = None,
    period: str | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Pair, read and check images and labels.

    Args:
        images: GeoTIFFs with the same bands.
        labels: single-band GeoTIFFs of class values.
        classes: the classes; None to take every value that occurs.
        bands: names of the bands, in order; None to take the files' band descriptions.
        period: acquisition time of all images; None to take it from the files or their names.
        on_file: told how many files are read and how many there are.

    Raises:
        InvalidInput: or one of its kinds; the message lists the problems of all files.
    """
    problems = _Problems()
    paired, unpaired = pair_files(images, labels)
    for line in unpaired:
        problems.add(InvalidInput(line))
    given = parse_period(period) if period else None
    pairs = [pair for image, label in paired for pair in problems.catch(_pair, image, label, given)]
    _check_ids(pairs, problems)
    names = problems.catch(_band_names, pairs, bands) if pairs else []
    _check_alike(pairs, problems)
    problems.stop()
    free, values = _read_all(pairs, problems, on_file)
    found = tuple(classes) if classes else tuple(_classes_of(values))
    _check_values(pairs, values, found, problems)
    problems.stop()
    first = pairs[0].image
    padding = first.nodata if first.nodata is not None else free
    return Scan(
        tuple(pairs),
        names[0],
        first.data_type,
        first.nodata,
        0.0 if padding is None else padding,
        padding is not None,
        found,
    )


class _Problems:
    """Collects errors and raises them together."""

    def __init__(self) -> None:
        self.errors: list[LabError] = []

    def add(self, error: LabError) -> None:
        self.errors.append(error)

    def catch(self, check: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the check's result in a list, or note its error and return an empty one."""
        try:
            return [check(*arguments)]
        except LabError as error:
            self.add(error)
            return []

    def stop(self) -> None:
        """Raise what was noted; of the common kind where all are of one."""
        if not self.errors:
            return
        kinds = {type(error) for error in self.errors}
        kind = kinds.pop() if len(kinds) == 1 else InvalidInput
        lines = [str(error) for error in self.errors[:SHOWN_PROBLEMS]]
        if len(self.errors) == 1:
            raise kind(lines[0])
        more = len(self.errors) - len(lines)
        tail = [f"and {more} more"] if more else []
        raise kind(f"{len(self.errors)} problems in the files:\n- " + "\n- ".join([*lines, *tail]))


def _pair(image_path: Path, label_path: Path, given: tuple[datetime, datetime] | None) -> ScenePair:
    image, label = read_facts(image_path), read_facts(label_path)
    if label.count != 1:
        raise InvalidLabels(f"{label.name}: has {label.count} bands; a label has one band of class values")
    check_same_grid(image, label)
    start, end = given or date_of(image)
    return ScenePair(_scene_id(image), image, label, label_nodata(label), start, end)


def _scene_id(image: RasterFacts) -> str:
    try:
        return slug(image.path.stem)[:_LONGEST_ID]
    except ValueError as error:
        raise InvalidInput(f"{image.name}: {error}") from error


def label_nodata(label: RasterFacts) -> float | None:
    """Return the file's own nodata; without one, -1 in signed types, 255 in bytes, NaN in floating point."""
    if label.nodata is not None:
        return label.nodata
    defaults: dict[str, float] = {"i": -1, "f": float("nan")}
    return float(MASK_NODATA) if label.data_type == "uint8" else defaults.get(np.dtype(label.data_type).kind)


def _check_ids(pairs: Sequence[ScenePair], problems: _Problems) -> None:
    for id, count in Counter(pair.id for pair in pairs).items():
        if count > 1:
            names = ", ".join(pair.image.name for pair in pairs if pair.id == id)
            problems.add(InvalidInput(f"{names}: their names give the same id {id!r}; rename them"))


def _band_names(pairs: Sequence[ScenePair], given: Sequence[str] | None) -> tuple[str, ...]:
    first = pairs[0].image
    written = list(given) if given else list(first.descriptions)
    if len(written) != first.count:
        raise InvalidInput(
            f"{len(written)} band names are given ({', '.join(map(str, written))}),"
            f" {first.name} has {first.count} bands"
        )
    if not all(written):
        raise InvalidInput(
            f"{first.name}: its {first.count} bands have no names; give them in order, as --bands B02,B03,B04 …"
        )
    names = tuple(canonical_band_name(str(name).strip()) for name in written)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInput(f"{first.name}: the band name {twice[0]} is there twice; give --bands with different names")
    return names


def _check_alike(pairs: Sequence[ScenePair], problems: _Problems) -> None:
    """All images must agree with the first in what a model sees: bands, pixel type and nodata."""
    for pair in pairs[1:]:
        one, other = pairs[0].image, pair.image
        for what, here, there in (
            ("bands", one.count, other.count),
            ("band names", one.descriptions, other.descriptions),
            ("pixel type", one.data_type, other.data_type),
            ("nodata", str(one.nodata), str(other.nodata)),
        ):
            if here != there:
                problems.add(InvalidInput(f"{other.name} differs from {one.name} in {what}: {there} and {here}"))
                break


def _read_all(
    pairs: Sequence[ScenePair], problems: _Problems, on_file: Callable[[int, int], None]
) -> tuple[float | None, list[Counter[Any]]]:
    """Read every pixel; return a value that no image pixel has (None where all candidates occur) and label values."""
    candidates = padding_candidates(np.dtype(pairs[0].image.data_type))
    values: list[Counter[Any]] = []
    for done, pair in enumerate(pairs):
        for taken in problems.catch(values_taken, pair.image, candidates):
            candidates = [value for value in candidates if value not in taken]
        on_file(2 * done + 1, 2 * len(pairs))
        values.append(Counter())
        for found in problems.catch(label_values, pair.label, pair.label_nodata):
            values[-1] = found
        on_file(2 * done + 2, 2 * len(pairs))
    return (candidates[0] if candidates else None), values


def _classes_of(values: Sequence[Counter[Any]]) -> list[ClassDefinition]:
    """Return a class for every value that may be one."""
    occurring = {value for counts in values for value in counts}
    return found_classes(int(value) for value in occurring if value == int(value) and 0 <= value < MASK_NODATA)


def _check_values(
    pairs: Sequence[ScenePair], values: Sequence[Counter[Any]], classes: Sequence[ClassDefinition], problems: _Problems
) -> None:
    known = {entry.value for entry in classes}
    for pair, counts in zip(pairs, values, strict=True):
        wrong = sorted(value for value in counts if value not in known)
        if wrong:
            shown = ", ".join(f"{value:g} ({counts[value]} pixels)" for value in wrong[:SHOWN_VALUES])
            more = f" and {len(wrong) - SHOWN_VALUES} more values" if len(wrong) > SHOWN_VALUES else ""
            allowed = ", ".join(str(value) for value in sorted(known)) or "whole numbers from 0 to 254"
            problems.add(
                InvalidLabels(
                    f"{pair.label.name}: values {shown}{more} are no class; the classes are {allowed};"
                    " correct the label, or give its classes with --classes"
                )
            )
        clash = pair.label.nodata if pair.label.nodata in known else None
        if clash is not None:
            problems.add(
                InvalidLabels(
                    f"{pair.label.name}: {clash:g} is both a class and the file's nodata value; remove the tag"
                    " (`gdal_edit.py -unsetnodata`) or leave the class out"
                )
            )
