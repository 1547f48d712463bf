"""What was fetched already: one file for each band of a scene over a place, so that nothing is fetched twice.

The key is provider, collection, item with its state, band and window; a window is always at the file's own resolution.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident
from typing import Any
from zipfile import BadZipFile

import numpy as np

from terralab.catalog.settings import Settings
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.imagery.found import BandSource, WantedScene
from terralab.extensions.ids import canonical_json
from terralab.extensions.raster import Grid
from terralab.flows.imagery.remote_raster import BandWindow

_RESOLUTION = "own"
_DIGITS = 7
_FORM = 1
# Or half a file of a machine that went down.
_NOT_THERE = (OSError, ValueError, KeyError, EOFError, BadZipFile)


class WindowCache:
    """The windows on this machine.

    Args:
        settings: folder, and the disk that it may take.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.lab.home / "cache" / "imagery"
        self._most = int(settings.imagery.cache_gb * 1e9)

    def has(self, wanted: WantedScene, band: BandSource) -> bool:
        """Say whether a band's window was fetched; its pixels are not read."""
        try:
            with np.load(self._path(wanted, band), allow_pickle=False) as content:
                return {"facts", "pixels"} <= set(content.files)
        except _NOT_THERE:
            return False

    def find(self, wanted: WantedScene, band: BandSource) -> BandWindow | None:
        """Return a band's window, None where it was not fetched yet."""
        path = self._path(wanted, band)
        try:
            with np.load(path, allow_pickle=False) as content:
                facts, pixels = json.loads(str(content["facts"])), content["pixels"]
        except _NOT_THERE:
            return None
        os.utime(path)
        grid = Grid(facts["crs"], tuple(facts["transform"]), tuple(facts["shape"]))
        nodata = float(facts["nodata"]) if facts["nodata"] is not None else None
        return BandWindow(pixels, grid, nodata)

    def keep(self, wanted: WantedScene, bands: Sequence[BandSource], windows: Sequence[BandWindow]) -> None:
        """Keep windows; each becomes visible whole.

        Raises:
            OutOfSpace: the disk is full.
        """
        for band, window in zip(bands, windows, strict=True):
            path = self._path(wanted, band)
            facts = {
                "crs": window.grid.crs,
                "transform": window.grid.transform,
                "shape": window.grid.shape,
                "nodata": None if window.nodata is None else str(window.nodata),
            }
            aside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}")
            with disk_full_as_error(self._folder.parent if not self._folder.exists() else self._folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                with aside.open("wb") as stream:
                    np.savez(stream, pixels=window.pixels, facts=np.array(json.dumps(facts)))
                os.replace(aside, path)

    def trim(self) -> None:
        """Delete what was not used for the longest time, down to the size that the settings allow."""
        entries = [(entry.stat(), entry) for entry in self._folder.rglob("*.npz")]
        total = sum(facts.st_size for facts, _ in entries)
        for facts, entry in sorted(entries, key=lambda pair: pair[0].st_mtime):
            if total <= self._most:
                return
            entry.unlink(missing_ok=True)
            total -= facts.st_size

    def _path(self, wanted: WantedScene, band: BandSource) -> Path:
        scene = wanted.scene
        key: dict[str, Any] = {
            "form": _FORM,
            "provider": scene.connector,
            "item": [scene.collection, scene.id, scene.state],
            "band": [band.key, band.href.split("?")[0], band.index],
            "window": [round(number, _DIGITS) for number in wanted.place.box],
            "resolution": _RESOLUTION,
        }
        name = hashlib.sha256(canonical_json(key).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.npz"
