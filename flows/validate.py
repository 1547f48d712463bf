"""Validation: a model's predictions against labels, with an honest word on whether the model has seen them before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, field_validator

from terralab.catalog.database import Catalog
from terralab.catalog.errors import InvalidInput
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.extensions.ids import derived_id
from terralab.extensions.item import Footprint, asset, derived_from
from terralab.extensions.lab import RunType
from terralab.extensions.labels import LABEL_ASSET
from terralab.extensions.model import CONFIG_ASSET, WEIGHTS_ASSET, read_model_classes
from terralab.extensions.prediction import PREDICTION_ASSET
from terralab.flows.in_lab import in_lab
from terralab.flows.inference.comparison import Comparison, check_classes_match
from terralab.flows.inference.models import TrainingData, find_model, item_of_href, named_item, training_data
from terralab.flows.inference.network import NetworkLoader, load_torch_network
from terralab.flows.predict import PredictRequest, inference_software, predict_scenes
from terralab.flows.progress import Progress, tracked
from terralab.flows.recorded_run import Outcome, finished_run, recorded_run


class ValidateRequest(BaseModel):
    """Which model is compared with which labels."""

    model: str = Field(min_length=1, description="`models/<id>`, a name (newest version) or `<name>@<alias>`.")
    labels: list[str] = Field(min_length=1, description="Labels: `<collection>/<item>`, or a collection for all of it.")

    @field_validator("labels", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


@flow(name="validate", description="Model, prediction and labels → metrics.")
def validate(model: str, labels: list[str]) -> State[Any]:
    """Validate a model in the lab that the environment names.

    Args:
        model: `models/<id>`, `<id>`, a model's name (its newest version), or `<name>@<alias>`.
        labels: labels, each as `<collection>/<item>`, or a collection for all of it.
    """
    return in_lab(validate_model, ValidateRequest, model=model, labels=labels)


def validate_model(
    workspace: Workspace, request: ValidateRequest, progress: Progress, load: NetworkLoader = load_torch_network
) -> Outcome:
    """Predict the scenes of the labels where that is not done yet, and compare.

    Args:
        workspace: the lab.
        request: what to compare.
        progress: who watches.
        load: makes the network of a model's config and weights.

    Raises:
        InvalidInput: or one of its kinds: unknown model or label, other classes, other grids.
        AssetCorrupt: stored bytes differ from their checksum.
    """
    model = find_model(workspace.catalog, request.model)
    classes = read_model_classes(model)
    labels = _labels(workspace.catalog, request.labels)
    for label in labels:
        check_classes_match(model, classes, label)
    pairs = _predicted(workspace, model, labels, progress, load)
    run_id = derived_id(f"validate-{model['id'][:80]}", _identities(model, pairs), {})
    if done := finished_run(workspace, run_id):
        return done
    with recorded_run(
        workspace,
        RunType.VALIDATE,
        run_id,
        footprint=Footprint.union(Footprint.of_item(label) for label in labels),
        params={"model": f"models/{model['id']}", "labels": [_name(label) for label in labels]},
        inputs=[derived_from(model), *(derived_from(item) for pair in pairs for item in (pair.prediction, pair.label))],
        software=inference_software(),
    ) as run:
        progress.step("compare")
        compared = Comparison(classes)
        for pair in tracked(progress, pairs, len(pairs)):
            compared.add(workspace.store, pair.prediction, pair.label)
        if not compared.pixels:
            raise InvalidInput("no pixel has both a label and a prediction; there is nothing to compare")
        metrics = compared.metrics()
        details = _details(training_data(workspace, model), pairs, compared)
        run.record.assets = _report(workspace.store, compared, metrics, details)
        progress.table("metrics", "Agreement with the labels", [{"metric": k, "value": v} for k, v in metrics.items()])
        for warning in details["warnings"]:
            progress.message(warning)
        outcome = run.succeed(produced=[], metrics=metrics, details=details)
        progress.image("confusion", "Confusion matrix", run.record.assets["confusion"]["href"])
        return outcome


@dataclass(frozen=True)
class _Pair:
    """A label, the scene that it describes, and the prediction of that scene."""

    label: dict[str, Any]
    scene: dict[str, Any]
    prediction: dict[str, Any]


def _labels(catalog: Catalog, written: Sequence[str]) -> list[dict[str, Any]]:
    """Return the label items that the names mean, each once."""
    found: dict[str, dict[str, Any]] = {}
    for name in written:
        if "/" in name.strip("/"):
            items = [named_item(catalog, name)]
        else:
            items = sorted(
                catalog.search(collections=[catalog.collection(name)["id"]]), key=lambda item: str(item["id"])
            )
        found.update({_name(item): item for item in items})
    if not found:
        raise InvalidInput(f"there is no label in {', '.join(written)}")
    return list(found.values())


def _predicted(
    workspace: Workspace,
    model: Mapping[str, Any],
    labels: Sequence[dict[str, Any]],
    progress: Progress,
    load: NetworkLoader,
) -> list[_Pair]:
    """Predict the scene of each label; what is predicted already is kept."""
    scenes = [_scene(workspace.catalog, label) for label in labels]
    request = PredictRequest(model=f"models/{model['id']}", items=[_name(scene) for scene in scenes])
    outcome = predict_scenes(workspace, request, progress, load)
    made = dict(zip(outcome.details["scenes"], outcome.produced, strict=True))
    return [
        _Pair(label, scene, workspace.catalog.item(*made[_name(scene)]))
        for label, scene in zip(labels, scenes, strict=True)
    ]


def _scene(catalog: Catalog, label: Mapping[str, Any]) -> dict[str, Any]:
    source = next((link["href"] for link in label["links"] if link["rel"] == "source"), None)
    if source is None:
        raise InvalidInput(f"{_name(label)} does not say which scene it describes (it has no link `source`)")
    return catalog.item(*item_of_href(source))


def _identities(model: Mapping[str, Any], pairs: Sequence[_Pair]) -> dict[str, Any]:
    return {
        "model": [model["assets"][key]["file:checksum"] for key in (WEIGHTS_ASSET, CONFIG_ASSET)],
        "predictions": [
            [pair.prediction["id"], pair.prediction["assets"][PREDICTION_ASSET]["file:checksum"]] for pair in pairs
        ],
        "labels": [[_name(pair.label), pair.label["assets"][LABEL_ASSET]["file:checksum"]] for pair in pairs],
    }


def _details(known: TrainingData, pairs: Sequence[_Pair], compared: Comparison) -> dict[str, Any]:
    """Return what a reader of the metrics must know besides."""
    seen = [_name(pair.label) for pair in pairs if known.has_seen(pair.label, pair.scene)]
    warnings = []
    if seen:
        warnings.append(
            f"the model has learnt from {', '.join(seen)}: the metrics say how well it fits, not how it will do"
        )
    if known.dataset is None:
        warnings.append("the catalog does not know the model's training data; it may have learnt from these labels")
    return {
        "seen_in_training": bool(seen) if known.dataset else "unknown",
        "seen_labels": seen,
        "labels": [_name(pair.label) for pair in pairs],
        "predictions": [_name(pair.prediction) for pair in pairs],
        "pixels": compared.pixels,
        "unpredicted_pixels": compared.unpredicted,
        "warnings": warnings,
    }


def _report(
    store: Store, compared: Comparison, metrics: Mapping[str, float], details: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Store the confusion matrix as a picture and everything as JSON; return the run's assets."""
    from terralab.flows.tuning.plots import confusion

    names, counts = [entry.name for entry in compared.classes], compared.matrix.counts.tolist()
    content = {"classes": names, "confusion": counts, "metrics": dict(metrics), **details}
    report = json.dumps(content, indent=1, sort_keys=True).encode()
    picture = store.put_bytes(confusion(compared.matrix, compared.classes, "Against the labels"), "confusion.png")
    return {
        "confusion": asset(picture, "image/png", ["overview"], "Confusion matrix"),
        "report": asset(store.put_bytes(report, "validation.json"), "application/json", ["metadata"], "Metrics"),
    }


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['collection']}/{item['id']}"
