"""What the profile asks of each kind of item, one function a kind."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from terralab.extensions.chip_parts import Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.lab import LABELS_PROP, SPLIT_PROP, TASK_PROP, Kind
from terralab.extensions.problem import Problem, broken, shown

DERIVED = "derived_from"
ROLE = "ml-aoi:role"
CLASSES = "classification:classes"
_NamedAsset = tuple[str, Mapping[str, Any]]


def _imagery(item: dict[str, Any]) -> Iterator[Problem]:
    data = _with_role(item, "data")
    if not data:
        yield _no_asset("no asset has the role `data`")
    elif not any(_band_names(asset) for _, asset in data):
        yield _no_bands(data[0][0])


def _chips(item: dict[str, Any]) -> Iterator[Problem]:
    split = item["properties"].get(SPLIT_PROP)
    if split is not None and split not in SPLITS:
        yield broken("split_value", ["properties", SPLIT_PROP], f"{shown(split)} is not a split")
    roles = [link.get(ROLE) for link in _links(item, DERIVED)]
    for role, what in (("feature", "the scene that the image"), ("label", "the label that the mask")):
        if role not in roles:
            message = f"no `derived_from` link with {ROLE} `{role}` names {what} was cut from"
            yield broken("provenance_missing", ["links"], message)
    yield from _features(item)
    yield from _target(item)


def _features(item: dict[str, Any]) -> Iterator[Problem]:
    chosen = [(key, asset) for key, asset in _assets(item) if asset.get(ROLE) == "feature"]
    if not chosen:
        yield _no_asset(f"no asset has {ROLE} `feature`")
    elif not any(_band_names(asset) for _, asset in chosen):
        yield _no_bands(chosen[0][0])


def _target(item: dict[str, Any]) -> Iterator[Problem]:
    task = item["properties"].get(TASK_PROP)
    if task in (Task.CLASSIFICATION, Task.MULTILABEL):
        yield from _whole_labels(item["properties"], task)
        return
    chosen = [(key, asset) for key, asset in _assets(item) if asset.get(ROLE) == "label"]
    if not chosen:
        yield _no_asset(f"no asset has {ROLE} `label`")
    elif task != Task.REGRESSION:
        yield from _without_classes(chosen)


def _whole_labels(properties: dict[str, Any], task: str) -> Iterator[Problem]:
    labels, names = properties.get(LABELS_PROP), {entry.get("name") for entry in _dicts(properties.get(CLASSES))}
    path = ["properties", LABELS_PROP]
    if not isinstance(labels, list) or (task == Task.CLASSIFICATION and len(labels) != 1):
        yield broken("chip_labels", path, f"{shown(labels)} are not the labels that a chip of the task {task} has")
        return
    for label in labels:
        if label not in names:
            yield broken("chip_labels", path, f"{shown(label)} is none of the classes in `{CLASSES}`")


def _labels(item: dict[str, Any]) -> Iterator[Problem]:
    chosen = _with_role(item, "labels")
    if not chosen:
        yield _no_asset("no asset has the role `labels`")
    if Task.REGRESSION not in (item["properties"].get("label:tasks") or ()):
        yield from _without_classes([pair for pair in chosen if "labels-raster" in _roles(pair[1])])
    if not _links(item, "source"):
        yield broken("provenance_missing", ["links"], "no `source` link names the scene that is labelled")


def _dataset(item: dict[str, Any]) -> Iterator[Problem]:
    if not _links(item, DERIVED):
        yield broken("provenance_missing", ["links"], "no `derived_from` link names the scenes and labels of its chips")


def _model(item: dict[str, Any]) -> Iterator[Problem]:
    # Its dataset is linked where the catalog has it; published weights come without.
    weights = _with_role(item, "mlm:model")
    if not weights:
        yield _no_asset("no asset has the role `mlm:model`")
    described = _band_names(item["properties"])
    for number, entry in enumerate(_dicts(item["properties"].get("mlm:input"))):
        yield from _model_input(("properties", "mlm:input", number), entry, described)
    for key, asset in weights[:1]:
        if set(_band_names(asset)) != set(described):
            message = "the bands of the weights are not those of the properties"
            yield broken("model_bands", ["assets", key, "bands"], message)
    for number, entry in enumerate(_dicts(item["properties"].get("mlm:output"))):
        tasks = entry.get("tasks")
        if not entry.get(CLASSES) and isinstance(tasks, list) and "semantic-segmentation" in tasks:
            path = ("properties", "mlm:output", number, CLASSES)
            yield broken("classes_missing", path, "the output has no classes")


def _model_input(path: tuple[str | int, ...], entry: Mapping[str, Any], described: list[str]) -> Iterator[Problem]:
    written = entry.get("bands")
    entries = written if isinstance(written, list) else []
    bands = [band.get("name") if isinstance(band, dict) else band for band in entries]
    if not bands:
        yield broken("model_bands", (*path, "bands"), "the input names no bands")
    undescribed = [band for band in bands if band not in described]
    if undescribed:
        message = f"`properties.bands` does not describe {', '.join(map(shown, undescribed[:5]))}"
        yield broken("model_bands", (*path, "bands"), message)
    scaling = entry.get("value_scaling")
    count = len(scaling) if isinstance(scaling, list) else 0
    if count not in (1, len(bands)):
        message = f"there are {count} value_scaling entries for {len(bands)} bands"
        yield broken("model_scaling", (*path, "value_scaling"), message)


def _prediction(item: dict[str, Any]) -> Iterator[Problem]:
    links = _links(item, DERIVED)
    if not any("mlm:name" in link or "/models/items/" in str(link.get("href")) for link in links):
        yield broken("provenance_missing", ["links"], "no `derived_from` link names the model (with `mlm:name`)")
    if len(links) < 2:  # the model, and what it looked at
        yield broken("provenance_missing", ["links"], "no `derived_from` link names what the model looked at")
    if not _with_role(item, "data"):
        yield _no_asset("no asset has the role `data`")


# What a run must say is in the schema of the extension.
RULES_OF_KIND: dict[str, Callable[[dict[str, Any]], Iterator[Problem]]] = {
    Kind.IMAGERY: _imagery,
    Kind.CHIPS: _chips,
    Kind.LABELS: _labels,
    Kind.DATASET: _dataset,
    Kind.MODEL: _model,
    Kind.PREDICTION: _prediction,
}


def _no_asset(message: str) -> Problem:
    return broken("role_asset_missing", ["assets"], message)


def _no_bands(key: str) -> Problem:
    return broken("bands_missing", ["assets", key, "bands"], "the asset names no bands")


def _without_classes(assets: list[_NamedAsset]) -> Iterator[Problem]:
    for key, asset in assets:
        if not asset.get(CLASSES):
            yield broken("classes_missing", ["assets", key, CLASSES], "the asset has no classes")


def _assets(item: dict[str, Any]) -> list[_NamedAsset]:
    assets = item.get("assets")
    found = assets.items() if isinstance(assets, dict) else ()
    return [(key, asset) for key, asset in found if isinstance(asset, dict)]


def _roles(asset: Mapping[str, Any]) -> list[Any]:
    roles = asset.get("roles")
    return roles if isinstance(roles, list) else []


def _with_role(item: dict[str, Any], role: str) -> list[_NamedAsset]:
    return [(key, asset) for key, asset in _assets(item) if role in _roles(asset)]


def _links(item: dict[str, Any], rel: str) -> list[Mapping[str, Any]]:
    return [link for link in _dicts(item.get("links")) if link.get("rel") == rel]


def _band_names(holder: Mapping[str, Any]) -> list[Any]:
    return [band["name"] for band in _dicts(holder.get("bands")) if isinstance(band.get("name"), str)]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
