"""Chips with labels per second: ours beside TerraKit's chipping and a plain rasterio loop, the same chips.

    python -m tests.benchmarks.datasets.bench_chips --out DIR [--size 2048] [--scenes 2] [--chip 256] [--rounds 3]

On the scene's own pixels all three cut; on the global grid a loop of one WarpedVRT a chip is the peer. Pixels are
compared first. Ours also measures every band, counts classes and flushes each file to disk, which the others do not.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.chipping.global_grid import GlobalGrid
from terralab.datasets.chipping.making import MadeChip, make_chips, strip_key
from terralab.datasets.chipping.places import to_crs
from terralab.datasets.chipping.plan import (
    Acquisition,
    ChipPlan,
    FeatureRecipe,
    ItemKey,
    Recipe,
    ScenePart,
    TargetPlan,
    TargetRecipe,
)
from terralab.datasets.chipping.sources import RasterSource
from terralab.datasets.grid import chip_windows
from terralab.datasets.raster_file import read_facts
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition, Grid

BANDS = tuple(f"B{number:02d}" for number in range(6))
TIME = "2020-01-01T00:00:00Z"
UTM = "EPSG:32630"


def main() -> None:
    """Run the benchmark, print a table and write its JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--chip", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.INFO)  # TerraKit logs the names of all files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        step = 8.983152841195215e-05
        native = scenes(folder / "utm", options, UTM, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0))
        degrees = scenes(folder / "degrees", options, "EPSG:4326", (step, 0.0, -3.0, 0.0, -step, 37.9))
        plans = [scene_plans(pair, number, options.chip) for number, pair in enumerate(native)]
        warped = [grid_plans(pair, number, options.chip) for number, pair in enumerate(degrees)]
        results = [
            compared("scene grid", plans, {"terrakit": terrakit, "loop": loop}, folder, options),
            compared("global grid", warped, {"loop": loop}, folder, options),
        ]
    for row in results:
        print(row)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "chips.json").write_text(json.dumps(results, indent=1))


def scenes(
    folder: Path, options: argparse.Namespace, crs: str, transform: tuple[float, ...]
) -> list[tuple[Path, Path]]:
    """Write scenes of correlated noise with labels."""
    folder.mkdir(parents=True)
    found = []
    for number in range(options.scenes):
        random = np.random.default_rng(number)
        shape = (len(BANDS), options.size, options.size)
        image = (1500 + 40 * np.cumsum(random.normal(size=shape), axis=2)).clip(1, 10_000).astype(np.uint16)
        label = (image[:1] > 3000).astype(np.uint8)
        paths = folder / f"s{number}.tif", folder / f"s{number}_label.tif"
        for path, pixels, nodata in zip(paths, (image, label), (0, 255), strict=True):
            profile = {"count": len(pixels), "dtype": pixels.dtype, "crs": crs, "nodata": nodata, "tiled": True}
            size = {"height": options.size, "width": options.size, "compress": "deflate", "interleave": "pixel"}
            with rasterio.open(
                path, "w", driver="GTiff", transform=rasterio.Affine(*transform), **profile, **size
            ) as dataset:
                dataset.write(pixels)
        found.append(paths)
    return found


def plan_of(name: str, grid: Grid, pair: tuple[Path, Path], window: tuple[int, int]) -> ChipPlan:
    """Return the plan of one chip."""
    key = ItemKey("s", pair[0].stem)
    image, label = (read_facts(path) for path in pair)
    raster = RasterSource(pair[0], pair[0].name, image.grid, tuple(range(1, len(BANDS) + 1)), 0)
    mask = RasterSource(pair[1], pair[1].name, label.grid, (1,), 255)
    dates = (((Acquisition(TIME, (ScenePart(key, (raster,)),)),),),)
    return ChipPlan(name, grid, dates, TargetPlan((mask,)), key, TIME, TIME, window)


def scene_plans(pair: tuple[Path, Path], number: int, size: int) -> list[ChipPlan]:
    """Return the windows of a scene."""
    grid = read_facts(pair[0]).grid
    windows = chip_windows(grid.shape, size)
    return [plan_of(each.chip_id(f"s{number}"), each.grid(grid), pair, (each.row, each.column)) for each in windows]


def grid_plans(pair: tuple[Path, Path], number: int, size: int) -> list[ChipPlan]:
    """Return the chips of the global grid that lie wholly in a scene in degrees."""
    grid = GlobalGrid(UTM, 10.0, size)
    with rasterio.open(pair[0]) as dataset:
        area = to_crs(shapely.box(*dataset.bounds), "EPSG:4326", UTM)
    cells = [cell for cell in grid.cells(*area.bounds) if area.contains(shapely.box(*grid.bounds(cell)))]
    return [plan_of(f"s{number}-{grid.name(cell)}", grid.grid(cell), pair, (0, 0)) for cell in cells]


def ours(plans: list[list[ChipPlan]], folder: Path, size: int) -> dict[str, tuple[Path, Path]]:
    """Cut all chips into a store."""
    classes = tuple(ClassDefinition(value=value, name=f"c{value}", color="112233") for value in range(2))
    recipe = Recipe(
        size,
        (FeatureRecipe("image", None, BANDS, "uint16", 0),),
        TargetRecipe(Task.SEGMENTATION, classes),
    )
    store = FolderStore(folder)
    made: list[MadeChip] = make_chips(store, recipe, sorted((plan for part in plans for plan in part), key=strip_key))
    return {
        chip.id: (store.open_path(chip.files["image"].href), store.open_path(chip.files["mask"].href))
        for chip in made
        if chip.files
    }


