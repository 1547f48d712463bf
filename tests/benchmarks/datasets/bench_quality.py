"""Seconds of a quality run: 2,000 chips of 128 x 128 pixels and 12 bands, and growth from 1,000 to 50,000 chips.

Chips are random windows of simulated scenes with noise of their own, stored as the lab stores them. What is timed is
the survey: every file is read, compared with its checksum and measured, and the dataset is judged; the catalog is not
part of it. Growth is measured on chips of 64 x 64 pixels and 4 bands, so that 50,000 of them fit on a disk. First, the
measures by one process and by several are compared: they must be equal.

    python -m tests.benchmarks.datasets.bench_quality --out DIR [--chips 2000] [--growth 1000,4000,16000]
"""

import argparse
import hashlib
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, open_store
from terralab.datasets.cog import encode_chip
from terralab.datasets.quality.chip_source import ChipSource, FeatureSource
from terralab.datasets.quality.survey import survey
from terralab.datasets.simulate import BANDS, CLASSES, simulate_scene
from terralab.extensions.raster import MASK_NODATA, Grid

TWELVE = (*BANDS, "B01", "B09")
FOUR = ("B02", "B03", "B04", "B11")
_SCENES, _SCENE = 12, 512
_GROUPS = 40
_GATE = 300


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chips", type=int, default=2000)
    parser.add_argument("--growth", default="1000,5000,20000,50000")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, default=None, help="where the chips are written")
    options = parser.parse_args()
    sizes = [int(part) for part in options.growth.split(",") if part]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        os.environ["TERRALAB_HOME"] = name
        settings = Settings()
        store = open_store(settings)
        scenes = [simulate_scene(1, number, _SCENE) for number in range(_SCENES)]
        small = Chips(store, scenes, FOUR, 64)
        gate(settings, store, small)
        large = timed(settings, store, Chips(store, scenes, TWELVE, 128), options.chips, options.processes)
        growth = [timed(settings, store, small, size, options.processes) for size in sizes]
        result = {
            "benchmark": "quality",
            "processes": options.processes,
            "equal": True,
            "chips_128_12": large,
            "growth_64_4": growth,
            "seconds_per_1000": [round(1000 * entry["seconds"] / entry["chips"], 2) for entry in growth],
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "quality.json").write_text(json.dumps(result, indent=1) + "\n")
    table = table_of(result)
    (options.out / "quality.md").write_text(table)
    print(table)


class Chips:
    """Stored chips, made as they are asked for and kept."""

    def __init__(self, store: Store, scenes: list[Any], bands: tuple[str, ...], size: int) -> None:
        self._store, self._scenes, self._bands, self._size = store, scenes, bands, size
        self._places = [BANDS.index(name) if name in BANDS else 0 for name in bands]
        self._made: list[ChipSource] = []

    def sources(self, count: int) -> list[ChipSource]:
        """Return the first `count` chips."""
        while len(self._made) < count:
            self._made.append(self._make(len(self._made)))
        return self._made[:count]

    def _make(self, number: int) -> ChipSource:
        random = np.random.default_rng([7, number, self._size])
        scene = self._scenes[random.integers(len(self._scenes))]
        row, column = random.integers(0, _SCENE - self._size, 2)
        window = np.s_[row : row + self._size, column : column + self._size]
        image = self._noisy(scene.image[(self._places, *window)], random)
        mask = scene.label[window]
        down, right = divmod(number, 200)
        grid = Grid("EPSG:32630", (10, 0, 3e5 + 2000 * right, 0, -10, 4.2e6 - 2000 * down), mask.shape)
        files = [
            self._store.put_bytes(encode_chip(image, grid, 0, self._bands), f"{number}.tif", "md5"),
            self._store.put_bytes(encode_chip(mask[None], grid, MASK_NODATA, ["mask"]), f"{number}_mask.tif", "md5"),
        ]
        west, south = -5 + right * 0.02, 37 - down * 0.018
        return ChipSource(
            id=f"chip-{number:06d}",
            features=(FeatureSource("image", files[0].href, self._bands, 1, 0, ((0.0, 7000.0),) * len(self._bands)),),
            mask=files[1].href,
            values=tuple(entry.value for entry in CLASSES),
            classes=tuple(entry.name for entry in CLASSES),
            labels=(),
            grid=grid,
            bounds=(west, south, west + 0.014, south + 0.011),
            moment=datetime(2021, 1, 1, tzinfo=UTC) + timedelta(days=number % 300),
            split=("train", "train", "train", "validate", "test")[number % _GROUPS % 5],
            group=f"g{number % _GROUPS}",
            scene=f"scenes/s{number % _GROUPS}",
            platform=None,
            counts={entry.name: int((mask == entry.value).sum()) for entry in CLASSES},
            checksums=tuple(file.checksum for file in files),
        )

    def _noisy(self, image: NDArray[np.uint16], random: np.random.Generator) -> NDArray[np.uint16]:
        changed = image * random.uniform(0.9, 1.1) + random.normal(0, 20, image.shape)
        return np.where(image > 0, np.clip(changed, 1, 65535), 0).astype(np.uint16)


def gate(settings: Settings, store: Store, chips: Chips) -> None:
    """Check that one process and two measure the same."""
    answers = [digest_of(settings, store, chips, processes) for processes in (1, 2)]
    assert answers[0] == answers[1], "the measures differ by the number of processes"


def digest_of(settings: Settings, store: Store, chips: Chips, processes: int) -> str:
    """Return a hash of all measures and findings."""
    with store.scratch() as folder:
        found = survey(settings, store, chips.sources(_GATE), _GATE, folder, processes=processes)
        text = json.dumps([found.chips.qa, [finding.text for finding in found.findings]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def timed(settings: Settings, store: Store, chips: Chips, count: int, processes: int) -> dict[str, Any]:
    """Survey the first `count` chips, and return seconds in all and by step, and the memory at its highest."""
    sources = chips.sources(count)
    steps, begun = [("measure", time.perf_counter())], time.perf_counter()
    with store.scratch() as folder:
        survey(
            settings,
            store,
            sources,
            count,
            folder,
            processes=processes,
            on_step=lambda name: steps.append((name, time.perf_counter())),
        )
        ended = time.perf_counter()
    ends = [*(moment for _, moment in steps[1:]), ended]
    return {
        "chips": count,
        "seconds": round(ended - begun, 2),
        "steps": {name: round(end - start, 2) for (name, start), end in zip(steps, ends, strict=True)},
        "highest_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def table_of(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows = ["| chips | size | seconds | measure | judge | memory so far |", "|---|---|---|---|---|---|"]
    rows += list(_rows([result["chips_128_12"]], "128 x 128 x 12"))
    rows += list(_rows(result["growth_64_4"], "64 x 64 x 4"))
    return "\n".join(rows) + "\n"


def _rows(entries: list[dict[str, Any]], size: str) -> Iterator[str]:
    for entry in entries:
        judge = sum(seconds for name, seconds in entry["steps"].items() if name != "measure")
        yield (
            f"| {entry['chips']:,} | {size} | {entry['seconds']:.1f} | {entry['steps']['measure']:.1f} | {judge:.1f}"
            f" | {entry['highest_memory_mb']} MB |"
        )


if __name__ == "__main__":
    main()
