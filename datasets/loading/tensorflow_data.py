"""Chips as a `tf.data.Dataset` of whole batches, in the order and with the turns that the other loaders have."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from terralab.catalog.errors import SetupProblem
from terralab.datasets.loading.chip_arrays import ChipArrays
from terralab.datasets.loading.epoch_batches import EpochBatches, batches_in_order
from terralab.datasets.loading.turns import draw_turns
from terralab.extensions.chip_parts import Task


def tensorflow_data(chips: ChipArrays, batch_size: int = 8, seed: int | None = None) -> Any:
    """Return batches (image, target); images have their bands last, as TensorFlow's layers want them.

    Every pass over the dataset is an epoch.

    Args:
        chips: of one split.
        batch_size: largest number of chips in a batch.
        seed: of order, flips and turns; None for the order of ids without turns.

    Raises:
        SetupProblem: TensorFlow is not installed.
    """
    try:
        import tensorflow
    except ImportError as error:
        raise SetupProblem("TensorFlow is not installed here; install the package `tensorflow`") from error
    epochs = iter(range(1 << 62))
    first = channels_last(next(iter(_batches(chips, batch_size, seed, 0))), chips)

    def epoch() -> Iterator[Any]:
        for batch in _batches(chips, batch_size, seed, next(epochs)):
            yield channels_last(batch, chips)

    signature = tensorflow.nest.map_structure(
        lambda array: tensorflow.TensorSpec((None, *array.shape[1:]), array.dtype), first
    )
    return tensorflow.data.Dataset.from_generator(epoch, output_signature=signature).prefetch(2)


def channels_last(batch: tuple[dict[str, np.ndarray[Any, Any]], Any], chips: ChipArrays) -> tuple[Any, Any]:
    """Return a batch with the bands of its images last: (batch, [dates,] rows, columns, bands)."""
    images = {name: np.ascontiguousarray(np.moveaxis(image, 1, -1)) for name, image in batch[0].items()}
    return (images if len(chips.features) > 1 else next(iter(images.values()))), batch[1]


def _batches(
    chips: ChipArrays, batch_size: int, seed: int | None, epoch: int
) -> Iterator[tuple[dict[str, np.ndarray[Any, Any]], Any]]:
    if seed is None:
        order = batches_in_order(len(chips), batch_size)
        turns = None
    else:
        sampler = EpochBatches(len(chips), batch_size, seed)
        sampler.set_epoch(epoch)
        order, turns = [batch.positions for batch in sampler], draw_turns(seed, epoch, len(chips))
    for positions in order:
        own = None if turns is None else turns[positions]
        yield chips.images(positions, own), _target(chips, positions, own)


def _target(chips: ChipArrays, positions: list[int], turns: Any) -> Any:
    task = chips.contents.task
    if task is Task.SEGMENTATION:
        return chips.masks(positions, turns)
    return chips.values(positions, turns) if task is Task.REGRESSION else chips.labels(positions)
