"""Labels that are probably wrong, by confident learning.

A quick model learns classes from single pixels, and judges only chips of groups that it has not seen. A pixel is a
suspect where the model is as sure of another class as it usually is of pixels that carry that class: with t_j, the mean
probability of j over the pixels labelled j, a pixel labelled i is counted as j where p_j is the largest of those that
are at least t_j (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal
of Artificial Intelligence Research 70, 2021). A chip is a suspect where its share of such pixels stands out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected
from terralab.extensions.raster import MASK_NODATA

_FOLDS = 5
_TRAIN_PIXELS = 20_000
_LEAST_CHIPS = 10
_LEAST_PIXELS = 16
_LEAST_SHARE = 0.2
_STANDS_OUT = 5.0
_BLOCK = 500


@dataclass(frozen=True)
class LabelJudgement:
    """What the labels of a dataset look like to a model that has not seen them.

    Attributes:
        issue_share: per chip, share of its sampled pixels whose label is doubted; NaN where there are too few.
        agreement: per chip, share of its sampled pixels that the model labels the same.
        suspects: numbers of the chips that stand out, the worst first.
        confusion: (labelled, believed) pixels among all samples, by confident learning.
        thresholds: t_j of each class.
        doubts: per suspect, the commonest doubt as (labelled, believed) class names.
        reason: why there is no judgement; empty where there is one.
    """

    issue_share: NDArray[np.float32]
    agreement: NDArray[np.float32]
    suspects: list[int]
    confusion: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    doubts: dict[int, tuple[str, str]]
    reason: str = ""


def judge_labels(chips: Collected, seed: int = 0) -> LabelJudgement:
    """Judge the masks of a dataset; `reason` says why that is not possible."""
    reason = _reason(chips)
    if reason:
        return _nothing(chips, reason)
    folds = _folds(chips, seed)
    guessed = _Guesses(chips)
    for fold in range(_FOLDS):
        model = _trained(chips, np.flatnonzero(folds != fold), seed + fold)
        guessed.add(model, np.flatnonzero(folds == fold))
    return guessed.judged()


def _reason(chips: Collected) -> str:
    if not chips.has_masks:
        return "the task has no masks of classes"
    if len(chips.measured) < _LEAST_CHIPS:
        return f"fewer than {_LEAST_CHIPS} chips"
    if int((chips.class_counts.sum(axis=0) > 0).sum()) < 2:
        return "fewer than two classes have labels"
    if len({chips.places[number].group for number in chips.measured}) < _FOLDS:
        return f"fewer than {_FOLDS} groups of chips: a model would know the chips that it judges"
    return ""


def _folds(chips: Collected, seed: int) -> NDArray[np.int64]:
    """Return the fold of each chip: whole groups, folds of nearly equal size."""
    random = np.random.default_rng(seed)
    names, members = np.unique([place.group for place in chips.places], return_inverse=True)
    sizes = np.bincount(members)
    fold_of_group, filled = np.empty(len(names), np.int64), np.zeros(_FOLDS, np.int64)
    for group in sorted(random.permutation(len(names)).tolist(), key=lambda group: -int(sizes[group])):
        fold_of_group[group] = filled.argmin()
        filled[fold_of_group[group]] += sizes[group]
    folds: NDArray[np.int64] = fold_of_group[members]
    folds[list(chips.problems)] = -1
    return folds


def _trained(chips: Collected, numbers: NDArray[np.int64], seed: int) -> Any:
    """Fit a model to a bounded number of pixels, as many of each class as there are."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(seed)
    numbers = numbers[~np.isin(numbers, list(chips.problems))]
    taken = np.sort(random.permutation(numbers)[:_BLOCK])
    pixels, labels = chips.samples(taken)
    pixels, labels = pixels.reshape(-1, pixels.shape[-1]), labels.ravel()
    usable = np.flatnonzero((labels != MASK_NODATA) & np.isin(labels, chips.values) & np.isfinite(pixels).all(axis=1))
    chosen = random.permutation(usable)[:_TRAIN_PIXELS]
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.2, max_leaf_nodes=15, early_stopping=False, random_state=seed
    )
    return model.fit(pixels[chosen], labels[chosen])


