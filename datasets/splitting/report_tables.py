"""The report of a split as tables for people."""

from typing import Any

from terralab.extensions.chips import SPLITS


def split_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of the splits: chips, groups and class shares."""
    return [
        {
            "split": name,
            "chips": report["chips"][name],
            "groups": report["groups"][name],
            **{f"share of {label}": share for label, share in report["class_share"][name].items()},
        }
        for name in SPLITS
    ]


def distance_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of the pairs of splits: distance, and pairs of chips by what they have in common."""
    return [
        {
            "splits": pair.replace("_", " – "),
            "minimum distance (m)": distance,
            "touching pairs": report["touching_pairs"][pair],
            "overlapping pairs": report["overlapping_pairs"][pair],
            "duplicates": report["duplicate_pairs"][pair],
            "pairs of one scene": report["same_scene_pairs"][pair],
            "pairs of one time": report["same_time_pairs"][pair],
        }
        for pair, distance in report["minimum_distance_m"].items()
    ]


def fold_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of the rounds of a cross validation; empty for one split."""
    return [
        {
            "fold": own["fold"],
            **{f"{name} chips": own["chips"][name] for name in SPLITS},
            "train – test (m)": own["minimum_distance_m"]["train_test"],
            "touching pairs": sum(own["touching_pairs"].values()),
            "overlapping pairs": sum(own["overlapping_pairs"].values()),
            "leaks": own["leaks"],
        }
        for own in report.get("folds", [])
    ]
