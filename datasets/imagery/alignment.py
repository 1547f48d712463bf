"""Which dates of several modalities go together.

A group has one time of each modality, no two further apart than the tolerance, and no time is in two groups. There are
as many groups as can be; then each group's times are exchanged for unused ones where that brings them closer together.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

Group = dict[str, datetime]


def align(times: Mapping[str, Sequence[datetime]], tolerance: timedelta) -> list[Group]:
    """Return the groups, in order of time.

    Args:
        times: of each modality; any number of modalities, in any order.
        tolerance: between the first and the last time of a group, at most.
    """
    ordered = {name: sorted(set(times[name])) for name in sorted(times)}
    if not ordered:
        return []
    groups = _most_groups(ordered, tolerance)
    while _brought_closer(groups, ordered):
        pass
    return sorted(groups, key=lambda group: sorted(group.values()))


def spread(group: Group) -> timedelta:
    """Return the time between the first and the last of a group."""
    return max(group.values()) - min(group.values())


def _most_groups(ordered: Mapping[str, list[datetime]], tolerance: timedelta) -> list[Group]:
    """Walk all lists at once: the earliest head is in a group with the others' heads, or in none at all."""
    places = dict.fromkeys(ordered, 0)
    groups = []
    while all(places[name] < len(ordered[name]) for name in ordered):
        heads = {name: ordered[name][places[name]] for name in ordered}
        if spread(heads) <= tolerance:
            groups.append(heads)
            for name in places:
                places[name] += 1
        else:
            places[min(heads, key=lambda name: heads[name])] += 1
    return groups


def _brought_closer(groups: list[Group], ordered: Mapping[str, list[datetime]]) -> bool:
    """Exchange times for unused ones wherever a group's spread becomes smaller; say whether any did."""
    changed = False
    for name, known in ordered.items():
        unused = set(known) - {group[name] for group in groups}
        for group in groups:
            best = min(
                sorted(unused | {group[name]}), key=lambda time: (spread({**group, name: time}), time != group[name])
            )
            if best != group[name]:
                unused = (unused | {group[name]}) - {best}
                group[name] = best
                changed = True
    return changed
