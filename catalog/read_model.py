"""From an item to its rows: in pgstac, and in the read model beside it (`sql/10_read_model.sql`).

`FIELDS` says which properties have a typed column. A column holds what pgstac would compare a filter with, so that a
filter compiled to columns (`search_plan`) finds what pgstac finds.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
import shapely

from terralab.catalog.dehydration import BaseItem, rehydrated
from terralab.catalog.rendering import holds_mark, joined, rendered
from terralab.catalog.store import HREF_SCHEME, parse_href
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.item import parse_time
from terralab.extensions.lab import CLASS_COUNTS_PROP, EXECUTION_REL, METRICS_PROP, PRODUCED_REL, Kind

TEXT, NUMBER = "text", "number"
FIELDS: dict[str, tuple[str, str]] = {
    "lab:kind": ("kind", TEXT),
    "ml-aoi:split": ("split", TEXT),
    "lab:split_group": ("split_group", TEXT),
    "lab:dataset": ("dataset", TEXT),
    "lab:dataset_version": ("dataset_version", TEXT),
    "version": ("version", TEXT),
    "lab:run_type": ("run_type", TEXT),
    "lab:status": ("status", TEXT),
    "mlm:name": ("model", TEXT),
    "mlm:architecture": ("architecture", TEXT),
    "mlm:framework": ("framework", TEXT),
    "platform": ("platform", TEXT),
    "constellation": ("constellation", TEXT),
    "processing:level": ("processing_level", TEXT),
    "proj:code": ("proj_code", TEXT),
    "grid:code": ("grid_code", TEXT),
    "gsd": ("gsd", NUMBER),
    "eo:cloud_cover": ("cloud_cover", NUMBER),
    "lab:valid_share": ("valid_share", NUMBER),
    "mlm:total_parameters": ("parameters", NUMBER),
    "lab:owner": ("owner", TEXT),
    "lab:visibility": ("visibility", TEXT),
    "lab:project": ("project", TEXT),
}
LINEAGE_RELS = frozenset(
    ("derived_from", "source", MEMBERS_REL, EXECUTION_REL, PRODUCED_REL, "predecessor-version", "latest-version")
)
HASH_BYTES = 16
_COLUMNS = tuple((name, kind) for name, (_, kind) in FIELDS.items())
_SCHEME_BYTES = HREF_SCHEME.encode()


@dataclass(frozen=True)
class CollectionState:
    """What the rows of a collection's items depend on.

    Attributes:
        id: of the collection.
        key: pgstac's number of it.
        partition_trunc: `year`, `month` or None, how its items are divided.
        base_item: what its items have in common, and are stored without.
        base_item_id: pgstac's number of that state of it, None for the first.
        renders: its render presets.
    """

    id: str
    key: int
    partition_trunc: str | None
    base_item: Mapping[str, Any]
    base_item_id: int | None
    renders: Mapping[str, Any] | None

    @cached_property
    def base(self) -> BaseItem:
        """Return the base item, looked through once."""
        return BaseItem(self.base_item)


@dataclass(frozen=True)
class ItemRow:
    """An item in the forms in which it is stored.

    Attributes:
        collection: id of its collection.
        id: its id.
        start: begin of its time range; its `datetime` where that is an instant.
        end: end of it.
        geometry: EWKB, EPSG:4326.
        bounds: west, south, east, north of the geometry.
        content: pgstac's JSON, without what the base item says.
        hash: first 16 bytes of the SHA-256 of the canonical JSON.
        columns: values of the typed columns, in the order of `FIELDS`.
        metrics: JSON of `lab:metrics`, None where there are none.
        class_counts: JSON of `lab:class_counts`, None where there are none.
        words: what free text search looks in, None where there is nothing.
        body: finished JSON with `BASE` for the address; None where the item cannot be rendered.
        links: (rel, target) of the links that say where it comes from.
        files: multihashes of its files in the asset store.
    """

    collection: str
    id: str
    start: datetime
    end: datetime
    geometry: bytes
    bounds: tuple[float, float, float, float]
    content: bytes
    hash: bytes
    columns: tuple[str | float | None, ...]
    metrics: bytes | None
    class_counts: bytes | None
    words: str | None
    body: bytes | None
    links: list[tuple[str, str]]
    files: list[str]


def item_rows(
    items: Sequence[Mapping[str, Any]],
    states: Mapping[str, CollectionState],
    members: Sequence[Mapping[str, bytes]] | None = None,
) -> list[ItemRow]:
    """Return the rows of items.

    Args:
        items: as stored.
        states: of their collections.
        members: what `canonical_members` gives for each item, where the caller has it.
    """
    members = members or [canonical_members(item) for item in items]
    geometries = shapely.from_geojson([texts["geometry"] for texts in members])
    bounds = shapely.bounds(geometries).tolist()
    wkb = shapely.to_wkb(shapely.set_srid(geometries, 4326), include_srid=True)
    return [
        _row(item, states[item["collection"]], texts, geometry, tuple(box))
        for item, texts, geometry, box in zip(items, members, wkb, bounds, strict=True)
    ]


def hydrated(
    collection: str, item: str, geometry: Mapping[str, Any], content: dict[str, Any], base_item: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the item that pgstac's row holds.

    Args:
        collection: id of its collection.
        item: its id.
        geometry: GeoJSON.
        content: what the row holds.
        base_item: what the row leaves out; its nulls mean nothing.
    """
    whole = rehydrated(base_item, {**content, "id": item, "collection": collection, "geometry": geometry})
    whole.pop("pgstac:base_item", None)
    return whole


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys and without spaces: equal documents give equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def canonical_members(document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the canonical JSON of each member of a document; `joined` makes that of the document of them."""
    return {name: orjson.dumps(document[name], option=orjson.OPT_SORT_KEYS) for name in sorted(document)}


def etag_of(document: Mapping[str, Any]) -> str:
    """Return the entity tag of an item or a collection as stored, 32 hexadecimal digits."""
    return hash_of(canonical(document)).hex()


def hash_of(content: bytes) -> bytes:
    """Return the first 16 bytes of the SHA-256."""
    return hashlib.sha256(content).digest()[:HASH_BYTES]


def stored_files(document: Mapping[str, Any]) -> list[str]:
    """Return the multihashes of an item's or a collection's files in the asset store, each once.

    A reference that is none, which only another program can have written, refers to nothing.
    """
    assets = [asset for asset in (document.get("assets") or {}).values() if isinstance(asset, dict)]
    return sorted({checksum for asset in assets if (checksum := _checksum(str(asset.get("href", ""))))})


def _checksum(href: str) -> str | None:
    if not href.startswith(HREF_SCHEME):
        return None
    try:
        return parse_href(href)[0]
    except ValueError:
        return None


def time_range(properties: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return begin and end as pgstac reads them: the range where both ends are given, else the instant."""
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    if start is None or end is None:
        start = end = properties["datetime"]
    return parse_time(start), parse_time(end)


def _row(
    item: Mapping[str, Any],
    state: CollectionState,
    members: Mapping[str, bytes],
    geometry: bytes,
    bounds: tuple[float, float, float, float],
) -> ItemRow:
    properties = item["properties"]
    text = joined(members)
    start, end = time_range(properties)
    return ItemRow(
        collection=item["collection"],
        id=item["id"],
        start=start,
        end=end,
        geometry=geometry,
        bounds=bounds,
        content=_content(item, state),
        hash=hash_of(text),
        columns=_columns(properties),
        metrics=_object(properties.get(METRICS_PROP)),
        class_counts=_object(properties.get(CLASS_COUNTS_PROP)),
        words=_words(properties),
        body=None if holds_mark(text) else rendered(item, state.renders, members),
        links=[
            (str(link["rel"]), str(link["href"])) for link in item.get("links") or [] if link["rel"] in LINEAGE_RELS
        ],
        files=stored_files(item) if _SCHEME_BYTES in members.get("assets", b"") else [],
    )


def _content(item: Mapping[str, Any], state: CollectionState) -> bytes:
    """Return what pgstac's own loader would store."""
    content = state.base.dehydrated(item)
    for name in ("id", "collection", "geometry", "type", "pgstac:base_item"):
        content.pop(name, None)
    if state.base_item_id is not None:
        content["pgstac:base_item"] = state.base_item_id
    return orjson.dumps(content)


def _columns(properties: Mapping[str, Any]) -> tuple[str | float | None, ...]:
    get = properties.get
    return tuple(
        found if (found := get(name)) is None or (kind is TEXT and type(found) is str) else _value(found, kind)
        for name, kind in _COLUMNS
    )


def _value(value: Any, kind: str) -> str | float | None:
    """Return what pgstac's `to_text` or `to_float` makes of a property, None where it makes nothing of it."""
    if value is None or (kind == NUMBER and isinstance(value, dict | list)):
        return None
    if kind == NUMBER:
        return _number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):  # never null: a visibility of no known form would count as public
        return json.dumps(value, ensure_ascii=False)
    return orjson.dumps(value).decode()


def _words(properties: Mapping[str, Any]) -> str | None:
    """Return title, description and keywords, as the free text extension names them; of a model its name, too."""
    names = ["title", "description", "label:description"]
    if properties.get("lab:kind") == Kind.MODEL:
        names += ["mlm:name", "mlm:architecture"]
    texts = [properties.get(name) for name in names]
    keywords = properties.get("keywords")
    texts += keywords if isinstance(keywords, list) else [keywords]
    return " ".join(text.replace("\0", "") for text in texts if isinstance(text, str) and text) or None


def _object(value: Any) -> bytes | None:
    return orjson.dumps(value) if isinstance(value, dict) and value else None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
