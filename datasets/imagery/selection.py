"""Which of the found scenes are wanted: by clouds, by dates that go together, and by how many dates are asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from terralab.datasets.imagery.alignment import align
from terralab.datasets.imagery.area import Place
from terralab.datasets.imagery.found import FoundScene, WantedScene
from terralab.datasets.imagery.modalities import imagery_table
from terralab.datasets.imagery.request import ImageryRequest
from terralab.extensions.item import format_time

_ONE_PASS = timedelta(minutes=10)


@dataclass(frozen=True)
class Acquisition:
    """What one modality has of a place at one time: a scene, or several that one pass of a satellite made."""

    modality: str
    start: datetime
    scenes: tuple[FoundScene, ...]

    @property
    def cloud_cover(self) -> float:
        """Return the mean cloud cover, percent; more than 100 where none is known."""
        known = [scene.cloud_cover for scene in self.scenes if scene.cloud_cover is not None]
        return sum(known) / len(known) if known else 101.0


@dataclass
class Selection:
    """What is wanted, and what was left out.

    Attributes:
        wanted: scenes over places, by modality, place and time.
        groups: where dates were aligned: place, and the time of each modality.
        left_out: reason → number of scenes.
    """

    wanted: list[WantedScene] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def summary(self, modalities: Sequence[str]) -> list[dict[str, Any]]:
        """Return scenes, places, dates and estimated bytes of each modality, JSON values."""
        rows = []
        for name in modalities:
            described = imagery_table().modality(name)
            mine = [wanted for wanted in self.wanted if wanted.scene.modality == name]
            dates = sorted({wanted.scene.start.date().isoformat() for wanted in mine}) if not described.static else []
            rows.append(
                {
                    "modality": name,
                    "scenes": len(mine),
                    "places": len({wanted.place.box for wanted in mine}),
                    "dates": dates,
                    "estimated_bytes": sum(wanted.estimated_bytes(described) for wanted in mine),
                }
            )
        return rows


def select(request: ImageryRequest, found: Mapping[tuple[str, Place], Sequence[FoundScene]]) -> Selection:
    """Choose among what was found.

    Args:
        request: what is wanted.
        found: scenes by modality and place.
    """
    selection = Selection()
    for place in sorted({place for _, place in found}, key=lambda place: place.box):
        acquired = {
            name: acquisitions(name, _clear(request, name, found.get((name, place), ()), selection))
            for name in request.modalities
        }
        for acquisition in _chosen(request, place, acquired, selection):
            selection.wanted += [WantedScene(scene, place) for scene in acquisition.scenes]
    order = {name: number for number, name in enumerate(request.modalities)}
    selection.wanted.sort(key=lambda one: (order[one.scene.modality], one.place.box, one.scene.start, one.scene.id))
    return selection


def acquisitions(modality: str, scenes: Sequence[FoundScene]) -> list[Acquisition]:
    """Return the scenes of one place by the pass that made them, in order of time."""
    groups: list[list[FoundScene]] = []
    static = imagery_table().modality(modality).static
    for scene in sorted(scenes, key=lambda scene: (scene.start, scene.id)):
        if groups and (static or scene.start - groups[-1][0].start <= _ONE_PASS):
            groups[-1].append(scene)
        else:
            groups.append([scene])
    return [Acquisition(modality, group[0].start, tuple(group)) for group in groups]


def _clear(
    request: ImageryRequest, modality: str, scenes: Sequence[FoundScene], selection: Selection
) -> list[FoundScene]:
    """Return the scenes within the cloud limit; one whose cover is unknown stays."""
    if request.cloud is None or not imagery_table().modality(modality).clouds:
        return list(scenes)
    clear = [scene for scene in scenes if scene.cloud_cover is None or scene.cloud_cover <= request.cloud]
    if len(clear) < len(scenes):
        selection.left_out["cloudy"] += len(scenes) - len(clear)
    return clear


def _chosen(
    request: ImageryRequest, place: Place, acquired: dict[str, list[Acquisition]], selection: Selection
) -> list[Acquisition]:
    static = [entry for name, entries in acquired.items() if imagery_table().modality(name).static for entry in entries]
    dated = {name: entries for name, entries in acquired.items() if not imagery_table().modality(name).static}
    if request.align_days is None:
        kept = [entry for entries in dated.values() for entry in _least_cloudy(request.limit, entries, selection)]
        return [*static, *kept]
    return [*static, *_aligned(request, place, dated, selection)]


def _least_cloudy(limit: int | None, entries: list[Acquisition], selection: Selection) -> list[Acquisition]:
    ranked = sorted(entries, key=lambda entry: (entry.cloud_cover, entry.start))[:limit]
    _leave_out(selection, "more dates than asked for", entries, ranked)
    return ranked


def _aligned(
    request: ImageryRequest, place: Place, dated: dict[str, list[Acquisition]], selection: Selection
) -> list[Acquisition]:
    by_time = {name: {entry.start: entry for entry in entries} for name, entries in dated.items()}
    tolerance = timedelta(days=request.align_days or 0)
    groups = [
        {name: by_time[name][time] for name, time in group.items()}
        for group in align({name: list(times) for name, times in by_time.items()}, tolerance)
    ]
    known = [entry for entries in dated.values() for entry in entries]
    _leave_out(
        selection, "no date of another modality near", known, [entry for group in groups for entry in group.values()]
    )
    kept = sorted(groups, key=_clouds_of)[: request.limit]
    together = [entry for group in groups for entry in group.values()]
    chosen = [entry for group in kept for entry in group.values()]
    _leave_out(selection, "more dates than asked for", together, chosen)
    for group in sorted(kept, key=lambda group: min(entry.start for entry in group.values())):
        times = {name: format_time(entry.start) for name, entry in group.items()}
        selection.groups.append({"place": place.name, "times": times})
    return chosen


def _clouds_of(group: dict[str, Acquisition]) -> tuple[float, datetime]:
    cloudy = [entry.cloud_cover for name, entry in group.items() if imagery_table().modality(name).clouds]
    return max(cloudy, default=0.0), min(entry.start for entry in group.values())


def _leave_out(selection: Selection, reason: str, before: Sequence[Acquisition], after: Sequence[Acquisition]) -> None:
    count = sum(len(entry.scenes) for entry in before) - sum(len(entry.scenes) for entry in after)
    if count:
        selection.left_out[reason] += count
