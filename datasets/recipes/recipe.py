"""What a recipe is: from sources and parameters to a plan, which computes block after block."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from terralab.catalog.errors import GridMismatch, InvalidInput, UnknownName
from terralab.extensions.raster import BandRecord, Grid

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """A scene that a recipe works on.

    Attributes:
        name: `collection/item`.
        path: its GeoTIFF on this machine.
        grid: where its pixels lie.
        bands: in file order.
    """

    name: str
    path: Path
    grid: Grid
    bands: tuple[BandRecord, ...]

    def band(self, name: str) -> int:
        """Return the place of a band in the file, from 0.

        Raises:
            UnknownName: there is none of that name.
        """
        names = [band.name for band in self.bands]
        if name not in names:
            raise UnknownName.of(f"band of {self.name}", name, names)
        return names.index(name)


@dataclass(frozen=True)
class Block:
    """Some rows of all sources, with a few more above and below where the recipe looks around.

    Attributes:
        values: for each source (bands, rows, columns), float32, NaN where there is no data.
        first: row of the scene that the block begins with, those that it looks around in left aside.
        above: rows before it.
        below: rows after it.
        grid: of the scene.
    """

    values: Sequence[Values]
    first: int
    above: int
    below: int
    grid: Grid

    @property
    def inner(self) -> slice:
        """Return which rows are the block's own."""
        return slice(self.above, self.values[0].shape[1] - self.below)


Compute = Callable[[Block], Values]


@dataclass(frozen=True)
class Plan:
    """How a recipe's result comes about.

    Attributes:
        names: of the bands that it gives.
        formula: what is computed, as text or numbers that say all of it; kept with the result.
        compute: gives (bands, own rows, columns) of a block, NaN where there is no result.
        halo: rows that it looks around.
        software: name → version of what computes.
        survey: shown every block before the first is computed, where the whole must be known first.
        table: gives what else was found, as JSON; asked at the end.
    """

    names: tuple[str, ...]
    formula: Mapping[str, Any]
    compute: Compute
    halo: int = 0
    software: Mapping[str, str] = field(default_factory=dict)
    survey: Callable[[Block], None] | None = None
    table: Callable[[], dict[str, Any]] | None = None


class Parameters(BaseModel):
    """Base of what a recipe may be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    Attributes:
        name: of the command line.
        title: for people.
        parameters: what it may be told.
        plan: makes the plan from the sources and the parameters.
        several: whether it works on several scenes at once; else each scene gives a result of its own.
    """

    name: str
    title: str
    parameters: type[Any]
    plan: Callable[[Sequence[Source], Any], Plan]
    several: bool = False


def same_grid(sources: Sequence[Source]) -> None:
    """Check that sources lie on one grid, pixel by pixel.

    Raises:
        InvalidInput: there is none.
        GridMismatch: one lies elsewhere; the message names it.
    """
    if not sources:
        raise InvalidInput("there is no scene to work on")
    for source in sources[1:]:
        if source.grid != sources[0].grid:
            raise GridMismatch(f"{source.name} does not lie on the grid of {sources[0].name}; bring both to one grid")
