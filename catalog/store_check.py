"""Comparing the asset store with the catalog, and its bytes with their hashes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.holdings import Holdings, holdings
from terralab.catalog.store import TREE_SUFFIX, Store
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import split_multihash

Tell = Callable[[int, int], None]
"""Takes how many of how many files are done."""


class Problem(StrEnum):
    """What can be wrong with a file."""

    MISSING = "missing"
    DAMAGED = "damaged"
    WRONG_SIZE = "wrong size"


@dataclass(frozen=True)
class Damage:
    """One file that is not as it should be.

    Attributes:
        name: its multihash; of a DVC tree with `.dir` behind it.
        problem: what is wrong.
        places: what refers to it, such as `imagery/scene-1, asset 'image'`; at most five.
        repaired: whether good bytes took its place.
    """

    name: str
    problem: Problem
    places: list[str]
    repaired: bool = False


@dataclass(frozen=True)
class StoreReport:
    """What a check found.

    Attributes:
        files: how many files the store has.
        hashed: how many of them were read and hashed.
        damages: what is wrong.
    """

    files: int
    hashed: int
    damages: list[Damage]

    @property
    def intact(self) -> bool:
        """Return whether nothing is wrong, or not any more."""
        return all(damage.repaired for damage in self.damages)


def check_store(
    workspace: Workspace,
    sample: int | None = None,
    source: Store | None = None,
    trees: Iterable[str] = (),
    tell: Tell | None = None,
) -> StoreReport:
    """Look for files that are missing, damaged or of another size than items say.

    Args:
        workspace: the lab.
        sample: read so many files, chosen at random; all by default.
        source: another store, such as that of a backup, to take good bytes from.
        trees: `<md5>.dir` of trees that the repository of versions tracks.
        tell: takes the progress.
    """
    with holdings(workspace, trees) as found:
        every, names = found.names(), found.names(sample)
        damages = list(_of_catalog(found, workspace.store))
        known = {damage.name for damage in damages}
        damages += _of_bytes(found, workspace.store, [name for name in names if name not in known], tell)
    if source is not None:
        damages = [_repaired(damage, workspace.store, source) for damage in damages]
    return StoreReport(len(every), len(names), damages)


def is_intact(store: Store, name: str) -> bool:
    """Read a file from the store and say whether it has its hash.

    Raises:
        AssetCorrupt: it is missing.
    """
    algorithm, digits = split_multihash(name.removesuffix(TREE_SUFFIX))
    state = hashlib.new(algorithm, usedforsecurity=False)
    for piece in store.pieces(name):
        state.update(piece)
    return state.hexdigest() == digits


def copy_file(source: Store, target: Store, name: str) -> bool:
    """Copy a file from one store to another; say whether the source had it, whole.

    What the target has under the name is replaced.
    """
    algorithm, digits = split_multihash(name.removesuffix(TREE_SUFFIX))
    state = hashlib.new(algorithm, usedforsecurity=False)
    with target.scratch() as folder:
        path = folder / "copy"
        try:
            with path.open("wb") as file:
                for piece in source.pieces(name):
                    state.update(piece)
                    file.write(piece)
        except AssetCorrupt:
            return False
        if state.hexdigest() != digits:
            return False
        target.remove([name])
        target.put(path, algorithm=algorithm, suffix=TREE_SUFFIX if name.endswith(TREE_SUFFIX) else "")
    return True


def _of_catalog(found: Holdings, store: Store) -> Iterator[Damage]:
    missing = {reference.name: reference for reference in found.missing()}
    for name in store.sizes(missing):  # stored after the listing was made
        del missing[name]
    for name, reference in missing.items():
        yield Damage(name, Problem.MISSING, [reference.place])
    for reference, _ in found.wrong_sizes():
        # Either the bytes are damaged, or whoever wrote the item was wrong.
        problem = Problem.WRONG_SIZE if is_intact(store, reference.name) else Problem.DAMAGED
        yield Damage(reference.name, problem, [reference.place])


def _of_bytes(found: Holdings, store: Store, names: list[str], tell: Tell | None) -> Iterator[Damage]:
    for done, name in enumerate(names, start=1):
        try:
            if not is_intact(store, name):
                yield Damage(name, Problem.DAMAGED, found.places(name))
        except AssetCorrupt:
            pass  # deleted since the listing; where something refers to it, it is reported as missing next time
        if tell:
            tell(done, len(names))


def _repaired(damage: Damage, store: Store, source: Store) -> Damage:
    if damage.problem == Problem.WRONG_SIZE:
        return damage  # the bytes are right, the item is wrong
    return Damage(damage.name, damage.problem, damage.places, copy_file(source, store, damage.name))
