"""The loader behind `lab.dataset(…).to_torch()`: a split of a downloaded dataset version as a PyTorch dataset.

It is found by the entry point `torch` of the group `terralab.loaders`, since the client knows nothing of this room.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terralab.catalog.errors import TooFewChips
from terralab.datasets.loaders import ChipDataset, ChipFiles, Scaling
from terralab.extensions.raster import classes_of_stac


def torch_dataset(
    folder: Path, manifest: Mapping[str, Any], split: str, augment_seed: int | None = None
) -> ChipDataset:
    """Return the chips of a split, scaled by the statistics of the train split.

    Args:
        folder: where the files of the version lie.
        manifest: of the version.
        split: `train`, `validate` or `test`.
        augment_seed: seed of flips and quarter turns; None for none.

    Raises:
        TooFewChips: the split is empty.
    """
    chips = sorted((chip for chip in manifest["chips"] if chip["split"] == split), key=lambda chip: str(chip["id"]))
    if not chips:
        raise TooFewChips(f"the split {split!r} of {manifest['dataset']} {manifest['version']} has no chips")
    files = [ChipFiles(chip["id"], folder / chip["image"], folder / chip["mask"]) for chip in chips]
    values = sorted(entry.value for entry in classes_of_stac(manifest["classes"]))
    return ChipDataset(files, scaling_of(manifest), values, augment_seed)


def scaling_of(manifest: Mapping[str, Any]) -> Scaling:
    """Return how a version's values are scaled; a band that is constant becomes 0."""
    statistics = [band["statistics"] for band in manifest["bands"]]
    nodata = manifest.get("nodata")
    return Scaling(
        [float(one["mean"]) for one in statistics],
        [float(one["stddev"]) or 1.0 for one in statistics],
        None if nodata is None else float(nodata),
    )
