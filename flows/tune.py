"""Tuning: a frozen dataset version becomes a catalogued model, measured on chips that training never saw."""

from importlib.metadata import version as installed_version
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, model_validator

from terralab.catalog.workspace import Workspace
from terralab.extensions.ids import derived_id, slug
from terralab.extensions.item import Footprint, derived_from
from terralab.extensions.lab import DATASET_PROP, RunType
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, finished_run, recorded_run
from terralab.flows.tuning.backbones import Backbone, find_backbone
from terralab.flows.tuning.dataset_version import DatasetVersion, check_enough_chips, load_version, verify_chips
from terralab.flows.tuning.recipe import (
    WEIGHT_DECAY,
    Loss,
    TrainingRecipe,
    Weights,
    suggested_batch_size,
    suggested_epochs,
    suggested_learning_rate,
)
from terralab.flows.tuning.templates import DEFAULT_TEMPLATE, Template, find_template

SOFTWARE = ("terratorch", "torch", "lightning", "scikit-learn")


class TuneRequest(BaseModel):
    """What to tune on what, and how."""

    dataset: str = Field(min_length=1, description="Name of the dataset.")
    template: str = Field(default=DEFAULT_TEMPLATE, description="Tuning template.")
    backbone: str | None = Field(default=None, description="Backbone; None for the template's own.")
    weights: Weights = Field(default="none", description="Start from random weights or from the published ones.")
    epochs: int | None = Field(
        default=None, ge=1, le=10_000, description="Passes over the train split; None to choose."
    )
    batch_size: int | None = Field(default=None, ge=1, le=1024, description="Chips in a step; None to choose.")
    learning_rate: float | None = Field(default=None, gt=0, le=1, description="Largest learning rate; None to choose.")
    weight_decay: float = Field(default=WEIGHT_DECAY, ge=0, le=1, description="Weight decay of AdamW.")
    loss: Loss = Field(default="ce_dice", description="Loss that training lowers.")
    class_weights: bool = Field(default=False, description="Weigh rare classes more in the cross entropy.")
    frozen_backbone: bool = Field(default=False, description="Train decoder and head alone.")
    patience: int | None = Field(
        default=None, ge=1, description="Epochs without progress before stopping; None: never."
    )
    version: str | None = Field(default=None, description="Dataset version; None for the latest.")
    name: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_-]{0,79}$",
        description="Name of the model; None for `<dataset>-<backbone>`.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of all random choices.")

    @model_validator(mode="after")
    def _fits(self) -> "TuneRequest":
        if self.frozen_backbone and self.weights == "none":
            raise ValueError("frozen_backbone would keep random weights; use it with weights 'pretrained'")
        return self


@flow(name="tune", description="Train a model on a dataset version, measure it, and register it.")
def tune(
    dataset: str,
    template: str = DEFAULT_TEMPLATE,
    backbone: str | None = None,
    weights: Literal["none", "pretrained"] = "none",
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float = WEIGHT_DECAY,
    loss: Literal["ce", "dice", "focal", "lovasz", "ce_dice"] = "ce_dice",
    class_weights: bool = False,
    frozen_backbone: bool = False,
    patience: int | None = None,
    version: str | None = None,
    name: str | None = None,
    seed: int = 0,
) -> State[Any]:
    """Tune a model in the lab that the environment names.

    Args:
        dataset: Name of the dataset.
        template: Tuning template, such as `Segmentation`.
        backbone: Backbone, such as `timm_resnet18`; empty for the template's.
        weights: Start from random weights, or from the published ones.
        epochs: Passes over the train split; empty to choose by its size.
        batch_size: Chips in a training step; empty to choose by their size.
        learning_rate: Largest learning rate; empty to choose.
        weight_decay: Weight decay of AdamW.
        loss: Loss that training lowers.
        class_weights: Weigh rare classes more in the cross entropy.
        frozen_backbone: Train decoder and head alone.
        patience: Epochs without progress before stopping; empty for never.
        version: Dataset version, such as `1.0.0`; empty for the latest.
        name: Name of the model; empty for `<dataset>-<backbone>`.
        seed: Seed of all random choices.
    """
    return in_lab(
        tune_model,
        TuneRequest,
        dataset=dataset,
        template=template,
        backbone=backbone,
        weights=weights,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        loss=loss,
        class_weights=class_weights,
        frozen_backbone=frozen_backbone,
        patience=patience,
        version=version,
        name=name,
        seed=seed,
    )


def tune_model(workspace: Workspace, request: TuneRequest, progress: Progress) -> Outcome:
    """Train, measure and register a model as an item of `models`.

    A run that was killed goes on from its last state when the same request comes again.

    Raises:
        UnknownName: no such dataset, version, template or backbone.
        TooFewChips: a split has too few chips.
        AssetCorrupt: a chip's bytes are missing or damaged.
        InvalidInput: the backbone cannot take the bands, or the training diverged.
    """
    template = find_template(request.template)
    backbone = find_backbone(request.backbone or template.backbone)
    version = load_version(workspace, request.dataset, request.version)
    check_enough_chips(version)
    recipe = training_recipe(request, version)
    name = request.name or model_name(version, backbone)
    run_id = _run_id(version, template, backbone, recipe, name)
    if done := finished_run(workspace, run_id):
        return done
    with recorded_run(
        workspace,
        RunType.TUNE,
        run_id,
        footprint=Footprint.of_item(version.item),
        params={**request.model_dump(mode="json"), "backbone": backbone.name, "name": name, **recipe.to_json()},
        inputs=[derived_from(version.item)],
        software={package: installed_version(package) for package in SOFTWARE},
        seed=recipe.seed,
    ) as run:
        progress.step("verify")
        verify_chips(version, workspace.store, progress)
        # TerraTorch takes 20 seconds to import: only a run that trains pays for it.
        from terralab.flows.tuning.job import TuneJob

        model_id = run_id.removeprefix("tune-")
        job = TuneJob(workspace, run, version, template, backbone, recipe, name, model_id, progress)
        return job.do()


def training_recipe(request: TuneRequest, version: DatasetVersion) -> TrainingRecipe:
    """Return every training choice, with those that the request leaves open filled in."""
    train_chips = version.split_counts()["train"]
    return TrainingRecipe(
        classes=len(version.classes),
        epochs=request.epochs or suggested_epochs(train_chips, version.chip_size),
        batch_size=request.batch_size or suggested_batch_size(version.chip_size),
        learning_rate=request.learning_rate or suggested_learning_rate(request.weights),
        weight_decay=request.weight_decay,
        loss=request.loss,
        class_weights=request.class_weights,
        frozen_backbone=request.frozen_backbone,
        patience=request.patience,
        weights=request.weights,
        seed=request.seed,
    )


def model_name(version: DatasetVersion, backbone: Backbone) -> str:
    """Return the name that a model gets where none is given, such as `floods-resnet18`."""
    return f"{version.item['properties'][DATASET_PROP]}-{slug(backbone.name.removeprefix('timm_'))}"


def _run_id(version: DatasetVersion, template: Template, backbone: Backbone, recipe: TrainingRecipe, name: str) -> str:
    """Return the run's id; without `tune-` it is the model's."""
    inputs = {"dataset": version.id, "manifest": version.checksum}
    choices = {"template": template.name, "backbone": backbone.name, **recipe.to_json()}
    return derived_id(f"tune-{name}", inputs, choices)