def terrakit(plans: list[list[ChipPlan]], folder: Path, size: int) -> dict[str, tuple[Path, Path]]:
    """Cut all chips by TerraKit, which takes a folder of scenes."""
    from terrakit.chip.tiling import ChipAndLabelCls

    folder.mkdir()
    found = {}
    for part in plans:
        image = part[0].dates[0][0][0].parts[0].rasters[0].path
        for path in (image, image.with_name(f"{image.stem}_label.tif")):
            (folder / path.name).symlink_to(path)
        # Its windows go down the columns first.
        for place, plan in enumerate(sorted(part, key=lambda plan: (plan.window[1], plan.window[0]))):
            stem = folder / f"{image.stem}_{place}"
            found[plan.id] = (stem.with_name(stem.name + ".data.tif"), stem.with_name(stem.name + ".label.tif"))
    ChipAndLabelCls(working_dir=str(folder), sample_dim=size, queried_data=[]).chip_and_label()
    return found


def loop(plans: list[list[ChipPlan]], folder: Path, size: int) -> dict[str, tuple[Path, Path]]:
    """Cut all chips by a loop over windows of rasterio, warped where the grids differ."""
    folder.mkdir()
    found = {}
    for part in plans:
        first = part[0]
        for plan in part:
            found[plan.id] = (folder / f"{plan.id}.tif", folder / f"{plan.id}_mask.tif")
        sources = first.dates[0][0][0].parts[0].rasters[0].path, first.target.rasters[0].path
        for number, path in enumerate(sources):
            with rasterio.open(path) as source:
                for plan in part:
                    transform = rasterio.Affine(*plan.grid.transform)
                    if source.crs.to_string() == plan.grid.crs:
                        window = Window(plan.window[1], plan.window[0], size, size)
                        pixels, transform = source.read(window=window), window_transform(window, source.transform)
                    else:
                        with WarpedVRT(
                            source, crs=plan.grid.crs, transform=transform, width=size, height=size
                        ) as warped:
                            pixels = warped.read()
                    profile = {"count": len(pixels), "dtype": pixels.dtype, "crs": plan.grid.crs}
                    tile = {"tiled": True, "blockxsize": size, "blockysize": size, "interleave": "pixel"}
                    with rasterio.open(
                        found[plan.id][number], "w", driver="GTiff", height=size, width=size, transform=transform,
                        nodata=source.nodata, compress="zstd", zstd_level=1, predictor=2, **profile, **tile,
                    ) as target:  # fmt: skip
                        target.write(pixels)
    return found


def compared(
    name: str,
    plans: list[list[ChipPlan]],
    peers: dict[str, Callable[[list[list[ChipPlan]], Path, int], dict[str, tuple[Path, Path]]]],
    folder: Path,
    options: argparse.Namespace,
) -> dict[str, object]:
    """Compare the pixels of all, then time them in turns."""
    everybody = {"ours": ours, **peers}
    made = {who: work(plans, folder / f"{name}-{who}", options.chip) for who, work in everybody.items()}
    differing = {who: different(made["ours"], made[who]) for who in peers}
    if any(share > (0 if name == "scene grid" else 0.01) for share in differing.values()):
        raise SystemExit(f"{name}: pixels differ: {differing}")
    times: dict[str, list[float]] = {who: [] for who in everybody}
    processor: dict[str, list[float]] = {who: [] for who in everybody}
    for number in range(options.rounds):
        for who, work in everybody.items():
            start, busy = time.perf_counter(), time.process_time()
            work(plans, folder / f"{name}-{who}-{number}", options.chip)
            processor[who].append(time.process_time() - busy)
            times[who].append(time.perf_counter() - start)
    count = len(made["ours"])
    middle = {who: statistics.median(taken) for who, taken in times.items()}
    return {
        "grid": name,
        "chips": count,
        **{f"{who}_chips_s": round(count / taken, 1) for who, taken in middle.items()},
        **{f"ratio_{who}": round(middle[who] / middle["ours"], 2) for who in peers},
        **{f"{who}_best_chips_s": round(count / min(taken), 1) for who, taken in times.items()},
        **{f"{who}_cpu_ms": round(1000 * min(taken) / count, 2) for who, taken in processor.items()},
        **{f"differing_share_{who}": share for who, share in differing.items()},
    }


def different(mine: dict[str, tuple[Path, Path]], theirs: dict[str, tuple[Path, Path]]) -> float:
    """Return the share of pixels that differ; GDAL's warp is allowed an eighth of a pixel."""
    if mine.keys() != theirs.keys():
        raise SystemExit(f"{len(mine)} chips of ours, {len(theirs)} of theirs")
    wrong = total = 0
    for id, paths in mine.items():
        for one, other in zip(paths, theirs[id], strict=True):
            with rasterio.open(one) as here, rasterio.open(other) as there:
                same = (here.read() == there.read()).all(axis=0)
            wrong += int((~same).sum())
            total += same.size
    return wrong / total


if __name__ == "__main__":
    main()
