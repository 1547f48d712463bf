"""Simulated scenes: the same by seed, plausible, and not to be solved by one threshold."""

from pathlib import Path

import numpy as np
import rasterio
from sklearn.ensemble import RandomForestClassifier

from terralab.datasets.classes import read_classes
from terralab.datasets.simulate import BANDS, CLASSES, simulate_scene, write_scenes


def test_files_are_the_same_by_seed(tmp_path: Path) -> None:
    one, two = (write_scenes(tmp_path / name, seed=4, count=2, size=64) for name in ("one", "two"))
    other = write_scenes(tmp_path / "other", seed=5, count=2, size=64)
    contents = [[path.read_bytes() for pair in files for path in pair] for files in (one, two, other)]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    assert read_classes(tmp_path / "one" / "classes.json") == list(CLASSES)
    with rasterio.open(one[0][0]) as dataset:
        assert dataset.descriptions == BANDS
        assert (dataset.nodata, dataset.dtypes[0], dataset.res) == (0, "uint16", (10, 10))
        image = dataset.read()
    with rasterio.open(one[0][1]) as dataset:
        assert (dataset.read(1)[(image == 0).any(axis=0)] == 255).all()


def test_every_class_is_there_and_spectra_are_plausible() -> None:
    scenes = [simulate_scene(0, number, 256) for number in range(3)]
    for scene in scenes:
        shares = np.bincount(scene.label.ravel(), minlength=256)[:4] / scene.label.size
        assert (shares > 0.01).all()
        water, vegetation = (scene.image[:, scene.label == value].mean(axis=1) for value in (0, 1))
        assert water[BANDS.index("B08")] < water[BANDS.index("B03")]
        assert vegetation[BANDS.index("B08")] > 2 * vegetation[BANDS.index("B04")]


def test_one_threshold_does_not_solve_it_but_a_forest_learns() -> None:
    train, test = simulate_scene(0, 0, 192), simulate_scene(0, 1, 192)
    known, asked = train.label != 255, test.label != 255
    green, swir = (test.image[BANDS.index(name)][asked].astype(float) for name in ("B03", "B11"))
    index, truth = (green - swir) / (green + swir), test.label[asked]
    best = max(iou(index > limit, truth == 0) for limit in np.linspace(-1, 1, 101))
    assert best < 0.97
    forest = RandomForestClassifier(20, max_depth=12, random_state=0)
    forest.fit(train.image[:, known].T[::5], train.label[known][::5])
    guessed = forest.predict(test.image[:, asked].T)
    scores = [iou(guessed == value, truth == value) for value in range(4)]
    assert 0.4 < np.mean(scores) < 0.95


def iou(guess: np.ndarray, truth: np.ndarray) -> float:
    return float((guess & truth).sum() / (guess | truth).sum())
