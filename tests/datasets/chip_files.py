"""Chips in a folder with their manifest, for tests of packs and loaders without a database."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.cog import encode_chip
from terralab.extensions.raster import Grid

Modalities = Mapping[str, tuple[NDArray[Any], int, float | None]]


class Files:
    """A folder of chips.

    Attributes:
        manifest: of what was written last.
        read: how many files were asked for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest: dict[str, Any] = {}
        self.read = 0

    def segmentation(
        self,
        images: NDArray[Any],
        masks: NDArray[np.uint8],
        *,
        mean: Sequence[float] = (0, 0, 0),
        stddev: Sequence[float] = (1, 1, 1),
        classes: Sequence[int] = (0, 1),
        nodata: float | None = 0,
        splits: Sequence[str] | None = None,
    ) -> None:
        """Write chips of one modality with masks, as versions had them first: without `files` and `modalities`."""
        self._start("segmentation", len(images), splits, classes)
        self._write("image", images, nodata)
        self._write("mask", masks[:, None], 255)
        for chip in self.manifest["chips"]:
            chip["image"], chip["mask"] = chip["files"]["image"], chip["files"]["mask"]
            del chip["files"]
        del self.manifest["task"]
        self.manifest |= {"bands": _bands(mean, stddev), "nodata": nodata}

    def several(self, modalities: Modalities, masks: NDArray[np.uint8]) -> None:
        """Write chips of several modalities, each with the number of its dates and its nodata."""
        self._start("segmentation", len(masks), None, (0, 1))
        self.manifest["modalities"] = []
        for key, (images, dates, nodata) in modalities.items():
            self._write(key, images, nodata)
            self.manifest["modalities"].append(_modality(key, images, dates, nodata))
        self._write("mask", masks[:, None], 255)
        self.manifest["bands"] = self.manifest["modalities"][0]["bands"]

    def regression(self, images: NDArray[Any], values: NDArray[np.float32]) -> None:
        """Write chips with a raster of numbers."""
        self._start("regression", len(images), None, ())
        self._write("image", images, 0)
        self._write("target", values[:, None], float("nan"))
        self.manifest |= {"bands": _bands([0] * 3, [1] * 3), "nodata": 0}

    def labelled(self, images: NDArray[Any], labels: Sequence[Sequence[str]], task: str) -> None:
        """Write chips that are labelled as a whole."""
        self._start(task, len(images), None, (0, 1))
        self._write("image", images, 0)
        for chip, names in zip(self.manifest["chips"], labels, strict=True):
            chip["labels"] = list(names)
        self.manifest |= {"bands": _bands([0] * 3, [1] * 3), "nodata": 0}

    def path(self, relpath: str) -> Path:
        """Return where a file lies."""
        return self._folder / relpath

    @contextmanager
    def open(self, entry: Mapping[str, Any]) -> Iterator[Path]:
        """Give a file, as the loaders ask for it."""
        self.read += 1
        yield self._folder / str(entry["relpath"])

    def _start(self, task: str, count: int, splits: Sequence[str] | None, classes: Sequence[int]) -> None:
        names = splits or ["train"] * count
        chips = [{"id": f"chip-{n:03d}", "split": names[n], "group": f"g{n // 2}", "files": {}} for n in range(count)]
        named = ["land", "water", "forest"]
        self.manifest = {
            "dataset": "ponds",
            "version": "1.0.0",
            "task": task,
            "files": [],
            "chips": chips,
            "classes": [{"value": value, "name": named[place]} for place, value in enumerate(classes)],
        }

    def _write(self, key: str, rasters: NDArray[Any], nodata: float | None) -> None:
        folder = {"image": "images", "mask": "masks"}.get(key, key)
        for chip, raster in zip(self.manifest["chips"], rasters, strict=True):
            grid = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), raster.shape[1:])
            content = encode_chip(raster, grid, nodata, [f"b{n}" for n in range(len(raster))])
            relpath = f"{folder}/{chip['id']}.tif"
            self.path(relpath).parent.mkdir(parents=True, exist_ok=True)
            self.path(relpath).write_bytes(content)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            self.manifest["files"].append({"relpath": relpath, "md5": md5, "size": len(content)})
            chip["files"][key] = relpath


def _bands(mean: Sequence[float], stddev: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {"name": f"b{n}", "statistics": {"mean": one, "stddev": other, "valid_percent": 100.0}}
        for n, (one, other) in enumerate(zip(mean, stddev, strict=True))
    ]


def _modality(key: str, images: NDArray[Any], dates: int, nodata: float | None) -> dict[str, Any]:
    count = images.shape[1] // dates
    bands = []
    for layer in range(images.shape[1]):
        values = images[:, layer].astype(float)
        date, place = divmod(layer, count)
        name = f"B{place + 2:02d}" + (f"_t{date}" if dates > 1 else "")
        statistics = {"mean": float(np.nanmean(values)), "stddev": float(np.nanstd(values)), "valid_percent": 100.0}
        bands.append({"name": name, "statistics": statistics})
    times = {"times": [f"2024-0{date + 1}-01T00:00:00Z" for date in range(dates)]} if dates > 1 else {}
    written = "nan" if nodata is not None and np.isnan(nodata) else nodata
    return {"key": key, "modality": key.upper(), "bands": bands, "nodata": written, **times}
