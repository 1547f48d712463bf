"""Manifests: what they say of chips of any task, and that their tree hash is DVC's own."""

import json

import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.errors import InvalidInput
from terralab.datasets.packs.contents import Contents
from terralab.datasets.versioning.tree_layout import FILES_OF_A_TREE, TreeLayout
from terralab.datasets.versions import Version, chip_files, class_counts, make_manifest, manifest_bytes, tree_hash
from terralab.extensions.chip_parts import Target, Task
from terralab.extensions.raster import BandRecord, BandStatistics, ClassDefinition
from tests.datasets.versioning.chip_items import CLASSES, chip, feature, plain_chips, stored

_NAME = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=12)
_MD5 = st.binary(min_size=16, max_size=16).map(bytes.hex)
NUMBER = Version(1, 0, 0)


@given(st.dictionaries(st.tuples(st.sampled_from(["images", "masks", "s2l2a"]), _NAME), _MD5, max_size=20))
def test_the_tree_hash_is_that_of_dvc(files: dict[tuple[str, str], str]) -> None:
    tree = Tree()
    for key, md5 in files.items():
        tree.add(key, None, HashInfo("md5", md5))
    tree.digest()
    assert tree_hash({"relpath": "/".join(key), "md5": md5} for key, md5 in files.items()) == str(tree.oid)


def test_one_modality_with_masks_has_the_files_that_it_always_had() -> None:
    chips = plain_chips({"b": b"1", "a": b"2"})
    assert [file["relpath"] for file in chip_files(chips)] == [
        "images/a.tif", "images/b.tif", "masks/a.tif", "masks/b.tif",
    ]  # fmt: skip
    entry = make_manifest("ponds", NUMBER, chips)["chips"][0]
    assert entry == {
        "id": "a",
        "split": "train",
        "group": "g",
        "datetime": "2024-05-01T10:30:00Z",
        "files": {"image": "images/a.tif", "mask": "masks/a.tif"},
        "image": "images/a.tif",
        "mask": "masks/a.tif",
        "counts": {"land": 246, "water": 10},
    }


def test_several_modalities_and_dates() -> None:
    bands, shared = ("VV_t0", "VH_t0", "VV_t1", "VH_t1"), "2024-05-02T00:00:00Z"
    chips = [
        chip(
            name,
            [
                feature("s2l2a", f"{name} 2".encode(), modality="S2L2A", mean=mean),
                feature("s1rtc", f"{name} 1".encode(), modality="S1RTC", bands=bands, times=[first, shared]),
            ],
            split=split,
            fold=1,
        )
        for name, mean, split, first in [
            ("a", 2.0, "train", "2024-04-02T00:00:00Z"),
            ("b", 4.0, "train", "2024-04-03T00:00:00Z"),
            ("c", 90.0, "test", "2024-04-02T00:00:00Z"),
        ]
    ]
    manifest = make_manifest("ponds", NUMBER, chips)
    optical, radar = manifest["modalities"]
    assert (optical["key"], optical["modality"], "times" in optical) == ("s2l2a", "S2L2A", False)
    assert [band["statistics"]["mean"] for band in optical["bands"]] == [3.0, 3.0]  # the test chip does not count
    assert manifest["bands"] == optical["bands"]
    assert radar["times"] == [None, shared]
    entry = manifest["chips"][1]
    assert entry["files"] == {"s2l2a": "s2l2a/b.tif", "s1rtc": "s1rtc/b.tif", "mask": "masks/b.tif"}
    assert (entry["fold"], entry["times"]) == (1, {"s1rtc": ["2024-04-03T00:00:00Z", shared]})
    assert "image" not in entry
    contents = Contents.of_manifest(manifest)
    assert [(one.name, one.dates, one.bands) for one in contents.features] == [
        ("S2L2A", 1, ("B02", "B03")), ("S1RTC", 2, ("VV", "VH")),
    ]  # fmt: skip


def test_labels_of_whole_chips_boxes_and_numbers() -> None:
    image = [feature("image", b"i")]
    labels = Target(Task.MULTILABEL, None, CLASSES, {"land": 1, "water": 1}, ("land", "water"))
    whole = make_manifest("ponds", NUMBER, [chip("a", image, labels)])
    assert (whole["task"], whole["chips"][0]["labels"]) == ("multilabel", ["land", "water"])
    assert [entry["name"] for entry in whole["classes"]] == ["land", "water"]
    assert [file["relpath"] for file in whole["files"]] == ["images/a.tif"]
    boxes = make_manifest(
        "ponds", NUMBER, [chip("a", image, Target(Task.DETECTION, stored(b"b", ".geojson"), CLASSES, {"water": 3}))]
    )
    assert boxes["chips"][0]["files"]["boxes"] == "boxes/a.geojson"
    assert [entry["name"] for entry in boxes["classes"]] == ["land", "water"]
    band = BandRecord("biomass", "float32", None, BandStatistics(0.0, 4.0, 2.0, 1.0, 50.0))
    depth = chip("a", image, Target(Task.REGRESSION, stored(b"t"), band=band))
    numbers = make_manifest("ponds", NUMBER, [depth])
    assert numbers["chips"][0]["files"]["target"] == "target/a.tif"
    assert (numbers["classes"], class_counts([depth])) == ([], {})
    assert numbers["target"]["bands"][0]["statistics"]["mean"] == 2.0
    for manifest in (whole, boxes, numbers):
        json.loads(manifest_bytes(manifest))


def test_chips_that_do_not_go_together_are_refused() -> None:
    first = chip("a", [feature("image", b"1")])
    others = {
        "different bands of image": chip("b", [feature("image", b"2", bands=("B02", "B04"))]),
        "different tasks": chip("b", [feature("image", b"2")], Target(Task.REGRESSION, stored(b"t"))),
        "different classes": chip(
            "b",
            [feature("image", b"2")],
            Target.mask(stored(b"m"), [ClassDefinition(value=0, name="water", color="0080FF")], {"water": 1}),
        ),
        "no file with an MD5 checksum": {**first, "id": "b", "assets": {}},
    }
    for message, other in others.items():
        with pytest.raises(InvalidInput, match=message):
            make_manifest("ponds", NUMBER, [first, other])


def test_manifests_do_not_depend_on_the_order_of_the_chips() -> None:
    chips = plain_chips({name: name.encode() for name in "dacb"})
    assert manifest_bytes(make_manifest("ponds", NUMBER, chips)) == manifest_bytes(
        make_manifest("ponds", NUMBER, chips[::-1])
    )


def test_very_many_files_are_divided_into_shards_of_whole_chips() -> None:
    assert TreeLayout.of_count(FILES_OF_A_TREE).digits == 0
    assert TreeLayout.of_count(FILES_OF_A_TREE + 1).digits == 1
    assert TreeLayout.of_count(16 * FILES_OF_A_TREE + 1).digits == 2
    layout, one = TreeLayout(1), plain_chips({"a": b"1"})[0]
    image, label = layout.relpath(one, "image"), layout.relpath(one, "mask")
    assert image == f"{layout.shard('a')}/images/a.tif"
    assert label == f"{layout.shard('a')}/masks/a.tif"
    assert len({layout.shard(f"chip-{number}") for number in range(1000)}) == 16
