"""Measures of a segmentation, all from one confusion matrix summed over pixels.

With n[t, p] the pixels of class t predicted as p, and for a class c: TP = n[c, c], FP = Σ n[t≠c, c], FN = Σ n[c, p≠c]:

    IoU = TP / (TP + FP + FN)        F1 = 2 TP / (2 TP + FP + FN)
    precision = TP / (TP + FP)       recall = TP / (TP + FN)
    accuracy = Σ TP / Σ n

(Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010; Taha and Hanbury, Metrics for evaluating 3D
medical image segmentation, BMC Medical Imaging 2015.) `miou` and `mf1` are means over classes. A class that is neither
in the truth nor in the prediction has no IoU or F1 and is left out of the means; so are precision without predictions
and recall without truth. Pixels whose truth is unknown (255) are not counted. The matrix is summed over all pixels
first, so the measures do not depend on how the pixels are cut into chips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terralab.extensions.raster import MASK_NODATA, ClassDefinition

DIGITS = 6


@dataclass(frozen=True)
class ClassMeasures:
    """Measures per class, NaN where a measure has no value; `support` is the number of true pixels."""

    iou: NDArray[np.float64]
    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    support: NDArray[np.int64]


class ConfusionMatrix:
    """Counts pixels by true and predicted class.

    Args:
        values: pixel value of each class in masks, in the order of the network's channels.
    """

    def __init__(self, values: Sequence[int]) -> None:
        self.counts: NDArray[np.int64] = np.zeros((len(values), len(values)), np.int64)
        # Channel of each pixel value; values of no class count as unknown.
        self._channel = np.full(MASK_NODATA + 1, -1, np.int64)
        self._channel[list(values)] = np.arange(len(values))

    def add(self, truth: NDArray[np.uint8], predicted: NDArray[np.integer]) -> None:
        """Count the pixels of a mask.

        Args:
            truth: pixel values of masks, any shape; 255 is unknown.
            predicted: channel of the predicted class, 0 … classes - 1, same shape.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} have different shapes")
        channel = self._channel[truth]
        known = channel >= 0
        size = len(self.counts)
        pairs = channel[known] * size + predicted[known].astype(np.int64)
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def by_class(self) -> ClassMeasures:
        """Return the measures of every class."""
        hit = np.diag(self.counts).astype(float)
        predicted, true = self.counts.sum(axis=0), self.counts.sum(axis=1)
        return ClassMeasures(
            iou=_ratio(hit, predicted + true - hit),
            f1=_ratio(2 * hit, predicted + true),
            precision=_ratio(hit, predicted),
            recall=_ratio(hit, true),
            support=true,
        )

    def metrics(self, classes: Sequence[ClassDefinition], prefix: str) -> dict[str, float]:
        """Return flat metrics, such as `test_miou` and `test_iou_water`; measures without a value are left out.

        Args:
            classes: in the order of the channels.
            prefix: such as `test`.
        """
        measured = self.by_class()
        found = {
            f"{prefix}_miou": _mean(measured.iou),
            f"{prefix}_accuracy": float(np.trace(self.counts) / max(int(self.counts.sum()), 1)),
            f"{prefix}_mf1": _mean(measured.f1),
        }
        for name in ("iou", "f1", "precision", "recall"):
            for entry, value in zip(classes, getattr(measured, name), strict=True):
                found[f"{prefix}_{name}_{metric_name(entry)}"] = float(value)
        return {key: round(value, DIGITS) for key, value in found.items() if not np.isnan(value)}


def metric_name(entry: ClassDefinition) -> str:
    """Return a class's name as a part of a metric's key: a-z, 0-9 and '_'."""
    return entry.name.lower().replace("-", "_")


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
