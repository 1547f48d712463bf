"""What imagery is wanted."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from terralab.catalog.errors import LabError
from terralab.datasets.dates import parse_period
from terralab.datasets.imagery.area import check_area
from terralab.datasets.imagery.modalities import imagery_table


class ImageryRequest(BaseModel):
    """Which imagery, where, when, and from whom."""

    modalities: list[str] = Field(min_length=1, description="Modalities of the table, such as S2L2A and DEM.")
    area: dict[str, Any] = Field(description="GeoJSON geometry in longitude and latitude: polygons or points.")
    dates: str | None = Field(
        default=None, description="A day, or a range with '/'; None for modalities without dates."
    )
    connector: str = Field(default="stac", min_length=1, description="Connector, or a STAC API of the settings.")
    cloud: float | None = Field(default=None, ge=0, le=100, description="Most cloud cover, percent.")
    collections: dict[str, str] = Field(default_factory=dict, description="Modality → the provider's collection.")
    bands: dict[str, list[str]] = Field(default_factory=dict, description="Modality → bands; others get the usual.")
    align_days: float | None = Field(
        default=None, ge=0, description="Only dates on which all modalities are within so many days."
    )
    buffer: float = Field(default=0.0, ge=0, le=100_000, description="Metres around outlines; half a side at points.")
    limit: int | None = Field(default=None, ge=1, description="Dates of each place at most, the least cloudy.")
    engine: Literal["auto", "stac", "terrakit"] = Field(
        default="auto", description="Who reads; auto: as the table says."
    )

    @field_validator("modalities")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        known = imagery_table().modalities
        for name in value:
            if name not in known:
                raise ValueError(f"no modality is called {name!r}; there are {', '.join(known)}")
        if len(set(value)) < len(value):
            raise ValueError("a modality is given twice")
        return value

    @field_validator("area")
    @classmethod
    def _is_area(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            check_area(value)
        except LabError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _fits(self) -> "ImageryRequest":
        for name in (*self.collections, *self.bands):
            if name not in self.modalities:
                raise ValueError(f"{name} is given a collection or bands, but is not among the modalities")
        try:
            for name in self.modalities:
                imagery_table().modality(name).chosen(self.bands.get(name))
            self.period()
        except LabError as error:
            raise ValueError(str(error)) from error
        if self.dates is None and any(not imagery_table().modality(name).static for name in self.modalities):
            raise ValueError("dates: give a day, or a range with '/'")
        return self

    def period(self) -> tuple[datetime, datetime] | None:
        """Return begin and end of the dates; a day alone is the whole day.

        Raises:
            InvalidInput: they are no dates.
        """
        if self.dates is None:
            return None
        written = self.dates if "/" in self.dates else f"{self.dates}/{self.dates}"
        return parse_period(written)

    def chosen_bands(self, modality: str) -> tuple[str, ...]:
        """Return the bands of a modality to get."""
        return imagery_table().modality(modality).chosen(self.bands.get(modality))


class IngestRequest(ImageryRequest):
    """Which imagery to fetch, and under which name."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$", description="Name of the area: a-z, 0-9, '_' and '-'.")
    allow_partial: bool = Field(default=False, description="Whether to go on without scenes that cannot be had.")
