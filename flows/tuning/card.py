"""The model card: one Markdown page that says what a model is, how good it is and what it must not be used for.

Follows the questions of Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning.measures import metric_name

_MEASURES = ("miou", "accuracy", "mf1")
_CLOSE = 0.005


@dataclass(frozen=True)
class CardFacts:
    """What a card tells.

    Attributes:
        name: of the model.
        version: semantic version.
        architecture: of the network.
        weights: number of weights.
        dataset: id of the dataset version's item.
        split_counts: chips by split.
        bands: in channel order.
        classes: in channel order.
        chip_size: pixels.
        training: the recipe.
        metrics: `test_*` and `val_*`.
        baseline: `test_*` of the pixel baseline.
        baseline_name: what it is.
    """

    name: str
    version: str
    architecture: str
    weights: int
    dataset: str
    split_counts: dict[str, int]
    bands: Sequence[str]
    classes: Sequence[ClassDefinition]
    chip_size: int
    training: dict[str, Any]
    metrics: dict[str, float]
    baseline: dict[str, float]
    baseline_name: str


def verdict(metrics: dict[str, float], baseline: dict[str, float]) -> str:
    """Say in one sentence whether the model is better than the pixel baseline on the same test chips."""
    model, pixel = metrics["test_miou"], baseline["test_miou"]
    numbers = f"test mIoU {model:.3f} against {pixel:.3f}"
    if model <= pixel:
        return (
            f"The model does not beat the pixel baseline ({numbers}): use the baseline, or more data, bands or epochs."
        )
    if model - pixel < _CLOSE:
        return f"The model is hardly better than the pixel baseline ({numbers})."
    return f"The model beats the pixel baseline ({numbers})."


def model_card(facts: CardFacts) -> str:
    """Return the card as Markdown."""
    counts = ", ".join(f"{count} {name}" for name, count in facts.split_counts.items())
    lines = [
        f"# {facts.name} {facts.version}",
        "",
        verdict(facts.metrics, facts.baseline),
        "",
        "## Model",
        "",
        f"- Task: one class for every pixel ({', '.join(entry.title or entry.name for entry in facts.classes)}).",
        f"- Network: {facts.architecture}, {facts.weights:,} weights.",
        f"- Input: {len(facts.bands)} bands ({', '.join(facts.bands)}), z-scored with the statistics of the train "
        f"split; trained on chips of {facts.chip_size} × {facts.chip_size} pixels.",
        f"- Data: `datasets/{facts.dataset}` ({counts} chips).",
        "",
        "## Measures on the untouched test split",
        "",
        f"| measure | model | {facts.baseline_name} |",
        "|---|---:|---:|",
        *_measure_rows(facts),
        "",
        "The test split was used once, after training, with the weights of the best validation epoch.",
        "",
        "## Training",
        "",
        "| choice | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in sorted(facts.training.items())),
        "",
        "## Limits",
        "",
        "- Measured on the places and days of this dataset alone; other regions, seasons and sensors are untested.",
        "- Values must be in the units of the training imagery: a model of top-of-atmosphere data does not fit surface "
        "reflectance.",
        "- Pixels without data are not classified.",
        "",
    ]
    return "\n".join(lines)


def _measure_rows(facts: CardFacts) -> list[str]:
    keys = [f"test_{name}" for name in _MEASURES]
    keys += [f"test_{name}_{metric_name(entry)}" for entry in facts.classes for name in ("iou", "precision", "recall")]
    shown = [key for key in keys if key in facts.metrics]
    return [f"| {key} | {facts.metrics[key]:.4f} | {_number(facts.baseline.get(key))} |" for key in shown]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
