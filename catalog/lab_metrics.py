"""What Prometheus may know of the lab besides its requests: the database, connections to it, what the catalog holds."""

import logging
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from threading import Lock
from time import monotonic
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from terralab.catalog.database import Catalog
from terralab.catalog.errors import LabError
from terralab.catalog.migration import PGSTAC_VERSION

COUNTED_EVERY_SECONDS = 30.0
_LOG = logging.getLogger("terralab.metrics")


class LabMetrics(Collector):
    """Asks the database when Prometheus asks; what takes long is counted every half minute.

    Args:
        catalog: opens the catalog.
        pool: returns the connections of the STAC API, None before there are any.
    """

    def __init__(self, catalog: Callable[[], Catalog], pool: Callable[[], asyncpg.Pool | None]) -> None:
        self._catalog, self._pool = catalog, pool
        self._counts: Mapping[str, int] = {}
        self._counted = -COUNTED_EVERY_SECONDS
        self._lock = Lock()

    def register(self, registry: CollectorRegistry) -> None:
        """Add these metrics, and those of the process, to a registry."""
        registry.register(self)
        ProcessCollector(namespace="terralab", registry=registry)

    def describe(self) -> list[Metric]:
        """Say nothing before the first scrape, so that registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; where the database does not answer, those of it are left out."""
        yield InfoMetricFamily("terralab", "Versions.", {"version": version("terralab"), "pgstac": PGSTAC_VERSION})
        if (pool := self._pool()) is not None:
            yield _connections(pool)
        try:
            found = self._of_database()
        except LabError as error:
            _LOG.warning("the database gives no metrics: %s", error)
            found = {}
        yield GaugeMetricFamily("terralab_database_up", "Whether the database answered.", float(bool(found)))
        if found:
            stale = "Items that wait for the read model; searches of their collections take the slow way."
            yield GaugeMetricFamily("terralab_stale_items", stale, found["stale"])
            yield _items(found["counts"])

    def _of_database(self) -> dict[str, Any]:
        catalog = self._catalog()
        with catalog.connection() as connection:
            row = connection.execute("SELECT count(*) FROM lab.stale").fetchone()
        with self._lock:
            if monotonic() - self._counted >= COUNTED_EVERY_SECONDS:
                self._counts, self._counted = catalog.counts(), monotonic()
            return {"stale": row[0] if row else 0, "counts": self._counts}


def _connections(pool: asyncpg.Pool) -> Metric:
    family = GaugeMetricFamily(
        "terralab_database_connections", "Connections of the STAC API to the database.", labels=["state"]
    )
    idle, size = pool.get_idle_size(), pool.get_size()
    for state, count in (("used", size - idle), ("idle", idle), ("limit", pool.get_max_size())):
        family.add_metric([state], count)
    return family


def _items(counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily("terralab_items", "Items in the catalog.", labels=["kind"])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family
