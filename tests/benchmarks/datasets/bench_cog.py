"""COG writing: ours beside rio-cogeo at its defaults, from the same uncompressed GeoTIFF.

    python -m tests.benchmarks.datasets.bench_cog --out DIR [--size 3072] [--bands 6] [--rounds 3]

Both files are checked first: valid COGs, the same pixels, ours not larger.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from rio_cogeo import cog_profiles, cog_translate, cog_validate

from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import strips
from terralab.extensions.raster import Grid


def main() -> None:
    """Run the benchmark, print a table and write its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--bands", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    size = options.size
    base = (1500 + 40 * np.cumsum(random.normal(size=(size, size)), axis=1)).clip(1, 10_000)
    scene = np.empty((options.bands, size, size), np.uint16)
    for band in range(options.bands):
        scene[band] = (base * (1 + 0.05 * band) + 20 * random.normal(size=base.shape)).clip(1, 10_000)
    results = [
        measured("scene", scene, options.rounds, labels=False),
        measured("mask", (base[np.newaxis] > 3000).astype(np.uint8), options.rounds, labels=True),
    ]
    for row in results:
        print(row)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cog.json").write_text(json.dumps(results, indent=1))


def measured(name: str, pixels: np.ndarray, rounds: int, labels: bool) -> dict[str, object]:
    """Compare both on one raster, in turns."""
    grid = Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), pixels.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        source, mine, peer = (Path(folder) / part for part in ("source.tif", "ours.tif", "peer.tif"))
        profile = {"driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "tiled": True, "crs": grid.crs}
        shape = {"height": pixels.shape[1], "width": pixels.shape[2], "transform": rasterio.Affine(*grid.transform)}
        with rasterio.open(source, "w", blockxsize=512, blockysize=512, **profile, **shape) as dataset:
            dataset.write(pixels)

        def ours() -> None:
            names = [f"b{band}" for band in range(len(pixels))]
            writer = cog_writer(
                mine, count=len(pixels), data_type=str(pixels.dtype), grid=grid, nodata=None, names=names, labels=labels
            )
            with rasterio.open(source) as dataset, writer as cog:
                for row, strip in strips(dataset, "source"):
                    cog.write(strip, window=Window(0, row, strip.shape[2], strip.shape[1]))

        def theirs() -> None:
            cog_translate(str(source), str(peer), cog_profiles.get("deflate"), quiet=True, in_memory=False)

        ours(), theirs()
        for path in (mine, peer):
            valid, errors, warnings = cog_validate(path, strict=True)
            with rasterio.open(path) as dataset:
                if not valid or errors or warnings or not np.array_equal(dataset.read(), pixels):
                    raise SystemExit(f"{path.name}: not a COG of the same pixels {errors} {warnings}")
        if mine.stat().st_size > peer.stat().st_size:
            raise SystemExit(f"{name}: {mine.stat().st_size} bytes are more than {peer.stat().st_size}")
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(rounds):
            for who, work in (("ours", ours), ("peer", theirs)):
                start = time.perf_counter()
                work()
                times[who].append(time.perf_counter() - start)
        one, other = statistics.median(times["ours"]), statistics.median(times["peer"])
        return {
            "raster": name,
            "ours_mb_s": round(pixels.nbytes / one / 1e6, 1),
            "rio_cogeo_mb_s": round(pixels.nbytes / other / 1e6, 1),
            "ratio": round(other / one, 2),
            "ours_bytes": mine.stat().st_size,
            "rio_cogeo_bytes": peer.stat().st_size,
        }


if __name__ == "__main__":
    main()
