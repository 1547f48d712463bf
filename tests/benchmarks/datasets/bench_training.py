"""Training samples per second: our data module against TerraTorch's `GenericNonGeoSegmentationDataModule`, same files.

Both read the GeoTIFF chips that the lab writes (zstd, one block, six bands, uint16) with their masks. Theirs opens the
files in every epoch; ours opens a pack, which is made once: how long that takes is reported too. Batches are compared
first: theirs after its own normalisation, which a task applies, with ours, which come normalised. Rounds are
interleaved; a round is one epoch of theirs, and as many epochs of ours as take about a second.

    python -m tests.benchmarks.datasets.bench_training --out DIR [--chips 256] [--size 256] [--rounds 3]
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from terratorch.datamodules import GenericNonGeoSegmentationDataModule

from terralab.datasets.cog import encode_chip
from terralab.datasets.loading.data_module import ChipDataModule
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.extensions.raster import MASK_NODATA, Grid

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
SPLITS = {"train": 0.75, "validate": 0.125, "test": 0.125}
CASES = [(workers, batch) for workers in (0, 2) for batch in (8, 32)]
_SECONDS = 1.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chips", type=int, default=256)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as name:
        chips = Chips(Path(name), options.chips, options.size)
        contents = Contents.of_manifest(chips.manifest)
        started = time.perf_counter()
        pack = PackFolder(Path(name) / "packs", 1 << 40).open(contents, chips.open)
        packing = time.perf_counter() - started
        cases = [measured(chips, pack, contents, workers, batch, options.rounds) for workers, batch in CASES]
        result = {
            "benchmark": "training samples",
            "chips": options.chips,
            "size": options.size,
            "bands": len(BANDS),
            "rounds": options.rounds,
            "equal": True,
            "pack_chips_per_second": round(options.chips / packing, 1),
            "pack_mb": round(pack.index.size / 1e6, 1),
            "files_mb": round(sum(entry["size"] for entry in chips.manifest["files"]) / 1e6, 1),
            "cases": cases,
            "smallest_ratio": min(case["ratio"] for case in cases),
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(result, indent=1) + "\n")
    table = table_of(result)
    (options.out / "training.md").write_text(table)
    print(table)


class Chips:
    """A folder of chips in the layout of TerraTorch, with the manifest that ours wants."""

    def __init__(self, folder: Path, count: int, size: int) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        numbers = [round(count * share) for share in SPLITS.values()]
        splits = [name for name, number in zip(SPLITS, numbers, strict=True) for _ in range(number)]
        files, chips, sums = [], [], []
        for number, split in enumerate(splits):
            image, mask = scenery(random, size)
            grid = Grid("EPSG:32630", (10, 0, 500_000 + 10 * size * number, 0, -10, 4_200_000), (size, size))
            paths = {"image": f"{split}/images/{number:05d}.tif", "mask": f"{split}/masks/{number:05d}.tif"}
            files += [
                self._write(paths["image"], encode_chip(image, grid, 0, BANDS)),
                self._write(paths["mask"], encode_chip(mask[None], grid, MASK_NODATA, ["mask"])),
            ]
            chips.append({"id": f"{number:05d}", "split": split, "group": "g", "files": paths})
            if split == "train":
                sums.append((image.mean(axis=(1, 2), dtype=float), (image.astype(float) ** 2).mean(axis=(1, 2))))
        self.means = np.mean([one for one, _ in sums], axis=0)
        self.stds = np.sqrt(np.mean([other for _, other in sums], axis=0) - self.means**2)
        bands = [
            {"name": name, "statistics": {"mean": float(mean), "stddev": float(std)}}
            for name, mean, std in zip(BANDS, self.means, self.stds, strict=True)
        ]
        self.manifest = {
            "dataset": "bench",
            "version": "1.0.0",
            "task": "segmentation",
            "files": files,
            "chips": chips,
            "modalities": [{"key": "image", "bands": bands, "nodata": 0}],
            "classes": [{"value": value, "name": name} for value, name in enumerate(("land", "water"))],
        }

    @contextmanager
    def open(self, entry: Mapping[str, Any]) -> Iterator[Path]:
        """Give a file."""
        yield self.folder / str(entry["relpath"])

    def theirs(self, workers: int, batch: int) -> GenericNonGeoSegmentationDataModule:
        """Return TerraTorch's data module, as its documentation has it."""
        roots = {}
        for ours, name in (("train", "train"), ("validate", "val"), ("test", "test")):
            roots[f"{name}_data_root"] = self.folder / ours / "images"
            roots[f"{name}_label_data_root"] = self.folder / ours / "masks"
        return GenericNonGeoSegmentationDataModule(
            batch_size=batch,
            num_workers=workers,
            num_classes=2,
            img_grep="*.tif",
            label_grep="*.tif",
            means=[float(value) for value in self.means],
            stds=[float(value) for value in self.stds],
            no_label_replace=MASK_NODATA,
            drop_last=False,
            check_stackability=False,
            **roots,
        )

    def _write(self, relpath: str, content: bytes) -> dict[str, Any]:
        path = self.folder / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return {"relpath": relpath, "md5": md5, "size": len(content)}


