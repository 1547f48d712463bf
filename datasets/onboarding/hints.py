"""What a user says of a dataset's files, where their names do not say it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.layout import same_letters
from terralab.datasets.onboarding.limits import Limits
from terralab.extensions.chips import Task


@dataclass(frozen=True)
class Hints:
    """Everything that a reader may be told.

    Attributes:
        modalities: pattern of the images by modality name, relative to the dataset's folder.
        labels: pattern of the labels, or name of their folder or suffix; None to find them.
        task: what the dataset teaches; None to find it.
        data: folder of the files that a description such as GEOStudio's JSON names; None where they lie beside it.
        limits: how large a dataset may be.
    """

    modalities: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    task: Task | None = None
    data: Path | None = None
    limits: Limits = field(default_factory=Limits)


class Pattern:
    """A pattern such as `S2L2A/*.tif`: which files match it, and what its last `*` stands for.

    Args:
        text: with `*` for any part of a name, `**` for any folders, `?` for one letter.

    Raises:
        InvalidInput: it has no `*`, or leads out of the folder.
    """

    def __init__(self, text: str) -> None:
        if "*" not in text:
            raise InvalidInput(f"the pattern {text!r} has no `*`, which stands for the name of the sample")
        if text.startswith("/") or ".." in PurePosixPath(text).parts:
            raise InvalidInput(f"the pattern {text!r} leads out of the dataset's folder")
        self.text = text
        parts = re.split(r"(\*\*/|\*|\?)", same_letters(text))
        last = max(place for place, part in enumerate(parts) if part == "*" or part == "**/")
        wild = {"**/": r"(?:.+/)?", "*": r"[^/]*", "?": r"[^/]"}
        self._pattern = re.compile(
            "".join(
                r"(?P<key>[^/]+)" if place == last and part == "*" else wild.get(part, re.escape(part))
                for place, part in enumerate(parts)
            )
        )

    def key(self, path: PurePosixPath) -> str | None:
        """Return what the last `*` stands for, None where the file does not match."""
        match = self._pattern.fullmatch(same_letters(str(path)))
        return None if match is None else match.groupdict().get("key") or path.stem
