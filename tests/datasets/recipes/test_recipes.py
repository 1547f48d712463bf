"""What recipes compute, against formulas and loops written here anew, whatever the blocks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import GridMismatch, InvalidInput, UnknownName
from terralab.datasets.recipes.all_recipes import RECIPES, checked_parameters, find_recipe
from terralab.datasets.recipes.derive import derive
from terralab.datasets.recipes.recipe import Source
from terralab.extensions.raster import BandRecord, BandStatistics, Grid

UTM = ("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0))
DEGREES = ("EPSG:4326", (0.001, 0.0, 10.0, 0.0, -0.001, 60.0))
S2 = ("B02", "B03", "B04", "B08", "B11", "B12")
Scene = Callable[..., Source]


@pytest.fixture
def scene(tmp_path: Path, write_raster: Callable[..., Path]) -> Scene:
    def make(
        pixels: np.ndarray[Any, Any],
        names: tuple[str, ...] = S2,
        nodata: float | None = 0,
        place: tuple[str, tuple[float, ...]] = UTM,
    ) -> Source:
        number = len(list(tmp_path.glob("scene*.tif")))
        path = tmp_path / f"scene{number}.tif"
        profile = {"crs": place[0], "transform": rasterio.Affine(*place[1]), "nodata": nodata}
        write_raster(path, pixels, **profile)
        grid = Grid(place[0], place[1], pixels.shape[1:])  # type: ignore[arg-type]
        known = [band[band != nodata] if nodata is not None else band for band in pixels.astype(float)]
        statistics = [BandStatistics(v.min(), v.max(), np.nanmean(v), np.nanstd(v), 100.0) for v in known]
        bands = [BandRecord(name, str(pixels.dtype), nodata, one) for name, one in zip(names, statistics, strict=True)]
        return Source(f"scenes/scene{number}", path, grid, tuple(bands))

    return make


def done(recipe: str, sources: list[Source], rows: int = 512, **parameters: Any) -> tuple[np.ndarray[Any, Any], Any]:
    """Do a recipe and return the pixels and the plan."""
    found = find_recipe(recipe)
    plan = found.plan(sources, checked_parameters(found, parameters))
    target = sources[0].path.with_name(f"{recipe}-{rows}.cog.tif")
    bands = derive(sources, plan, target, lambda done, total: None, rows)
    with rasterio.open(target) as dataset:
        pixels = dataset.read()
        assert dataset.descriptions == plan.names
        assert np.isnan(dataset.nodata)
        assert dataset.crs.to_string() == sources[0].grid.crs
        assert tuple(dataset.transform)[:6] == sources[0].grid.transform
    for band, layer in zip(bands, pixels, strict=True):
        if band.statistics:
            assert np.isclose(band.statistics.mean, np.nanmean(layer.astype(float)), rtol=1e-6)
    return pixels, plan


def reflectances(seed: int = 0, shape: tuple[int, int] = (60, 50)) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(seed).integers(100, 6000, (6, *shape)).astype(np.uint16)
    values[:, 5:9, 7] = 0
    values[2, 20, 20] = 0
    return values


def test_indices_by_their_published_formulas(scene: Scene) -> None:
    pixels = reflectances()
    blue, green, red, nir, swir1, swir2 = np.where(pixels == 0, np.nan, pixels.astype(float)) * 1e-4
    found, plan = done("indices", [scene(pixels)], 16, indices=["NDVI", "MNDWI", "NBR", "EVI", "SAVI"], scale=1e-4)
    expected = [
        (nir - red) / (nir + red),
        (green - swir1) / (green + swir1),
        (nir - swir2) / (nir + swir2),
        2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1),
        1.5 * (nir - red) / (nir + red + 0.5),
    ]
    for layer, values in zip(found, expected, strict=True):
        assert np.allclose(layer, values, rtol=2e-4, atol=1e-5, equal_nan=True)
    assert plan.formula["indices"]["NDVI"] == "(N-R)/(N+R)"
    assert plan.formula["bands"] == {"B": "B02", "G": "B03", "R": "B04", "N": "B08", "S1": "B11", "S2": "B12"}
    assert plan.formula["constants"]["SAVI"] == {"L": 0.5}
    other, _ = done("indices", [scene(pixels)], 32, indices=["SAVI"], scale=1e-4, constants={"L": 1})
    assert np.allclose(other[0], 2 * (nir - red) / (nir + red + 1), rtol=2e-4, atol=1e-5, equal_nan=True)


def test_what_an_index_needs_is_said(scene: Scene) -> None:
    source = scene(reflectances())
    with pytest.raises(UnknownName, match="NVDI"):
        done("indices", [source], indices=["NVDI"])
    with pytest.raises(InvalidInput, match=r"NDREI needs .*RE1"):
        done("indices", [source], indices=["NDREI"])
    with pytest.raises(InvalidInput, match="EVI needs reflectances"):
        done("indices", [source], indices=["EVI"])
    with pytest.raises(InvalidInput, match="colour"):
        done("indices", [source], colour="red")


def test_composites_take_no_part_of_what_has_no_data(scene: Scene) -> None:
    stacks = [reflectances(seed) for seed in range(4)]
    stacks[1][:, 30:, :] = 0
    for stack in stacks:
        stack[:, 50, 3] = 0
    sources = [scene(stack) for stack in stacks]
    values = np.stack(stacks).astype(float)
    values[np.broadcast_to((values == 0).any(axis=1, keepdims=True), values.shape)] = np.nan
    for method, reduce in (("median", np.nanmedian), ("mean", np.nanmean), ("maximum", np.nanmax)):
        found, _ = done("composite", sources, 16, method=method)
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
            assert np.allclose(found[:6], reduce(values, axis=0), rtol=1e-6, equal_nan=True)
        assert np.array_equal(found[6], np.isfinite(values[:, 0]).sum(axis=0))
    greatest, _ = done("composite", sources, 16, method="greatest", by=["B08", "B04"])
    for row, column in ((0, 0), (40, 10), (6, 7), (20, 20)):
        candidates = [values[n, :, row, column] for n in range(4) if np.isfinite(values[n, 0, row, column])]
        if not candidates:
            assert np.isnan(greatest[:6, row, column]).all()
            continue
        best = max(candidates, key=lambda pixel: (pixel[3] - pixel[2]) / (pixel[3] + pixel[2]))
        assert np.allclose(greatest[:6, row, column], best)


def test_scenes_of_a_composite_lie_on_one_grid(scene: Scene) -> None:
    moved = (UTM[0], (10.0, 0.0, 500_010.0, 0.0, -10.0, 4_200_000.0))
    with pytest.raises(GridMismatch, match="scenes/scene1"):
        done("composite", [scene(reflectances()), scene(reflectances(1), place=moved)])


@pytest.mark.parametrize("rows", [7, 512])
def test_texture_equals_a_matrix_for_each_window(scene: Scene, rows: int) -> None:
    pixels = np.random.default_rng(1).integers(1, 999, (1, 40, 33)).astype(np.uint16)
    pixels[0, 10, 10:14] = 0
    found, plan = done("texture", [scene(pixels, ("B08",))], rows, band="B08", window=5, levels=8, low=0.0, high=1000.0)
    values = np.where(pixels[0] == 0, np.nan, pixels[0].astype(float))
    levels = np.clip(np.floor(values / 1000 * 8), 0, 7)
    assert plan.names == ("B08_std", "B08_contrast", "B08_homogeneity")
    assert np.isnan(found[:, 10, 10:14]).all()
    for row, column in ((0, 0), (20, 16), (39, 32), (9, 9), (12, 15), (6, 2), (7, 30)):
        window = (slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3))
        assert np.isclose(found[0, row, column], np.nanstd(values[window]), rtol=1e-5)
        contrast, homogeneity = glcm(levels[window], 8)
        assert np.isclose(found[1, row, column], contrast, rtol=1e-5)
        assert np.isclose(found[2, row, column], homogeneity, rtol=1e-5)


def glcm(window: np.ndarray[Any, Any], levels: int) -> tuple[float, float]:
    """Return contrast and homogeneity from matrices that are filled pair by pair, the mean of two directions."""
    found = []
    i, j = np.mgrid[:levels, :levels]
    for down, right in ((0, 1), (1, 0)):
        matrix = np.zeros((levels, levels))
        for row in range(window.shape[0] - down):
            for column in range(window.shape[1] - right):
                pair = window[row, column], window[row + down, column + right]
                if np.isfinite(pair).all():
                    matrix[int(pair[0]), int(pair[1])] += 1
                    matrix[int(pair[1]), int(pair[0])] += 1
        matrix /= matrix.sum()
        found.append(((matrix * (i - j) ** 2).sum(), (matrix / (1 + (i - j) ** 2)).sum()))
    return tuple(np.mean(found, axis=0))


def test_texture_agrees_with_scikit_image(scene: Scene) -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    pixels = np.random.default_rng(1).integers(1, 255, (1, 21, 21)).astype(np.uint8)
    found, _ = done("texture", [scene(pixels, ("VV",), None)], band="VV", window=21, levels=256, low=0, high=256)
    matrix = feature.graycomatrix(pixels[0], [1], [0, np.pi / 2], symmetric=True, normed=True)
    assert np.isclose(found[1, 10, 10], feature.graycoprops(matrix, "contrast").mean(), rtol=1e-5)
    assert np.isclose(found[2, 10, 10], feature.graycoprops(matrix, "homogeneity").mean(), rtol=1e-5)


@pytest.mark.parametrize(("east", "south", "aspect"), [(1, 0, 270), (-1, 0, 90), (0, 1, 0), (0, -1, 180), (1, -1, 225)])
def test_terrain_of_a_plane(scene: Scene, east: int, south: int, aspect: int) -> None:
    rows, columns = np.mgrid[:20, :20]
    heights = (500 + 10 * 0.3 * (east * columns + south * rows)).astype(np.float32)[None]
    found, _ = done("terrain", [scene(heights, ("height",), None)], 6)
    slope = np.arctan(0.3 * np.hypot(east, south))
    assert np.isnan(found[:, 0]).all()
    assert np.isnan(found[:, :, -1]).all()
    inner = found[:, 1:-1, 1:-1]
    assert np.allclose(inner[0], np.degrees(slope), atol=1e-3)
    assert np.allclose((inner[1] - aspect + 180) % 360, 180, atol=1e-2)
    light = np.radians(315)
    shade = np.sin(np.pi / 4) * np.cos(slope) + np.cos(np.pi / 4) * np.sin(slope) * np.cos(light - np.radians(aspect))
    assert np.allclose(inner[2], 255 * max(shade, 0), atol=1e-2)


def test_terrain_in_degrees_is_measured_on_the_ellipsoid(scene: Scene) -> None:
    """At 60° N a degree of longitude is 55,800 m long and a degree of latitude 111,412 m."""
    columns = np.broadcast_to(np.arange(20), (20, 20))
    to_east = scene((0.1 * 55.8 * columns)[None].astype(np.float32), ("height",), None, DEGREES)
    found, _ = done("terrain", [to_east], measures=["slope"])
    assert np.allclose(found[0, 1:-1, 1:-1], np.degrees(np.arctan(0.1)), atol=0.01)
    to_south = scene((0.1 * 111.412 * columns.T)[None].astype(np.float32), ("height",), None, DEGREES)
    found, _ = done("terrain", [to_south], measures=["slope"])
    assert np.allclose(found[0, 1:-1, 1:-1], np.degrees(np.arctan(0.1)), atol=0.01)


def test_terrain_keeps_gaps_and_any_block_gives_the_same(scene: Scene) -> None:
    heights = np.random.default_rng(0).normal(400, 30, (1, 40, 30)).astype(np.float32)
    heights[0, 17, 12] = np.nan
    source = scene(heights, ("height",), np.nan)
    whole, _ = done("terrain", [source])
    parts, _ = done("terrain", [source], 9)
    assert np.array_equal(whole, parts, equal_nan=True)
    assert np.isnan(whole[:, 16:19, 11:14]).all()
    z = heights[0].astype(float)
    east = ((z[4, 6] + 2 * z[5, 6] + z[6, 6]) - (z[4, 4] + 2 * z[5, 4] + z[6, 4])) / 80
    south = ((z[6, 4] + 2 * z[6, 5] + z[6, 6]) - (z[4, 4] + 2 * z[4, 5] + z[4, 6])) / 80
    assert np.isclose(whole[0, 5, 5], np.degrees(np.arctan(np.hypot(east, south))), rtol=1e-5)


def test_zonal_statistics(scene: Scene) -> None:
    pixels = reflectances()
    zones = np.random.default_rng(3).integers(0, 5, (1, 60, 50)).astype(np.uint8)
    zones[0, :, 40:] = 255
    measures = ["mean", "std", "minimum", "maximum", "count"]
    found, plan = done("zonal", [scene(pixels), scene(zones, ("mask",), 255)], 13, bands=["B08"], measures=measures)
    table = plan.table()
    assert [row["zone"] for row in table["zones"]] == [0, 1, 2, 3, 4]
    for row in table["zones"]:
        inside = zones[0] == row["zone"]
        values = pixels[3][inside & (pixels[3] != 0)].astype(float)
        expected = [values.mean(), values.std(), values.min(), values.max(), len(values)]
        assert np.allclose([row["B08"][name] for name in measures], expected, rtol=1e-9)
        assert np.allclose(found[:, inside], np.array(expected)[:, None], rtol=1e-6)
    assert np.isnan(found[:, :, 40:]).all()


def test_zones_are_whole_numbers(scene: Scene) -> None:
    halves = np.full((1, 60, 50), 1.5, np.float32)
    with pytest.raises(InvalidInput, match="no whole numbers"):
        done("zonal", [scene(reflectances()), scene(halves, ("zone",), None)])


def test_a_scene_without_any_result_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidInput, match="no pixel"):
        done("terrain", [scene(np.ones((1, 2, 2), np.float32), ("height",), None)])


def test_every_recipe_says_what_its_parameters_mean() -> None:
    assert set(RECIPES) == {"indices", "composite", "texture", "terrain", "zonal"}
    with pytest.raises(UnknownName, match="did you mean terrain"):
        find_recipe("terain")


def test_ndvi_of_real_scenes_is_that_of_terramesh(data_folder: Path, tmp_path: Path) -> None:
    """TerraMesh has the NDVI of its Sentinel-2 chips as a modality of its own, in half precision."""
    names = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    paths = sorted((data_folder / "terramesh" / "S2L2A").glob("*.tif"))
    assert len(paths) == 4
    for path in paths:
        with rasterio.open(path) as dataset:
            grid = Grid(dataset.crs.to_string(), tuple(dataset.transform)[:6], dataset.shape)
        source = Source("scenes/terramesh", path, grid, tuple(BandRecord(name, "int16") for name in names))
        recipe = find_recipe("indices")
        plan = recipe.plan([source], checked_parameters(recipe, {"indices": ["NDVI"]}))
        derive([source], plan, tmp_path / path.name, lambda done, total: None, 64)
        with rasterio.open(tmp_path / path.name) as ours, rasterio.open(path.parents[1] / "NDVI" / path.name) as theirs:
            assert np.allclose(ours.read(1), theirs.read(1), atol=5e-4, equal_nan=True)
