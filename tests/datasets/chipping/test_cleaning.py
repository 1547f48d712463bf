"""Chips without enough data are left out; labels are spread, thinned and taken away as asked, and no further."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from terralab.datasets.chipping.cleaning import Cleaning, cleaned_mask
from tests.datasets.chipping.rasters import NODATA, cut, raster, shot

EVERYWHERE = np.ones((12, 12), bool)
MASKS = arrays(np.uint8, (12, 12), elements=st.sampled_from([0, 1, 255, 255, 255, 255]))


@given(MASKS, st.integers(0, 3), st.integers(0, 3))
def test_labels_spread_to_free_pixels_that_nobody_else_claims(mask: np.ndarray, zero: int, one: int) -> None:
    found = cleaned_mask(mask, EVERYWHERE, Cleaning(buffer={0: zero, 1: one}), "x")
    for row, column in np.ndindex(mask.shape):
        if mask[row, column] != 255:
            assert found[row, column] == mask[row, column]
            continue
        near = {
            value
            for value, radius in ((0, zero), (1, one))
            if (
                mask[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1] == value
            ).any()
        }
        assert found[row, column] == (near.pop() if len(near) == 1 else 255)


@given(MASKS, st.integers(0, 40), st.text(max_size=5))
def test_thinning_keeps_so_many_and_chooses_the_same_again(mask: np.ndarray, most: int, name: str) -> None:
    cleaning = Cleaning(limit={1: most})
    found = cleaned_mask(mask, EVERYWHERE, cleaning, name)
    assert (found == 1).sum() == min(most, (mask == 1).sum())
    assert (mask[found == 1] == 1).all()
    assert ((found == 0) == (mask == 0)).all()
    assert (cleaned_mask(mask, EVERYWHERE, cleaning, name) == found).all()


@given(MASKS, arrays(bool, (12, 12)))
def test_labels_without_data_go_only_where_asked(mask: np.ndarray, valid: np.ndarray) -> None:
    assert (cleaned_mask(mask, valid, Cleaning(), "x") == mask).all()
    assert (cleaned_mask(mask, valid, Cleaning(mask_labels=True), "x") == np.where(valid, mask, 255)).all()


@pytest.mark.parametrize(
    ("cleaning", "dropped"),
    [
        (Cleaning(), None),
        (Cleaning(max_nodata=0.25), None),
        (Cleaning(max_nodata=0.24), "too little data"),
        (Cleaning(min_labelled=0.5), None),
        (Cleaning(min_labelled=0.51), "too few labels"),
        (Cleaning(min_labelled=0.5, mask_labels=True), "too few labels"),
    ],
)
def test_chips_are_left_out_by_their_shares(tmp_path: Path, cleaning: Cleaning, dropped: str | None) -> None:
    image = np.full((16, 16), 5, np.int16)
    image[:4] = NODATA
    label = np.full((16, 16), 255, np.uint8)
    label[:8] = 2
    dates = [[shot((raster(tmp_path, "i", image), None))]]
    made, _, mask = cut(tmp_path, dates, raster(tmp_path, "label", label, nodata=255), cleaning=cleaning)
    assert made.dropped == dropped
    if dropped is None:
        assert (mask == label).all()
        assert made.counts == {"c0": 0, "c1": 0, "c2": 128}
    else:
        assert made.files is None


def test_a_chip_without_any_data_is_left_out(tmp_path: Path) -> None:
    image = np.full((16, 16), NODATA, np.int16)
    label = raster(tmp_path, "label", np.ones((16, 16), np.uint8), nodata=255)
    assert cut(tmp_path, [[shot((raster(tmp_path, "i", image), None))]], label)[0].dropped == "no data in image"