class _Guesses:
    """Probabilities of all samples, kept as the sums and single values that confident learning needs."""

    def __init__(self, chips: Collected) -> None:
        self._chips = chips
        shape = (len(chips), *chips.samples([0])[1].shape[1:], len(chips.values))
        self._probabilities = np.zeros(shape, np.float16)
        self._known = np.zeros(shape[:2], bool)
        self._labels = np.zeros(shape[:2], np.int64)

    def add(self, model: Any, numbers: NDArray[np.int64]) -> None:
        """Guess the samples of chips that the model has not seen."""
        columns = [self._chips.values.index(int(value)) for value in model.classes_]
        place_of = np.full(MASK_NODATA + 1, -1, np.int64)
        place_of[list(self._chips.values)] = np.arange(len(self._chips.values))
        for begin in range(0, len(numbers), _BLOCK):
            own = numbers[begin : begin + _BLOCK]
            pixels, labels = self._chips.samples(own)
            usable = (place_of[labels] >= 0) & np.isfinite(pixels).all(axis=2)
            if not usable.any():
                continue
            part = np.zeros((*labels.shape, len(self._chips.values)), np.float16)
            wide = np.zeros((int(usable.sum()), len(self._chips.values)), np.float32)
            wide[:, columns] = model.predict_proba(pixels[usable])
            part[usable] = wide
            self._probabilities[own], self._known[own], self._labels[own] = part, usable, place_of[labels]

    def judged(self) -> LabelJudgement:
        """Count the pixels whose label is doubted."""
        classes = len(self._chips.values)
        thresholds = np.array([self._mean(place) for place in range(classes)])
        issue = np.full(len(self._chips), np.nan, np.float32)
        agreement = np.full(len(self._chips), np.nan, np.float32)
        confusion = np.zeros((classes, classes), np.int64)
        doubts: dict[int, tuple[int, int]] = {}
        for number in range(len(self._chips)):
            known = self._known[number]
            if int(known.sum()) < _LEAST_PIXELS:
                continue
            probability = self._probabilities[number][known].astype(np.float32)
            given = self._labels[number][known]
            sure = np.where(probability >= thresholds, probability, -1.0)
            believed = np.where(sure.max(axis=1) > 0, sure.argmax(axis=1), given)
            pairs = np.bincount(given * classes + believed, minlength=classes * classes).reshape(classes, classes)
            confusion += pairs
            issue[number] = 1 - np.trace(pairs) / len(given)
            agreement[number] = float((probability.argmax(axis=1) == given).mean())
            off = pairs - np.diag(np.diag(pairs))
            doubts[number] = divmod(int(off.argmax()), classes)
        suspects = _standing_out(issue)
        names = self._chips.classes
        said = {number: (names[doubts[number][0]], names[doubts[number][1]]) for number in suspects}
        return LabelJudgement(issue, agreement, suspects, confusion, thresholds, said)

    def _mean(self, place: int) -> float:
        own = self._known & (self._labels == place)
        return float(self._probabilities[own, place].astype(np.float64).mean()) if own.any() else np.inf


def _standing_out(share: NDArray[np.float32]) -> list[int]:
    """Return the chips whose share is large, and far above that of the others, worst first."""
    known = share[np.isfinite(share)]
    if not known.size:
        return []
    middle = float(np.median(known))
    spread = max(1.4826 * float(np.median(np.abs(known - middle))), 0.02)
    limit = max(_LEAST_SHARE, middle + _STANDS_OUT * spread)
    found = np.flatnonzero(np.nan_to_num(share, nan=0.0) > limit)
    return [int(number) for number in found[np.argsort(-share[found], kind="stable")]]


def _nothing(chips: Collected, reason: str) -> LabelJudgement:
    empty = np.full(len(chips), np.nan, np.float32)
    count = len(chips.classes)
    return LabelJudgement(empty, empty.copy(), [], np.zeros((count, count), np.int64), np.zeros(count), {}, reason)
