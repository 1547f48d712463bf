"""Models for data, and data for models: `extensions.matching` over the catalog, as far as the caller may read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import orjson
from shapely import box
from shapely.geometry.base import BaseGeometry

from terralab.catalog.access.policy import readable_sql
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import InvalidInput
from terralab.catalog.readable import readable_item
from terralab.catalog.rendering import BASE
from terralab.catalog.search_guards import split_box
from terralab.catalog.workspace import Workspace
from terralab.extensions.bands import COMMON_NAMES
from terralab.extensions.lab import ALIASES_PROP, KIND_PROP, METRICS_PROP, Kind
from terralab.extensions.matching import Match, Need, Offer, OfferedBand, match
from terralab.extensions.matching_items import need_of_model, offer_of_item, sensor_family
from terralab.extensions.model import MODELS_COLLECTION

MAX_LOOKED_AT = 500
"""Items that are looked at for one model; the newest first."""
SHOWN_UNFIT = 20
# Only models have `mlm:name`, so that the index by it is the list of all models.
_MODELS = """
    SELECT i.body FROM lab.items i
    WHERE i.model IS NOT NULL AND i.kind = 'model' AND i.collection <> ALL(%(hidden)s::text[]) AND {readable}"""
_DATA_KINDS = (None, Kind.IMAGERY)


@dataclass(frozen=True)
class Matched:
    """An item, and how well it fits what was asked about."""

    item: Mapping[str, Any]
    match: Match

    @property
    def name(self) -> str:
        """Return `collection/item`."""
        return f"{self.item['collection']}/{self.item['id']}"


@dataclass(frozen=True)
class Matches:
    """What was found.

    Attributes:
        fit: what fits, best first.
        unfit: some of what does not, with the reason.
        looked_at: how many were compared.
        complete: whether those were all.
    """

    fit: list[Matched]
    unfit: list[Matched]
    looked_at: int
    complete: bool = True


def models_for(workspace: Workspace, caller: Principal, offer: Offer, task: str | None, limit: int) -> Matches:
    """Return the models that can look at data.

    Args:
        workspace: the lab.
        caller: who asks.
        offer: what the data offers.
        task: one of `mlm:tasks` that the models must do; None for any.
        limit: at most so many that fit.
    """
    found = []
    for item in _models(workspace, caller):
        need = need_of_model(item)
        if task is None or task in need.tasks:
            found.append(Matched(item, match(need, offer)))
    fit = sorted((one for one in found if one.match.fits), key=lambda one: (-one.match.score, one.name))
    unfit = sorted((one for one in found if not one.match.fits), key=lambda one: (len(one.match.missing), one.name))
    return Matches(fit[:limit], unfit[:SHOWN_UNFIT], len(found))


def items_for(
    workspace: Workspace,
    caller: Principal,
    model: str,
    limit: int,
    collections: Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    period: str | None = None,
) -> Matches:
    """Return the items that a model can look at, the best of the newest `MAX_LOOKED_AT` first.

    Args:
        workspace: the lab.
        caller: who asks.
        model: id of its item.
        limit: at most so many.
        collections: to look in; by default all of imagery, and those of unknown kind.
        bbox: west, south, east, north.
        period: STAC datetime or interval.

    Raises:
        UnknownName: there is no such model, or the caller may not read it.
    """
    need = need_of_model(readable_item(workspace.catalog, MODELS_COLLECTION, model, caller))
    view = workspace.views.of(caller)
    known = {one["id"]: one for one in view.collections() if one.get(KIND_PROP) in _DATA_KINDS}
    wanted = [name for name in (collections or known) if name in known and _may_fit(known[name], need)]
    if not wanted:
        return Matches([], [], 0)
    place: dict[str, Any] = {"bbox": list(bbox)} if bbox else {}
    if halves := split_box(bbox):
        place = {"intersects": halves}
    time: dict[str, Any] = {"datetime": period} if period else {}
    looked = list(islice(view.search(collections=wanted, **place, **time), MAX_LOOKED_AT + 1))
    found = [Matched(item, match(need, offer_of_item(item))) for item in looked[:MAX_LOOKED_AT]]
    fit = sorted((one for one in found if one.match.fits), key=lambda one: -one.match.score)  # stable: the newest first
    unfit = [one for one in found if not one.match.fits]
    return Matches(fit[:limit], unfit[:SHOWN_UNFIT], len(found), len(looked) <= MAX_LOOKED_AT)


def offer_of(
    workspace: Workspace,
    caller: Principal,
    item: str | None,
    bands: Sequence[str] | None,
    gsd: float | None,
    sensor: str | None,
    bbox: Sequence[float] | None,
) -> Offer:
    """Return what an item offers, or what is said of data that is not in the catalog.

    Args:
        workspace: the lab.
        caller: who asks.
        item: `collection/item`; or
        bands: names of the bands.
        gsd: size of the pixels, metres; in place of the item's.
        sensor: such as `sentinel-2`; in place of the item's.
        bbox: where the data lies; in place of the item's.

    Raises:
        InvalidInput: neither an item nor bands are given, or both.
        UnknownName: there is no such item, or the caller may not read it.
    """
    if (item is None) == (not bands):
        raise InvalidInput("give an item (collection/item) or bands (B02,B03), one of the two")
    area = None if bbox is None else _area(bbox)
    if item is None:
        named = tuple(OfferedBand(name, name.lower() if name.lower() in COMMON_NAMES else None) for name in bands or ())
        return Offer(named, gsd, None if sensor is None else sensor_family(sensor), area)
    collection, slash, name = item.partition("/")
    if not slash or not name:
        raise InvalidInput(f"an item is written as collection/item, not {item[:80]!r}")
    offer = offer_of_item(readable_item(workspace.catalog, collection, name, caller))
    said_sensor = offer.sensor if sensor is None else sensor_family(sensor)
    return Offer(offer.bands, gsd or offer.gsd, said_sensor, area or offer.area)


def described(found: Matched) -> dict[str, Any]:
    """Return a match as JSON values."""
    properties, one = found.item["properties"], found.match
    metrics = properties.get(METRICS_PROP) or {}
    known = {
        "name": found.name,
        "title": str(properties.get("title") or found.item["id"]),
        "score": one.score,
        "reasons": list(one.reasons),
        "bands": [asdict(pair) for pair in one.bands],
        "missing": list(one.missing),
        "gsd_ratio": one.gsd_ratio,
        "area_overlap": one.overlap,
        "asset": one.one_asset,
        "datetime": properties.get("datetime") or properties.get("start_datetime"),
        "version": properties.get("version"),
        "tasks": properties.get("mlm:tasks"),
        "aliases": properties.get(ALIASES_PROP),
        "metrics": {name: value for name, value in metrics.items() if name.startswith("test_")} or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _models(workspace: Workspace, caller: Principal) -> Iterator[dict[str, Any]]:
    """Yield the models that a caller may read."""
    hidden = sorted(workspace.views.collections.hidden_from(caller))
    readable, values = readable_sql(caller, "i")
    with workspace.catalog.connection() as connection:
        rows = connection.execute(
            _MODELS.format(readable=readable).encode(), {**values, "hidden": hidden}, binary=True
        ).fetchall()
        stale = connection.execute("SELECT EXISTS (SELECT FROM lab.stale)").fetchone()
    if stale and stale[0]:
        is_model = {"op": "=", "args": [{"property": KIND_PROP}, Kind.MODEL]}
        yield from workspace.views.of(caller).search(filter=is_model)
        return
    for (body,) in rows:
        yield orjson.loads(bytes(body).replace(BASE, b""))


def _may_fit(collection: Mapping[str, Any], need: Need) -> bool:
    """Say whether items of a collection may fit, by the bands that it says they have; one that says nothing may."""
    bands = offer_of_item({"properties": {}, "geometry": None, "assets": collection.get("item_assets") or {}}).bands
    return not bands or match(need, Offer(bands)).fits


def _area(bbox: Sequence[float]) -> BaseGeometry:
    west, south, east, north = bbox
    if west <= east:
        return box(west, south, east, north)
    return box(west, south, 180, north).union(box(-180, south, east, north))
