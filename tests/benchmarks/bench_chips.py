"""Chips per second: `cut_chips` against a plain rasterio loop that writes the same GeoTIFFs.

The loop reads each window of the image and of the label and writes it as a file with the same bytes, one after the
other; ours measures statistics and class counts and flushes every file to disk as well, which the loop does not. The
results are compared first, byte by byte. Prints one JSON object.

    python tests/benchmarks/bench_chips.py [--size 2048] [--bands 6] [--chip 256] [--repeats 3]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.chips import Chip, ChipRecipe, cut_chips
from terralab.datasets.scan import Scan, scan
from terralab.datasets.scenes import StoredScene, store_scene
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.raster import ClassDefinition


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--bands", type=int, default=6)
    parser.add_argument("--chip", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, scanned, scene = prepare(folder, options.size, options.bands)
        peer_files = naive(store, scene, scanned, options.chip, folder / "check")
        chips, ours_store = ours(folder / "check-store", store, scanned, scene, options.chip)
        compare(peer_files, chips, ours_store)
        peer, mine = [], []
        for number in range(options.repeats):
            peer.append(timed(lambda n=number: naive(store, scene, scanned, options.chip, folder / f"peer{n}")))
            mine.append(timed(lambda n=number: ours(folder / f"store{n}", store, scanned, scene, options.chip)))
    count = len(chips)
    result = {
        "benchmark": "chips",
        "chips": count,
        "size": options.size,
        "bands": options.bands,
        "chip": options.chip,
        "equal": True,
        "rasterio_loop_chips_per_second": round(count / statistics.median(peer), 1),
        "terralab_chips_per_second": round(count / statistics.median(mine), 1),
        "ratio": round(statistics.median(peer) / statistics.median(mine), 2),
    }
    print(json.dumps(result))


def prepare(folder: Path, size: int, bands: int) -> tuple[FolderStore, Scan, StoredScene]:
    """Make a scene of correlated noise with labels, and store it as COGs."""
    random = np.random.default_rng(0)
    image = (1500 + 40 * np.cumsum(random.normal(size=(bands, size, size)), axis=2)).clip(1, 10_000).astype(np.uint16)
    label = (random.random((1, size, size)) > 0.5).astype(np.uint8)
    profile = {
        "driver": "GTiff",
        "height": size,
        "width": size,
        "crs": "EPSG:32630",
        "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 4_200_000),
        "compress": "deflate",
        "tiled": True,
    }
    paths = [folder / "scene_20200101.tif", folder / "scene_20200101_label.tif"]
    for path, pixels in zip(paths, (image, label), strict=True):
        with rasterio.open(path, "w", count=len(pixels), dtype=pixels.dtype, **profile) as dataset:
            dataset.write(pixels)
    classes = [ClassDefinition(value=value, name=f"c{value}", color="112233") for value in range(2)]
    scanned = scan(paths[:1], paths[1:], classes=classes, bands=[f"band{number}" for number in range(bands)])
    store = FolderStore(folder / "store")
    return store, scanned, store_scene(store, scanned, scanned.pairs[0])


def ours(
    folder: Path, source: FolderStore, scanned: Scan, scene: StoredScene, size: int
) -> tuple[list[Chip], FolderStore]:
    """Cut the chips into a new store."""
    store = FolderStore(folder)
    recipe = ChipRecipe(
        size, scanned.bands, scanned.data_type, scanned.nodata, scanned.chip_nodata, scanned.padding, scanned.classes
    )
    chips, _ = cut_chips(
        store,
        recipe,
        scene_id=scene.pair.id,
        scene_grid=scene.pair.image.grid,
        image=source.open_path(scene.image.href),
        mask=source.open_path(scene.mask.href),
    )
    return chips, store


def naive(store: FolderStore, scene: StoredScene, scanned: Scan, size: int, folder: Path) -> dict[str, Path]:
    """Write the same chips by a plain loop over windows, and return the files by name."""
    folder.mkdir()
    files = {}
    sources: list[tuple[Any, str, float | None, tuple[str, ...], str]] = [
        (scene.image, "", scanned.chip_nodata, scanned.bands, scanned.data_type),
        (scene.mask, "_mask", 255, ("mask",), "uint8"),
    ]
    for stored, suffix, nodata, names, data_type in sources:
        with rasterio.open(store.open_path(stored.href)) as source:
            for row in range(0, source.height, size):
                for column in range(0, source.width, size):
                    window = Window(column, row, size, size)
                    name = f"{scene.pair.id}-r{row:05d}-c{column:05d}{suffix}.tif"
                    files[name] = folder / name
                    with rasterio.open(
                        files[name],
                        "w",
                        driver="GTiff",
                        count=source.count,
                        dtype=data_type,
                        height=size,
                        width=size,
                        crs=source.crs,
                        transform=window_transform(window, source.transform),
                        nodata=nodata,
                        tiled=True,
                        blockxsize=size,
                        blockysize=size,
                        interleave="pixel",
                        compress="zstd",
                        zstd_level=1,
                        predictor=2,
                    ) as target:
                        target.descriptions = names
                        target.write(source.read(window=window, boundless=True, fill_value=nodata or 0))
    return files


def compare(peer: dict[str, Path], chips: list[Chip], store: FolderStore) -> None:
    """Check that both made the same files.

    Raises:
        SystemExit: they did not.
    """
    for chip in chips:
        for file in (chip.image, chip.mask):
            name = file.href.rsplit("/", 1)[-1]
            if multihash_of_file(peer[name], "md5") != multihash_of_file(store.open_path(file.href), "md5"):
                raise SystemExit(f"{name}: the results differ")
    if len(peer) != 2 * len(chips):
        raise SystemExit(f"{len(peer)} files of the loop, {2 * len(chips)} of ours")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
