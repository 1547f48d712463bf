"""A cheap pixel baseline on the same split: a random forest that sees one pixel's bands and nothing around it.

It answers the question whether the network was worth its trouble, and is fitted in seconds on at most 20,000 pixels of
the train split. Its settings are fixed and not tuned to the data.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from terralab.datasets.loading.chip_dataset import ChipDataset
from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning.measures import ConfusionMatrix

NAME = "random forest of 100 trees on single pixels"
TRAIN_PIXELS = 20_000
_TREES = 100
_SMALLEST_LEAF = 2

Pixels = NDArray[np.float32]


def pixel_baseline(
    train: ChipDataset, test: ChipDataset, classes: Sequence[ClassDefinition], seed: int
) -> dict[str, float]:
    """Fit a random forest on pixels of `train` and return its `test_*` metrics on all labelled pixels of `test`.

    Args:
        train: chips to draw at most `TRAIN_PIXELS` labelled pixels from, all chips alike.
        test: the untouched chips that the network is measured on as well.
        classes: in the order of the channels.
        seed: of the drawing and of the forest.
    """
    values = np.array([entry.value for entry in classes])
    pixels, truth = _draw(train, values, seed)
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=_SMALLEST_LEAF, random_state=seed, n_jobs=1, max_samples=None
    ).fit(pixels, truth)
    confusion = ConfusionMatrix([int(value) for value in values])
    for position in range(len(test)):
        pixels, truth = _labelled(test, position, values)
        if len(truth):
            confusion.add(truth, np.searchsorted(values, forest.predict(pixels)))
    return confusion.metrics(classes, "test")


def _draw(chips: ChipDataset, values: NDArray[np.integer], seed: int) -> tuple[Pixels, NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    share = -(-TRAIN_PIXELS // len(chips))
    drawn = []
    for position in range(len(chips)):
        pixels, truth = _labelled(chips, position, values)
        chosen = random.permutation(len(truth))[:share]
        drawn.append((pixels[chosen], truth[chosen]))
    return np.concatenate([pixels for pixels, _ in drawn]), np.concatenate([truth for _, truth in drawn])


def _labelled(chips: ChipDataset, position: int, values: NDArray[np.integer]) -> tuple[Pixels, NDArray[np.uint8]]:
    """Return the labelled pixels of a chip: scaled values (pixels, bands) and class values (pixels,)."""
    image, mask = chips.raw(position)
    known = np.isin(mask, values)
    return chips.scaling.apply(image)[:, known].T, mask[known]
