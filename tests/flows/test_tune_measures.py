"""Measures against scikit-learn, and plots whose bytes depend on the numbers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning import plots
from terralab.flows.tuning.measures import ConfusionMatrix

VALUES = [0, 2, 5]
CLASSES = [
    ClassDefinition(value=value, name=name, color="336699")
    for value, name in zip(VALUES, ("land", "Open-Water", "ice"), strict=True)
]
masks = arrays(np.uint8, (3, 7), elements=st.sampled_from([*VALUES, 255]))
predictions = arrays(np.int64, (3, 7), elements=st.integers(0, 2))


def matrix_of(truth: np.ndarray, predicted: np.ndarray) -> ConfusionMatrix:
    matrix = ConfusionMatrix(VALUES)
    matrix.add(truth, predicted)
    return matrix


@given(masks, predictions)
def test_measures_equal_those_of_scikit_learn(truth: np.ndarray, predicted: np.ndarray) -> None:
    known = truth != 255
    true, said = np.searchsorted(VALUES, truth[known]), predicted[known]
    measured = matrix_of(truth, predicted).by_class()
    for name, function in (
        ("iou", reference.jaccard_score),
        ("f1", reference.f1_score),
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
    ):
        if len(true) == 0:
            assert np.isnan(getattr(measured, name)).all()
            continue
        expected = function(true, said, labels=[0, 1, 2], average=None, zero_division=0)
        found = getattr(measured, name)
        assert np.allclose(found[~np.isnan(found)], expected[~np.isnan(found)])
        assert (expected[np.isnan(found)] == 0).all()


@given(masks, predictions)
def test_means_leave_out_classes_that_are_nowhere(truth: np.ndarray, predicted: np.ndarray) -> None:
    found = matrix_of(truth, predicted).metrics(CLASSES, "test")
    known = truth != 255
    if not known.any():
        assert "test_miou" not in found
        return
    true, said = np.searchsorted(VALUES, truth[known]), predicted[known]
    present = sorted(set(true) | set(said))
    expected = reference.jaccard_score(true, said, labels=present, average="macro")
    assert found["test_miou"] == pytest.approx(expected, abs=1e-6)
    assert found["test_accuracy"] == pytest.approx(reference.accuracy_score(true, said), abs=1e-6)


@given(st.lists(st.tuples(masks, predictions), min_size=2, max_size=4))
def test_the_matrix_does_not_depend_on_the_cut(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    together = matrix_of(np.stack([truth for truth, _ in parts]), np.stack([said for _, said in parts]))
    one_by_one = ConfusionMatrix(VALUES)
    for truth, said in parts:
        one_by_one.add(truth, said)
    assert (together.counts == one_by_one.counts).all()


def test_metric_names_fit_the_catalog() -> None:
    truth = np.array([[0, 2, 5, 255]], np.uint8)
    found = matrix_of(truth, np.array([[0, 1, 1, 2]])).metrics(CLASSES, "test")
    assert found["test_iou_open_water"] == 0.5
    assert found["test_recall_ice"] == 0
    assert "test_precision_ice" not in found
    assert found["test_miou"] == pytest.approx(0.5)


def test_plots_give_equal_bytes_and_are_png() -> None:
    random = np.random.default_rng(0)
    truth = random.choice(np.array([*VALUES, 255], np.uint8), (16, 16))
    example = plots.Example("chip", random.integers(0, 4000, (3, 16, 16)), truth, np.zeros((16, 16), np.uint8))
    history = [{"train_loss": 1.0 / n, "val_loss": 1.2 / n, "val_miou": 1 - 1 / n} for n in (1, 2, 3)]
    matrix = matrix_of(truth, np.zeros((16, 16), np.int64))
    for draw in (
        lambda: plots.curves(history, 3),
        lambda: plots.confusion(matrix, CLASSES),
        lambda: plots.examples([example, example], ["B04", "B03", "B02"], CLASSES),
        lambda: plots.examples([example], ["VV", "VH", "DEM"], CLASSES),
    ):
        first = draw()
        assert first.startswith(b"\x89PNG")
        assert first == draw()
