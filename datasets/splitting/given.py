"""Splits that were made elsewhere: from a list, or as the chips came with them."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import Parts
from terralab.extensions.chips import SPLITS

_MOST_BYTES = 64 * 2**20
_OTHER_NAMES = {
    "training": "train", "val": "validate", "valid": "validate", "validation": "validate", "dev": "validate",
    "testing": "test",
}  # fmt: skip


def split_as_given(plan: GroundPlan, given: Mapping[str, str] | None) -> Parts:
    """Return the split of each chip; chips without one are left out.

    Args:
        plan: the chips.
        given: chip id → split; None to take the split that each chip came with.

    Raises:
        InvalidInput: it names unknown chips or splits, or no chip came with a split.
    """
    if given is None:
        given = {place.id: place.given for place in plan.places if place.given}
        if not given:
            raise InvalidInput("no chip came with a split; give a file of chip ids and splits, or name their property")
    strangers = sorted(set(given) - {place.id for place in plan.places})
    if strangers:
        raise InvalidInput(
            f"the given split names {len(strangers)} chips that the dataset lacks, such as {strangers[0]!r}"
        )
    named = {id: _OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for id, name in given.items()}
    wrong = sorted({given[id] for id, name in named.items() if name not in SPLITS})
    if wrong:
        raise InvalidInput(f"the given split has {wrong[0]!r}; a split is {', '.join(SPLITS)}")
    return np.array([SPLITS.index(named[place.id]) if place.id in named else -1 for place in plan.places], np.int64)


def read_given_file(path: Path) -> dict[str, str]:
    """Read a file with an assignment (see `read_given`).

    Raises:
        InvalidInput: it is missing or something else.
        TooLarge: it is larger than any list of chips.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TooLarge(f"{path.name} is larger than {_MOST_BYTES // 2**20} MiB; give only chip ids and splits")
        return read_given(path.read_bytes(), path.name)
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}") from error


def read_given(content: bytes, name: str) -> dict[str, str]:
    """Read a list of splits: a JSON object of chip id → split, or CSV with the columns `id` and `split`.

    Raises:
        InvalidInput: it is something else, or names a chip twice.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is no UTF-8 text: {error.reason}") from error
    return _of_json(text, name) if text.lstrip()[:1] in ("{", "[") else _of_csv(text, name)


def _of_json(text: str, name: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{name} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput(f"{name}: give an object of chip id → split")
    return found


def _of_csv(text: str, name: str) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"id", "split"} <= set(rows.fieldnames or ()):
        raise InvalidInput(f"{name}: give a JSON object of chip id → split, or CSV with the columns id and split")
    found: dict[str, str] = {}
    for row in rows:
        id, split = row["id"], row["split"]
        if not split:
            continue
        if found.setdefault(id, split) != split:
            raise InvalidInput(f"{name}: {id!r} is there twice, in different splits")
    return found
