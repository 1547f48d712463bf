from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.flows.inference.blending import axis_weights
from terralab.flows.inference.windows import pad_to, plan_windows


@st.composite
def plans(draw: st.DrawFn):
    crop = draw(st.integers(1, 40))
    shape = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    overlap = draw(st.integers(0, crop - 1))
    return plan_windows(shape, crop, overlap), overlap


@given(plans())
def test_every_pixel_is_covered_and_no_overlap_is_smaller_than_asked(planned) -> None:
    plan, overlap = planned
    for starts, length in zip((plan.rows, plan.columns), plan.shape, strict=True):
        covered = np.zeros(length, int)
        for start in starts:
            assert start >= 0
            assert start + plan.crop <= length or starts == (0,)
            covered[start : start + plan.crop] += 1
        assert covered.min() >= 1
        shared = [one + plan.crop - other for one, other in pairwise(starts)]
        assert all(plan.crop > share >= overlap for share in shared)


@given(plans())
def test_no_window_is_more_than_needed(planned) -> None:
    plan, overlap = planned
    for starts, length in zip((plan.rows, plan.columns), plan.shape, strict=True):
        fewer = len(starts) - 1
        assert fewer * plan.crop - max(fewer - 1, 0) * overlap < length


@given(plans())
def test_weights_are_positive_whole_numbers_that_add_up(planned) -> None:
    plan, _ = planned
    weights = axis_weights(plan.rows, plan.crop, plan.shape[0])
    assert weights.windows.min() >= 1
    assert (weights.windows == np.round(weights.windows)).all()
    total = np.zeros(plan.shape[0] + plan.crop)
    for start, window in zip(plan.rows, weights.windows, strict=True):
        total[start : start + plan.crop] += window
    assert (total[: plan.shape[0]] == weights.total).all()


def test_weights_are_smooth_and_symmetric() -> None:
    weights = axis_weights((0, 48, 96), 64, 160).windows
    assert (weights[1] == weights[1][::-1]).all()
    assert (weights[1][16:48] == 256).all()
    assert (np.diff(weights[1][:16]) > 0).all()
    assert weights[0][0] == weights[2][-1] == 256  # nothing else covers the raster's own border


def test_bad_arguments_are_refused() -> None:
    for shape, crop, overlap in (((0, 5), 4, 1), ((5, 5), 4, 4), ((5, 5), 0, 0), ((5, 5), 4, -1)):
        with pytest.raises(ValueError, match="no windows"):
            plan_windows(shape, crop, overlap)


def test_padding_reflects_even_far_beyond_the_image() -> None:
    row = pad_to(np.arange(3, dtype=np.float32).reshape(1, 1, 3), 4, 8)
    assert row[0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert (row[0, 3] == row[0, 0]).all()
