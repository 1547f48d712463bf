"""What splitting knows of one chip: where and when it is, what it shows, and what it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terralab.extensions.item import parse_time
from terralab.extensions.lab import CLASS_COUNTS_PROP, PARAMS_PROP, QA_PROP, SPLIT_PROP, TIMES_FIELD
from terralab.extensions.raster import Grid
from terralab.extensions.record import ItemRef

SCENE = "scene"
"""The name by which chips are grouped by the scene that they were cut from."""

GIVEN = "split"
"""The property with the split that chips came with; where they lack it, their present split counts."""

_DUPLICATE_OF = ("duplicate_of", "near_duplicate_of")
_ALIGNED = 0.01  # pixels


@dataclass(frozen=True)
class ChipPlace:
    """One chip.

    Attributes:
        id: item id.
        scenes: ids of the scenes that its features were cut from, the first feature's first.
        grid: its grid; None where it has no place on the ground.
        extent: rows and columns of it that lie in the scene; the rest is padding.
        window: row and column of its upper left pixel in its scene, or in the grid of its coordinate system.
        class_counts: pixels, labels or boxes by class name.
        time: begin of its time range, as RFC 3339.
        years: all calendar years that it shows, ascending.
        group: value of the property that chips are grouped by.
        given: split that it came with.
        checksum: of the first feature's file; equal for chips with equal pixels.
        duplicate_of: ids of chips that quality control found to be the same.
    """

    id: str
    scenes: tuple[str, ...]
    grid: Grid | None
    extent: tuple[int, int] = (0, 0)
    window: tuple[int, int] | None = None
    class_counts: Mapping[str, float] = field(default_factory=dict)
    time: str | None = None
    years: tuple[int, ...] = ()
    group: str | None = None
    given: str | None = None
    checksum: str | None = None
    duplicate_of: tuple[str, ...] = ()

    @classmethod
    def of_item(
        cls,
        item: Mapping[str, Any],
        scene_grids: Mapping[str, Grid],
        group_by: str | None = None,
        given_by: str | None = None,
    ) -> "ChipPlace":
        """Read a chip item.

        Args:
            item: the chip.
            scene_grids: grids of the scenes by id, so that padding beyond a scene does not count as ground.
            group_by: `scene`, or a property (see `attribute`); None for chips that are not grouped.
            given_by: property that holds the split that the chip came with; None where that does not matter.
        """
        properties = item["properties"]
        grid = Grid.of_properties(properties) if properties.get("proj:transform") else None
        scenes = scenes_of(item)
        params = properties.get(PARAMS_PROP) or {}
        window = (int(params["row"]), int(params["column"])) if {"row", "column"} <= params.keys() else None
        qa = properties.get(QA_PROP) or {}
        value = None if group_by is None else attribute(item, group_by)
        if group_by == SCENE and value is None and scenes:
            value = scenes[0]
        given = None if given_by is None else attribute(item, given_by)
        if given is None and given_by == GIVEN:
            given = properties.get(SPLIT_PROP)
        features = [entry for entry in item["assets"].values() if entry.get("ml-aoi:role") == "feature"]
        return cls(
            item["id"],
            scenes,
            grid,
            _extent(grid, scene_grids.get(scenes[0]) if scenes else None) if grid else (0, 0),
            window,
            properties.get(CLASS_COUNTS_PROP) or {},
            properties.get("start_datetime") or properties.get("datetime"),
            _years(properties, features),
            None if value is None else str(value),
            None if given is None else str(given),
            features[0].get("file:checksum") if features else None,
            tuple(str(qa[name]) for name in _DUPLICATE_OF if qa.get(name)),
        )

    def corners(self) -> list[tuple[float, float]]:
        """Return the four corners of its ground in its own coordinates; it must have a grid."""
        assert self.grid is not None
        a, b, c, d, e, f = self.grid.transform
        rows, columns = self.extent
        ends = ((0, 0), (columns, 0), (columns, rows), (0, rows))
        return [(a * column + b * row + c, d * column + e * row + f) for column, row in ends]


def scenes_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the scenes that a chip item was cut from, each once."""
    return tuple(dict.fromkeys(ref.id for ref in scene_refs(item)))


def scene_refs(item: Mapping[str, Any]) -> list[ItemRef]:
    """Return references to the scenes of a chip item, in the order of its links."""
    links = [link for link in item["links"] if link["rel"] == "derived_from" and link.get("ml-aoi:role") == "feature"]
    return [ref for link in links if (ref := ItemRef.of_link(link)) is not None]


def attribute(item: Mapping[str, Any], name: str) -> Any:
    """Return a property of an item by its name, or by a path such as `lab:params.place`; None where it has none.

    Facts that were given with the chips are in `lab:params` and may be named without it.
    """
    properties = item["properties"]
    for holder in (properties, properties.get(PARAMS_PROP) or {}):
        value: Any = holder.get(name)
        if value is None and "." in name:
            value = holder
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, Mapping | list):
            return value
    return None


def _years(properties: Mapping[str, Any], features: list[Mapping[str, Any]]) -> tuple[int, ...]:
    times = [time for entry in features for time in entry.get(TIMES_FIELD) or ()]
    if times:
        return tuple(sorted({parse_time(time).year for time in times}))
    start = properties.get("start_datetime") or properties.get("datetime")
    if start is None:
        return ()
    end = properties.get("end_datetime") or start
    return tuple(range(parse_time(start).year, parse_time(end).year + 1))


def _extent(chip: Grid, scene: Grid | None) -> tuple[int, int]:
    """Return rows and columns of a chip that lie in its scene; all of them where it is not on the scene's pixels."""
    rows, columns = chip.shape
    if scene is None or scene.crs != chip.crs:
        return rows, columns
    a, b, c, d, e, f = chip.transform
    pixel = max(abs(a), abs(e))
    same = all(
        abs(one - other) <= 1e-9 * pixel
        for one, other in zip((a, b, d, e), (scene.transform[i] for i in (0, 1, 3, 4)), strict=True)
    )
    if not same or b or d:
        return rows, columns
    column, row = (c - scene.transform[2]) / a, (f - scene.transform[5]) / e
    inside = -_ALIGNED < row < scene.shape[0] and -_ALIGNED < column < scene.shape[1]
    if not inside or abs(row - round(row)) > _ALIGNED or abs(column - round(column)) > _ALIGNED:
        return rows, columns
    return min(rows, scene.shape[0] - round(row)), min(columns, scene.shape[1] - round(column))
