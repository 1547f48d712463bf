"""A simulated dataset, clean or with faults planted into chosen chips."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from terralab.catalog.inbox import stage
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.datasets.simulate import write_scenes
from terralab.datasets.statistics import BandSums
from terralab.extensions.item import asset
from terralab.extensions.raster import MASK_NODATA, Grid
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.split import SplitRequest, split_dataset

CHIP = 64
Pixels = NDArray[Any]
Change = Callable[[Pixels, Pixels], tuple[Pixels, Pixels]]


def onboard_clean(workspace: Workspace, folder: Path, *, scenes: int = 10, size: int = 256, seed: int = 5) -> None:
    """Onboard the dataset `sim` of simulated scenes and split it by scene."""
    pairs = write_scenes(folder, seed=seed, count=scenes, size=size)
    request = OnboardRequest(
        name="sim",
        images=stage(workspace.settings, [image for image, _ in pairs]),
        labels=stage(workspace.settings, [label for _, label in pairs]),
        chip_size=CHIP,
        license="CC-BY-4.0",
    )
    onboard_dataset(workspace, request, LogProgress())
    split_dataset(workspace, SplitRequest(name="sim", method="group"), LogProgress())


def chips_of(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the chips of `sim`, by id."""
    return sorted(workspace.catalog.search(collections=["sim-v1"]), key=lambda chip: str(chip["id"]))


def pixels_of(workspace: Workspace, chip: dict[str, Any]) -> tuple[Pixels, Pixels]:
    """Return image (bands, rows, columns) and mask (rows, columns)."""
    read = []
    for key in ("image", "mask"):
        with rasterio.open(workspace.store.open_path(chip["assets"][key]["href"])) as file:
            read.append(file.read())
    return read[0], read[1][0]


def changed(workspace: Workspace, chip: dict[str, Any], change: Change, **properties: Any) -> dict[str, Any]:
    """Return the chip with other pixels, and a truthful description of them."""
    image, mask = change(*(part.copy() for part in pixels_of(workspace, chip)))
    grid = Grid.of_properties(chip["properties"])
    names = [band["name"] for band in chip["assets"]["image"]["bands"]]
    assets = dict(chip["assets"])
    for key, content in (
        ("image", encode_chip(image, grid, 0, names)),
        ("mask", encode_chip(mask[None], grid, MASK_NODATA, ["mask"])),
    ):
        stored = workspace.store.put_bytes(content, f"{chip['id']}_{key}.tif", "md5")
        assets[key] = {**assets[key], **asset(stored, assets[key]["type"], assets[key]["roles"])}
    for band, values in zip(assets["image"]["bands"], image, strict=True):
        statistics = BandSums.of_pixels(values, values != 0).statistics()
        if statistics:
            band["statistics"] = statistics.to_stac()
    classes = [entry for entry in assets["mask"]["classification:classes"] if not entry.get("nodata")]
    counts = {entry["name"]: int((mask == entry["value"]).sum()) for entry in classes}
    valid = float((image != 0).all(axis=0).mean())
    told = {**chip["properties"], "lab:class_counts": counts, "lab:valid_share": valid, **properties}
    return {**chip, "assets": assets, "properties": told}


def plant(workspace: Workspace, ids: dict[str, list[str]]) -> None:
    """Plant faults: `ids` are the chips of each kind, two for the pairs (original, copy)."""
    chips = {chip["id"]: chip for chip in chips_of(workspace)}
    items = []
    for kind, change in CHANGES.items():
        items += [changed(workspace, chips[id], change) for id in ids.get(kind, [])]
    for kind, blemish in (("exact", _same), ("near", _slightly_different), ("leak", _same)):
        pairs = ids.get(kind, [])
        for original, copy in zip(pairs[::2], pairs[1::2], strict=True):
            image, mask = pixels_of(workspace, chips[original])
            items.append(changed(workspace, chips[copy], lambda *_, i=image, m=mask, b=blemish: (b(i), m)))
    publish(workspace, items=items)


def _same(image: Pixels) -> Pixels:
    return image


def _slightly_different(image: Pixels) -> Pixels:
    noise = np.random.default_rng(1).normal(0, 8, image.shape)
    return np.where(image > 0, np.clip(image * 1.01 + noise, 1, 65535), 0).astype(image.dtype)


def _shift(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    return image, np.roll(mask, (4, 3), axis=(0, 1))


def _swap(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    order = list(range(len(image)))
    order[2], order[6] = order[6], order[2]  # red and near infrared
    return image[order], mask


def _cloud(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    random = np.random.default_rng(int(image[0, 0, 0]))
    bright = np.array([6200, 6000, 6000, 6100, 6200, 6250, 6300, 6350, 4200, 3200])[:, None, None]
    rows = image.shape[1] * 2 // 3
    image[:, :rows] = bright + random.normal(0, 150, (len(image), rows, image.shape[2]))
    return image, mask


def _blank(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    image[:, : image.shape[1] * 3 // 4] = 0
    return image, mask


def _wrong(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Exchange water with vegetation, and bare soil with town."""
    other = np.arange(256, dtype=np.uint8)
    other[:4] = (1, 0, 3, 2)
    return image, other[mask]


def _blur(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    from scipy import ndimage

    return np.maximum(ndimage.gaussian_filter(image.astype(float), (0, 3, 3)), 1).astype(image.dtype), mask


def _clip(image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    return np.minimum(image, np.percentile(image, 90, axis=(1, 2)).astype(image.dtype)[:, None, None]), mask


CHANGES: dict[str, Change] = {
    "shifted": _shift,
    "swapped": _swap,
    "cloudy": _cloud,
    "nodata": _blank,
    "wrong": _wrong,
    "blurred": _blur,
    "clipped": _clip,
}
