"""The parts of the quality run, each on what it is to tell apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.datasets.quality.collected import Bands, Collected
from terralab.datasets.quality.duplicates import clusters, find_duplicates
from terralab.datasets.quality.edges import REACH, edge_surface, fit_of
from terralab.datasets.quality.fingerprints import descriptor, pixel_hash
from terralab.datasets.quality.georeference import georeference_problem
from terralab.datasets.quality.levels import LevelFacts, level_of, rules
from terralab.datasets.quality.measures import _piles_up
from terralab.datasets.quality.spectral import cloud_mask
from terralab.extensions.lab import QualityLevel
from terralab.extensions.raster import Grid

GOOD = LevelFacts(
    chips=40,
    described=True,
    licensed=True,
    georeferenced=True,
    checked=True,
    labelled=1.0,
    split=True,
    faults=[],
    frozen="1.0.0",
    reviewed=12,
    open_suspects=0,
    baseline=True,
)
WORSE = {
    "licensed": (False, QualityLevel.Q0),
    "georeferenced": (False, QualityLevel.Q0),
    "checked": (False, QualityLevel.Q0),
    "labelled": (0.89, QualityLevel.Q1),
    "split": (False, QualityLevel.Q1),
    "faults": (["bad"], QualityLevel.Q1),
    "frozen": (None, QualityLevel.Q2),
    "reviewed": (9, QualityLevel.Q2),
    "open_suspects": (1, QualityLevel.Q2),
    "baseline": (False, QualityLevel.Q2),
}


def test_level_is_q3_where_all_rules_are_met() -> None:
    assert level_of(rules(GOOD)) == QualityLevel.Q3


@pytest.mark.parametrize("name", WORSE)
def test_each_missing_fact_lowers_the_level(name: str) -> None:
    value, level = WORSE[name]
    assert level_of(rules(LevelFacts(**{**vars(GOOD), name: value}))) == level


@given(st.sets(st.sampled_from(sorted(WORSE))), st.sampled_from(sorted(WORSE)))
@settings(max_examples=50)
def test_more_that_is_missing_never_raises_the_level(missing: set[str], more: str) -> None:
    def level(names: set[str]) -> QualityLevel:
        return level_of(rules(LevelFacts(**{**vars(GOOD), **{name: WORSE[name][0] for name in names}})))

    assert level(missing | {more}) <= level(missing)


def blobs(seed: int, size: int = 96) -> np.ndarray:
    """Return a mask of irregular patches."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)
    return (field > 0).astype(np.uint8)


@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_shift_is_measured_to_the_pixel(rows: int, columns: int, seed: int) -> None:
    truth = blobs(seed)
    noise = np.random.default_rng(seed + 100).normal(0, 0.3, (2, *truth.shape))
    image = np.stack([truth, 1 - truth]) * 2.0 + noise
    label = np.roll(truth, (rows, columns), axis=(0, 1))
    found = edge_surface(image.astype(np.float32), np.ones(truth.shape, bool), label, 255)
    assert found is not None
    fit = fit_of(found[0])
    assert (fit.rows, fit.columns) == (-rows, -columns)
    assert fit.certain == (np.hypot(rows, columns) >= 1.5)
    assert found[0].shape == (2 * REACH + 1, 2 * REACH + 1)


def test_labels_without_relation_to_the_image_are_not_shifted() -> None:
    for seed in range(20):
        image = np.random.default_rng(seed).normal(size=(3, 96, 96)).astype(np.float32)
        found = edge_surface(image, np.ones((96, 96), bool), blobs(seed), 255)
        assert found is not None
        assert not fit_of(found[0]).certain
        assert abs(fit_of(found[0]).agreement) < 0.2


def collected(folder: Path, pictures: list[np.ndarray]) -> Collected:
    """Return what is known of pictures (bands, rows, columns) as chips of one place each."""
    from datetime import UTC, datetime

    from terralab.datasets.quality.collected import Place

    bands = Bands(("B02", "B03"), ("image", "image"), (None, None))
    chips = Collected(len(pictures), bands, (), (), folder)
    for number, picture in enumerate(pictures):
        box = (float(number), 0.0, number + 0.1, 0.1)
        moment = datetime(2021, 5, 1, tzinfo=UTC)
        chips.places.append(Place(f"c{number}", box, moment, None, "g", "s/s", None, (), "", None))
        chips.qa.append({})
        chips.hashes.append(pixel_hash([picture]))
        chips.means[number] = picture.mean(axis=(1, 2))
        scaled = (picture - picture.mean(axis=(1, 2), keepdims=True)) / picture.std(axis=(1, 2), keepdims=True)
        found = descriptor(scaled.astype(np.float32), np.ones(picture.shape[1:], bool))
        if found is not None:
            chips.descriptors[number] = found
    return chips


