"""Pooled statistics equal those of one pass over all pixels."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.datasets.statistics import BandSums, class_weights, pooled_bands, total_counts


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-32768, 32767), st.booleans()), min_size=1, max_size=40), min_size=1, max_size=8
    )
)
def test_pooling_through_stac_is_exact(chips: list[list[tuple[int, bool]]]) -> None:
    parts, values, pixels = [], [], 0
    for chip in chips:
        array = np.array([value for value, _ in chip], np.int16)
        valid = np.array([usable for _, usable in chip])
        sums = BandSums.of_pixels(array, valid)
        statistics = sums.statistics()
        parts.append([BandSums.of_stac(statistics.to_stac() if statistics else None, len(chip))])
        values.append(array[valid])
        pixels += len(chip)
    pooled, together = pooled_bands(parts)[0], np.concatenate(values).astype(np.float64)
    assert (pooled.pixels, pooled.count) == (pixels, together.size)
    statistics = pooled.statistics()
    if not together.size:
        assert statistics is None
        return
    assert statistics is not None
    assert (statistics.minimum, statistics.maximum) == (together.min(), together.max())
    assert math.isclose(statistics.mean, together.mean(), rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(statistics.stddev, together.std(), rel_tol=1e-6, abs_tol=1e-6)


def test_class_weights_are_one_on_average() -> None:
    counts = total_counts([{"land": 10, "water": 20}, {"land": 20, "water": 70, "ice": 0}])
    weights = class_weights(counts)
    assert weights["ice"] == 0
    assert math.isclose(sum(weights[name] * count for name, count in counts.items()), sum(counts.values()))
    assert weights["land"] == 3 * weights["water"]
