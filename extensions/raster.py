"""Grids, raster bands and classes as STAC writes them (projection, raster and classification extensions)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from terralab.extensions.bands import describe_band
from terralab.extensions.item import Footprint

MASK_NODATA = 255
"""Value of a mask pixel without a label; class values are 0 … 254."""


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes:
        crs: `EPSG:<code>`, or WKT2 where the system has no code.
        transform: affine a, b, c, d, e, f: x = a·col + b·row + c, y = d·col + e·row + f (pixel corners).
        shape: rows, columns.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]

    def properties(self) -> dict[str, Any]:
        """Return the `proj:` fields."""
        named = {"proj:code": self.crs} if self.crs.startswith("EPSG:") else {"proj:code": None, "proj:wkt2": self.crs}
        return {**named, "proj:transform": list(self.transform), "proj:shape": list(self.shape)}

    def footprint(self, start: datetime, end: datetime | None = None) -> Footprint:
        """Return the ground footprint of the whole grid."""
        return Footprint.of_grid(self.crs, self.transform, self.shape, start, end)

    @classmethod
    def of_properties(cls, fields: dict[str, Any]) -> "Grid":
        """Read the `proj:` fields of an item or an asset."""
        return cls(
            fields.get("proj:code") or fields["proj:wkt2"],
            tuple(float(number) for number in fields["proj:transform"][:6]),  # type: ignore[arg-type]
            (int(fields["proj:shape"][0]), int(fields["proj:shape"][1])),
        )


@dataclass(frozen=True)
class BandStatistics:
    """Statistics over the valid pixels of one band, in the band's own units; `valid_percent` is 0 … 100."""

    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid_percent: float

    def to_stac(self) -> dict[str, float]:
        """Return the `statistics` object of STAC 1.1."""
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": self.mean,
            "stddev": self.stddev,
            "valid_percent": self.valid_percent,
        }

    @classmethod
    def of_stac(cls, entry: dict[str, Any]) -> "BandStatistics | None":
        """Read a `statistics` object; None where it has not all five numbers."""
        names = ("minimum", "maximum", "mean", "stddev", "valid_percent")
        if any(entry.get(name) is None for name in names):
            return None
        return cls(*(float(entry[name]) for name in names))


@dataclass(frozen=True)
class BandRecord:
    """One band of a raster asset; `data_type` is numpy's name, `nodata` may be NaN."""

    name: str
    data_type: str
    nodata: float | None = None
    statistics: BandStatistics | None = None

    def to_stac(self) -> dict[str, Any]:
        """Return the entry of an asset's `bands`."""
        record: dict[str, Any] = {**describe_band(self.name), "data_type": self.data_type}
        if self.nodata is not None:
            record["nodata"] = "nan" if math.isnan(self.nodata) else self.nodata
        if self.statistics is not None:
            record["statistics"] = self.statistics.to_stac()
        return record

    @classmethod
    def of_stac(cls, entry: dict[str, Any]) -> "BandRecord":
        """Read an entry of an asset's `bands`; `data_type` is empty where it says none."""
        nodata = entry.get("nodata")
        statistics = BandStatistics.of_stac(entry.get("statistics") or {})
        number = None if nodata is None else float(nodata)
        whole = isinstance(nodata, int) and not isinstance(nodata, bool)
        return cls(str(entry["name"]), str(entry.get("data_type", "")), nodata if whole else number, statistics)


class ClassDefinition(BaseModel):
    """One class of a label set or of a model's output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(ge=0, lt=MASK_NODATA, description="pixel value in masks and predictions")
    name: str = Field(pattern=r"^[0-9A-Za-z_-]+$", description="short machine name, such as `water`")
    title: str | None = Field(default=None, description="name for people")
    color: str = Field(pattern=r"^[0-9A-Fa-f]{6}$", description="RRGGBB, shown in maps and legends")

    def to_stac(self) -> dict[str, Any]:
        """Return the `classification:classes` entry."""
        entry = {
            "value": self.value,
            "name": self.name,
            "title": self.title,
            "description": self.title or self.name,
            "color_hint": self.color.upper(),
        }
        return {key: value for key, value in entry.items() if value is not None}

    @classmethod
    def of_stac(cls, entry: dict[str, Any]) -> "ClassDefinition":
        """Read a `classification:classes` entry; a description that is not the name stands for a missing title."""
        description = entry.get("description")
        return cls(
            value=entry["value"],
            name=entry["name"],
            title=entry.get("title") or (description if description != entry["name"] else None),
            color=entry.get("color_hint", "808080"),
        )


def classes_to_stac(classes: Sequence[ClassDefinition], nodata: int | None = MASK_NODATA) -> list[dict[str, Any]]:
    """Return `classification:classes`, the entry that means 'no data' included where there is one."""
    entries = [definition.to_stac() for definition in classes]
    if nodata is not None:
        entries.append({"value": nodata, "name": "nodata", "description": "no data", "nodata": True})
    return entries


def classes_of_stac(entries: Sequence[dict[str, Any]]) -> list[ClassDefinition]:
    """Read `classification:classes`, without the entry that means 'no data'."""
    return [ClassDefinition.of_stac(entry) for entry in entries if not entry.get("nodata")]


def class_colormap(classes: Sequence[ClassDefinition]) -> dict[str, list[int]]:
    """Return value → RGBA (0 … 255 each), the `colormap` of a render."""
    return {str(entry.value): [*bytes.fromhex(entry.color), 255] for entry in classes}
