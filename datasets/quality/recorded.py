"""How a chips collection says which quality run described it, and whether that still holds."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from terralab.extensions.chip_parts import TARGET_ASSETS
from terralab.extensions.item import item_link
from terralab.extensions.lab import CLASS_COUNTS_PROP, QUALITY_PROP, SPLIT_GROUP_PROP, SPLIT_PROP, Quality
from terralab.extensions.run import RUNS_COLLECTION

REPORT_REL = "lab:quality-report"
_DIGEST_FIELD = "lab:chips"
_ROLE = "ml-aoi:role"


def chips_digest(items: Iterable[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Return a hash of what the quality of chips depends on, and the sorted ids; `items` in any order."""
    entries = sorted((str(item["id"]), _identity(item)) for item in items)
    state = hashlib.sha256()
    for id, identity in entries:
        state.update(f"{id}\0{identity}\n".encode())
    return state.hexdigest()[:32], [id for id, _ in entries]


def report_link(run: str, digest: str) -> dict[str, Any]:
    """Return the collection's link to the quality run that described it."""
    return item_link(REPORT_REL, RUNS_COLLECTION, run, title="Quality report", **{_DIGEST_FIELD: digest})


def current_run(collection: Mapping[str, Any]) -> str | None:
    """Return the id of the last quality run of a collection, None where there was none."""
    link = _link(collection)
    return str(link["href"]).rsplit("/", 1)[-1] if link else None


def recorded_quality(collection: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> Quality | None:
    """Return the quality that was computed of exactly these chips; None where they were changed since.

    Args:
        collection: the chips collection.
        items: all its chips.
    """
    link, entry = _link(collection), collection.get(QUALITY_PROP)
    if not link or not entry or link.get(_DIGEST_FIELD) != chips_digest(items)[0]:
        return None
    return Quality.of_stac(entry)


def _link(collection: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((link for link in collection.get("links", []) if link.get("rel") == REPORT_REL), None)


def _identity(item: Mapping[str, Any]) -> str:
    properties, assets = item["properties"], item["assets"]
    files = sorted(
        f"{key}={entry['file:checksum']}"
        for key, entry in assets.items()
        if key in TARGET_ASSETS or entry.get(_ROLE) == "feature"
    )
    told = [properties.get(name) for name in (SPLIT_PROP, SPLIT_GROUP_PROP, CLASS_COUNTS_PROP)]
    place = [properties.get(name) for name in ("proj:code", "proj:transform", "datetime")]
    return repr([files, told, place])
