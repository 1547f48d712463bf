"""Counts and histograms of the items that a search matches: what there is to count, and how it is answered.

Counts of whole collections are sums over `lab.facets`, which writers keep exact (`sql/30_facets.sql`). Counts of less,
and of grid cells, are one pass over the read model, or over pgstac itself where the read model cannot answer
(`aggregation_sql`); they are kept for as long as the collections do not change.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import asyncpg

from terralab.catalog import aggregation_sql as sql
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.errors import InvalidInput, LabError, ServiceUnavailable
from terralab.catalog.search_plan import compile_where
from terralab.extensions.item import format_time
from terralab.extensions.lab import Kind

Interval = Literal["year", "month", "day"]
DEFAULT_ZOOM, MAX_ZOOM = 5, 22
MAX_BUCKETS = 10_000
KEPT_RESULTS = 2_000
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
    zoom: int = DEFAULT_ZOOM

    @property
    def facets(self) -> dict[str, str]:
        """Return the names of the wanted distributions by their facet."""
        return {facet: name for name in self.names if (facet := AGGREGATIONS[name].facet) is not None}

    @property
    def shape(self) -> sql.Shape:
        """Return what must be counted."""
        ends = "datetime_min" in self.names or "datetime_max" in self.names
        return sql.Shape(tuple(self.facets), self.interval, self.zoom, ends)

    @property
    def scanned(self) -> list[str]:
        """Return the facets that are not summed, even of whole collections."""
        by_day = {"month"} if self.interval == "day" else set()
        return [facet for facet in self.facets if facet not in sql.SUMMED - by_day]


def aggregations_of(kind: str | None) -> dict[str, Aggregation]:
    """Return what can be counted of a collection of that `lab:kind`; of one of another kind, everything."""
    known = kind in {known.value for known in Kind}
    return {name: one for name, one in AGGREGATIONS.items() if not known or one.kinds is None or kind in one.kinds}


class Aggregator:
    """Aggregates, and keeps what took a pass over the items for as long as their collections do not change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Any] = OrderedDict()

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
        collections = wanted.search.get("collections") or None
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if await sql.is_stale(connection, collections):
                return await self._by_pgstac(connection, wanted, policy, hidden)
            try:
                where, values = compile_where(wanted.search, policy, hidden)
            except NotCompiled:
                return await self._by_pgstac(connection, wanted, policy, hidden)
            versions = await sql.versions(connection, collections)
            scope = (where, repr(values), tuple(versions.items()))
            keys = {name: (scope, name, wanted.interval, wanted.zoom) for name in wanted.names}
            found = {name: self._kept[key] for name, key in keys.items() if key in self._kept}
            if missing := tuple(name for name in wanted.names if name not in found):
                rest = replace(wanted, names=missing)
                if _is_whole(wanted):
                    counted = await self._whole(connection, rest, versions, policy, hidden)
                else:
                    counted = await sql.scan(connection, rest.shape, f"lab.items WHERE {where}", values)
                found |= {name: self._keep(keys[name], _answer(name, rest, counted)) for name in missing}
        return [found[name] for name in wanted.names]

    async def _by_pgstac(
        self,
        connection: asyncpg.Connection,
        wanted: Wanted,
        policy: Mapping[str, Any] | None,
        hidden: AbstractSet[str],
    ) -> list[dict[str, Any]]:
        if wanted.search.get("q"):
            raise _no_free_text(wanted)
        counted = await sql.scan_pgstac(connection, wanted.shape, wanted.search, policy, hidden)
        return [_answer(name, wanted, counted) for name in wanted.names]

    async def _whole(
        self,
        connection: asyncpg.Connection,
        wanted: Wanted,
        versions: Mapping[str, int],
        policy: Mapping[str, Any] | None,
        hidden: AbstractSet[str],
    ) -> sql.Counted:
        """Count the items of whole collections."""
        collections = wanted.search.get("collections") or None
        where, values = compile_where({}, policy, hidden)
        summed = [facet for facet in wanted.facets if facet not in wanted.scanned]
        counted = await sql.sum_facets(connection, summed, collections, where, values)
        if "month" in summed and wanted.interval == "year":
            counted.counts["month"] = _added(counted.counts["month"], lambda month: month[:4])
        for facet in wanted.scanned:
            buckets: list[sql.Bucket] = []
            for collection, version in versions.items():
                if collection not in hidden:
                    buckets += await self._of_collection(connection, wanted, facet, collection, version, policy)
            counted.counts[facet] = _added(buckets, lambda value: value)
        if wanted.shape.ends:
            counted.first, counted.last = await sql.ends(connection, collections, where, values)
        return counted

    async def _of_collection(
        self,
        connection: asyncpg.Connection,
        wanted: Wanted,
        facet: str,
        collection: str,
        version: int,
        policy: Mapping[str, Any] | None,
    ) -> list[sql.Bucket]:
        """Return the counts of a facet in a collection, those of before where it has not changed."""
        where, values = compile_where({"collections": [collection]}, policy)
        shape = sql.Shape((facet,), wanted.interval, wanted.zoom, ends=False)
        key = (where, repr(values), shape, version)
        if (known := self._kept.get(key)) is None:
            counted = await sql.scan(connection, shape, f"lab.items WHERE {where}", values)
            known = self._keep(key, counted.counts[facet])
        return cast(list[sql.Bucket], known)

    def _keep(self, key: Any, value: Any) -> Any:
        self._kept[key] = value
        if len(self._kept) > KEPT_RESULTS:
            self._kept.popitem(last=False)
        return value


def _no_free_text(wanted: Wanted) -> LabError:
    """Return why free text is not counted: pgstac, which would have to, finds no item without a description."""
    try:
        compile_where(wanted.search)
    except NotCompiled as error:
        return InvalidInput(f"free text (q) cannot be combined with {error}; use it with plain members")
    return ServiceUnavailable("another program just changed items; free text finds them in a moment")


def _is_whole(wanted: Wanted) -> bool:
    """Say whether whole collections are counted."""
    return {name for name, value in wanted.search.items() if value is not None} <= {"collections"}


def _added(buckets: Iterable[sql.Bucket], coarser: Callable[[str], str]) -> list[sql.Bucket]:
    sums: dict[str, int] = {}
    for bucket in buckets:
        value = coarser(bucket.value)
        sums[value] = sums.get(value, 0) + bucket.items
    return [sql.Bucket(value, items) for value, items in sums.items()]


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
