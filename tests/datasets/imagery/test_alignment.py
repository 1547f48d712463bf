"""Dates that go together: as many groups as can be, within the tolerance, no time twice."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.datasets.imagery.alignment import Group, align, spread

START = datetime(2024, 5, 1, tzinfo=UTC)
NAMES = ("S2L2A", "S1GRD", "HLS_L30", "HLS_S30")


def hours(*numbers: int) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


times = st.lists(st.integers(0, 60), max_size=5).map(lambda numbers: hours(*numbers))
modalities = st.integers(1, 4).flatmap(lambda count: st.fixed_dictionaries(dict.fromkeys(NAMES[:count], times)))
tolerances = st.integers(0, 30).map(lambda number: timedelta(hours=number))


def most(times: dict[str, list[datetime]], tolerance: timedelta) -> int:
    """Return by trying everything how many groups there can be."""
    names = list(times)
    fitting = [
        dict(zip(names, chosen, strict=True))
        for chosen in product(*(sorted(set(times[name])) for name in names))
        if max(chosen) - min(chosen) <= tolerance
    ]
    best = 0
    while best < min(len(set(times[name])) for name in names) and any(
        all(len({group[name] for group in some}) == best + 1 for name in names)
        for some in combinations(fitting, best + 1)
    ):
        best += 1
    return best


@settings(deadline=None)
@given(modalities, tolerances)
def test_groups_are_whole_near_and_share_no_time(times: dict[str, list[datetime]], tolerance: timedelta) -> None:
    groups = align(times, tolerance)
    for group in groups:
        assert group.keys() == times.keys()
        assert spread(group) <= tolerance
        assert all(group[name] in times[name] for name in times)
    for name in times:
        used = [group[name] for group in groups]
        assert len(set(used)) == len(used)
    assert groups == sorted(groups, key=lambda group: sorted(group.values()))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda count: st.fixed_dictionaries(
            {
                name: st.lists(st.integers(0, 30), max_size=3).map(lambda numbers: hours(*numbers))
                for name in NAMES[:count]
            }
        )
    ),
    tolerances,
)
def test_there_are_as_many_groups_as_can_be(times: dict[str, list[datetime]], tolerance: timedelta) -> None:
    assert len(align(times, tolerance)) == most(times, tolerance)


@settings(deadline=None)
@given(modalities, tolerances)
def test_order_of_modalities_and_times_does_not_matter(times: dict[str, list[datetime]], tolerance: timedelta) -> None:
    turned = {name: list(reversed(times[name])) * 2 for name in reversed(list(times))}
    assert align(turned, tolerance) == align(times, tolerance)


@settings(deadline=None)
@given(modalities, tolerances)
def test_a_wider_tolerance_finds_no_fewer(times: dict[str, list[datetime]], tolerance: timedelta) -> None:
    assert len(align(times, tolerance + timedelta(hours=5))) >= len(align(times, tolerance))


@settings(deadline=None)
@given(modalities, tolerances)
def test_no_unused_time_would_be_nearer(times: dict[str, list[datetime]], tolerance: timedelta) -> None:
    groups = align(times, tolerance)
    for name in times:
        for unused in set(times[name]) - {group[name] for group in groups}:
            assert all(spread({**group, name: unused}) >= spread(group) for group in groups)


def test_the_nearer_date_is_chosen() -> None:
    groups: list[Group] = align({"S2L2A": hours(0, 5), "S1GRD": hours(4)}, timedelta(hours=5))
    assert groups == [{"S1GRD": hours(4)[0], "S2L2A": hours(5)[0]}]


def test_no_modality_has_no_groups() -> None:
    assert align({}, timedelta(days=1)) == []
