"""The table of modalities and connectors, read from `modalities.yaml`."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from terralab.catalog.errors import InvalidInput, UnknownName

STAC = "stac"
Engine = Literal["stac", "terrakit"]


class Modality(BaseModel):
    """One kind of imagery.

    Attributes:
        title: for people.
        sensor: first part of its collections' ids, such as `sentinel-2`.
        level: second part, such as `l2a`.
        gsd: ground sample distance, metres.
        data_type: numpy's name of the usual pixel type, where a catalog does not say.
        nodata: the usual value of pixels without data.
        clouds: whether a cloud limit means anything.
        static: whether it has no dates.
        day_only: whether the provider gives whole days.
        bands: by the lab's names, in order.
        extras: bands that come only when asked for.
        names: what catalogs call a band besides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    sensor: str
    level: str
    gsd: float
    data_type: str
    nodata: float | None = None
    clouds: bool = False
    static: bool = False
    day_only: bool = False
    bands: tuple[str, ...]
    extras: tuple[str, ...] = ()
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def chosen(self, wanted: Sequence[str] | None) -> tuple[str, ...]:
        """Return the bands to get: those that are wanted, in that order, else the usual ones.

        Raises:
            UnknownName: it has no such band.
            InvalidInput: one is given twice.
        """
        if not wanted:
            return self.bands
        known = [*self.bands, *self.extras]
        for name in wanted:
            if name not in known:
                raise UnknownName.of("band", name, known)
            if wanted.count(name) > 1:
                raise InvalidInput(f"band {name} is given twice")
        return tuple(wanted)


class ProviderCollection(BaseModel):
    """What a provider calls a modality, and its bands where the names are not the lab's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bands: dict[str, str] = Field(default_factory=dict)


class Connector(BaseModel):
    """One way to a provider; the fields are told in `modalities.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    engine: Engine
    endpoint: str | None = None
    hosts: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    instead_of_credentials: str | None = None
    token: str | None = None
    token_hosts: tuple[str, ...] = ()
    page: int | None = None
    day_after: bool = False
    degrees: float | None = None
    side: int | None = None
    collections: dict[str, ProviderCollection]


class ImageryTable(BaseModel):
    """All modalities and connectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: dict[str, Modality]
    connectors: dict[str, Connector]

    def modality(self, name: str) -> Modality:
        """Return a modality by its name.

        Raises:
            UnknownName: there is none of that name.
        """
        if name not in self.modalities:
            raise UnknownName.of("modality", name, list(self.modalities))
        return self.modalities[name]

    def collection(self, connector: str, modality: str, given: str | None = None) -> ProviderCollection:
        """Return what a connector calls a modality; `given` is the provider's collection where the caller names it.

        Raises:
            InvalidInput: the connector has not that modality.
        """
        self.modality(modality)
        known = self.connectors[connector].collections
        entry = known.get(modality)
        if given is not None:
            return ProviderCollection(name=given, bands=entry.bands if entry else {})
        if entry is None:
            has = f"it has {', '.join(known)}" if known else "it has none by default"
            raise InvalidInput(f"{connector} has no collection for {modality}: {has}; name one with `collections`")
        return entry


@cache
def imagery_table() -> ImageryTable:
    """Return the table."""
    text = files("terralab.datasets.imagery").joinpath("modalities.yaml").read_text(encoding="utf-8")
    return ImageryTable.model_validate(yaml.safe_load(text))
