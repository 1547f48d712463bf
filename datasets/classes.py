"""The classes of a label set: read from a file, or found in the labels."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from terralab.catalog.errors import InvalidLabels
from terralab.extensions.raster import ClassDefinition

# Okabe and Ito (2008), told apart with any colour vision; then Tol's "muted" scheme for further classes.
PALETTE = (
    *("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "999999"),
    *("332288", "88CCEE", "44AA99", "117733", "DDCC77", "CC6677", "882255", "AA4499"),
)


def read_classes(path: Path) -> list[ClassDefinition]:
    """Read classes from a JSON or YAML file: a list of `{value, name, title, color}`; title and color may be missing.

    Raises:
        InvalidLabels: the file is not such a list.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise InvalidLabels(f"{path.name}: cannot be read as JSON or YAML ({error})") from error
    if isinstance(entries, dict):
        entries = entries.get("classes")
    if not isinstance(entries, list):
        raise InvalidLabels(f"{path.name}: must be a list of {{value, name, title, color}}")
    return define_classes(entries, path.name)


def define_classes(entries: Sequence[Any], where: str = "classes") -> list[ClassDefinition]:
    """Return the classes that `entries` (dictionaries) describe, by value; a missing color comes from the palette.

    Raises:
        InvalidLabels: an entry is wrong, or a value or name is given twice.
    """
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InvalidLabels(f"{where}: entry {number} must be an object with value and name, not {entry!r}")
        color = str(entry.get("color") or PALETTE[number % len(PALETTE)]).removeprefix("#")
        try:
            found.append(ClassDefinition.model_validate({**entry, "color": color}))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InvalidLabels(f"{where}: entry {number}, {field}: {first['msg']}, got {first['input']!r}") from error
    check_classes(found, where)
    return sorted(found, key=lambda entry: entry.value)


def check_classes(classes: Sequence[ClassDefinition], where: str = "classes") -> None:
    """Check that there is a class and that no value or name is given twice.

    Raises:
        InvalidLabels: otherwise.
    """
    if not classes:
        raise InvalidLabels(f"{where}: there is no class; give at least one {{value, name}}")
    for field in ("value", "name"):
        values = [getattr(entry, field) for entry in classes]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise InvalidLabels(f"{where}: the {field} {twice[0]!r} is given twice")


def found_classes(values: Iterable[int]) -> list[ClassDefinition]:
    """Return classes named `class_<value>` for the values that occur in labels."""
    ordered = sorted(values)
    return [
        ClassDefinition(value=value, name=f"class_{value}", title=f"Class {value}", color=PALETTE[place % len(PALETTE)])
        for place, value in enumerate(ordered)
    ]
