"""A second lab as provider: real chips of terramesh as scenes, behind a door that counts, refuses and breaks off."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rasterio
from fastapi import FastAPI

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import raster_grid
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import COG_TYPE, Footprint, StoredFile, asset
from terralab.extensions.raster import BandRecord, Grid

BANDS = {
    "S2L2A": ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"),
    "S2L1C": ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"),
    "S1RTC": ("VV", "VH"),
    "DEM": ("DEM",),
}
COLLECTIONS = {"S2L2A": "sentinel-2-l2a", "S2L1C": "sentinel-2-l1c", "S1RTC": "sentinel-1-rtc", "DEM": "cop-dem-glo-30"}
PLACE = "637U_59R_1_3"
DAYS = {"S2L2A": (5, 15, 25), "S2L1C": (5,), "S1RTC": (6, 18), "DEM": (1,)}
CLOUDS = {5: 10.0, 15: 80.0, 25: 30.0}


def fill_provider(workspace: Workspace, data: Path) -> None:
    """Publish the scenes of one place: three dates of S2L2A, two of S1RTC, and the DEM."""
    collections, items = [], []
    for modality, names in BANDS.items():
        mine = [_item(workspace, data, modality, names, day) for day in DAYS[modality]]
        area = Footprint.union(Footprint.of_item(item) for item in mine)
        bands = [BandRecord.of_stac(entry) for entry in mine[0]["assets"]["image"]["bands"]]
        collections.append(
            imagery_collection(
                id=COLLECTIONS[modality], title=modality, description="Test", footprint=area, bands=bands
            )
        )
        items += mine
    publish(workspace, collections, items)


def _item(workspace: Workspace, data: Path, modality: str, names: tuple[str, ...], day: int) -> dict[str, Any]:
    with rasterio.open(data / "terramesh" / modality / f"{PLACE}.tif") as source:
        pixels, grid = source.read(), raster_grid(source, PLACE)
    data_type = "float32" if modality == "S1RTC" else "int16"
    nodata = 0 if modality.startswith("S2") else None
    if modality == "S2L1C":  # the edge of a pass: there is nothing in the west
        pixels[:, :, :112] = 0
    with workspace.store.scratch() as folder:
        path = folder / f"{modality}-{day}.tif"
        writer = cog_writer(
            path, count=len(names), data_type=data_type, grid=grid, nodata=nodata, names=names, labels=False
        )
        with writer as cog:
            cog.write(pixels.astype(data_type) + (day if modality == "S2L2A" else 0))
        image = workspace.store.put(path)
    properties = {"platform": "sentinel-2a", "eo:cloud_cover": CLOUDS[day]} if modality == "S2L2A" else {}
    item = scene_item(
        id=f"{modality.lower()}-{day:02d}",
        collection_id=COLLECTIONS[modality],
        footprint=grid.footprint(datetime(2024, 5, day, 10, tzinfo=UTC)),
        grid=grid,
        image=image,
        bands=[BandRecord(name, data_type, nodata) for name in names],
        properties=properties,
    )
    if modality == "S2L2A":  # as Earth Search has it: a file for each band
        item["assets"]["red"] = asset(_file(workspace, "red", pixels[3] + day, grid), COG_TYPE, ["data"])
        a, b, c, d, e, f = grid.transform
        half = Grid(grid.crs, (2 * a, b, c, d, 2 * e, f), (112, 112))
        swir = pixels[10, ::2, ::2] + day
        item["assets"]["swir16"] = asset(_file(workspace, "swir16", swir, half), COG_TYPE, ["data"])
    return item


def _file(workspace: Workspace, name: str, pixels: Any, grid: Grid) -> StoredFile:
    with workspace.store.scratch() as folder:
        path = folder / f"{name}.tif"
        with cog_writer(path, count=1, data_type="int16", grid=grid, nodata=0, names=[name], labels=False) as cog:
            cog.write(pixels.astype("int16"), 1)
        return workspace.store.put(path)


Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Door:
    """An ASGI wrapper that counts requests by kind and lets a test answer some of them itself.

    Attributes:
        requests: `search` and `file` → how many came.
        files: paths of file requests with their range.
        answer: given kind and number of the request; None lets it pass.
        change: what to do with the JSON of a search's answer.
        pause_s: before each answer.
        most_at_once: requests under way at the same time, at most.
    """

    app: FastAPI
    requests: Counter[str] = field(default_factory=Counter)
    files: list[tuple[str, str]] = field(default_factory=list)
    answer: Callable[[str, int], Reply | None] = lambda kind, number: None
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    pause_s: float = 0.0
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        kind = "file" if path.startswith("/files/") else "search" if path.endswith("/search") else "other"
        self.requests[kind] += 1
        number = self.requests[kind]
        if kind == "file":
            self.files.append((path, dict(scope["headers"]).get(b"range", b"").decode()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

        missing = 1 << 60

        async def answered(message: dict[str, Any]) -> None:
            nonlocal missing
            if message["type"] == "http.response.start":
                missing = int(dict(message["headers"]).get(b"content-length", missing))
            elif missing >= 0:
                missing -= len(message.get("body", b""))
                if missing == 0 or not message.get("more_body"):
                    missing = -1
                    self.at_once -= 1  # before the last byte leaves: then the client may ask for more
            await send(message)

        await self._pass(kind, number, scope, receive, answered)

    async def _pass(self, kind: str, number: int, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(self.pause_s)
        reply = self.answer(kind, number)
        if reply is not None:
            await _send(send, reply)
        elif kind == "search" and self.change is not None:
            await self._changed(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _changed(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        parts: list[bytes] = []

        async def keep(message: dict[str, Any]) -> None:
            parts.append(message.get("body", b""))

        headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self.app({**scope, "headers": headers}, receive, keep)
        assert self.change is not None
        body = json.dumps(self.change(json.loads(b"".join(parts)))).encode()
        await _send(send, (200, {"content-type": "application/geo+json"}, body))


async def _send(send: Any, reply: Reply) -> None:
    status, headers, body = reply
    raw = [(name.encode(), value.encode()) for name, value in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
