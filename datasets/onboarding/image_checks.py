"""Looking through the images: headers, bands, grids and dates of every sample, and every pixel once."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from terralab.catalog.errors import GridMismatch, InvalidInput, InvalidRaster, LabError
from terralab.datasets.dates import date_of
from terralab.datasets.onboarding.choices import Choices
from terralab.datasets.onboarding.findings import Finding, error, note, warning
from terralab.datasets.onboarding.known_modalities import is_known_band, known_bands, say_something
from terralab.datasets.onboarding.plan import FeaturePlan
from terralab.datasets.onboarding.samples import Modality, Sample, SampleTable
from terralab.datasets.pixel_scan import padding_candidates, values_taken
from terralab.datasets.raster_file import RasterFacts, read_facts
from terralab.datasets.same_grid import check_same_grid
from terralab.extensions.bands import canonical_band_name

_SAME_RESOLUTION = 0.01
_FAR_APART = timedelta(days=10)
Period = tuple[datetime, datetime]


@dataclass(frozen=True)
class ImageFacts:
    """What the images of a dataset are.

    Attributes:
        samples: headers of those samples whose images can be used, by sample name, in the order of the modalities.
        periods: acquisition times by sample name, in the order of the modalities.
        features: what the modalities are; empty where an error stands in the way.
    """

    samples: Mapping[str, tuple[RasterFacts, ...]]
    periods: Mapping[str, tuple[Period, ...]]
    features: tuple[FeaturePlan, ...]


def check_images(
    table: SampleTable, choices: Choices, found: list[Finding], on_file: Callable[[Path], None]
) -> ImageFacts:
    """Read all images and return what they are.

    Args:
        table: the dataset.
        choices: what the user says.
        found: takes the findings.
        on_file: told of each file that was read.
    """
    facts = {sample.name: headers for sample in table.samples if (headers := _headers(sample, table, found))}
    periods = {
        sample.name: period
        for sample in table.samples
        if sample.name in facts and (period := _periods(sample, facts[sample.name], choices, found))
    }
    _check_grids(facts, found)
    features = [
        feature
        for place, modality in enumerate(table.modalities)
        if (
            feature := _feature(
                table, modality, [headers[place] for headers in facts.values()], choices, found, on_file
            )
        )
    ]
    return ImageFacts(facts, periods, tuple(features) if len(features) == len(table.modalities) else ())


def _headers(sample: Sample, table: SampleTable, found: list[Finding]) -> tuple[RasterFacts, ...] | None:
    headers = []
    for modality in table.modalities:
        path = sample.images.get(modality.name)
        if path is None:
            continue  # the reader has told it
        try:
            headers.append(read_facts(path))
        except LabError as problem:
            found.append(error("unreadable", str(problem), type(problem)))
    if len(headers) != len(table.modalities):
        return None
    for other in headers[1:]:
        try:
            check_same_grid(headers[0], other)
        except GridMismatch as problem:
            found.append(error("grid", f"{sample.name}: {problem}", GridMismatch))
            return None
    return tuple(headers)


def _periods(
    sample: Sample, headers: Sequence[RasterFacts], choices: Choices, found: list[Finding]
) -> tuple[Period, ...] | None:
    """Return when each image was taken: as the user says, as the source says, else as the files say.

    An image without a date of its own, such as a terrain model, has the time that the others span.
    """
    if given := choices.period or sample.period:
        return (given,) * len(headers)
    own: list[Period | None] = []
    for header in headers:
        try:
            own.append(date_of(header))
        except InvalidInput as problem:
            own.append(None)
            message = str(problem)
    known = [period for period in own if period]
    if not known:
        found.append(error("no_date", message))
        return None
    span = min(start for start, _ in known), max(end for _, end in known)
    if span[1] - span[0] > _FAR_APART:
        days = (span[1] - span[0]).days
        found.append(warning("dates_apart", f"{sample.name}: its images were taken {days} days apart,"
                             f" {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}"))  # fmt: skip
    return tuple(period or span for period in own)


def _check_grids(facts: Mapping[str, tuple[RasterFacts, ...]], found: list[Finding]) -> None:
    """Tell coordinate systems and resolutions that differ between samples."""
    by_crs: dict[str, list[str]] = defaultdict(list)
    sizes: dict[tuple[bool, float], list[str]] = defaultdict(list)
    for name, headers in facts.items():
        grid = headers[0].grid
        by_crs[grid.crs].append(name)
        sizes[(abs(grid.transform[0]) < 0.1, float(f"{abs(grid.transform[0]):.2g}"))].append(name)
    if len(by_crs) > 1:
        parts = [f"{crs[:40]} ({len(names)}, such as {names[0]})" for crs, names in sorted(by_crs.items())]
        text = f"samples lie in {len(by_crs)} coordinate systems: {', '.join(parts)}; each keeps its own"
        degrees = {crs in ("EPSG:4326", "OGC:CRS84") for crs in by_crs}
        found.append(
            note("several_crs", text) if len(degrees) == 1 else warning("mixed_crs", f"{text}, degrees beside metres")
        )
    widths = {size for _, size in sizes}
    if len({kind for kind, _ in sizes}) == 1 and max(widths, default=1) > (1 + _SAME_RESOLUTION) * min(
        widths, default=1
    ):
        shown = ", ".join(f"{size:g} ({len(names)}, such as {names[0]})" for (_, size), names in sorted(sizes.items()))
        found.append(
            warning("mixed_resolution", f"pixels of different sizes: {shown}; resample the images to one size, or"
                    " onboard a dataset for each")
        )  # fmt: skip


def _feature(
    table: SampleTable,
    modality: Modality,
    headers: Sequence[RasterFacts],
    choices: Choices,
    found: list[Finding],
    on_file: Callable[[Path], None],
) -> FeaturePlan | None:
    if not headers:
        return None
    names = _names(modality, headers[0], choices.bands.get(modality.name), found)
    _check_alike(headers, found)
    nodata = headers[0].nodata if headers[0].nodata is not None else modality.nodata
    free = _read_all(headers, nodata, found, on_file)
    if names is None:
        return None
    padding = nodata if nodata is not None else free
    shown = modality.name if len(table.modalities) > 1 else None
    return FeaturePlan(
        modality.key if shown else "image", shown, names, modality.select, headers[0].data_type, nodata, padding,
        0.0 if padding is None else padding,
    )  # fmt: skip


def _names(
    modality: Modality, header: RasterFacts, given: Sequence[str] | None, found: list[Finding]
) -> tuple[str, ...] | None:
    """Return the names of the bands that are taken: as given, as the source or the file says, else as is usual."""
    count = len(modality.select) if modality.select else header.count
    if modality.select and max(modality.select) > header.count:
        found.append(
            error("bands", f"{header.name}: has {header.count} bands; band {max(modality.select)} is asked for")
        )
        return None
    own = [header.descriptions[number - 1] for number in modality.select or range(1, header.count + 1)]
    written = list(given or modality.bands or ())
    if not written and say_something(own):
        written = [str(text).strip() for text in own]
    elif not written and (usual := known_bands(modality.name, count)):
        written = list(usual)
        found.append(note("usual_bands", f"{modality.name}: the files do not name their {count} bands; taken as"
                          f" {', '.join(usual)}, the usual order; give --bands if it is another"))  # fmt: skip
    elif not written and count == 1:
        written = [modality.name.replace(" ", "_")]
    if not written:
        option = "--bands" if modality.name == "image" else f"--bands {modality.name}="
        found.append(error("no_band_names", f"{header.name}: its {count} bands have no names; give them in order, as"
                           f" {option}{' ' if option == '--bands' else ''}B02,B03,B04 …"))  # fmt: skip
        return None
    if len(written) != count:
        found.append(error("bands", f"{len(written)} band names are given ({', '.join(written)}), {header.name} has"
                           f" {header.count} bands"))  # fmt: skip
        return None
    names = tuple(canonical_band_name(name.strip()) for name in written)
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        found.append(
            error("bands", f"{header.name}: the band name {twice[0]} is there twice; give --bands with different names")
        )
        return None
    return names if given else _own_names_win(modality, header, names, own, found)


def _own_names_win(
    modality: Modality, header: RasterFacts, names: tuple[str, ...], own: Sequence[str | None], found: list[Finding]
) -> tuple[str, ...]:
    """Return the file's own names where they are bands that the lab knows and the source calls them otherwise."""
    file_names = [canonical_band_name(text.strip()) if text else "" for text in own]
    wrong = [
        f"band {number} is {theirs}, not {ours}"
        for number, ours, theirs in zip(modality.select or range(1, len(names) + 1), names, file_names, strict=True)
        if is_known_band(theirs) and theirs != ours
    ]
    if not wrong:
        return names
    found.append(warning("band_map", f"{modality.name}: the source's band names differ from those in {header.name}:"
                         f" {', '.join(wrong)}; the file's names are taken, --bands overrules them"))  # fmt: skip
    return tuple(theirs or ours for ours, theirs in zip(names, file_names, strict=True))


def _check_alike(headers: Sequence[RasterFacts], found: list[Finding]) -> None:
    """All images of a modality must agree with the first in what a model sees: bands, pixel type and nodata."""
    one = headers[0]
    for other in headers[1:]:
        for what, here, there in (
            ("bands", one.count, other.count),
            ("band names", one.descriptions, other.descriptions),
            ("pixel type", one.data_type, other.data_type),
            ("nodata", str(one.nodata), str(other.nodata)),
        ):
            if here != there:
                found.append(error("unlike", f"{other.name} differs from {one.name} in {what}: {there} and {here}"))
                break


def _read_all(
    headers: Sequence[RasterFacts], nodata: float | None, found: list[Finding], on_file: Callable[[Path], None]
) -> float | None:
    """Read every pixel; return a value that no pixel has, None where every candidate occurs."""
    candidates = [] if nodata is not None else padding_candidates(np.dtype(headers[0].data_type))
    for header in headers:
        try:
            taken = values_taken(header, candidates)
            candidates = [value for value in candidates if value not in taken]
        except InvalidRaster as problem:
            found.append(error("unreadable", str(problem), InvalidRaster))
        on_file(header.path)
    return candidates[0] if candidates else None
