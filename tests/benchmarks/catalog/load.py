"""Load on a server: a closed loop of clients that send the requests of one class for some seconds.

The client is wrk, which takes a few percent of one core. Where it is not installed, a client in Python stands in; it
costs about as much as a fast server and understates one, which the result says (`client`).
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from tests.benchmarks.catalog.load_python import measure as measure_in_python
from tests.benchmarks.catalog.queries import Query

_SCRIPT = Path(__file__).with_name("cycle.lua")


@dataclass(frozen=True)
class Measurement:
    """What the clients saw: times in milliseconds, `rps` requests a second, `mbps` megabytes a second.

    A request that is under way at the end counts as half a request in `rps`, lest slow servers look slower than they
    are; its time is not among the times.
    """

    requests: int
    rps: float
    mbps: float
    p50: float
    p95: float
    p99: float
    longest: float
    errors: int
    client: str


def measure(
    url: str,
    queries: Sequence[Query],
    *,
    clients: int,
    seconds: float,
    first: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Measurement:
    """Send requests in turn from `clients` connections for `seconds` and return what they saw.

    Args:
        url: of the API's landing page.
        queries: sent one after another, from the beginning again after the last.
        clients: connections; each sends its next request when it has its answer.
        seconds: how long.
        first: number of the query to begin with.
        headers: further headers of every request.
    """
    raw = [raw_request(url, query, headers or {}) for query in queries]
    wrk = shutil.which("wrk")
    found = (
        _by_wrk(wrk, url, raw, clients, seconds, first) if wrk else measure_in_python(url, raw, clients, seconds, first)
    )
    return Measurement(
        requests=int(found["requests"]),
        rps=(found["requests"] + clients / 2) / found["seconds"],
        mbps=found["bytes"] / found["seconds"] / 1e6,
        p50=found["p50_ms"],
        p95=found["p95_ms"],
        p99=found["p99_ms"],
        longest=found["max_ms"],
        errors=int(found["errors"]),
        client="wrk" if wrk else "python",
    )


def raw_request(url: str, query: Query, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a request as HTTP/1.1 sends them."""
    address, body = urlsplit(url), query.content()
    lines = [
        f"{query.method} {address.path}{query.path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Accept: application/geo+json, application/json",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def _by_wrk(wrk: str, url: str, raw: Sequence[bytes], clients: int, seconds: float, first: int) -> dict[str, float]:
    with tempfile.NamedTemporaryFile(prefix="requests-") as file:
        file.write(b"".join(b"%d\n%s" % (len(entry), entry) for entry in raw))
        file.flush()
        # wrk takes whole seconds, and counts answers that take longer than its timeout as errors.
        options = ["-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "120s", "-s", str(_SCRIPT)]
        done = subprocess.run(
            [wrk, *options, url],
            env={**os.environ, "REQUESTS": file.name, "FIRST": str(first)},
            capture_output=True,
            check=True,
        )
    line = done.stdout.strip().splitlines()[-1]
    found: dict[str, float] = orjson.loads(line)
    return found
