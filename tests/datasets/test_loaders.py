"""Chips as batches: the same for the same seed and epoch, complete, turned together with their masks."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.errors import InvalidInput, SetupProblem, TooFewChips, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.datasets.loaders import chip_arrays, from_store, to_sklearn, to_tf, to_torch
from terralab.datasets.loading.chip_arrays import NO_TARGET, ChipArrays
from terralab.datasets.loading.chip_dataset import ChipDataset
from terralab.datasets.loading.data_module import ChipDataModule
from terralab.datasets.loading.epoch_batches import Batch, EpochBatches, batches_in_order, class_shares
from terralab.datasets.loading.scaling import Scaling
from terralab.datasets.loading.tensorflow_data import channels_last
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack import Pack
from terralab.datasets.packs.packing import make_pack
from terralab.extensions.raster import Grid
from tests.datasets.chip_files import Files
from tests.flows.frozen_dataset import freeze, ponds, split_names

pytestmark = pytest.mark.torch
GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (16, 16))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "chips")


def loaded(files: Files, tmp_path: Path) -> tuple[Pack, Contents]:
    contents = Contents.of_manifest(files.manifest)
    target = tmp_path / f"pack-{len(list(tmp_path.iterdir()))}"
    make_pack(contents, files.open, target, lambda done, total: None)
    return Pack(target), contents


def dataset(files: Files, tmp_path: Path, **options: Any) -> ChipDataset:
    return ChipDataset(ChipArrays(*loaded(files, tmp_path)), **options)


def test_values_are_scaled_and_nodata_becomes_the_mean(files: Files, tmp_path: Path) -> None:
    images, masks = ponds(5, 16)
    files.segmentation(images, masks, mean=[800, 2000, 1500], stddev=[100, 900, 800])
    batch = dataset(files, tmp_path)[[3, 1]]
    expected = (images[3].astype(float) - np.array([800, 2000, 1500])[:, None, None]) / np.array([100, 900, 800])[
        :, None, None
    ]
    expected[images[3] == 0] = 0
    assert batch["image"].dtype == torch.float32
    assert batch["mask"].dtype == torch.int64
    assert np.allclose(batch["image"][0].numpy(), expected, atol=1e-5)
    assert (batch["mask"][1].numpy() == masks[1]).all()
    assert set(batch) == {"image", "mask"}, "TerraTorch's tasks give whatever else is there to the network"


@settings(max_examples=40)
@given(
    st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]),
    st.sampled_from([None, 0.0, 7.0, float("nan")]),
    st.integers(0, 1000),
)
def test_scaling_in_place_equals_the_formula(dtype: str, nodata: float | None, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 9, (2, 4, 4)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        image[0, 0, 0] = np.nan
    scaling = Scaling([3, 4], [2, 0.5], nodata)
    expected = (image.astype(np.float32) - np.float32([[[3]], [[4]]])) / np.float32([[[2]], [[0.5]]])
    for place in np.ndindex(image.shape):
        if (nodata is not None and image[place] == nodata) or np.isnan(float(image[place])):
            expected[place] = 0
    assert np.array_equal(scaling.apply(image), expected)


def test_masks_hold_channels_not_values(files: Files, tmp_path: Path) -> None:
    images, masks = ponds(2, 16)
    values = np.where(masks == 1, 7, np.where(masks == 0, 3, masks)).astype(np.uint8)
    files.segmentation(images, values, classes=(3, 7))
    assert (dataset(files, tmp_path)[[0, 1]]["mask"].numpy() == masks).all()


def test_turns_move_image_and_mask_alike_and_follow_seed_and_epoch(files: Files, tmp_path: Path) -> None:
    masks = np.random.default_rng(0).integers(0, 2, (6, 16, 16)).astype(np.uint8)
    files.segmentation(np.repeat(masks[:, None], 3, axis=1).astype(np.uint16), masks, nodata=None)
    chips = dataset(files, tmp_path, augment_seed=3)
    seen = set()
    for epoch in range(40):
        chips.epoch = epoch
        batch = chips[[2]]
        assert torch.equal(batch["image"][0, 0].long(), batch["mask"][0])
        seen.add(batch["mask"].numpy().tobytes())
    assert len(seen) == 8
    again = ChipDataset(chips.arrays, augment_seed=3)
    assert torch.equal(again[Batch(39, [2])]["mask"], chips[[2]]["mask"])
    assert torch.equal(again[Batch(39, [0, 2])]["mask"][1], chips[[2]]["mask"][0])


def test_turns_are_those_of_torch() -> None:
    from terralab.datasets.loading.turns import TURNS, turned

    raster = torch.arange(48).reshape(3, 4, 4)
    for turn in range(TURNS):
        expected = torch.rot90(raster, turn % 4, (-2, -1))
        expected = expected.flip(-1) if turn >= 4 else expected
        assert torch.equal(torch.from_numpy(turned(raster.numpy(), turn).copy()), expected)


@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_an_epoch_holds_every_chip_once_in_even_batches(count: int, size: int, seed: int, epoch: int) -> None:
    sampler = EpochBatches(count, size, seed)
    sampler.set_epoch(epoch)
    batches = [batch.positions for batch in sampler]
    assert len(batches) == len(sampler)
    assert sorted(position for batch in batches for position in batch) == list(range(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= (size + 1 if size > 1 else 1)
    assert min(sizes) >= 2 or 1 in (size, count)
    assert max(sizes) - min(sizes) <= 1
    again = EpochBatches(count, size, seed)
    again.set_epoch(epoch)
    assert [batch.positions for batch in again] == batches


@given(st.integers(0, 50), st.integers(1, 20))
def test_batches_in_order_are_complete(count: int, size: int) -> None:
    batches = batches_in_order(count, size)
    assert [position for batch in batches for position in batch] == list(range(count))
    assert all(1 <= len(batch) <= size for batch in batches)


def test_sampling_by_class_shows_every_class_alike_often() -> None:
    # 98 chips of land; one all water; one half water, half forest.
    counts = np.array([[100, 0, 0]] * 98 + [[0, 100, 0], [0, 50, 50]])
    shares = class_shares(counts)
    assert np.allclose(shares, [1 / 3 / 98] * 98 + [2 / 9, 1 / 9 + 1 / 3])
    drawn = np.zeros(3)
    sampler = EpochBatches(100, 10, 1, shares)
    for epoch in range(40):
        sampler.set_epoch(epoch)
        for batch in sampler:
            drawn += (counts[batch.positions] > 0).sum(axis=0)
    assert np.allclose(drawn / drawn[0], [1, 2, 4 / 3], rtol=0.1)
    sampler.set_epoch(3)
    assert list(sampler) == list(sampler)


def test_chips_without_labels_are_left_out(files: Files, tmp_path: Path) -> None:
    images, masks = ponds(4, 16)
    masks[1] = 255
    files.segmentation(images, masks)
    assert dataset(files, tmp_path).ids == ["chip-000", "chip-002", "chip-003"]


def test_a_split_without_labels_is_named(workspace: Workspace) -> None:
    images, masks = ponds(5, 16)
    masks[3] = 255
    manifest = manifest_of(workspace, freeze(workspace, images, masks, split_names(3, 1, 1)))
    pack = chip_arrays(manifest, from_store(workspace.store), workspace.settings, None, None).pack
    with pytest.raises(TooFewChips, match="'validate' has 0 chips with labels"):
        ChipDataModule(pack, Contents.of_manifest(manifest))


def test_a_split_is_read_from_the_store_and_packed_once(workspace: Workspace) -> None:
    images, masks = ponds(6, 16)
    manifest = manifest_of(workspace, freeze(workspace, images, masks, split_names(3, 2, 1)))
    read = from_store(workspace.store)
    chips = to_torch(manifest, read, workspace.settings, None, "validate")
    assert chips.ids == ["ponds-003", "ponds-004"]
    assert (chips.raw(1)[0] == images[4]).all()
    (folder,) = [path for path in (workspace.settings.work_folder / "packs").iterdir() if path.name != "locks"]
    made = (folder / "shard-00000.bin").stat().st_mtime_ns
    to_torch(manifest, read, workspace.settings, None, "validate")
    assert (folder / "shard-00000.bin").stat().st_mtime_ns == made
    with pytest.raises(UnknownName, match="did you mean validate"):
        to_torch(manifest, read, workspace.settings, None, "val")


@pytest.mark.parametrize("workers", [0, 2])
def test_threads_give_the_same_batches(files: Files, tmp_path: Path, workers: int) -> None:
    files.segmentation(*ponds(11, 16), splits=split_names(9, 1, 1))
    pack, contents = loaded(files, tmp_path)
    plain = ChipDataModule(pack, contents, 4, 5)
    module = ChipDataModule(pack, contents, 4, 5, workers=workers)
    loader, expected = module.train_dataloader(), plain.train_dataloader()
    for epoch in (0, 1, 4):
        for one in (loader, expected):
            one.sampler.set_epoch(epoch)
        for batch, other in zip(loader, expected, strict=True):
            assert torch.equal(batch["image"], other["image"])
            assert torch.equal(batch["mask"], other["mask"])


def test_a_dataset_can_be_sent_to_another_process(files: Files, tmp_path: Path) -> None:
    files.segmentation(*ponds(3, 16))
    chips = dataset(files, tmp_path)
    again = pickle.loads(pickle.dumps(chips))  # our own bytes
    assert torch.equal(again[[0, 2]]["image"], chips[[0, 2]]["image"])
    assert torch.equal(chips[2]["image"], chips[[2]]["image"][0])


def test_modalities_come_by_name_and_dates_as_a_dimension(files: Files, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    optical = random.integers(1, 9000, (3, 6, 16, 16)).astype(np.uint16)  # 3 dates of 2 bands
    terrain = random.normal(300, 50, (3, 1, 16, 16)).astype(np.float32)
    terrain[1, 0, 3, 4] = np.nan
    masks = random.integers(0, 2, (3, 16, 16)).astype(np.uint8)
    files.several({"s2l2a": (optical, 3, None), "dem": (terrain, 1, float("nan"))}, masks)
    batch = dataset(files, tmp_path)[[1, 2]]
    assert {name: tuple(image.shape) for name, image in batch["image"].items()} == {
        "S2L2A": (2, 2, 3, 16, 16),
        "DEM": (2, 1, 16, 16),
    }
    (feature, dem) = Contents.of_manifest(files.manifest).features
    by_date = optical[1].reshape(3, 2, 16, 16).astype(np.float32)
    for band in range(2):
        values = optical.reshape(3, 3, 2, 16, 16)[:, :, band].astype(float)
        assert np.isclose(feature.mean[band], values.mean())
        assert np.isclose(feature.stddev[band], values.std())
        for date in range(3):
            expected = (by_date[date, band] - feature.mean[band]) / feature.stddev[band]
            assert np.allclose(batch["image"]["S2L2A"][0, band, date], expected, atol=1e-5)
    assert batch["image"]["DEM"][0, 0, 3, 4] == 0
    assert np.allclose(batch["image"]["DEM"][1, 0], (terrain[2, 0] - dem.mean[0]) / dem.stddev[0], atol=1e-4)
    assert feature.bands == ("B02", "B03")


def test_bands_are_chosen_by_name_on_every_date(files: Files, tmp_path: Path) -> None:
    optical = np.random.default_rng(2).integers(1, 9000, (3, 6, 16, 16)).astype(np.uint16)
    files.several({"s2l2a": (optical, 3, None), "dem": (optical[:, :1], 1, None)}, ponds(3, 16)[1])
    pack, contents = loaded(files, tmp_path)
    whole = ChipArrays(pack, contents).images([0, 1])["S2L2A"]
    chosen = ChipArrays(pack, contents, {"S2L2A": ["B03"]}).images([0, 1])
    assert np.array_equal(chosen["S2L2A"], whole[:, 1:])
    assert chosen["DEM"].shape == (2, 1, 16, 16)
    with pytest.raises(UnknownName, match="B04"):
        ChipArrays(pack, contents, {"S2L2A": ["B04"]})


def test_regression_marks_what_has_no_value(files: Files, tmp_path: Path) -> None:
    images, _ = ponds(3, 16)
    heights = np.random.default_rng(0).uniform(0, 30, (3, 16, 16)).astype(np.float32)
    heights[0, 0] = np.nan
    files.regression(images, heights)
    batch = dataset(files, tmp_path)[[0]]
    assert batch["mask"].dtype == torch.float32
    assert (batch["mask"][0, 0] == NO_TARGET).all()
    assert np.array_equal(batch["mask"][0, 1:].numpy(), heights[0, 1:])


def test_labels_of_whole_chips(files: Files, tmp_path: Path) -> None:
    images, _ = ponds(3, 16)
    files.labelled(images, [["water"], ["land"], ["water"]], "classification")
    assert dataset(files, tmp_path)[[0, 1, 2]]["label"].tolist() == [1, 0, 1]
    files.labelled(images, [["water", "land"], [], ["water"]], "multilabel")
    assert dataset(files, tmp_path)[[0, 1, 2]]["label"].tolist() == [[1, 1], [0, 0], [0, 1]]
    files.labelled(images, [["water", "land"], ["land"], ["water"]], "classification")
    with pytest.raises(InvalidInput, match="chip-000 has the labels"):
        dataset(files, tmp_path)


def test_arrays_for_scikit_learn(workspace: Workspace) -> None:
    images, masks = ponds(6, 16)
    manifest = manifest_of(workspace, freeze(workspace, images, masks, split_names(4, 1, 1)))
    read = from_store(workspace.store)
    found = to_sklearn(manifest, read, workspace.settings, None, "train", pixels=None)
    assert found.X.shape == (4 * 14 * 16, 3)
    assert found.features == ["B03", "B08", "B11"]
    assert np.array_equal(found.y, masks[:4, 2:].ravel())
    assert np.array_equal(found.X[:224, 1], images[0, 1, 2:].ravel())
    assert found.groups.tolist() == [f"g{n}" for n in range(4) for _ in range(224)]
    few = to_sklearn(manifest, read, workspace.settings, None, "train", pixels=40)
    assert len(few.y) == 40
    assert np.array_equal(few.X, to_sklearn(manifest, read, workspace.settings, None, "train", pixels=40).X)
    chips = to_sklearn(manifest, read, workspace.settings, None, "train", unit="chips")
    assert chips.X.shape == (4, 15)
    values = images[2, 1][images[2, 1] != 0]
    assert np.allclose(chips.X[2, 5:8], [values.mean(), values.std(), np.percentile(values, 10)], rtol=1e-5)


def test_tensorflow_is_asked_for_where_it_is_missing(workspace: Workspace) -> None:
    manifest = manifest_of(workspace, freeze(workspace, *ponds(3, 16), split_names(1, 1, 1)))
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        with pytest.raises(SetupProblem, match="install the package `tensorflow`"):
            to_tf(manifest, from_store(workspace.store), workspace.settings, None, "train")
        return
    pytest.skip("TensorFlow is installed here")


def test_batches_for_tensorflow(workspace: Workspace) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    images, masks = ponds(5, 16)
    manifest = manifest_of(workspace, freeze(workspace, images, masks, split_names(3, 1, 1)))
    read = from_store(workspace.store)
    batches = list(to_tf(manifest, read, workspace.settings, None, "train", 2).as_numpy_iterator())
    expected = to_torch(manifest, read, workspace.settings, None, "train")[[0, 1, 2]]
    assert np.array_equal(np.concatenate([image for image, _ in batches]).transpose(0, 3, 1, 2), expected["image"])
    assert np.array_equal(np.concatenate([mask for _, mask in batches]), expected["mask"])


def test_channels_go_last_for_tensorflow(files: Files, tmp_path: Path) -> None:
    files.segmentation(*ponds(2, 16))
    arrays = ChipArrays(*loaded(files, tmp_path))
    images, masks = channels_last((arrays.images([0, 1]), arrays.masks([0, 1])), arrays)
    assert images.shape == (2, 16, 16, 3)
    assert np.array_equal(images[..., 1], arrays.images([0, 1])["image"][:, 1])
    assert masks.shape == (2, 16, 16)


def manifest_of(workspace: Workspace, item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workspace.store.open_path(item["assets"]["manifest"]["href"]).read_bytes())
    return found
