"""What all items of the corpus share: which number is of which kind, and places, times and stored files by chance."""

import hashlib
import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

SCENES, CHIPS, PREDICTIONS = "sentinel-2-l2a-world", "burn-scars-v1", "burn-net-predictions"
START = datetime(2020, 1, 1, tzinfo=UTC)
SECONDS = 5 * 365 * 86_400
USERS = 10
_KINDS = ("scene",) * 6 + ("chip",) * 3 + ("prediction",)
_HIGHEST_SINE = 0.93  # latitude 68°


def numbered(number: int) -> tuple[str, str]:
    """Return kind and id of an item by its number."""
    kind = _KINDS[number % 10]
    return kind, f"{kind}-{number:09d}"


def earlier_scene(number: int, random: Random) -> str:
    """Return the id of a scene with a number below `number`, which is a chip's or a prediction's."""
    return numbered(random.randrange(number // 10 + 1) * 10 + random.randrange(6))[1]


def moment(random: Random) -> str:
    """Return a time between 2020 and 2024."""
    return (START + timedelta(seconds=random.randrange(SECONDS))).strftime("%Y-%m-%dT%H:%M:%SZ")


def corner(random: Random) -> tuple[float, float]:
    """Return a lower left corner, longitude and latitude, uniform over the Earth's area below latitude 68°."""
    latitude = math.degrees(math.asin(random.uniform(-_HIGHEST_SINE, _HIGHEST_SINE)))
    return round(random.uniform(-179.0, 177.5), 6), round(latitude, 6)


def leaning_square(west: float, south: float, side: float) -> dict[str, Any]:
    """Return geometry and bbox of a square that leans to the right, as the footprints of satellites do."""
    lean, east, north = side * 0.04, round(west + side, 6), round(south + side, 6)
    ring = [
        [west, south],
        [round(east - lean, 6), south],
        [east, north],
        [round(west + lean, 6), north],
        [west, south],
    ]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [west, south, east, north]}


def utm_zone(west: float) -> int:
    """Return the number of the UTM zone of a longitude."""
    return int((west + 180) // 6) % 60 + 1


def multihash(text: str) -> str:
    """Return a SHA-256 multihash that follows from a text, for files that do not exist."""
    return "1220" + hashlib.sha256(text.encode()).hexdigest()


def ownership(random: Random) -> dict[str, str]:
    """Return the fields of a private object for one item in ten, of a project's for another, nothing for the others."""
    chance = random.random()
    if chance < 0.1:
        return {"lab:owner": f"user-{random.randrange(USERS)}", "lab:visibility": "private"}
    if chance < 0.2:
        return {"lab:project": f"project-{random.randrange(USERS)}", "lab:visibility": "project"}
    return {}
