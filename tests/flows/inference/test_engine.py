import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.errors import LabError
from terralab.flows.inference.engine import predict_rows
from terralab.flows.inference.windows import plan_windows

VALUES = (3, 0, 7)


def reader(pixels: np.ndarray, valid: np.ndarray):
    def read(row: int, rows: int):
        return pixels[:, row : row + rows], valid[row : row + rows]

    return read


def pixelwise(batch: np.ndarray) -> np.ndarray:
    """A network whose output at a pixel depends on that pixel alone."""
    one, two = batch[:, 0], batch[:, 1]
    return np.stack([one - two, np.tanh(one), two * two], axis=1).astype(np.float32)


def whole(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    classes = np.asarray(VALUES, np.uint8)[pixelwise(pixels[None])[0].argmax(axis=0)]
    classes[~valid] = 255
    return classes


def predict(pixels, valid, crop, overlap, network=pixelwise, batch_size=3, confidence=False):
    plan = plan_windows(valid.shape, crop, overlap)
    rows = list(
        predict_rows(reader(pixels, valid), network, plan, VALUES, batch_size=batch_size, confidence=confidence)
    )
    assert [part.row for part in rows] == np.cumsum([0, *(len(part.classes) for part in rows)])[:-1].tolist()
    return np.concatenate([part.classes for part in rows]), [part.confidence for part in rows]


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    crop=st.integers(1, 24),
    overlap=st.floats(0, 0.95),
    batch_size=st.integers(1, 9),
    holes=st.sampled_from([0.0, 0.3, 0.97, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_tiled_equals_whole_image_bit_for_bit(shape, crop, overlap, batch_size, holes, seed) -> None:
    random = np.random.default_rng(seed)
    pixels = random.normal(size=(2, *shape)).astype(np.float32)
    pixels[:, random.random(shape) < 0.2] = 1.0  # equal logits: the first channel must win everywhere
    valid = random.random(shape) >= holes
    found, _ = predict(pixels, valid, crop, int(overlap * crop), batch_size=batch_size)
    assert (found == whole(pixels, valid)).all()


@pytest.mark.parametrize("shape", [(100, 512), (512, 100), (1, 77), (7, 7), (224, 224), (225, 224), (333, 257)])
def test_thin_small_and_odd_images(shape) -> None:
    pixels = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    valid = np.ones(shape, bool)
    valid[shape[0] // 2, : shape[1] // 2] = False
    found, _ = predict(pixels, valid, 224, 32)
    assert (found == whole(pixels, valid)).all()


def test_confidence_is_that_of_the_winning_class() -> None:
    pixels = np.random.default_rng(2).normal(size=(2, 70, 50)).astype(np.float32)
    valid = np.random.default_rng(3).random((70, 50)) > 0.1
    _, parts = predict(pixels, valid, 32, 8, confidence=True)
    logits = pixelwise(pixels[None])[0].astype(np.float64)
    share = np.exp(logits).max(axis=0) / np.exp(logits).sum(axis=0)
    expected = np.where(valid, np.round(100 * share), 255)
    assert np.abs(np.concatenate(parts).astype(int) - expected).max() <= 1
    assert (np.concatenate(parts)[~valid] == 255).all()


def test_windows_without_data_never_reach_the_network() -> None:
    seen = []

    def counting(batch: np.ndarray) -> np.ndarray:
        seen.append(len(batch))
        return pixelwise(batch)

    pixels, valid = np.zeros((2, 96, 96), np.float32), np.zeros((96, 96), bool)
    valid[:32, :32] = True
    predict(pixels, valid, 32, 0, network=counting)
    assert sum(seen) == 1


def test_no_row_is_read_twice() -> None:
    pixels, valid, asked = np.zeros((2, 200, 40), np.float32), np.ones((200, 40), bool), []

    def read(row: int, rows: int):
        asked.extend(range(row, row + rows))
        return pixels[:, row : row + rows], valid[row : row + rows]

    list(predict_rows(read, pixelwise, plan_windows((200, 40), 32, 24), VALUES, batch_size=4))
    assert asked == list(range(200))


def test_wrong_or_broken_output_is_an_error() -> None:
    pixels, valid = np.zeros((2, 40, 40), np.float32), np.ones((40, 40), bool)
    with pytest.raises(LabError, match="promises 3 classes"):
        predict(pixels, valid, 32, 8, network=lambda batch: pixelwise(batch)[:, :2])
    with pytest.raises(LabError, match="not a finite number"):
        predict(pixels, valid, 32, 8, network=lambda batch: pixelwise(batch) * np.float32(np.inf))


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    """4096² pixels × 2 bands as float32 would be 134 MB, their logits 201 MB."""

    def peak(rows: int) -> int:
        row = np.random.default_rng(0).normal(size=(2, 1, 4096)).astype(np.float32)

        def read(first: int, count: int):
            return np.repeat(row, count, axis=1), np.ones((count, 4096), bool)

        tracemalloc.start()
        for part in predict_rows(read, pixelwise, plan_windows((rows, 4096), 128, 16), VALUES, batch_size=8):
            assert part.classes.shape[1] == 4096
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    short, tall = peak(512), peak(4096)
    assert tall < 64e6
    assert tall < 1.1 * short


@pytest.mark.filterwarnings("ignore")
def test_a_convolution_shows_no_seams() -> None:
    """Differences to one whole-image forward stay as small at window borders as inside."""
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(2, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 5, padding=2)]
    module = torch.nn.Sequential(*layers).eval()
    from terralab.flows.inference.network import torch_network

    network = torch_network(module)
    smooth = np.cumsum(np.cumsum(np.random.default_rng(0).normal(size=(2, 300, 300)), axis=1), axis=2) / 50
    pixels, valid = smooth.astype(np.float32), np.ones((300, 300), bool)
    expected = np.asarray(VALUES, np.uint8)[network(pixels[None])[0].argmax(axis=0)]
    found, _ = predict(pixels, valid, 64, 16, network=network)
    plan = plan_windows((300, 300), 64, 16)
    border = np.zeros((300, 300), bool)
    for start in plan.rows[1:]:
        border[start - 2 : start + 2] = border[:, start - 2 : start + 2] = True
        border[start + 14 : start + 18] = border[:, start + 14 : start + 18] = True
    differs = found != expected
    assert differs.mean() < 0.005
    assert differs[border].mean() <= differs[~border].mean() + 0.005
