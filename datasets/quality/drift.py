"""Whether the splits differ: a classifier is asked to tell the chips of one split from those of another.

Where it cannot (area under the curve near 0.5), both come from the same distribution as far as the measures tell; near
1, what is learnt on one may not hold for the other. The classifier never sees chips of the groups that it is judged
on, since neighbours are alike in any case.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected
from terralab.extensions.chips import SPLITS

DIFFERENT = 0.8
_FOLDS = 5
_FEWEST_CHIPS = 10
_MOST_CHIPS = 2000
_TREES = 60


def drift_between_splits(chips: Collected, seed: int = 0) -> list[dict[str, Any]]:
    """Return, for each pair of splits, `auc`, the number of `chips` compared, and what tells them apart best.

    `auc` is None with a `reason` where there are too few chips or groups.
    """
    features, names = _features(chips)
    return [
        {"splits": [one, other], **_compared(chips, features, names, one, other, seed)}
        for one, other in combinations(SPLITS, 2)
        if chips.numbers_of(one) and chips.numbers_of(other)
    ]


def _features(chips: Collected) -> tuple[NDArray[np.float32], list[str]]:
    titles = [chips.bands.title(place) for place in range(len(chips.bands.names))]
    qa = [[float(entry.get(name, np.nan)) for name in ("cloud", "nodata")] for entry in chips.qa]
    columns = [chips.means[: len(chips)], chips.deviations[: len(chips)], np.array(qa, np.float32)]
    names = [*(f"mean of {title}" for title in titles), *(f"deviation of {title}" for title in titles)]
    return np.concatenate(columns, axis=1), [*names, "cloud", "nodata"]


def _compared(
    chips: Collected, features: NDArray[np.float32], names: list[str], one: str, other: str, seed: int
) -> dict[str, Any]:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    random = np.random.default_rng(seed)
    numbers, target = [], []
    for value, split in enumerate((one, other)):
        own = [number for number in chips.numbers_of(split) if number not in chips.problems]
        taken = sorted(random.permutation(own)[:_MOST_CHIPS].tolist())
        numbers += taken
        target += [value] * len(taken)
    wanted = np.array(target)
    groups = np.array([chips.places[number].group for number in numbers])
    least = min(len(set(groups[wanted == value])) for value in (0, 1)) if len(set(target)) == 2 else 0
    counted = {"chips": len(numbers)}
    if min(np.bincount(wanted, minlength=2)) < _FEWEST_CHIPS:
        return {**counted, "auc": None, "reason": f"fewer than {_FEWEST_CHIPS} chips in a split"}
    if least < _FOLDS:
        return {**counted, "auc": None, "reason": f"fewer than {_FOLDS} groups in a split: neighbours would tell"}
    values = np.nan_to_num(features[numbers])
    model = ExtraTreesClassifier(_TREES, min_samples_leaf=3, class_weight="balanced", random_state=seed)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    guessed = cross_val_predict(model, values, wanted, groups=groups, cv=folds, method="predict_proba")[:, 1]
    auc = float(roc_auc_score(wanted, guessed))
    importance = model.fit(values, wanted).feature_importances_
    telling = [names[place] for place in np.argsort(-importance)[:3]] if auc > DIFFERENT else []
    return {**counted, "auc": round(auc, 4), "tells_apart": telling}