def scenery(random: np.random.Generator, size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return correlated noise of six bands, and a mask with a few pixels without a label."""
    steps = random.normal(size=(len(BANDS), size, size))
    image = (2500 + 40 * np.cumsum(steps, axis=2)).clip(1, 10_000).astype(np.uint16)
    mask = (image[3] < np.median(image[3])).astype(np.uint8)
    mask[:4] = MASK_NODATA
    return image, mask


def measured(chips: Chips, pack: Any, contents: Contents, workers: int, batch: int, rounds: int) -> dict[str, Any]:
    """Compare and time one case."""
    theirs = chips.theirs(workers, batch)
    theirs.setup("fit")
    theirs.setup("validate")
    ours = ChipDataModule(pack, contents, batch, workers=workers, augment=False)
    turned = ChipDataModule(pack, contents, batch, workers=workers)
    compare(theirs, ours)
    loaders = [module.train_dataloader() for module in (ours, turned)]
    first = [epochs(loader, 0.0) for loader in loaders]  # starts the workers; the pages are in memory from here on
    peer, mine, augmented = [], [], []
    for _ in range(rounds):
        peer.append(epochs(map(theirs.aug, theirs.train_dataloader()), 0.0))
        mine.append(epochs(loaders[0], _SECONDS))
        augmented.append(epochs(loaders[1], _SECONDS))
    return {
        "workers": workers,
        "batch": batch,
        "terratorch": round(statistics.median(peer), 1),
        "terralab": round(statistics.median(mine), 1),
        "terralab_turned": round(statistics.median(augmented), 1),
        "terralab_first_epoch": round(first[0], 1),
        "ratio": round(statistics.median(mine) / statistics.median(peer), 1),
        "ratio_turned": round(statistics.median(augmented) / statistics.median(peer), 1),
    }


def epochs(batches: Iterable[dict[str, torch.Tensor]], seconds: float) -> float:
    """Return the chips per second of whole epochs, as many as take so many seconds."""
    started, count = time.perf_counter(), 0
    while True:
        for batch in batches:
            count += len(batch["image"])
        took = time.perf_counter() - started
        if took >= seconds:
            return count / took


def compare(theirs: GenericNonGeoSegmentationDataModule, ours: ChipDataModule) -> None:
    """Check that both give the same validation batches, in the same order.

    Raises:
        ValueError: they do not.
    """
    for peer, mine in zip(map(theirs.aug, theirs.val_dataloader()), ours.val_dataloader(), strict=True):
        images = torch.allclose(peer["image"], mine["image"], atol=1e-4)
        if not images or not torch.equal(peer["mask"].long(), mine["mask"]):
            raise ValueError("the two data modules give different batches")


def table_of(result: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"Chips per second; {result['chips']} chips of {result['size']}² pixels, {result['bands']} bands, uint16, with "
        f"masks. Packed once at {result['pack_chips_per_second']} chips/s ({result['files_mb']} MB of files, "
        f"{result['pack_mb']} MB of pack).",
        "",
        "| workers | batch | TerraTorch | ours | ratio | ours, turned | ratio | ours, first epoch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in result["cases"]:
        names = "workers", "batch", "terratorch", "terralab", "ratio", "terralab_turned", "ratio_turned"
        lines.append("| " + " | ".join(str(case[name]) for name in (*names, "terralab_first_epoch")) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
