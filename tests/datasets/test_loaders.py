"""Chips as batches: the same for the same seed and epoch, complete, turned together with their masks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.datasets.loaders import (
    ChipDataset,
    ChipFiles,
    EpochBatches,
    Scaling,
    SegmentationDataModule,
    batches_in_order,
)
from terralab.extensions.raster import Grid
from tests.flows.frozen_dataset import freeze, ponds, split_names

GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (16, 16))
PLAIN = Scaling([0, 0, 0], [1, 1, 1], None)


def write_chips(folder: Path, images: np.ndarray, masks: np.ndarray) -> list[ChipFiles]:
    chips = []
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        names = [folder / f"{number:03d}.tif", folder / f"{number:03d}_mask.tif"]
        names[0].write_bytes(encode_chip(image, GRID, 0, ["a", "b", "c"]))
        names[1].write_bytes(encode_chip(mask[None], GRID, 255, ["mask"]))
        chips.append(ChipFiles(f"chip-{number:03d}", *names))
    return chips


@pytest.fixture
def chips(tmp_path: Path) -> list[ChipFiles]:
    return write_chips(tmp_path, *ponds(5, 16))


def test_values_are_scaled_and_nodata_becomes_the_mean(chips: list[ChipFiles]) -> None:
    images, masks = ponds(5, 16)
    dataset = ChipDataset(chips, Scaling([800, 2000, 1500], [100, 900, 800], 0), [0, 1])
    batch = dataset[[3, 1]]
    expected = (images[3].astype(float) - np.array([800, 2000, 1500])[:, None, None]) / np.array([100, 900, 800])[
        :, None, None
    ]
    expected[images[3] == 0] = 0
    assert batch["image"].dtype == torch.float32
    assert batch["mask"].dtype == torch.int64
    assert np.allclose(batch["image"][0].numpy(), expected, atol=1e-5)
    assert (batch["mask"][1].numpy() == masks[1]).all()


def test_masks_hold_channels_not_values(tmp_path: Path) -> None:
    images, masks = ponds(2, 16)
    chips = write_chips(tmp_path, images, np.where(masks == 1, 7, np.where(masks == 0, 3, masks)).astype(np.uint8))
    assert (ChipDataset(chips, PLAIN, [3, 7])[[0, 1]]["mask"].numpy() == masks).all()


def test_chips_read_on_demand_equal_those_in_memory(chips: list[ChipFiles]) -> None:
    kept = ChipDataset(chips, PLAIN, [0, 1])
    read = ChipDataset(chips, PLAIN, [0, 1], memory_limit=10)
    assert all(torch.equal(kept[[n]]["image"], read[[n]]["image"]) for n in range(len(chips)))


def test_turns_move_image_and_mask_alike_and_follow_seed_and_epoch(tmp_path: Path) -> None:
    masks = np.random.default_rng(0).integers(0, 2, (6, 16, 16)).astype(np.uint8)
    images = np.repeat(masks[:, None], 3, axis=1).astype(np.uint16)
    chips = write_chips(tmp_path, images, masks)
    dataset = ChipDataset(chips, PLAIN, [0, 1], augment_seed=3)
    seen = set()
    for epoch in range(40):
        dataset.epoch = epoch
        batch = dataset[[2]]
        assert torch.equal(batch["image"][0, 0].long(), batch["mask"][0])
        seen.add(batch["mask"].numpy().tobytes())
    assert len(seen) == 8
    again = ChipDataset(chips, PLAIN, [0, 1], augment_seed=3)
    again.epoch = 39
    assert torch.equal(again[[2]]["mask"], dataset[[2]]["mask"])
    assert torch.equal(again[[0, 2]]["mask"][1], dataset[[2]]["mask"][0])


class CountOnly(ChipDataset):
    """A dataset of so many chips without files."""

    def __init__(self, count: int) -> None:
        self.count, self.epoch = count, 0

    def __len__(self) -> int:
        return self.count


@settings(max_examples=60)
@given(st.integers(2, 90), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_an_epoch_holds_every_chip_once_in_even_batches(count: int, size: int, seed: int, epoch: int) -> None:
    sampler = EpochBatches(CountOnly(count), size, seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(position for batch in batches for position in batch) == list(range(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= (size + 1 if size > 1 else 1)
    assert size == 1 or min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    again = EpochBatches(CountOnly(count), size, seed)
    again.set_epoch(epoch)
    assert list(again) == batches


@given(st.integers(0, 50), st.integers(1, 20))
def test_batches_in_order_are_complete(count: int, size: int) -> None:
    batches = batches_in_order(count, size)
    assert [position for batch in batches for position in batch] == list(range(count))
    assert all(1 <= len(batch) <= size for batch in batches)


def test_chips_without_labels_are_left_out(tmp_path: Path) -> None:
    images, masks = ponds(4, 16)
    masks[1] = 255
    dataset = ChipDataset(write_chips(tmp_path, images, masks), PLAIN, [0, 1])
    assert [chip.id for chip in dataset.chips] == ["chip-000", "chip-002", "chip-003"]


def test_a_split_without_labels_is_named(workspace: Workspace) -> None:
    images, masks = ponds(5, 16)
    masks[3] = 255
    item = freeze(workspace, images, masks, split_names(3, 1, 1))
    manifest = json.loads(workspace.store.open_path(item["assets"]["manifest"]["href"]).read_bytes())
    with pytest.raises(TooFewChips, match="'validate' has 0 chips with labels"):
        SegmentationDataModule(manifest, workspace.store, PLAIN, [0, 1], 2, 0)


def test_a_chip_of_other_bands_is_named(chips: list[ChipFiles]) -> None:
    with pytest.raises(InvalidInput, match="chip-000"):
        ChipDataset(chips, Scaling([0] * 4, [1] * 4, None), [0, 1])
