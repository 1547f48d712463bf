"""Counts and histograms of the items that a search matches: what there is to count, and how it is answered.

Counts of whole collections are sums over `lab.facets`, which writers keep exact (`sql/30_facets.sql`). Counts of less
are one pass over the read model, or over pgstac itself where the read model cannot answer (`aggregation_sql`).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from terralab.catalog import aggregation_sql as sql
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.search_plan import compile_where
from terralab.extensions.item import format_time
from terralab.extensions.lab import Kind

Interval = Literal["year", "month", "day"]
MAX_ZOOM = 22
MAX_BUCKETS = 10_000
KEPT_RESULTS = 500
_TENTHS = range(0, 100, 10)
_PIXELS = (Kind.CHIPS, Kind.LABELS, Kind.DATASET, Kind.PREDICTION)


@dataclass(frozen=True)
class Aggregation:
    """Something that can be counted.

    Attributes:
        title: for people.
        data_type: of the value, or of the values that are counted.
        facet: its name in `lab.facets`; None for a single value.
        kinds: of objects that have it; None for all.
    """

    title: str
    data_type: str
    facet: str | None = None
    kinds: tuple[Kind, ...] | None = None


AGGREGATIONS: dict[str, Aggregation] = {
    "total_count": Aggregation("Items", "integer"),
    "datetime_min": Aggregation("Earliest begin of an item", "datetime"),
    "datetime_max": Aggregation("Latest begin of an item", "datetime"),
    "collection_frequency": Aggregation("Items by collection", "string", "item"),
    "kind_frequency": Aggregation("Items by kind of object", "string", "kind"),
    "datetime_frequency": Aggregation("Items by year, month or day of their begin", "datetime", "month"),
    "grid_geotile_frequency": Aggregation("Items by the web map tile of the middle of their box", "string", "tile"),
    "platform_frequency": Aggregation("Items by platform", "string", "platform", (Kind.IMAGERY,)),
    "cloud_cover_frequency": Aggregation("Items by cloud cover", "numeric", "cloud_cover", (Kind.IMAGERY,)),
    "grid_code_frequency": Aggregation("Items by grid cell", "string", "grid_code", (Kind.IMAGERY, Kind.CHIPS)),
    "split_frequency": Aggregation("Chips by split", "string", "split", (Kind.CHIPS,)),
    "class_frequency": Aggregation("Items and their pixels by class", "string", "class", _PIXELS),
    "dataset_version_frequency": Aggregation(
        "Items by dataset version", "string", "dataset_version", (Kind.CHIPS, Kind.MODEL)
    ),
    "model_frequency": Aggregation("Versions by model", "string", "model", (Kind.MODEL,)),
    "run_type_frequency": Aggregation("Runs by what they did", "string", "run_type", (Kind.RUN,)),
    "status_frequency": Aggregation("Runs by status", "string", "status", (Kind.RUN,)),
}


@dataclass(frozen=True)
class Wanted:
    """What to aggregate.

    Attributes:
        search: which items, as the body of POST /search.
        names: of `AGGREGATIONS`.
        interval: of `datetime_frequency`.
        zoom: of `grid_geotile_frequency`.
    """

    search: Mapping[str, Any]
    names: tuple[str, ...]
    interval: Interval = "month"
    zoom: int = sql.FACET_ZOOM

    @property
    def facets(self) -> dict[str, str]:
        """Return the names of the wanted distributions by their facet."""
        return {facet: name for name in self.names if (facet := AGGREGATIONS[name].facet) is not None}

    @property
    def has_ends(self) -> bool:
        """Return whether the earliest or the latest time is wanted."""
        return "datetime_min" in self.names or "datetime_max" in self.names


def aggregations_of(kind: str | None) -> dict[str, Aggregation]:
    """Return what can be counted of a collection of that `lab:kind`; of one of another kind, everything."""
    known = kind in {known.value for known in Kind}
    return {name: one for name, one in AGGREGATIONS.items() if not known or one.kinds is None or kind in one.kinds}


class Aggregator:
    """Aggregates, and keeps what took a pass over the items for as long as their collections do not change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, list[dict[str, Any]]] = OrderedDict()

    async def aggregate(
        self,
        connection: asyncpg.Connection,
        wanted: Wanted,
        policy: Mapping[str, Any] | None = None,
        hidden: AbstractSet[str] = frozenset(),
    ) -> list[dict[str, Any]]:
        """Return STAC aggregations in the order of `wanted.names`.

        Args:
            connection: to read from.
            wanted: what to aggregate.
            policy: CQL2 JSON that every item must meet as well.
            hidden: collections whose items are left out.
        """
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await self._answers(connection, wanted, policy, hidden)

    async def _answers(
        self,
        connection: asyncpg.Connection,
        wanted: Wanted,
        policy: Mapping[str, Any] | None,
        hidden: AbstractSet[str],
    ) -> list[dict[str, Any]]:
        shape = sql.Shape(tuple(wanted.facets), wanted.interval, wanted.zoom, wanted.has_ends)
        version, stale = await sql.state(connection, wanted.search.get("collections") or None)
        try:
            if stale:
                raise NotCompiled("stale")
            if _is_summed(wanted):
                return _answers(wanted, await _summed(connection, wanted, *compile_where({}, policy, hidden)))
            where, values = compile_where(wanted.search, policy, hidden)
        except NotCompiled:
            return _answers(wanted, await sql.scan_pgstac(connection, shape, wanted.search, policy, hidden))
        key = (where, repr(values), wanted.names, shape, version)
        if key not in self._kept:
            counted = await sql.scan(connection, shape, f"lab.items WHERE {where}", values)
            self._kept[key] = _answers(wanted, counted)
            if len(self._kept) > KEPT_RESULTS:
                self._kept.popitem(last=False)
        return self._kept[key]


