"""What a finding is, and how much each kind of finding matters.

A `fault` makes results wrong and stands in the way of level Q2. A `warning` should be looked at. A `note` is good to
know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How much a finding matters."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing to say.

    Attributes:
        id: short machine name.
        weight: how much it matters.
        text: what is there.
        advice: one sentence: what to do.
        chips: numbers of the chips that show it, the worst first; empty where it is about the dataset.
    """

    id: str
    weight: Weight
    text: str
    advice: str
    chips: tuple[int, ...] = ()


def say(id: str, text: str, chips: Sequence[int] = ()) -> Finding:
    """Return a finding of a kind that `KINDS` lists."""
    weight, advice = KINDS[id]
    return Finding(id, weight, text, advice, tuple(chips))


def count_of(numbers: Sequence[int]) -> str:
    """Write how many chips there are."""
    return counted(len(numbers), "chip")


def counted(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


_F, _W, _N = Weight.FAULT, Weight.WARNING, Weight.NOTE
KINDS: dict[str, tuple[Weight, str]] = {
    "unusable_files": (_F, "Restore the files from a backup, or drop the chips."),
    "georeference": (_F, "Georeference the sources and onboard them again."),
    "bands_exchanged": (_F, "Put the bands of their sources into the order of the others."),
    "unknown_class": (_F, "Name the values as classes, or label these pixels anew."),
    "labels_shifted": (_F, "Check the georeference of labels and images, and onboard them again."),
    "scene_labels_shifted": (_F, "Check the georeference of this scene's label."),
    "leak_exact": (_F, "Drop the copies, or split again by group."),
    "leak_near": (_F, "Drop the copies, or split again by group."),
    "leak_overlap": (_F, "Split again by block or group: the test is not independent."),
    "leak_reported": (_F, "Split again by block or group: the test is not independent."),
    "class_absent_train": (_F, "Split with another seed or smaller blocks, or stratified."),
    "class_absent_validate": (_W, "Split with another seed or smaller blocks, or stratified."),
    "class_absent_test": (_W, "Split with another seed or smaller blocks, or stratified."),
    "much_nodata": (_W, "Drop them, or move the grid."),
    "much_cloud": (_W, "Choose another date, or drop them."),
    "much_saturated": (_W, "Read the sources without a stretch or an 8-bit step."),
    "blurred": (_W, "Look whether they come from a coarser source, or show haze or water alone."),
    "exact_duplicates": (_W, "Keep one of each: repeated chips count twice in training and in scores."),
    "near_duplicates": (_W, "Keep one of each: repeated chips count twice in training and in scores."),
    "no_labels": (_W, "Label or drop them: nothing is learnt from them."),
    "chip_labels_shifted": (_W, "Look at them below, and decide with terralab labels accept, fix or drop."),
    "suspected_labels": (_W, "Look at them below, and decide with terralab labels accept, fix or drop."),
    "drift": (_W, "Check that this difference is wanted, such as a test in another region."),
    "imbalance": (_W, "Weigh the classes, or add examples."),
    "divided_scenes": (_N, "Scores will be better than on a new scene; the split method `group` keeps scenes whole."),
    "unused_class": (_N, "Leave the class out, or add examples."),
    "clustered": (_N, "Scores speak for that place above all."),
    "rare_stratum": (_N, "Scores say little about them."),
    "worse_stratum": (_N, "Look whether its labels are worse, or its ground harder."),
    "repeated_views": (_N, "Keep them in one split."),
}
"""Weight and advice by the finding's id."""
