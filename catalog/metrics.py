"""Counting and timing requests, for Prometheus. Each app has a registry of its own."""

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """The requests of one app.

    Args:
        registry: where the metrics are registered.

    Attributes:
        in_flight: requests that are being answered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "terralab_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "terralab_http_request_seconds",
            "Time until the last byte of an answer was handed on, seconds.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._bytes = Counter(
            "terralab_http_response_bytes", "Bytes of the bodies of answers.", ["method", "route"], registry=registry
        )
        self.in_flight = Gauge("terralab_http_requests_in_flight", "Requests being answered now.", registry=registry)
        # To look a metric up by its labels takes a lock and several tuples; there are few combinations.
        self._of_route = lru_cache(maxsize=2048)(self._find)

    def count(self, method: str, route: str, status: int | None, seconds: float, size: int) -> None:
        """Count a request.

        Args:
            method: HTTP method; those that HTTP does not name count as one.
            route: template of the route, never a path.
            status: of the answer; None where the client went away before there was one.
            seconds: until the end of the answer.
            size: bytes of its body.
        """
        known = method if method in _METHODS else "other"
        answered, duration, sent = self._of_route(known, route, str(status) if status is not None else "none")
        answered.inc()
        duration.observe(seconds)
        sent.inc(size)

    def _find(self, method: str, route: str, status: str) -> tuple[Counter, Histogram, Counter]:
        return (
            self._answered.labels(method, route, status),
            self._seconds.labels(method, route),
            self._bytes.labels(method, route),
        )
