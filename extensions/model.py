"""Models: one item is one version of one model, described by the MLM extension so inference needs no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.bands import describe_band
from terralab.extensions.item import Footprint, ItemFrame, StoredFile, asset, collection, known
from terralab.extensions.lab import (
    ALIASES_PROP,
    BASELINE_PROP,
    DATASET_PROP,
    DATASET_VERSION_PROP,
    GIT_SHA_PROP,
    KIND_PROP,
    METRICS_PROP,
    SCHEMA_URI,
    SEED_PROP,
    Kind,
)
from terralab.extensions.raster import ClassDefinition, classes_of_stac, classes_to_stac
from terralab.extensions.record import InvalidRecord, ItemReader, ItemRecord

MODELS_COLLECTION = "models"
WEIGHTS_ASSET = "weights"
CONFIG_ASSET = "config"
SAFETENSORS_TYPE = "application/octet-stream; application=safetensors"
_EXTENSIONS = ["mlm", "file", "version", SCHEMA_URI]


@dataclass(frozen=True)
class ModelInput:
    """What the model reads.

    Attributes:
        bands: band names in channel order.
        mean: per band, in the imagery's units; the network sees (value - mean) / stddev.
        stddev: per band.
        size: rows and columns of a training chip.
        nodata: value that is set to the mean before the network sees it; None where the data has none.
    """

    bands: Sequence[str]
    mean: Sequence[float]
    stddev: Sequence[float]
    size: int
    nodata: float | None = None

    def to_mlm(self) -> dict[str, Any]:
        """Return the entry of `mlm:input`."""
        channels = len(self.bands)
        return {
            "name": "image",
            "bands": list(self.bands),
            "input": {
                "shape": [-1, channels, self.size, self.size],
                "dim_order": ["batch", "bands", "height", "width"],
                "data_type": "float32",
            },
            "value_scaling": [
                {"type": "z-score", "mean": mean, "stddev": stddev}
                for mean, stddev in zip(self.mean, self.stddev, strict=True)
            ],
            "resize_type": None,
        }


@dataclass(frozen=True)
class ModelDescription:
    """Everything a model item says; see the MLM extension 1.5.2 for the `mlm:` fields.

    Attributes:
        name: name of the model line, such as `flood-resnet18`.
        version: semantic version.
        architecture: such as `timm_resnet18 + UNetDecoder`.
        framework_version: version of PyTorch, strict semver.
        parameters: number of weights.
        memory_size: bytes of the weights in memory.
        pretrained: whether the backbone started from published weights.
        pretrained_source: name of those weights; None when trained from scratch.
        hyperparameters: JSON object; keys of letters, digits, `_`, `.` and `-`.
        batch_size: suggestion for inference.
    """

    name: str
    version: str
    architecture: str
    framework_version: str
    parameters: int
    memory_size: int
    pretrained: bool
    pretrained_source: str | None
    hyperparameters: dict[str, Any]
    batch_size: int


def model_item(
    *,
    id: str,
    footprint: Footprint,
    description: ModelDescription,
    model_input: ModelInput,
    classes: Sequence[ClassDefinition],
    weights: StoredFile,
    config: StoredFile,
    dataset: str,
    dataset_version: str,
    metrics: dict[str, float],
    baseline: dict[str, float],
    seed: int,
    assets: dict[str, dict[str, Any]],
    links: Sequence[dict[str, Any]],
    aliases: Sequence[str] = (),
    git_sha: str | None = None,
) -> dict[str, Any]:
    """Return the item of a model version.

    Args:
        id: derived from the dataset version, the parameters and the code version.
        footprint: of the training data.
        description: the model itself.
        model_input: bands, scaling and chip size.
        classes: classes that the output channels stand for, in channel order.
        weights: safetensors file.
        config: JSON file from which the network is rebuilt.
        dataset: chips collection.
        dataset_version: its version.
        metrics: flat metrics; `test_*` are of the untouched test split.
        baseline: the same metrics of the cheap pixel baseline.
        seed: of the training.
        assets: plots and reports.
        links: provenance.
        aliases: such as `production`.
        git_sha: commit of the code, where it ran from a repository.
    """
    frame = ItemFrame(id, MODELS_COLLECTION, footprint, list(_EXTENSIONS))
    bands = [describe_band(name) for name in model_input.bands]
    output = {
        "name": "segmentation",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, len(classes), model_input.size, model_input.size],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        # stac-model takes no `title`; the description says the same.
        "classification:classes": [
            {key: value for key, value in entry.items() if key != "title"} for entry in classes_to_stac(classes, None)
        ],
        "post_processing_function": None,
    }
    frame.properties = {
        KIND_PROP: Kind.MODEL,
        "title": f"{description.name} {description.version}",
        "version": description.version,
        "mlm:name": description.name,
        "mlm:architecture": description.architecture,
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "PyTorch",
        "mlm:framework_version": description.framework_version,
        "mlm:memory_size": description.memory_size,
        "mlm:total_parameters": description.parameters,
        "mlm:pretrained": description.pretrained,
        "mlm:pretrained_source": description.pretrained_source,
        "mlm:batch_size_suggestion": description.batch_size,
        "mlm:accelerator": "amd64",
        "mlm:accelerator_constrained": False,
        "mlm:input": [model_input.to_mlm()],
        "mlm:output": [output],
        "bands": bands,
        DATASET_PROP: dataset,
        DATASET_VERSION_PROP: dataset_version,
        METRICS_PROP: metrics,
        BASELINE_PROP: baseline,
        SEED_PROP: seed,
        ALIASES_PROP: list(aliases),
        **known({GIT_SHA_PROP: git_sha, "mlm:hyperparameters": description.hyperparameters or None}),
    }
    frame.assets = {
        WEIGHTS_ASSET: asset(
            weights,
            SAFETENSORS_TYPE,
            ["mlm:model", "mlm:weights"],
            "Weights",
            bands=bands,
            **{"mlm:artifact_type": "safetensors"},
        ),
        CONFIG_ASSET: asset(config, "application/json", ["mlm:model-config", "metadata"], "Network and training"),
        **assets,
    }
    frame.links = list(links)
    return frame.to_dict()


def read_model_input(item: dict[str, Any]) -> ModelInput:
    """Read bands and scaling from a model item.

    Raises:
        ValueError: the item has no z-score scaling for every band.
    """
    entry = item["properties"]["mlm:input"][0]
    bands = [band if isinstance(band, str) else band["name"] for band in entry["bands"]]
    scaling = entry.get("value_scaling") or []
    if len(scaling) != len(bands) or any(step["type"] != "z-score" for step in scaling):
        raise ValueError(f"{item['id']}: mlm:input gives no z-score scaling for each of its {len(bands)} bands")
    return ModelInput(
        bands,
        [float(step["mean"]) for step in scaling],
        [float(step["stddev"]) for step in scaling],
        int(entry["input"]["shape"][-1]),
    )


def read_model_classes(item: dict[str, Any]) -> list[ClassDefinition]:
    """Read the classes of a model's output, in channel order."""
    return classes_of_stac(item["properties"]["mlm:output"][0]["classification:classes"])


