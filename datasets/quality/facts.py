"""Everything that findings and the report are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.datasets.quality.collected import Collected
from terralab.datasets.quality.duplicates import Duplicates
from terralab.datasets.quality.label_errors import LabelJudgement


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset.

    Attributes:
        chips: the measures.
        duplicates: chips that are there twice.
        exchanged: chips with exchanged bands; None where that cannot be told.
        labels: the judgement of the labels.
        leaks: from `leakage`.
        drift: from `drift_between_splits`.
        shifts: from `label_shifts`.
        balance: from `split_balance`.
        space: from `spatial_coverage`.
        time: from `temporal_coverage`.
        strata: from `strata`.
    """

    chips: Collected
    duplicates: Duplicates
    exchanged: Mapping[int, tuple[str, str]] | None
    labels: LabelJudgement
    leaks: Mapping[str, Any]
    drift: Sequence[Mapping[str, Any]]
    shifts: Mapping[str, Any]
    balance: Mapping[str, Mapping[str, Any]]
    space: Mapping[str, Any]
    time: Mapping[str, Any]
    strata: Mapping[str, Sequence[Mapping[str, Any]]]
