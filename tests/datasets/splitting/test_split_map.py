"""The map of a split: a picture that is the same for the same split, and keeps chips at 180° together."""

import io

import numpy as np
from PIL import Image

from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import Split
from terralab.datasets.splitting.split_map import split_map
from tests.datasets.splitting.chip_scenes import place, scene


def colours(picture: bytes) -> dict[tuple[int, ...], int]:
    """Return pixels by colour."""
    pixels = np.array(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(int(part) for part in colour): int(count) for colour, count in zip(found, counts, strict=True)}


def drawn(plan: GroundPlan, parts: list[int]) -> bytes:
    picture = split_map(plan, Split(np.array(parts), [""] * len(parts)), "Floods")
    assert picture is not None
    return picture


def test_splits_have_their_share_of_the_picture() -> None:
    plan = GroundPlan(scene("a", 10, 10))
    picture = drawn(plan, [0] * 50 + [1] * 25 + [2] * 25)
    found = colours(picture)
    train, validate, test = (found[colour] for colour in ((0x44, 0x77, 0xAA), (0xCC, 0xBB, 0x44), (0xEE, 0x66, 0x77)))
    assert 1.6 < train / validate < 2.4
    assert 1.6 < train / test < 2.4
    assert picture == drawn(plan, [0] * 50 + [1] * 25 + [2] * 25)


def test_shared_ground_is_black_and_left_out_chips_are_grey() -> None:
    plan = GroundPlan([*scene("a", 4, 4), *scene("b", 4, 4)])
    plain = colours(drawn(plan, [0] * 32))
    leaking = colours(drawn(plan, [0] * 16 + [1] * 12 + [-1] * 4))
    assert leaking[0, 0, 0] > 5 * plain[0, 0, 0]  # text is black, too
    grey = colours(drawn(plan, [0] * 12 + [-1] * 4 + [0] * 12 + [-1] * 4))
    assert grey[0xBB, 0xBB, 0xBB] > 1000


def test_chips_around_180_degrees_fill_one_picture() -> None:
    numbers = range(100)
    here, there = (
        [place(f"{n}", (west + n % 10 * 0.0064) % 360 - 180, 2 - n // 10 * 0.0064, "EPSG:4326", 1e-4) for n in numbers]
        for west in (359.97, 190.0)
    )
    one, other = (colours(drawn(GroundPlan(chips), [0] * 100))[0x44, 0x77, 0xAA] for chips in (here, there))
    assert abs(one / other - 1) < 0.1


def test_no_place_no_map() -> None:
    assert split_map(GroundPlan([ChipPlace("lost", ("x",), None)]), Split(np.array([0]), ["x"]), "Floods") is None
