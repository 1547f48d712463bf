"""Descriptions of models, runs and dataset versions in YAML or JSON, for those who build items without flows."""

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from terralab.catalog.errors import InvalidInput
from terralab.datasets.classes import define_classes
from terralab.datasets.file_measures import describe_file
from terralab.datasets.static_items import ItemFile, StaticItem, joint_footprint
from terralab.extensions.dataset import dataset_item
from terralab.extensions.item import StoredFile, derived_from
from terralab.extensions.lab import RunStatus, RunType
from terralab.extensions.model import ModelDescription, ModelInput, model_item
from terralab.extensions.run import RunRecord

Spec = TypeVar("Spec", bound="ItemSpec")
_SHOWN_FAULTS = 8


class ItemSpec(BaseModel):
    """What every description has; paths are relative to its own file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    sources: list[Path] = Field(default=[], description="files of the items that it was made from")


class InputSpec(BaseModel):
    """Bands, scaling and chip size of a model; see `ModelInput`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: list[str] = Field(min_length=1)
    mean: list[float]
    stddev: list[float]
    size: int = Field(gt=0)


class ModelSpec(ItemSpec):
    """A model version; see `ModelDescription` for what its fields mean."""

    name: str
    version: str
    architecture: str
    framework_version: str
    parameters: int = Field(ge=0)
    memory_size: int = Field(ge=0)
    pretrained: bool = False
    pretrained_source: str | None = None
    hyperparameters: dict[str, Any] = {}
    batch_size: int = Field(default=1, gt=0)
    input: InputSpec
    classes: list[dict[str, Any]]
    weights: Path
    config: Path
    dataset: str
    dataset_version: str
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    seed: int = 0
    aliases: list[str] = []
    git_sha: str | None = None

    def build(self, target: StaticItem, files: "SpecFiles") -> dict[str, Any]:
        """Return the model's item."""
        description = ModelDescription(**{name: getattr(self, name) for name in ModelDescription.__dataclass_fields__})
        if not len(self.input.bands) == len(self.input.mean) == len(self.input.stddev):
            raise InvalidInput(f"{files.name}, input: give one mean and one stddev for each of the bands")
        return model_item(
            id=self.id,
            footprint=joint_footprint(target.sources),
            description=description,
            model_input=ModelInput(self.input.bands, self.input.mean, self.input.stddev, self.input.size),
            classes=define_classes(self.classes, f"{files.name}, classes"),
            weights=files.stored(target, self.weights),
            config=files.stored(target, self.config),
            dataset=self.dataset,
            dataset_version=self.dataset_version,
            metrics=self.metrics,
            baseline=self.baseline,
            seed=self.seed,
            assets={},
            links=[derived_from(source.item) for source in target.sources],
            aliases=self.aliases,
            git_sha=self.git_sha,
        )


class RunSpec(ItemSpec):
    """A run; see `RunRecord` for what its fields mean. `produced` are `collection/item`."""

    run_type: RunType
    status: RunStatus
    started: AwareDatetime
    finished: AwareDatetime | None = None
    params: dict[str, Any] = {}
    software: dict[str, str] = {}
    seed: int | None = None
    metrics: dict[str, float] = {}
    error: dict[str, str] | None = None
    produced: list[str] = []
    git_sha: str | None = None

    def build(self, target: StaticItem, files: "SpecFiles") -> dict[str, Any]:
        """Return the run's item."""
        pairs = [tuple(entry.split("/", 1)) for entry in self.produced]
        if any(len(pair) != 2 for pair in pairs):
            raise InvalidInput(f"{files.name}, produced: write collection/item")
        same = ("id", "run_type", "status", "params", "software", "seed", "metrics", "error", "git_sha")
        return RunRecord(
            **{name: getattr(self, name) for name in same},
            footprint=joint_footprint(target.sources),
            started=self.started,
            finished=self.finished,
            inputs=[derived_from(source.item) for source in target.sources],
            produced=[(collection, item) for collection, item in pairs],
        ).to_item()


class DatasetSpec(ItemSpec):
    """A frozen dataset version; see `dataset_item` for what its fields mean."""

    dataset: str
    version: str
    chips_collection: str
    dvc_rev: str
    dvc_tree: str
    manifest: Path
    dvc_file: Path
    class_counts: dict[str, int] = {}
    split_counts: dict[str, int] = {}
    split_report: dict[str, Any] = {}

    def build(self, target: StaticItem, files: "SpecFiles") -> dict[str, Any]:
        """Return the version's item."""
        same = ("id", "dataset", "version", "chips_collection", "dvc_rev", "dvc_tree")
        counts = ("class_counts", "split_counts", "split_report")
        return dataset_item(
            **{name: getattr(self, name) for name in (*same, *counts)},
            footprint=joint_footprint(target.sources),
            manifest=files.stored(target, self.manifest),
            dvc_file=files.stored(target, self.dvc_file),
            sources=[derived_from(source.item) for source in target.sources],
        )


class SpecFiles:
    """The files that a description names.

    Args:
        path: of the description.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._folder = path.parent

    def place(self, written: Path) -> Path:
        """Return where a file is that the description names."""
        return self._folder / written

    def stored(self, target: StaticItem, written: Path) -> StoredFile:
        """Return a file with its address relative to the item, size and checksum."""
        path = self.place(written)
        return describe_file(path, target.href(path))


SPECS: dict[str, type[ModelSpec] | type[RunSpec] | type[DatasetSpec]] = {
    "model": ModelSpec,
    "run": RunSpec,
    "dataset": DatasetSpec,
}


def build_from_spec(kind: str, path: Path, destination: Path, collection_href: str) -> dict[str, Any]:
    """Write the item that a description describes, and return it.

    Args:
        kind: `model`, `run` or `dataset`.
        path: the description, YAML or JSON.
        destination: file of the item.
        collection_href: address of its collection, relative to it.

    Raises:
        InvalidInput: the description, or a file that it names, is not as it must be.
    """
    spec = read_spec(SPECS[kind], path)
    files = SpecFiles(path)
    sources = [ItemFile.read(files.place(source)) for source in spec.sources]
    target = StaticItem(destination, collection_href, sources)
    try:
        return target.write(spec.build(target, files))
    except ValueError as error:
        raise InvalidInput(f"{path.name}: {error}") from error


def read_spec(kind: type[Spec], path: Path) -> Spec:
    """Read a description.

    Raises:
        InvalidInput: it cannot be read, or a field is missing, unknown or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read as YAML or JSON: {error}") from error
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # Unknown fields first: one that is misspelt is also missing.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")[:_SHOWN_FAULTS]
        listed = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise InvalidInput(f"{path.name}: {listed}") from error
