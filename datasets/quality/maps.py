"""Maps of a dataset's chips as SVG: where on the Earth, and how they lie at the places with the most chips."""

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from terralab.datasets.quality.collected import Place
from terralab.datasets.quality.plots import SPLIT_COLOURS

_WIDTH, _HEIGHT = 720, 330
_NORTH, _SOUTH = 80.0, -58.0
_PLACES = 4
_SIDE = 230
_MOST_SHOWN = 4000


def world_map(places: Sequence[Place]) -> str:
    """Return the world with a dot for each cell of one degree that has chips, larger for more."""
    cells: dict[tuple[int, int], list[Place]] = defaultdict(list)
    for place in places:
        x, y = _middle(place)
        cells[int(x // 1), int(y // 1)].append(place)
    dots = []
    for members in sorted(cells.values(), key=len, reverse=True):
        x, y = (sum(values) / len(members) for values in zip(*map(_middle, members), strict=True))
        left, top = _on_world(x, y)
        radius = min(14.0, 4 + len(members) ** 0.5 / 3)
        dots.append(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{radius:.1f}" class="dot"><title>{len(members)} chips near'
            f" {abs(y):.1f}° {'N' if y >= 0 else 'S'}, {abs(x):.1f}° {'E' if x >= 0 else 'W'}</title></circle>"
        )
    content = f'<path d="{_land()}" class="land"/>{"".join(dots)}'
    return _figure(_WIDTH, _HEIGHT, "Chips on the Earth", content)


def place_maps(places: Sequence[Place]) -> list[tuple[str, str]]:
    """Return, for the places with the most chips, a title and a map of the chips' outlines in their splits' colours."""
    groups: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        groups[place.scene].append(place)
    largest = sorted(groups.items(), key=lambda part: (-len(part[1]), part[0]))[:_PLACES]
    return [(scene.split("/", 1)[-1], _outlines(members)) for scene, members in largest]


def _outlines(members: Sequence[Place]) -> str:
    west, south = (min(place.bounds[edge] for place in members) for edge in (0, 1))
    east, north = (max(place.bounds[edge] for place in members) for edge in (2, 3))
    narrow = max(0.05, _cosine((south + north) / 2))
    scale = _SIDE / max((east - west) * narrow, north - south, 1e-9)
    width, height = (east - west) * narrow * scale, (north - south) * scale
    boxes = [
        f'<rect x="{(place.bounds[0] - west) * narrow * scale:.1f}" y="{(north - place.bounds[3]) * scale:.1f}"'
        f' width="{(place.bounds[2] - place.bounds[0]) * narrow * scale:.1f}"'
        f' height="{(place.bounds[3] - place.bounds[1]) * scale:.1f}" fill="{SPLIT_COLOURS[place.split or "no split"]}"'
        f' class="chip"><title>{place.id} ({place.split or "no split"})</title></rect>'
        for place in members[:_MOST_SHOWN]
    ]
    return _figure(max(width, 20), max(height, 20), "Chips of one scene", "".join(boxes))


def _figure(width: float, height: float, title: str, content: str) -> str:
    return f'<svg viewBox="-2 -2 {width + 4:.0f} {height + 4:.0f}" role="img" aria-label="{title}">{content}</svg>'


def _middle(place: Place) -> tuple[float, float]:
    return (place.bounds[0] + place.bounds[2]) / 2, (place.bounds[1] + place.bounds[3]) / 2


def _on_world(x: float, y: float) -> tuple[float, float]:
    return (x + 180) / 360 * _WIDTH, (_NORTH - y) / (_NORTH - _SOUTH) * _HEIGHT


def _cosine(degrees: float) -> float:
    from math import cos, radians

    return cos(radians(degrees))


@cache
def _land() -> str:
    """Return the outline of land as an SVG path."""
    text = files("terralab.datasets.quality").joinpath("land.json").read_text(encoding="utf-8")
    parts = []
    for ring in json.loads(text)["rings"]:
        points = [_on_world(x, min(max(y, _SOUTH), _NORTH)) for x, y in ring]
        parts.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points) + "Z")
    return "".join(parts)