@dataclass(frozen=True)
class ModelRecord(ItemRecord):
    """A model version, read from its item.

    Attributes:
        description: the model itself.
        input: bands, scaling and chip size.
        classes: classes that the output channels stand for, in channel order.
        weights: safetensors file.
        config: JSON file from which the network is rebuilt.
        dataset: dataset that it was tuned on.
        dataset_version: its version.
        metrics: flat metrics; `test_*` are of the untouched test split.
        baseline: the same metrics of the cheap baseline.
        seed: of the training.
        aliases: such as `production`.
        git_sha: commit of the code.
    """

    description: ModelDescription
    input: ModelInput
    classes: tuple[ClassDefinition, ...]
    weights: StoredFile
    config: StoredFile
    dataset: str
    dataset_version: str
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    seed: int | None
    aliases: tuple[str, ...]
    git_sha: str | None

    @classmethod
    def of_item(cls, item: dict[str, Any]) -> "ModelRecord":
        """Read a model item.

        Raises:
            InvalidRecord: it is of another kind, or lacks a field.
        """
        reader = ItemReader(item, Kind.MODEL)
        try:
            read, classes = read_model_input(item), read_model_classes(item)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidRecord(
                f"{reader.name}: mlm:input or mlm:output is not as the lab writes it: {error}"
            ) from error
        return cls(
            **reader.common(),
            description=_description(reader),
            input=read,
            classes=tuple(classes),
            weights=reader.file(WEIGHTS_ASSET),
            config=reader.file(CONFIG_ASSET),
            dataset=reader.field(DATASET_PROP, str),
            dataset_version=reader.field(DATASET_VERSION_PROP, str),
            metrics=reader.optional(METRICS_PROP, dict) or {},
            baseline=reader.optional(BASELINE_PROP, dict) or {},
            seed=reader.optional(SEED_PROP, int),
            aliases=tuple(reader.optional(ALIASES_PROP, list) or ()),
            git_sha=reader.optional(GIT_SHA_PROP, str),
        )


def _description(reader: ItemReader) -> ModelDescription:
    return ModelDescription(
        name=reader.field("mlm:name", str),
        version=reader.field("version", str),
        architecture=reader.field("mlm:architecture", str),
        framework_version=reader.field("mlm:framework_version", str),
        parameters=reader.field("mlm:total_parameters", int),
        memory_size=reader.field("mlm:memory_size", int),
        pretrained=reader.field("mlm:pretrained", bool),
        pretrained_source=reader.optional("mlm:pretrained_source", str),
        hyperparameters=reader.optional("mlm:hyperparameters", dict) or {},
        batch_size=reader.optional("mlm:batch_size_suggestion", int) or 1,
    )


def models_collection(footprint: Footprint) -> dict[str, Any]:
    """Return the model registry's collection (it must not declare MLM: a collection that does needs MLM summaries)."""
    return collection(
        MODELS_COLLECTION,
        "Models",
        "Model registry: one item is one version of one model.",
        footprint,
        kind=Kind.MODEL,
        extensions=[SCHEMA_URI],
        item_assets={WEIGHTS_ASSET: {"type": SAFETENSORS_TYPE, "roles": ["mlm:model", "mlm:weights"]}},
    )
