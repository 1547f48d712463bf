"""Which label belongs to which image."""

from pathlib import Path

import pytest

from terralab.datasets.pairs import pair_files


def pairs(images: list[str], labels: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    found, problems = pair_files([Path(name) for name in images], [Path(name) for name in labels])
    return [(image.name, label.name) for image, label in found], problems


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["Spain_7370579_S2Hand.tif"], ["Spain_7370579_LabelHand.tif"]),
        (["x.tif"], ["x.tif"]),
        (["x.tif"], ["x_mask.tif"]),
        (["a-1.tif", "a-2.tif"], ["a-1.tif", "a-2.tif"]),
        (["img_001.tif", "img_002.tif"], ["mask_001.tif", "mask_002.tif"]),
        (["S2.north.2020.tif", "S2.south.2020.tif"], ["north.2020.label.tif", "south.2020.label.tif"]),
        (
            ["sim-00_20210410_image.tif", "sim-01_20210505_image.tif"],
            ["sim-00_20210410_label.tif", "sim-01_20210505_label.tif"],
        ),
    ],
)
def test_files_with_the_same_key_belong_together(images: list[str], labels: list[str]) -> None:
    assert pairs(images, labels) == (list(zip(images, labels, strict=True)), [])


@pytest.mark.parametrize(
    ("images", "labels", "named"),
    [
        (["a_1.tif", "a_2.tif"], ["a_1.tif", "a_3.tif"], ["a_2.tif", "a_3.tif"]),
        (["one.tif"], ["other.tif"], ["one.tif", "other.tif"]),
        (["a_1.tif", "a_2.tif"], ["a_1_mask.tif"], ["a_2.tif"]),
        (["20200101.tif"], ["20200102.tif"], ["20200101.tif", "20200102.tif"]),
    ],
)
def test_files_without_partner_are_named(images: list[str], labels: list[str], named: list[str]) -> None:
    _, problems = pairs(images, labels)
    assert [problem.split(":")[0] for problem in problems] == named


def test_two_files_with_one_key_are_ambiguous() -> None:
    _, problems = pairs(["a_1.tif", "a-1.tif"], ["a_1.tif", "b_1.tif"])
    assert problems[0].startswith("a_1.tif, a-1.tif: these images have the same key")
