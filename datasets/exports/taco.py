"""TACO: one archive that is read in place, by ranges, with a table of its samples.

    <dataset>.tacozip   a sample for each chip: a folder with a file for each modality and one for the label
    README.md

Written by tacotoolbox, which TerraKit brings. Samples carry split, place and time.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from terralab.catalog.errors import AssetCorrupt, InvalidInput, SetupProblem
from terralab.datasets.exports.chip_table import file_keys
from terralab.datasets.exports.placed_files import PlacedFiles
from terralab.datasets.exports.readme import write_readme
from terralab.datasets.exports.subject import Chip, Subject
from terralab.extensions.chip_parts import Task

_TASKS = {
    Task.SEGMENTATION: "semantic-segmentation",
    Task.REGRESSION: "regression",
    Task.CLASSIFICATION: "scene-classification",
    Task.MULTILABEL: "classification",
    Task.DETECTION: "object-detection",
}
_SPLITS = {"train": "train", "validate": "validation", "test": "test"}
_CREATOR = "unknown"
_PIECE = 1 << 20
_HOW = """## Reading

```python
import tacoreader  # with duckdb<2

dataset = tacoreader.load("{file}")
chip = dataset.data.read(0)  # its files: {keys}
```"""


def write_taco(subject: Subject, folder: Path, files: PlacedFiles) -> list[str]:
    """Write the archive and compare what is in it with the version.

    Raises:
        SetupProblem: tacotoolbox is not installed.
        InvalidInput: the chips have different kinds of files, or the version does not know where they are.
        AssetCorrupt: the archive does not hold what it should.
    """
    tacotoolbox = _tacotoolbox()
    _check(subject)
    keys = file_keys(subject)
    dataset = _dataset(subject, [_sample(subject, chip, keys, files) for chip in subject.chips])
    try:
        archives = tacotoolbox.create(dataset, folder / f"{subject.dataset}.tacozip")
    except (ValueError, tacotoolbox._exceptions.TacoToolboxError) as error:
        raise InvalidInput(f"{subject.version.name} cannot be written as TACO: {error}") from error
    _compare(subject, archives)
    notes = _notes(subject)
    how = _HOW.format(file=Path(archives[0]).name, keys=", ".join(keys))
    write_readme(subject, folder, [how], notes)
    return notes


def _tacotoolbox() -> Any:
    try:
        import tacotoolbox
    except ImportError as error:
        raise SetupProblem(
            "TACO is written by tacotoolbox, which is not installed; `pip install tacotoolbox` or terralab[flows]"
        ) from error
    return tacotoolbox


def _check(subject: Subject) -> None:
    """Refuse what has no form in TACO: samples must all have the same files."""
    first = subject.chips[0]
    for chip in subject.chips:
        if set(chip.files) != set(first.files):
            raise InvalidInput(
                f"{chip.id} has {', '.join(chip.files)}, and {first.id} {', '.join(first.files)};"
                " in TACO all chips have the same files"
            )
        if chip.id not in subject.items:
            raise InvalidInput(f"{subject.version.name} does not know where its chips are; make a new version")


def _dataset(subject: Subject, samples: Sequence[Any]) -> Any:
    from tacotoolbox.datamodel import Taco, Tortilla
    from tacotoolbox.taco.datamodel import Extent, Provider
    from tacotoolbox.taco.extensions.labels import LabelClass, Labels

    properties = subject.version.item["properties"]
    start = properties.get("start_datetime") or properties["datetime"]
    providers = [
        Provider(name=entry["name"], roles=entry.get("roles"), url=entry.get("url"))
        for entry in subject.collection.get("providers") or ()
    ]
    dataset = Taco(
        tortilla=Tortilla(samples=list(samples)),
        id=subject.dataset,
        dataset_version=subject.number,
        description=subject.description,
        licenses=[subject.license],
        providers=providers or [Provider(name=_CREATOR)],
        tasks=[_TASKS[subject.task]],
        title=f"{subject.dataset} {subject.number}",
        keywords=list(subject.collection.get("keywords") or ()) or None,
        extent=Extent(
            spatial=[float(edge) for edge in subject.version.item["bbox"]],
            temporal=[start, properties.get("end_datetime") or start],
        ),
    )
    if subject.classes:
        classes = [LabelClass(name=one.name, category=one.value, description=one.title) for one in subject.classes]
        dataset.extend_with(Labels(label_classes=classes))
    return dataset


def _sample(subject: Subject, chip: Chip, keys: Sequence[str], files: PlacedFiles) -> Any:
    from tacotoolbox.datamodel import Sample, Tortilla
    from tacotoolbox.sample.extensions.split import Split
    from tacotoolbox.sample.extensions.stac import STAC

    parts = [
        Sample(id=f"{key}{Path(chip.files[key]).suffix}", path=Path(files.source(chip.files[key])), type="FILE")
        for key in keys
    ]
    sample = Sample(id=chip.id, path=Tortilla(samples=parts), type="FOLDER")
    properties = subject.items[chip.id]["properties"]
    a, b, c, d, e, f = properties["proj:transform"][:6]
    bands = len(subject.modalities[0].bands)
    start = properties.get("start_datetime") or properties["datetime"]
    place = STAC(
        sample_id=chip.id,
        crs=properties.get("proj:code") or properties["proj:wkt2"],
        tensor_shape=(bands, *properties["proj:shape"]),
        geotransform=(c, a, b, f, d, e),
        time_start=_microseconds(start),
        time_end=_microseconds(properties.get("end_datetime") or start),
    )
    sample.extend_with(place)
    # A chip in no split has the column, empty.
    sample.extend_with(Split(split=_SPLITS.get(chip.split or "", "train"), schema_only=chip.split is None))
    sample.extend_with({"group": chip.group, "labels": ",".join(chip.labels)})
    return sample


def _microseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1_000_000)


def _compare(subject: Subject, archives: Sequence[Any]) -> None:
    """Compare the bytes in the archives with the version's checksums."""
    found: list[str] = []
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                state = hashlib.md5(usedforsecurity=False)
                with opened.open(entry) as stream:
                    while piece := stream.read(_PIECE):
                        state.update(piece)
                found.append(state.hexdigest())
    lost = set(subject.version.by_path.values()) - set(found)
    if lost:
        raise AssetCorrupt(f"the archive lacks {len(lost)} files of {subject.version.name}; tacotoolbox left them out")


def _notes(subject: Subject) -> list[str]:
    notes = [
        "tacoreader 2.4 does not read with DuckDB 2 (`'DuckDBPyConnection' object has no attribute"
        " 'fetch_arrow_table'`); install `duckdb<2` beside it.",
        "TACO knows no folds; `group` and `labels` (names with commas) are columns of the samples.",
        "Band names and their statistics stand in the table below, not in the archive.",
    ]
    if not subject.collection.get("providers"):
        notes.append(f"Nobody is named as the provider, and TACO asks for one; it says `{_CREATOR}`.")
    if left_out := sum(chip.split is None for chip in subject.chips):
        notes.append(f"{left_out} chips are in no split; their `split` is null.")
    return notes
