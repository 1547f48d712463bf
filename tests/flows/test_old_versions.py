"""An old version after its chips were changed and deleted: proved, compared, and shown without a checkout."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rasterio
import rasterio.warp
from fastapi.testclient import TestClient

from terralab.catalog.access.keys import create_key
from terralab.catalog.app import create_app
from terralab.catalog.errors import AssetCorrupt, UnknownName
from terralab.catalog.garbage import delete_garbage, find_garbage
from terralab.catalog.inbox import stage
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items
from terralab.datasets.cog import encode_chip
from terralab.datasets.simulate import write_scenes
from terralab.datasets.versioning.difference import difference
from terralab.datasets.versioning.frozen_version import find_version
from terralab.datasets.versioning.proof import prove
from terralab.extensions.chips import ChipRecord
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.split import SplitRequest, split_dataset
from terralab.flows.version import VersionRequest, version_dataset
from terralab.infra.garbage import trees_of_versions
from terralab.tiler.app import create_tiler_app


def freeze(workspace: Workspace, tag: str) -> None:
    version_dataset(workspace, VersionRequest(name="sim", tag=tag), LogProgress())


@pytest.fixture
def moved_on(workspace: Workspace, tmp_path: Path) -> tuple[Workspace, dict[str, Any], str]:
    """Return a lab with `sim` v1.0.0 and v1.1.0, between which one chip changed and one was deleted."""
    image, label = write_scenes(tmp_path / "in", seed=5, count=1, size=64)[0]
    request = OnboardRequest(
        name="sim", images=stage(workspace.settings, [image]), labels=stage(workspace.settings, [label]), chip_size=16
    )
    onboard_dataset(workspace, request, LogProgress())
    split_dataset(workspace, SplitRequest(name="sim"), LogProgress())
    freeze(workspace, "v1.0.0")
    chips = sorted(workspace.catalog.search(collections=["sim-v1"]), key=lambda chip: str(chip["id"]))
    train = [chip for chip in chips if chip["properties"]["ml-aoi:split"] == "train"]
    changed, deleted = train[0], train[-1]
    publish(workspace, items=[brightened(workspace, changed)])
    with workspace.catalog.connection() as connection:
        delete_items(connection, [("sim-v1", deleted["id"])])
    return workspace, changed, str(deleted["id"])


def brightened(workspace: Workspace, chip: dict[str, Any]) -> dict[str, Any]:
    """Return a chip with another image, as a later run would make it: of no version."""
    with rasterio.open(workspace.store.open_path(chip["assets"]["image"]["href"])) as raster:
        pixels = raster.read()
    record = ChipRecord.of_item(chip)
    content = encode_chip(pixels // 2 + 900, record.grid, 0, [band.name for band in record.bands])
    stored = workspace.store.put_bytes(content, f"{chip['id']}.tif", "md5")
    image = {**chip["assets"]["image"], "href": stored.href}
    image |= {"file:size": stored.size, "file:checksum": stored.checksum}
    dropped = ("version", "lab:dataset_version", "lab:dvc_rev", "lab:dvc_tree")
    properties = {name: value for name, value in chip["properties"].items() if name not in dropped}
    return {**chip, "properties": properties, "assets": {**chip["assets"], "image": image}}


def test_an_old_version_is_proved_when_the_catalog_has_moved_on(moved_on: Any) -> None:
    lab, changed, deleted = moved_on
    freeze(lab, "v1.1.0")
    garbage = find_garbage(lab, grace=timedelta(0), trees=trees_of_versions(lab.settings))
    delete_garbage(lab, garbage, grace=timedelta(0))
    old = find_version(lab, "sim@v1.0.0")
    proof = prove(lab, old, read_bytes=True)
    assert proof.holds
    assert (proof.files, proof.changed, proof.gone) == (32, (changed["id"],), (deleted,))
    assert prove(lab, find_version(lab, "sim")).holds
    before, after = old.manifest, find_version(lab, "sim@1.1.0").manifest
    found = difference(before, after)
    assert (found.added, found.removed) == ((), (deleted,))
    assert [(chip.id, chip.parts) for chip in found.changed] == [(changed["id"], ("image",))]
    assert found.bytes_added > 0
    assert any(pair.name.endswith("mean") and pair.before != pair.after for pair in found.bands)
    assert difference(before, before).is_empty
    assert difference(before, before).bands == ()


def test_a_lost_or_damaged_file_of_an_old_version_is_named(moved_on: Any) -> None:
    lab, changed, _ = moved_on
    old = find_version(lab, "sim@v1.0.0")
    lost = lab.store.open_path(changed["assets"]["image"]["href"])
    content = lost.read_bytes()
    lost.unlink()
    proof = prove(lab, old)
    assert not proof.holds
    assert proof.missing == (f"images/{changed['id']}.tif",)
    lost.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert prove(lab, old).holds  # sizes alone cannot tell
    damaged = prove(lab, old, read_bytes=True)
    assert not damaged.holds
    assert damaged.damaged == (f"images/{changed['id']}.tif",)
    manifest = lab.store.open_path(old.record.manifest.href)
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"md5"', b'"MD5"', 1))
    with pytest.raises(AssetCorrupt):
        prove(lab, find_version(lab, "sim@v1.0.0"))


@pytest.fixture
def tiles(moved_on: Any) -> Iterator[TestClient]:
    """Yield the tile server of that lab, whose reads are not open."""
    lab, _, _ = moved_on
    lab.settings.access.open_reads = False
    with TestClient(create_tiler_app(lab.settings)) as client:
        yield client


def test_tiles_of_an_old_version_need_no_checkout(moved_on: Any, tiles: TestClient) -> None:
    lab, changed, deleted = moved_on
    path = f"/collections/sim-v1/items/{changed['id']}/assets/image"
    before, now = (tiles.get(f"{path}/preview.tif", params=query) for query in ({"version": "1.0.0"}, {}))
    assert (before.status_code, now.status_code) == (200, 200)
    assert before.content != now.content
    described = tiles.get(f"{path}/tilejson.json", params={"version": "v1.0.0"}).json()
    lon, lat = (sum(described["bounds"][place::2]) / 2 for place in (0, 1))
    with rasterio.open(lab.store.open_path(changed["assets"]["image"]["href"])) as raster:
        (x,), (y,) = rasterio.warp.transform("EPSG:4326", raster.crs, [lon], [lat])
        expected = raster.read()[(slice(None), *raster.index(x, y))]
    values = tiles.get(f"{path}/point/{lon},{lat}", params={"version": "1.0.0"}).json()["values"]
    assert values == expected.tolist() != tiles.get(f"{path}/point/{lon},{lat}").json()["values"]
    assert "version=v1.0.0" in described["tiles"][0]
    assert "version=1.0.0" in tiles.get(f"{path}/WMTSCapabilities.xml", params={"version": "1.0.0"}).text
    gone = f"/collections/sim-v1/items/{deleted}/assets/mask/preview.png"
    assert tiles.get(gone).status_code == 404
    assert tiles.get(gone, params={"version": "1.0.0"}).status_code == 200
    for version, status in (("1.9.0", 404), ("x", 422)):
        assert tiles.get(gone, params={"version": version}).status_code == status


@pytest.mark.parametrize("closed", ["version", "collection", "chip"])
def test_who_may_not_read_a_version_sees_no_chip_of_it(moved_on: Any, tiles: TestClient, closed: str) -> None:
    lab, changed, _ = moved_on
    guard = {"lab:owner": "ana", "lab:visibility": "private"}
    if closed == "collection":
        lab.catalog.write([{**lab.catalog.collection("sim-v1"), **guard}], [])
    else:
        where = ("datasets", "sim-v1-0-0") if closed == "version" else ("sim-v1", changed["id"])
        item = lab.catalog.item(*where)
        lab.catalog.write([], [{**item, "properties": {**item["properties"], **guard}}])
    keys = {name: {"X-API-Key": create_key(lab.catalog, name, ["read"], ())[0]} for name in ("ana", "ben")}
    path = f"/collections/sim-v1/items/{changed['id']}/assets/image/preview.png"
    seen = {name: tiles.get(path, params={"version": "1.0.0"}, headers=keys[name]) for name in keys}
    absent = tiles.get(path.replace(changed["id"], "nothing"), params={"version": "1.0.0"}, headers=keys["ben"])
    assert seen["ana"].status_code == 200
    assert seen["ben"].status_code == absent.status_code == 404


def test_files_of_an_old_version_are_for_its_readers(moved_on: Any) -> None:
    lab, changed, _ = moved_on
    lab.settings.access.open_reads = False
    checksum = changed["assets"]["image"]["file:checksum"]
    keys = {name: {"X-API-Key": create_key(lab.catalog, name, ["read"], ())[0]} for name in ("ana", "ben")}
    with TestClient(create_app(lab.settings)) as client:
        assert client.get(f"/files/{checksum}/chip.tif", headers=keys["ben"]).status_code == 200
    version = lab.catalog.item("datasets", "sim-v1-0-0")
    closed = {**version["properties"], "lab:owner": "ana", "lab:visibility": "private"}
    lab.catalog.write([], [{**version, "properties": closed}])
    with TestClient(create_app(lab.settings)) as client:
        assert client.get(f"/files/{checksum}/chip.tif", headers=keys["ben"]).status_code == 404
        assert client.get(f"/files/{checksum}/chip.tif", headers=keys["ana"]).status_code == 200


def test_an_archive_that_the_lab_did_not_write_opens_nothing(moved_on: Any, tiles: TestClient) -> None:
    lab, changed, _ = moved_on
    version = lab.catalog.item("datasets", "sim-v1-0-0")
    forged = lab.store.put_bytes(b"PK", "items.zip")
    assets = {**version["assets"], "items": {**version["assets"]["items"], "href": forged.href}}
    lab.catalog.write([], [{**version, "assets": assets}])
    path = f"/collections/sim-v1/items/{changed['id']}/assets/image/preview.png"
    assert tiles.get(path, params={"version": "1.0.0"}).status_code == 404


def test_versions_are_found_by_name(moved_on: Any) -> None:
    lab, _, _ = moved_on
    assert find_version(lab, "sim").name == find_version(lab, "sim@1.0.0").name == "sim@v1.0.0"
    for reference in ("sim@v1.0.1", "other"):
        with pytest.raises(UnknownName):
            find_version(lab, reference)
