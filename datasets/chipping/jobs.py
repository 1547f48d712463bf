"""Cutting many chips: divided into jobs, done by an executor, written down as they finish.

What was cut is kept in a journal until the dataset is published, so that a run that was ended goes on where it was.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, open_store
from terralab.datasets.chipping.executors import Executor, SerialExecutor
from terralab.datasets.chipping.making import MadeChip, make_chips, strip_key
from terralab.datasets.chipping.plan import ChipPlan, Recipe
from terralab.datasets.statistics import BandSums
from terralab.extensions.item import StoredFile

_SMALLEST_JOB, _LARGEST_JOB = 16, 256
_WORTH_PROCESSES = 64


@dataclass(frozen=True)
class CutJob:
    """Chips that are cut together; all of it can be pickled."""

    settings: Settings
    recipe: Recipe
    plans: tuple[ChipPlan, ...]


def cut(job: CutJob) -> list[MadeChip]:
    """Cut the chips of a job into the store that the settings name."""
    return make_chips(open_store(job.settings, holds=True), job.recipe, job.plans)


def cut_all(
    settings: Settings,
    recipe: Recipe,
    plans: Sequence[ChipPlan],
    executor: Executor,
    jobs: int,
    on_chips: Callable[[list[MadeChip]], object],
) -> None:
    """Cut all chips, and tell of each job's as soon as they are stored.

    Args:
        settings: name the store.
        recipe: what all chips have in common.
        plans: the chips.
        executor: where the work is done.
        jobs: at least so many jobs, where there are enough chips.
        on_chips: told of the chips of each job.
    """
    ordered = sorted(plans, key=strip_key)
    size = max(_SMALLEST_JOB, min(_LARGEST_JOB, -(-len(ordered) // max(1, jobs))))
    parts = [tuple(ordered[first : first + size]) for first in range(0, len(ordered), size)]
    chosen = SerialExecutor() if len(ordered) < _WORTH_PROCESSES and jobs > 1 else executor
    for made in chosen.map(cut, (CutJob(settings, recipe, part) for part in parts)):
        on_chips(made)


class Journal:
    """The chips that a run has cut, one JSON line each.

    Args:
        path: file in the lab's work folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, chips: Sequence[MadeChip]) -> None:
        """Write down chips whose files are stored."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(chip)) + "\n" for chip in chips)

    def chips(self, store: Store) -> dict[str, MadeChip]:
        """Return the chips whose files are all in the store, by id."""
        found = {chip.id: chip for chip in self._lines()}
        sizes = store.sizes({file.checksum for chip in found.values() for file in (chip.files or {}).values()})
        return {
            id: chip
            for id, chip in found.items()
            if all(sizes.get(file.checksum) == file.size for file in (chip.files or {}).values())
        }

    def remove(self) -> None:
        """Forget the run."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> Iterator[MadeChip]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError, KeyError):  # the last line of a run that was killed may be cut off
                yield _chip(json.loads(line))


def _chip(entry: dict[str, Any]) -> MadeChip:
    files = None if entry["files"] is None else {key: StoredFile(**file) for key, file in entry["files"].items()}
    target = entry["target_sums"]
    read = {
        "files": files,
        "sums": tuple(tuple(BandSums(**band) for band in feature) for feature in entry["sums"]),
        "target_sums": None if target is None else BandSums(**target),
    }
    return MadeChip(**{**entry, **read})