def textures(count: int) -> list[np.ndarray]:
    from scipy import ndimage

    random = np.random.default_rng(0)
    fields = random.normal(size=(count, 2, 64, 64))
    levels = random.uniform(500, 3000, (count, 2, 1, 1))
    return list(ndimage.gaussian_filter(fields, (0, 0, 3, 3)) * 900 + levels)


def test_all_planted_duplicates_are_found_and_no_others(tmp_path: Path) -> None:
    pictures = textures(400)
    random = np.random.default_rng(1)
    near = [(number, len(pictures) + number) for number in range(60)]
    pictures += [pictures[number] * 1.005 + random.normal(0, 8, (2, 64, 64)) for number, _ in near]
    exact = (7, len(pictures))
    pictures.append(pictures[7].copy())
    found = find_duplicates(collected(tmp_path, pictures))
    assert found.exact == [exact]
    # The exact copy of 7 is near to the near copy of 7 as well.
    assert set(found.near) == {*near, (407, 460)}
    assert found.again == []


def test_flat_water_is_no_duplicate(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    water = [300 + random.normal(0, 10, (2, 64, 64)) for _ in range(200)]
    found = find_duplicates(collected(tmp_path, water))
    assert (found.exact, found.near, found.again) == ([], [], [])


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda pair: pair[0] != pair[1])))
def test_clusters_divide_what_pairs_connect(pairs: list[tuple[int, int]]) -> None:
    groups = clusters(pairs)
    assert sorted(number for group in groups for number in group) == sorted({end for pair in pairs for end in pair})
    where = {number: place for place, group in enumerate(groups) for number in group}
    assert all(where[one] == where[other] for one, other in pairs)


def test_cloud_bands_are_believed() -> None:
    scl = np.array([[[3, 4], [8, 10]]], np.uint8)
    assert cloud_mask(scl, ["SCL"]).tolist() == [[False, False], [True, True]]
    bits = np.array([[[0, 1 << 10], [1 << 11, 1]]], np.uint16)
    assert cloud_mask(bits, ["QA60"]).tolist() == [[False, True], [True, False]]
    assert cloud_mask(np.array([[[0b10, 0b100]]], np.uint8), ["Fmask"]).tolist() == [[True, False]]
    assert cloud_mask(scl, ["VV"]) is None


def test_reflectance_rule_tells_cloud_from_snow_and_ground() -> None:
    names = ["B03", "B04", "B11"]
    cloud, snow, grass, soil = (6000, 6000, 4200), (6300, 5600, 950), (700, 500, 1700), (1500, 2000, 3200)
    image = np.array([cloud, snow, grass, soil], np.uint16).T.reshape(3, 1, 4)
    assert cloud_mask(image, names).tolist() == [[True, False, False, False]]
    assert cloud_mask(image / 10_000, names).tolist() == [[True, False, False, False]]
    assert cloud_mask(image.astype(np.uint8), names) is None


def test_clipping_is_told_from_coarse_and_flat_bands() -> None:
    values = np.random.default_rng(0).normal(1000, 200, 4096).round()
    assert _piles_up(np.minimum(values, 1200))
    assert not _piles_up(values)
    assert not _piles_up(np.repeat(values[:100], 36))
    assert not _piles_up(np.minimum(values, 1200) // 100)


@pytest.mark.parametrize(
    ("crs", "transform", "bounds", "words"),
    [
        ("EPSG:32630", (1, 0, 0, 0, 1, 0), (0, 0, 1, 1), "identity"),
        ("EPSG:32630", (10, 0, 0, 0, 10, 0), (0, 0, 1, 1), "flipped"),
        ("EPSG:4326", (1e-5, 0, 0, 0, -1e-5, 0), (0, -0.001, 0.001, 0), "0° N"),
        ("EPSG:32630", (10, 0, 5e5, 0, -10, 4e6), (37, 3, 37.1, 3.1), "UTM zone"),
        ("EPSG:32660", (10, 0, 5e5, 0, -10, 4e6), (179.9, 10, 180, 10.1), None),
        ("EPSG:32601", (10, 0, 5e5, 0, -10, 4e6), (-180, 10, 180, 10.1), None),
        ("EPSG:32630", (10, 0, 5e5, 0, -10, 4e6), (-3, 37, -2.9, 37.1), None),
    ],
)
def test_places_that_cannot_be_right(crs: str, transform: tuple, bounds: tuple, words: str | None) -> None:
    found = georeference_problem(Grid(crs, transform, (64, 64)), bounds)
    assert found is None if words is None else words in str(found)
