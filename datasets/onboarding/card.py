"""The card of a dataset: a README.md that begins with YAML, as EOTDL and Hugging Face have it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.samples import About

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)(.*)\Z", re.DOTALL)
_EOTDL_FIELDS = ("name", "authors", "license", "source")
_SPDX = {"cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc0-1.0": "CC0-1.0", "mit": "MIT",
         "apache-2.0": "Apache-2.0", "odbl": "ODbL-1.0", "cc-by-nc-4.0": "CC-BY-NC-4.0"}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A README with front matter.

    Attributes:
        fields: the front matter.
        text: what follows.
    """

    fields: Mapping[str, Any]
    text: str

    @property
    def is_eotdl(self) -> bool:
        """Say whether it has the fields that EOTDL wants."""
        return all(self.fields.get(name) for name in _EOTDL_FIELDS)

    def about(self) -> About:
        """Return what it says of the dataset."""
        fields = self.fields
        authors = fields.get("authors") or ()
        title = fields.get("pretty_name") or fields.get("name")
        license = fields.get("license")
        return About(
            title=str(title) if title else None,
            description=self.text.strip() or None,
            license=_SPDX.get(str(license).lower(), str(license)) if license else None,
            authors=tuple(map(str, [authors] if isinstance(authors, str) else authors)),
            source=str(fields["source"]) if fields.get("source") else None,
        )

    def class_names(self) -> tuple[str, ...] | None:
        """Return the class names of Hugging Face's `dataset_info`, by number; None where it has none."""
        info = self.fields.get("dataset_info")
        features = info.get("features") if isinstance(info, dict) else None
        for feature in features if isinstance(features, list) else ():
            described = feature.get("dtype") if isinstance(feature, dict) else None
            names = described.get("class_label", {}).get("names") if isinstance(described, dict) else None
            if isinstance(names, dict):
                return tuple(str(names[key]) for key in sorted(names, key=int))
            if isinstance(names, list):
                return tuple(map(str, names))
        return None

    def missing(self) -> list[str]:
        """Return EOTDL's fields that are not there."""
        return [name for name in _EOTDL_FIELDS if not self.fields.get(name)]


def read_card(root: Path, limits: Limits) -> Card | None:
    """Return the card of a dataset's folder, None where it has none.

    Raises:
        InvalidInput: its front matter is no YAML.
    """
    path = root / "README.md"
    match = _FRONT.match(read_text(path, limits)) if path.is_file() else None
    if match is None:
        return None
    try:
        fields = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise InvalidInput(
            f"README.md: its front matter is no YAML ({str(error).splitlines()[0]}); correct it"
        ) from error
    return Card(fields, match[2]) if isinstance(fields, dict) else None
