"""What is behind `lab.dataset(…).to_torch()`, `.to_lightning()`, `.to_tf()` and `.to_sklearn()`.

The client finds these functions by the entry points of the group `terralab.loaders`, since it knows nothing of this
room. Each takes the chips, as the manifest of a version or as items of a search, and a way to their files; it makes a
pack of them where there is none, and gives what a framework takes. Frameworks are imported when they are asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terralab.catalog.settings import Settings
from terralab.catalog.store import Store
from terralab.datasets.loading.chip_arrays import Bands, ChipArrays
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.datasets.packs.stored_pack import PackSource
from terralab.extensions.checksum import MD5_PREFIX

if TYPE_CHECKING:
    from terralab.datasets.loading.chip_dataset import ChipDataset
    from terralab.datasets.loading.data_module import ChipDataModule
    from terralab.datasets.loading.sklearn_arrays import SklearnArrays, Unit

Chips = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""The manifest of a version, or chip items."""
OpenFile = Callable[[Mapping[str, Any]], AbstractContextManager[Path]]


def to_torch(
    chips: Chips,
    open_file: OpenFile,
    settings: Settings,
    stored: PackSource | None = None,
    split: str | None = None,
    augment_seed: int | None = None,
    bands: Bands | None = None,
) -> "ChipDataset":
    """Return the chips of a split as a PyTorch dataset.

    Args:
        chips: manifest or items.
        open_file: gives their files.
        settings: say where packs are kept.
        stored: where a pack of all chips can be fetched from.
        split: `train`, `validate` or `test`; None for all chips.
        augment_seed: seed of flips and quarter turns; None for none.
        bands: names of the bands to give; of several modalities by their names.

    Raises:
        TooFewChips: the split is empty.
    """
    from terralab.datasets.loading.chip_dataset import ChipDataset

    return ChipDataset(chip_arrays(chips, open_file, settings, stored, split, bands), augment_seed)


def to_lightning(
    chips: Chips,
    open_file: OpenFile,
    settings: Settings,
    stored: PackSource | None = None,
    split: None = None,
    **options: Any,
) -> "ChipDataModule":
    """Return all splits as a Lightning data module; `options` are those of `ChipDataModule`.

    Raises:
        TooFewChips: a split has too few chips with labels.
    """
    from terralab.datasets.loading.data_module import ChipDataModule

    contents = _contents(chips)
    pack = PackFolder.of_settings(settings).open(contents, open_file, stored=stored)
    return ChipDataModule(pack, contents, **options)


def to_sklearn(
    chips: Chips,
    open_file: OpenFile,
    settings: Settings,
    stored: PackSource | None = None,
    split: str | None = None,
    unit: "Unit | None" = None,
    pixels: int | None = 20_000,
    seed: int = 0,
    bands: Bands | None = None,
) -> "SklearnArrays":
    """Return the chips of a split as `X`, `y` and `groups`; see `sklearn_arrays`."""
    from terralab.datasets.loading.sklearn_arrays import sklearn_arrays

    return sklearn_arrays(
        chip_arrays(chips, open_file, settings, stored, split, bands, scale=False), unit, pixels, seed
    )


def to_tf(
    chips: Chips,
    open_file: OpenFile,
    settings: Settings,
    stored: PackSource | None = None,
    split: str | None = None,
    batch_size: int = 8,
    seed: int | None = None,
    bands: Bands | None = None,
) -> Any:
    """Return the chips of a split as a `tf.data.Dataset` of batches; see `tensorflow_data`.

    Raises:
        SetupProblem: TensorFlow is not installed.
    """
    from terralab.datasets.loading.tensorflow_data import tensorflow_data

    return tensorflow_data(chip_arrays(chips, open_file, settings, stored, split, bands), batch_size, seed)


def chip_arrays(
    chips: Chips,
    open_file: OpenFile,
    settings: Settings,
    stored: PackSource | None,
    split: str | None,
    bands: Bands | None = None,
    scale: bool = True,
) -> ChipArrays:
    """Return the chips of a split as numpy batches.

    A pack of the whole is used where there is one, here or stored; else one of the split alone is made.
    """
    contents = _contents(chips)
    part, packs = contents.of_split(split), PackFolder.of_settings(settings)
    pack = packs.find(contents)
    if pack is None:
        whole = contents if stored is not None else part
        pack = packs.open(whole, open_file, stored=stored)
    return ChipArrays(pack, part, bands, scale)


def from_store(store: Store) -> OpenFile:
    """Return a way to files that lie in an asset store."""

    @contextmanager
    def open_file(entry: Mapping[str, Any]) -> Iterator[Path]:
        yield store.open_name(MD5_PREFIX + str(entry["md5"]))

    return open_file


def _contents(chips: Chips) -> Contents:
    return Contents.of_manifest(chips) if isinstance(chips, Mapping) else Contents.of_items(chips)
