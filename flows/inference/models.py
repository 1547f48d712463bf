"""Choosing a model of the registry, and what the catalog knows of the data it was trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.catalog.database import Catalog
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.extensions.dataset import DATASETS_COLLECTION
from terralab.extensions.imagery import IMAGE_ASSET
from terralab.extensions.lab import ALIASES_PROP
from terralab.extensions.model import MODELS_COLLECTION
from terralab.flows.inference.resolution import pixel_metres

MANIFEST_ASSET = "manifest"
_LEARNT_FROM = ("train", "validate")  # the validate split chose the checkpoint
_PAGE = 200


def find_model(catalog: Catalog, written: str) -> dict[str, Any]:
    """Return the item of a model.

    Args:
        catalog: the catalog.
        written: `models/<id>`, `<id>`, a model's name (its newest version), or `<name>@<alias>`.

    Raises:
        UnknownName: there is no such model.
    """
    name, _, alias = written.removeprefix(f"{MODELS_COLLECTION}/").partition("@")
    found = None if alias else catalog.find_item(MODELS_COLLECTION, name)
    if found is not None:
        return found
    models = list(catalog.search(collections=[MODELS_COLLECTION]))
    named = [item for item in models if item["properties"].get("mlm:name") == name]
    if not named:
        names = {str(item["properties"].get("mlm:name")) for item in models}
        raise UnknownName.of("model", name, [*sorted(names), *(item["id"] for item in models)])
    if alias:
        named = [item for item in named if alias in item["properties"].get(ALIASES_PROP, [])]
    if not named:
        raise UnknownName(f"no version of model {name!r} has the alias {alias!r}; leave it out for the newest version")
    return max(named, key=_age)


@dataclass(frozen=True)
class TrainingData:
    """What a model has learnt from.

    Attributes:
        dataset: id of the dataset version's item, None where the catalog does not know it.
        hrefs: references of scenes and labels whose chips trained or chose the model.
        checksums: of those scenes' images.
        metres: pixel size of one of those scenes, None where it is unknown.
    """

    dataset: str | None
    hrefs: frozenset[str]
    checksums: frozenset[str]
    metres: float | None

    def has_seen(self, *items: Mapping[str, Any]) -> bool:
        """Say whether one of `items` is among the data, by its id or by its image's bytes."""
        hrefs = {f"collections/{item['collection']}/items/{item['id']}" for item in items}
        images = {item["assets"][IMAGE_ASSET]["file:checksum"] for item in items if IMAGE_ASSET in item["assets"]}
        return bool(self.hrefs & hrefs or self.checksums & images)


def training_data(workspace: Workspace, model: Mapping[str, Any]) -> TrainingData:
    """Walk from a model to its dataset version, and from the chips of its train and validate split to their sources."""
    catalog = workspace.catalog
    dataset = next(filter(None, (_dataset(catalog, href) for href in _sources(model))), None)
    if dataset is None:
        return TrainingData(None, frozenset(), frozenset(), None)
    hrefs = frozenset(href for chip in _learnt_chips(workspace, dataset) for href in _sources(chip))
    # A version whose chips are gone still names all its sources.
    hrefs = hrefs or frozenset(_sources(dataset))
    scenes = [item for item in (catalog.find_item(*item_of_href(href)) for href in sorted(hrefs)) if item]
    images = [item for item in scenes if IMAGE_ASSET in item["assets"]]
    return TrainingData(
        dataset["id"],
        hrefs,
        frozenset(item["assets"][IMAGE_ASSET]["file:checksum"] for item in images),
        pixel_metres(images[0]) if images else None,
    )


def named_item(catalog: Catalog, written: str) -> dict[str, Any]:
    """Return the item that a user writes as `<collection>/<item>`.

    Raises:
        InvalidInput: it is not written so.
        UnknownName: there is no such item.
    """
    collection, slash, item = written.strip("/").partition("/")
    if not slash or "/" in item:
        raise InvalidInput(f"{written!r} names no item; write it as <collection>/<item>")
    if catalog.find_collection(collection) is None:
        catalog.collection(collection)
    return catalog.item(collection, item)


def item_of_href(href: str) -> tuple[str, str]:
    """Return collection and item id of `collections/<collection>/items/<item>`, as provenance links are stored."""
    _, collection, _, item = href.split("/")
    return collection, item


def _learnt_chips(workspace: Workspace, dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    manifest = json.loads(workspace.store.verify(dataset["assets"][MANIFEST_ASSET]["href"]).read_bytes())
    ids = [chip["id"] for chip in manifest["chips"] if chip["split"] in _LEARNT_FROM]
    return [
        chip
        for first in range(0, len(ids), _PAGE)
        for chip in workspace.catalog.search(collections=[manifest["collection"]], ids=ids[first : first + _PAGE])
    ]


def _dataset(catalog: Catalog, href: str) -> dict[str, Any] | None:
    collection, item = item_of_href(href)
    return catalog.find_item(collection, item) if collection == DATASETS_COLLECTION else None


def _sources(item: Mapping[str, Any]) -> Sequence[str]:
    return [link["href"] for link in item["links"] if link["rel"] == "derived_from"]


def _age(item: Mapping[str, Any]) -> tuple[list[int], str, str]:
    properties = item["properties"]
    numbers = [int(part) for part in str(properties.get("version", "0")).split("-")[0].split(".") if part.isdigit()]
    return numbers, str(properties.get("created", "")), item["id"]
