"""One tuning from verified chips to the published model: the steps of the tune flow that need torch."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from terralab.catalog.workspace import Workspace
from terralab.datasets.loaders import from_store
from terralab.datasets.loading.chip_dataset import ChipDataset
from terralab.datasets.loading.data_module import ChipDataModule
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.extensions.item import Footprint, StoredFile, asset, derived_from
from terralab.extensions.lab import DATASET_PROP
from terralab.extensions.model import (
    MODELS_COLLECTION,
    ModelDescription,
    ModelInput,
    model_item,
    models_collection,
)
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun
from terralab.flows.tuning import plots
from terralab.flows.tuning.backbones import Backbone
from terralab.flows.tuning.baseline import NAME as BASELINE_NAME
from terralab.flows.tuning.baseline import pixel_baseline
from terralab.flows.tuning.card import CardFacts, model_card, verdict
from terralab.flows.tuning.checkpoints import CONFIG_FILE, WEIGHTS_FILE, load_network
from terralab.flows.tuning.dataset_version import DatasetVersion, version_numbers
from terralab.flows.tuning.evaluation import Evaluation, measure_network
from terralab.flows.tuning.network import architecture, build_network, model_config
from terralab.flows.tuning.recipe import TrainingRecipe
from terralab.flows.tuning.templates import Template
from terralab.flows.tuning.training import Trained, seed_all, train, use_cores

_SHOWN_METRICS = ("test_miou", "test_accuracy", "test_mf1")


@dataclass
class TuneJob:
    """One tuning.

    Attributes:
        workspace: the lab.
        run: under way.
        version: verified dataset version.
        template: fixes the task.
        backbone: of the network.
        recipe: how to train.
        name: of the model.
        model_id: id of the item to make.
        progress: who watches.
    """

    workspace: Workspace
    run: RecordedRun
    version: DatasetVersion
    template: Template
    backbone: Backbone
    recipe: TrainingRecipe
    name: str
    model_id: str
    progress: Progress

    def do(self) -> Outcome:
        """Train, test, compare with the baseline and publish."""
        started = time.monotonic()
        use_cores()
        data = self._data()
        config = self._config()
        trained = self._train(data, config)
        train_seconds = time.monotonic() - started
        self.progress.step("test")
        network = load_network(config, trained.weights)
        tested = measure_network(network, data.test_chips, self.version.classes, self.recipe.batch_size)
        self.progress.step("baseline")
        baseline = pixel_baseline(data.train_chips, data.test_chips, self.version.classes, self.recipe.seed)
        self.progress.step("publish")
        outcome = self._publish(config, network, trained, tested, baseline, round(train_seconds, 1))
        shutil.rmtree(self._work, ignore_errors=True)
        return outcome

    @property
    def _work(self) -> Path:
        return self.workspace.settings.work_folder / self.run.record.id

    def _data(self) -> ChipDataModule:
        self.progress.step("pack")
        contents = Contents.of_manifest(self.version.manifest)
        packs = PackFolder.of_settings(self.workspace.settings)
        pack = packs.open(contents, from_store(self.workspace.store), self.progress.advance)
        return ChipDataModule(pack, contents, self.recipe.batch_size, self.recipe.seed)

    def _config(self) -> dict[str, Any]:
        version = self.version
        return model_config(
            self.template, self.backbone, version.bands, version.classes, version.chip_size, self.recipe.to_json()
        )

    def _train(self, data: ChipDataModule, config: dict[str, Any]) -> Trained:
        self.progress.step("train")
        seed_all(self.recipe.seed, 0)
        network = build_network(config, pretrained=self.recipe.weights == "pretrained")
        weights = class_weights(data.train_chips) if self.recipe.class_weights else None
        return train(network, data, self.recipe, weights, self._work, self._show_epoch)

    def _show_epoch(self, epoch: int, record: dict[str, float]) -> None:
        self.progress.advance(epoch, self.recipe.epochs)
        self.progress.message(
            f"epoch {epoch} of {self.recipe.epochs}: loss {record['train_loss']:.3f} (train) "
            f"{record['val_loss']:.3f} (validation), validation mIoU {record['val_miou']:.3f}"
        )

    def _publish(
        self,
        config: dict[str, Any],
        network: nn.Module,
        trained: Trained,
        tested: Evaluation,
        baseline: dict[str, float],
        train_seconds: float,
    ) -> Outcome:
        best = trained.history[trained.best_epoch - 1]
        metrics = {
            **tested.matrix.metrics(self.version.classes, "test"),
            "val_miou": best["val_miou"],
            "val_accuracy": best["val_accuracy"],
            "best_epoch": trained.best_epoch,
        }
        version = next_version(self.workspace, self.name, self.model_id)
        card = self._card(config, network, version, metrics, baseline)
        assets = self._assets(trained, tested, metrics, baseline, card)
        item = self._item(config, network, trained.weights, version, metrics, baseline, assets)
        self._show(assets, metrics, baseline)
        return self.run.succeed(
            collections=[models_collection(Footprint.of_item(self.version.item))],
            items=[item],
            produced=[(MODELS_COLLECTION, self.model_id)],
            metrics={**metrics, "baseline_miou": baseline["test_miou"], "train_seconds": train_seconds},
            details={"model": self.model_id, "version": version, "verdict": verdict(metrics, baseline)},
        )

    def _card(
        self,
        config: dict[str, Any],
        network: nn.Module,
        version: str,
        metrics: dict[str, float],
        baseline: dict[str, float],
    ) -> str:
        facts = CardFacts(
            self.name,
            version,
            architecture(config),
            sum(weight.numel() for weight in network.parameters()),
            self.version.id,
            self.version.split_counts(),
            self.version.bands,
            self.version.classes,
            self.version.chip_size,
            self.recipe.to_json(),
            metrics,
            baseline,
            BASELINE_NAME,
        )
        return model_card(facts)

    def _assets(
        self,
        trained: Trained,
        tested: Evaluation,
        metrics: dict[str, float],
        baseline: dict[str, float],
        card: str,
    ) -> dict[str, dict[str, Any]]:
        put, classes = self.workspace.store.put_bytes, self.version.classes
        report = {
            "metrics": metrics,
            "history": trained.history,
            "best_epoch": trained.best_epoch,
            "confusion": tested.matrix.counts.tolist(),
            "classes": [entry.name for entry in classes],
        }
        forest = {"name": BASELINE_NAME, "metrics": baseline, "verdict": verdict(metrics, baseline)}
        pictures = {
            "curves": ("Training curves", plots.curves(trained.history, trained.best_epoch)),
            "confusion": ("Confusion matrix of the test split", plots.confusion(tested.matrix, classes)),
            "examples": ("Predictions on test chips", plots.examples(tested.examples, self.version.bands, classes)),
        }
        made = {
            key: asset(put(content, f"{key}.png"), "image/png", ["overview"], title)
            for key, (title, content) in pictures.items()
        }
        for key, title, content in (("metrics", "Metrics", report), ("baseline", "Pixel baseline", forest)):
            made[key] = asset(put(_json(content), f"{key}.json"), "application/json", ["metadata"], title)
        made["card"] = asset(put(card.encode(), "card.md"), "text/markdown", ["metadata"], "Model card")
        return made

    def _item(
        self,
        config: dict[str, Any],
        network: nn.Module,
        weights: Path,
        version: str,
        metrics: dict[str, float],
        baseline: dict[str, float],
        assets: dict[str, dict[str, Any]],
    ) -> dict[str, Any]:
        properties = self.version.item["properties"]
        return model_item(
            id=self.model_id,
            footprint=Footprint.of_item(self.version.item),
            description=self._description(config, network, version),
            model_input=self._input(),
            classes=self.version.classes,
            weights=self._store_weights(weights),
            config=self.workspace.store.put_bytes(_json(config), CONFIG_FILE),
            dataset=str(properties[DATASET_PROP]),
            dataset_version=str(properties["version"]),
            metrics=metrics,
            baseline=baseline,
            seed=self.recipe.seed,
            assets=assets,
            links=[derived_from(self.version.item), self.run.link],
        )

    def _input(self) -> ModelInput:
        version = self.version
        return ModelInput(version.bands, version.mean, version.stddev, version.chip_size, version.nodata)

    def _description(self, config: dict[str, Any], network: nn.Module, version: str) -> ModelDescription:
        pretrained = self.recipe.weights == "pretrained"
        sizes = [tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()]
        return ModelDescription(
            name=self.name,
            version=version,
            architecture=architecture(config),
            framework_version=str(torch.__version__),
            parameters=sum(weight.numel() for weight in network.parameters()),
            memory_size=sum(sizes),
            pretrained=pretrained,
            pretrained_source=self.backbone.name if pretrained else None,
            hyperparameters={key: value for key, value in self.recipe.to_json().items() if value is not None},
            batch_size=self.recipe.batch_size,
        )

    def _store_weights(self, weights: Path) -> StoredFile:
        with self.workspace.store.scratch() as folder:
            copy = folder / WEIGHTS_FILE
            shutil.copyfile(weights, copy)
            return self.workspace.store.put(copy)

    def _show(self, assets: dict[str, dict[str, Any]], metrics: dict[str, float], baseline: dict[str, float]) -> None:
        rows = [
            {"metric": key, "model": metrics[key], "pixel baseline": baseline.get(key)}
            for key in metrics
            if key in _SHOWN_METRICS or key.startswith("test_iou_")
        ]
        self.progress.table("metrics", "Test split", rows)
        for key in ("curves", "confusion", "examples"):
            self.progress.image(key, assets[key]["title"], assets[key]["href"])
        self.progress.message(verdict(metrics, baseline))


def class_weights(chips: ChipDataset) -> list[float]:
    """Return each class's weight: the inverse square root of its share of labelled train pixels, 1 on average.

    A class without a pixel gets the weight of one with a single pixel.
    """
    known = np.maximum(chips.arrays.class_counts.sum(axis=0), 1)
    weights = np.sqrt(known.sum() / known)
    return [round(float(weight), 6) for weight in weights / weights.mean()]


def next_version(workspace: Workspace, name: str, model_id: str) -> str:
    """Return the version of a new model: `1.0.0`, else the next minor version of that name."""
    found = [
        item["properties"]["version"]
        for item in workspace.catalog.search(collections=[MODELS_COLLECTION])
        if item["properties"]["mlm:name"] == name and item["id"] != model_id
    ]
    if not found:
        return "1.0.0"
    major, minor, _ = max(version_numbers(text) for text in found)
    return f"{major}.{minor + 1}.0"


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
