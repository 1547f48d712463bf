"""A load client in Python, for machines without wrk; it speaks just enough HTTP/1.1 to read an answer to its end."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from urllib.parse import urlsplit


def measure(url: str, raw: Sequence[bytes], clients: int, seconds: float, first: int) -> dict[str, float]:
    """Send ready-made requests in turn and return the same members as `cycle.lua` prints."""
    return asyncio.run(_measure(url, raw, clients, seconds, first))


async def _measure(url: str, raw: Sequence[bytes], clients: int, seconds: float, first: int) -> dict[str, float]:
    address, times, state = urlsplit(url), [], {"next": first, "bytes": 0, "errors": 0}
    started = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 20)
        while True:
            request = raw[state["next"] % len(raw)]
            state["next"] += 1
            before = time.perf_counter()
            writer.write(request)
            good, size = await _answer(reader)
            now = time.perf_counter()
            if now - started > seconds:
                writer.close()
                return
            times.append(1000 * (now - before))
            state["bytes"] += size
            state["errors"] += not good

    await asyncio.gather(*(client() for _ in range(clients)))
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return {
        "requests": len(times),
        "seconds": seconds,
        "bytes": state["bytes"],
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "max_ms": max(times),
        "errors": state["errors"],
    }


async def _answer(reader: asyncio.StreamReader) -> tuple[bool, int]:
    """Read one answer; return whether it is 2xx and how many bytes it has."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    size = len(head)
    if b"content-length" in fields:
        size += len(await reader.readexactly(int(fields[b"content-length"])))
    elif b"chunked" in fields.get(b"transfer-encoding", b""):
        while length := int(await reader.readuntil(b"\r\n"), 16):
            size += len(await reader.readexactly(length + 2))
        await reader.readexactly(2)
    return head.split(b" ", 2)[1].startswith(b"2"), size
