"""Static STAC catalogs and stac-geoparquet files: images and labels by what their items say of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import parse_period
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.findings import Finding, error, note, warning
from terralab.datasets.onboarding.forms.stac_assets import (
    ItemAssets,
    assets_of,
    bands_of,
    classes_of,
    label_of,
    task_of,
)
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import split_of_word
from terralab.datasets.onboarding.samples import SOLE, About, Modality, Sample, SampleTable
from terralab.extensions.chips import Task

FORM = "stac"
GEOPARQUET = "stac-geoparquet"
_ROOTS = ("catalog.json", "collection.json")
_SPLIT_FIELDS = ("ml-aoi:split", "ml-dataset:split", " ml-dataset:split", "split", "mldata:split")
_CHILD_RELS = ("child", "item")


@dataclass(frozen=True)
class FoundItem:
    """An item and the file that it is in; references are relative to that file."""

    item: Mapping[str, Any]
    path: Path

    @property
    def name(self) -> str:
        """Return its id, as messages show it."""
        return str(self.item.get("id"))


def root_of(root: Path) -> Path | None:
    """Return the file that a static catalog begins with, None where the folder has none."""
    for name in _ROOTS:
        path = root / name
        if path.is_file() and b'"stac_version"' in path.read_bytes()[:1_000_000]:
            return path
    return None


def read(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    """Read a static catalog.

    Raises:
        InvalidInput: there is none, or a link leads out of its folder.
    """
    start = root_of(root)
    if start is None:
        raise InvalidInput(f"{root.name}: no catalog.json or collection.json")
    findings: list[Finding] = []
    about = _about(_json(start, hints))
    items = list(_walk(start, root, hints, set(), findings))
    return _table(FORM, root, items, about, hints, findings)


def read_geoparquet_items(path: Path, hints: Hints) -> SampleTable:
    """Read a stac-geoparquet file; assets lie beside it.

    Raises:
        InvalidInput: it is none, or an asset leads out of its folder.
    """
    from terralab.catalog.geoparquet.reader import open_file, read_geoparquet

    if path.stat().st_size > hints.limits.text:
        raise InvalidInput(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB; load it with `terralab catalog load`")
    collections = open_file(path).collections
    about = _about(next(iter(collections.values()))) if len(collections) == 1 else About()
    items = [FoundItem(item, path) for item in read_geoparquet(path)]
    return _table(GEOPARQUET, path.parent, items, about, hints, [])


def _walk(path: Path, root: Path, hints: Hints, seen: set[Path], findings: list[Finding]) -> Iterator[FoundItem]:
    if path in seen:
        return
    seen.add(path)
    document = _json(path, hints)
    if document.get("type") == "Feature":
        yield FoundItem(document, path)
        return
    for link in document.get("links") or ():
        if isinstance(link, dict) and link.get("rel") in _CHILD_RELS:
            target = local_path(str(link.get("href")), path, root)
            if target is None:
                findings.append(error("remote", f"{path.name}: its link to {link.get('href')} is an address;"
                                      " load the catalog into a folder first"))  # fmt: skip
            elif not target.is_file():
                findings.append(error("no_partner", f"{path.name}: its link to {link.get('href')} leads to no file"))
            else:
                yield from _walk(target, root, hints, seen, findings)


def local_path(href: str, base: Path, root: Path) -> Path | None:
    """Return the file that a reference means, None for an address.

    Raises:
        InvalidInput: it leads out of the folder.
    """
    if urlsplit(href).scheme:
        return None
    target = (base.parent / unquote(href)).resolve()
    if "\0" in href or not target.is_relative_to(root.resolve()):
        raise InvalidInput(f"{base.name}: {href!r} leads out of the folder {root.name}; copy the file into it")
    return target


def _json(path: Path, hints: Hints) -> dict[str, Any]:
    try:
        document = orjson.loads(read_text(path, hints.limits))
    except orjson.JSONDecodeError as problem:
        raise InvalidInput(f"{path.name}: cannot be read as JSON ({problem})") from problem
    if not isinstance(document, dict):
        raise InvalidInput(f"{path.name}: no STAC object")
    return document


def _about(document: Mapping[str, Any]) -> About:
    license = document.get("license")
    providers = document.get("providers") or ()
    return About(
        title=str(document.get("title") or document.get("id") or "") or None,
        description=str(document.get("description") or "") or None,
        license=str(license) if license else None,
        authors=tuple(str(entry.get("name")) for entry in providers if isinstance(entry, dict)),
    )


def _table(
    form: str, root: Path, items: Sequence[FoundItem], about: About, hints: Hints, findings: list[Finding]
) -> SampleTable:
    if not items:
        raise InvalidInput(f"{root.name}: the catalog has no items")
    found = {entry.path if form == FORM else entry.name: assets_of(entry.item) for entry in items}
    keyed = {(entry.path if form == FORM else entry.name): entry for entry in items}
    labels = {key: assets for key, assets in found.items() if assets.labels and not assets.images}
    by_source = _by_source(labels, keyed, root, findings)
    samples, modalities, tasks, classes = [], dict[str, Modality](), set[Task](), None
    for key, assets in found.items():
        entry = keyed[key]
        if not assets.images:
            continue
        images = _files(assets.images, entry, root, findings)
        label_entry = entry if assets.labels else by_source.get(entry.path) or by_source.get(Path(entry.name))
        label_files = _files(assets_of(label_entry.item).labels, label_entry, root, findings) if label_entry else {}
        label = label_of(label_entry.item if label_entry else entry.item, label_files)
        names = {key: _modality_name(key, assets, len(images)) for key in images}
        for asset_key, name in names.items():
            modalities.setdefault(name, Modality(name, bands_of(assets.images[asset_key])))
        source = label_entry.item if label_entry else entry.item
        tasks.add(task_of(source, label))
        classes = classes or classes_of(source)
        paths = {names[key]: path for key, path in images.items()}
        samples.append(Sample(entry.name, paths, label, _period(entry), _split(entry, findings), _group(entry)))
    _tell(samples, labels, by_source, found, findings)
    task = hints.task or (tasks.pop() if len(tasks) == 1 else Task.SEGMENTATION)
    if tasks and len(tasks) > 1:
        findings.append(error("mixed_labels", f"items have several tasks: {', '.join(sorted(tasks))}"))
    return SampleTable(
        form, root, tuple(samples), tuple(modalities.values()), task, classes, about=about, findings=tuple(findings)
    )


def _by_source(
    labels: Mapping[Any, ItemAssets], keyed: Mapping[Any, FoundItem], root: Path, findings: list[Finding]
) -> dict[Path, FoundItem]:
    """Return label items by the file, and by the id, of the item that they label."""
    found: dict[Path, FoundItem] = {}
    for key in labels:
        entry = keyed[key]
        for link in entry.item.get("links") or ():
            if link.get("rel") == "source":
                target = local_path(str(link.get("href")), entry.path, root)
                found[Path(PurePosixPath(urlsplit(str(link["href"])).path).stem)] = entry
                if target is not None:
                    found[target] = entry
        found.setdefault(Path(entry.name), entry)
    return found


def _files(
    assets: Mapping[str, Mapping[str, Any]], entry: FoundItem, root: Path, findings: list[Finding]
) -> dict[str, Path]:
    files = {}
    for key, asset in assets.items():
        path = local_path(str(asset.get("href")), entry.path, root)
        if path is None:
            findings.append(error("remote", f"{entry.name}: its asset {key!r} is at {asset.get('href')};"
                                  " load the files beside the catalog first"))  # fmt: skip
        elif not path.is_file():
            findings.append(
                error("no_partner", f"{entry.name}: the file of its asset {key!r}, {asset['href']}, is not there")
            )
        else:
            files[key] = path
    return files


def _modality_name(key: str, assets: ItemAssets, count: int) -> str:
    return str(assets.images[key].get("lab:modality") or (SOLE if count == 1 else key))


def _period(entry: FoundItem) -> Any:
    properties = entry.item.get("properties") or {}
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    text = f"{start}/{end}" if start and end else properties.get("datetime")
    try:
        return parse_period(str(text)) if text else None
    except InvalidInput as problem:
        raise InvalidInput(f"{entry.name}: {problem}") from problem


def _split(entry: FoundItem, findings: list[Finding]) -> str | None:
    properties = entry.item.get("properties") or {}
    written = next((str(properties[name]) for name in _SPLIT_FIELDS if properties.get(name)), None)
    split = split_of_word(written) if written else None
    if written and split is None:
        findings.append(warning("split", f"{entry.name}: {written!r} is no split; it is train, validate or test"))
    return split


def _group(entry: FoundItem) -> str | None:
    group = (entry.item.get("properties") or {}).get("lab:split_group")
    return str(group) if group else None


def _tell(
    samples: Sequence[Sample], labels: Mapping[Any, Any], by_source: Mapping[Path, FoundItem],
    found: Mapping[Any, ItemAssets], findings: list[Finding],
) -> None:  # fmt: skip
    if not samples:
        findings.append(error("no_image", f"none of the {len(found)} items has an image that is a GeoTIFF"))
    without = [sample.name for sample in samples if sample.label is None]
    if without and len(without) < len(samples):
        findings.append(
            error("no_partner", f"{len(without)} items have no label, such as {without[0]}; label or remove them")
        )
    unused = [key for key, assets in found.items() if not assets.images and not assets.labels]
    if unused:
        findings.append(note("unused", f"{len(unused)} items have neither an image nor a label"))