def _is_summed(wanted: Wanted) -> bool:
    """Say whether everything that is wanted is a sum over facets."""
    given = {name for name, value in wanted.search.items() if value is not None}
    by_day = "month" in wanted.facets and wanted.interval == "day"
    in_fine_tiles = "tile" in wanted.facets and wanted.zoom > sql.FACET_ZOOM
    return given <= {"collections"} and not by_day and not in_fine_tiles


async def _summed(connection: asyncpg.Connection, wanted: Wanted, where: str, values: list[Any]) -> sql.Counted:
    collections = wanted.search.get("collections") or None
    counted = await sql.sum_facets(connection, tuple(wanted.facets), collections, where, values)
    if "month" in wanted.facets and wanted.interval == "year":
        counted.counts["month"] = _merged(counted.counts["month"], lambda month: month[:4])
    if "tile" in wanted.facets:
        counted.counts["tile"] = _merged(counted.counts["tile"], lambda tile: _parent(tile, wanted.zoom))
    if wanted.has_ends:
        counted.first, counted.last = await sql.ends(connection, collections, where, values)
    return counted


def _merged(buckets: list[sql.Bucket], coarser: Callable[[str], str]) -> list[sql.Bucket]:
    sums: dict[str, int] = {}
    for bucket in buckets:
        sums[coarser(bucket.value)] = sums.get(coarser(bucket.value), 0) + bucket.items
    return [sql.Bucket(value, items) for value, items in sums.items()]


def _parent(tile: str, zoom: int) -> str:
    own, x, y = (int(part) for part in tile.split("/"))
    return f"{zoom}/{x >> (own - zoom)}/{y >> (own - zoom)}"


def _answers(wanted: Wanted, counted: sql.Counted) -> list[dict[str, Any]]:
    return [_answer(name, wanted, counted) for name in wanted.names]


def _answer(name: str, wanted: Wanted, counted: sql.Counted) -> dict[str, Any]:
    """Return one aggregation as the STAC extension writes it."""
    one = AGGREGATIONS[name]
    if one.facet is None:
        moments = {"datetime_min": counted.first, "datetime_max": counted.last}
        moment = moments.get(name)
        value = counted.total if name == "total_count" else moment and format_time(moment)
        return {"name": name, "data_type": one.data_type, "value": value}
    buckets = counted.counts[one.facet]
    if one.facet == "month":
        shown = [_bucket(_begin(entry.value), entry, "datetime") for entry in sorted(buckets)]
    elif one.facet == "cloud_cover":
        found = {int(entry.value): entry for entry in buckets}
        shown = [_range(tenth, found.get(tenth)) for tenth in _TENTHS] if found else []
    else:
        ordered = sorted(buckets, key=lambda entry: (-entry.items, entry.value))
        shown = [_bucket(entry.value, entry, one.data_type) for entry in ordered]
    answer: dict[str, Any] = {
        "name": name,
        "data_type": "frequency_distribution",
        "frequency_distribution_data_type": one.data_type,
        "buckets": shown[:MAX_BUCKETS],
        # Items without a value are in no bucket. An item may be in many classes, so there only cut buckets count.
        "overflow": sum(entry["frequency"] for entry in shown[MAX_BUCKETS:])
        if one.facet == "class"
        else counted.total - sum(entry["frequency"] for entry in shown[:MAX_BUCKETS]),
    }
    return {**answer, "interval": wanted.interval} if one.facet == "month" else answer


def _bucket(key: str, entry: sql.Bucket, data_type: str) -> dict[str, Any]:
    bucket: dict[str, Any] = {"key": key, "data_type": data_type, "frequency": entry.items}
    return bucket if entry.pixels is None else {**bucket, "pixels": round(entry.pixels)}


def _range(tenth: int, entry: sql.Bucket | None) -> dict[str, Any]:
    frequency = 0 if entry is None else entry.items
    return {"key": f"{tenth}-{tenth + 10}", "data_type": "numeric", "from": tenth, "to": tenth + 10} | {
        "frequency": frequency
    }


def _begin(period: str) -> str:
    """Return when a year, month or day begins."""
    return f"{period}-01-01"[: len("2020-01-01")] + "T00:00:00Z" if len(period) < 10 else f"{period}T00:00:00Z"
