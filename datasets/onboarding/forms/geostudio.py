"""GEOStudio's onboarding JSON, as it is: where the files are, by which suffixes, with which bands and classes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.datasets.classes import PALETTE
from terralab.datasets.onboarding.file_list import list_files, read_text
from terralab.datasets.onboarding.findings import Finding, error, note, warning
from terralab.datasets.onboarding.forms import labels_only
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import same_letters
from terralab.datasets.onboarding.samples import About, Modality, RasterLabel, Sample, SampleTable
from terralab.extensions.chips import Task
from terralab.extensions.ids import slug
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

FORM = "geostudio"
_TASKS = {"segmentation": Task.SEGMENTATION, "regression": Task.REGRESSION}
_NAMES = {
    "nir_narrow": "B8A", "nir_broad": "B08", "swir1": "B11", "swir2": "B12", "swir_1": "B11", "swir_2": "B12",
    "rededge1": "B05", "rededge2": "B06", "rededge3": "B07",
}  # fmt: skip


def is_payload(document: Any) -> bool:
    """Say whether a JSON document is an onboarding request of GEOStudio."""
    return isinstance(document, dict) and "dataset_name" in document and "data_sources" in document


def read_payload(path: Path, hints: Hints) -> dict[str, Any]:
    """Read the request.

    Raises:
        InvalidInput: it is no such request.
    """
    try:
        document = orjson.loads(read_text(path, hints.limits))
    except orjson.JSONDecodeError as problem:
        raise InvalidInput(f"{path.name}: cannot be read as JSON ({problem})") from problem
    if not is_payload(document):
        raise InvalidInput(f"{path.name}: no onboarding request of GEOStudio: it needs dataset_name and data_sources")
    return dict(document)


def archive_address(payload: Mapping[str, Any]) -> str:
    """Return where the request says that its archive is; empty where it does not."""
    return str(payload.get("dataset_url") or "")


def data_beside(path: Path, payload: Mapping[str, Any]) -> Path | None:
    """Return the archive or folder with the files where it lies beside the request, None where it does not."""
    name = PurePosixPath(urlsplit(archive_address(payload)).path).name
    stem = name.split(".zip")[0].split(".tar")[0]
    places = [path.parent / part for part in (name, stem) if part]
    return next((place for place in places if place.exists()), None)


def read(path: Path, hints: Hints) -> SampleTable:
    """Read a request and the folder with its files (`hints.data`).

    Raises:
        InvalidInput: the request is wrong, or its files are not here.
    """
    payload, findings = read_payload(path, hints), list[Finding]()
    task = hints.task or _task(payload)
    about = _about(payload)
    if hints.data is None:
        raise InvalidInput(
            f"{path.name}: its files are at {archive_address(payload) or 'no address'}; load it and give it with"
            " --data, or allow its host with TERRALAB_ONBOARD_HOSTS"
        )
    files = list_files(hints.data, hints.limits)
    if _is_true((payload.get("onboarding_options") or {}).get("from_labels")):
        return labels_only.read(hints.data, files, hints)
    modalities = tuple(_modality(entry) for entry in _sources(payload))
    suffixes = {
        entry.name: str(source["file_suffix"]) for entry, source in zip(modalities, _sources(payload), strict=True)
    }
    labels = str(payload.get("label_suffix") or "")
    if not labels:
        raise InvalidInput(f"{path.name}: label_suffix is missing, by which labels are told from images")
    samples = _samples(hints.data, files, suffixes, labels, findings)
    classes, unlabelled = _classes(payload, findings)
    return SampleTable(
        FORM, hints.data, tuple(samples), modalities, task, classes, unlabelled, about, tuple(findings)
    )  # fmt: skip


def _task(payload: Mapping[str, Any]) -> Task:
    purpose = str(payload.get("purpose") or "Segmentation")
    if purpose.lower() not in _TASKS:
        raise InvalidInput(
            f"purpose {purpose!r}: GEOStudio tunes Segmentation and Regression alone; give --task for this one"
        )
    return _TASKS[purpose.lower()]


def _about(payload: Mapping[str, Any]) -> About:
    params = payload.get("training_params")
    further = {"training_params": params} if params else {}
    weights = {str(entry["name"]): entry["weight"] for entry in _categories(payload) if entry.get("weight") is not None}
    if weights:
        further["class_weights"] = weights
    return About(
        title=str(payload["dataset_name"]),
        description=str(payload.get("description") or "") or None,
        source=archive_address(payload) or None,
        further=further,
    )


def _sources(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    sources = payload["data_sources"]
    if not isinstance(sources, list) or not sources:
        raise InvalidInput("data_sources: give a list of at least one source")
    for number, source in enumerate(sources):
        missing = [
            name
            for name in ("bands", "modality_tag", "file_suffix")
            if not (isinstance(source, dict) and source.get(name))
        ]
        if missing:
            raise InvalidInput(f"data_sources[{number}]: {', '.join(missing)} is missing")
    return sources


def _modality(source: Mapping[str, Any]) -> Modality:
    tag = str(source["modality_tag"])
    try:
        bands = sorted(source["bands"], key=lambda band: int(band["index"]))
        select = tuple(int(band["index"]) + 1 for band in bands)
        names = tuple(str(band["band_name"]) for band in bands)
        scale = _scale(source, bands)
    except (KeyError, TypeError, ValueError) as problem:
        raise InvalidInput(f"data_sources, {tag}: each band needs an index (a number) and a band_name") from problem
    if min(select) < 1:
        raise InvalidInput(f"data_sources, {tag}: the index of a band is below 0")
    return Modality(tag, tuple(_NAMES.get(name.lower(), name) for name in names), select, scale=scale)


def _scale(source: Mapping[str, Any], bands: Sequence[Mapping[str, Any]]) -> tuple[float, ...] | None:
    listed = source.get("scaling_factor")
    written = listed if isinstance(listed, list) else [band.get("scaling_factor") for band in bands]
    factors = tuple(float(factor) if factor not in (None, "") else 1.0 for factor in written)
    return factors if len(factors) == len(bands) and set(factors) != {1.0} else None


def _samples(
    root: Path, files: Sequence[PurePosixPath], suffixes: Mapping[str, str], labels: str, findings: list[Finding]
) -> list[Sample]:
    by_suffix = {**{suffix: name for name, suffix in suffixes.items()}, labels: ""}
    if len(by_suffix) != len(suffixes) + 1:
        raise InvalidInput(f"file_suffix and label_suffix must differ: {', '.join([*suffixes.values(), labels])}")
    found: dict[str, dict[str, list[PurePosixPath]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        # The longest suffix that fits: `_label.tif` and not `.tif`.
        suffix = max((s for s in by_suffix if path.name.endswith(s)), key=len, default=None)
        if suffix is not None:
            found[same_letters(path.name.removesuffix(suffix))][by_suffix[suffix]].append(path)
    if not found:
        raise InvalidInput(f"no file ends with {', '.join(by_suffix)}; look at file_suffix and label_suffix")
    samples = []
    for key, parts in sorted(found.items()):
        shown = next(iter(parts.values()))[0].name
        missing = [name or "label" for name in (*suffixes, "") if name not in parts]
        twice = [paths for paths in parts.values() if len(paths) > 1]
        if missing:
            text = (
                f"{shown}: the sample {key!r} has no {', '.join(missing)}; add it, or remove the sample's other files"
            )
            findings.append(error("no_partner", text))
        elif twice:
            findings.append(
                error("ambiguous", f"{twice[0][0]}, {twice[0][1]}: two files of one name; rename or remove one")
            )
        else:
            images = {name: root / parts[name][0] for name in suffixes}
            samples.append(Sample(key, images, RasterLabel(root / parts[""][0])))
    return samples


def _categories(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = payload.get("label_categories") or []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _classes(
    payload: Mapping[str, Any], findings: list[Finding]
) -> tuple[tuple[ClassDefinition, ...] | None, tuple[int, ...]]:
    """Return the classes, and the values that are none: what cannot be a mask's value means that there is no label."""
    classes, unlabelled = [], []
    for place, entry in enumerate(_categories(payload)):
        try:
            value, title = int(entry["id"]), str(entry["name"])
        except (KeyError, TypeError, ValueError) as problem:
            raise InvalidInput(
                f"label_categories[{place}]: needs an id (a number) and a name, not {entry!r}"
            ) from problem
        if not 0 <= value < MASK_NODATA:
            unlabelled.append(value)
            findings.append(note("ignored", f"label value {value} ({title}) counts as no label, not as a class"))
            continue
        if "no data" in title.lower():
            text = (
                f"class {value} is called {title!r}; where it means that there is no label, remove it and give nodata"
            )
            findings.append(warning("class_name", text))
        classes.append(_definition(value, title, str(entry.get("color") or ""), place))
    return (tuple(sorted(classes, key=lambda entry: entry.value)) or None), tuple(unlabelled)


def _definition(value: int, title: str, color: str, place: int) -> ClassDefinition:
    plain = color.removeprefix("#")
    usable = len(plain) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in plain)
    try:
        name = slug(title).replace("-", "_")
    except ValueError:  # a name in another alphabet keeps its title
        name = f"class_{value}"
    return ClassDefinition(
        value=value, name=name, title=title, color=plain if usable else PALETTE[place % len(PALETTE)]
    )


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"
