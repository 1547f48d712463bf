"""What a user asks for when a dataset is to be made, checked and typed."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from terralab.catalog.errors import InvalidInput
from terralab.datasets.chipping.cleaning import Cleaning
from terralab.datasets.chipping.composites import Composite
from terralab.datasets.chipping.executors import Engine
from terralab.datasets.chipping.label_shapes import Invalid, Overlaps
from terralab.datasets.chipping.label_sources import LabelRecipe
from terralab.datasets.chipping.pixel_masks import MaskKind, PixelMask, Strategy
from terralab.datasets.chipping.places import GridRecipe
from terralab.datasets.chipping.plan import TargetRecipe
from terralab.datasets.chipping.scenes import Choice, DateRecipe, SceneFiles
from terralab.datasets.chipping.sources import Resampling
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition

_GRIDS = r"^(utm|scene|EPSG:\d{4,6})$"


class ModalityRequest(BaseModel):
    """Imagery of one modality."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, description="Name, such as S2L2A.")
    collection: str = Field(min_length=1, description="Collection of its scenes.")
    asset: str | None = Field(default=None, description="Asset to read; None for all with the role data.")
    bands: list[str] | None = Field(default=None, description="Bands in order; None for all.")
    filter: dict[str, Any] | None = Field(default=None, description="CQL2 JSON that the scenes meet.")
    ids: list[str] | None = Field(default=None, description="Ids of the scenes.")
    nodata: float | None = Field(default=None, description="Value of pixels without data in the chips.")
    resampling: Resampling = Field(default=Resampling.AUTO, description="How pixels of another grid are taken.")
    static: bool = Field(default=False, description="Holds at all times, such as a terrain model.")
    composite: Composite | None = Field(default=None, description="All dates near the wanted one become one image.")
    mask: MaskKind | None = Field(default=None, description="What the mask asset holds.")
    mask_asset: str | None = Field(default=None, description="Asset that says what is clouded.")
    mask_names: list[str] = Field(default_factory=list, description="What is masked, such as cloud, cloud_shadow.")
    mask_strategy: Strategy = Field(default=Strategy.EACH, description="In its own date, or in all.")

    @model_validator(mode="after")
    def _mask_is_whole(self) -> "ModalityRequest":
        if (self.mask is None) != (self.mask_asset is None):
            raise ValueError(f"{self.name}: a mask needs both its kind `mask` and its asset `mask_asset`")
        try:
            self.pixel_mask()
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self

    def files(self) -> SceneFiles:
        """Return which files of an item are read."""
        return SceneFiles(self.asset, tuple(self.bands) if self.bands else None, self.mask_asset)

    def pixel_mask(self) -> PixelMask | None:
        """Return which pixels are taken away."""
        return None if self.mask is None else PixelMask(self.mask, tuple(self.mask_names), self.mask_strategy)

    def query(self, request: "ChipRequest") -> dict[str, Any]:
        """Return the search that finds its scenes."""
        query: dict[str, Any] = {"collections": [self.collection]}
        if self.filter:
            query["filter"] = self.filter
        if self.ids:
            query["ids"] = self.ids
        if request.bbox:
            query["bbox"] = request.bbox
        return query


class ChipRequest(BaseModel):
    """Which dataset to make, and how."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="Name of the dataset: a-z, 0-9, '_' and '-'.")
    imagery: list[ModalityRequest] = Field(min_length=1, description="Modalities; the first is the reference.")
    labels: str | None = Field(default=None, description="Pattern of label files, relative to the inbox.")
    labels_collection: str | None = Field(default=None, description="Collection of label items.")
    task: Task = Field(default=Task.SEGMENTATION, description="What the dataset teaches.")
    grid: str = Field(default="utm", pattern=_GRIDS, description="utm, scene, or EPSG:<code>.")
    resolution: float = Field(default=10.0, gt=0, description="Side of a pixel, in the unit of the grid.")
    chip_size: int = Field(default=256, ge=16, le=4096, multiple_of=16, description="Rows and columns of a chip.")
    bbox: tuple[float, float, float, float] | None = Field(default=None, description="West, south, east, north.")
    whole_box: bool = Field(default=False, description="Chips everywhere in the box, labelled or not.")
    datetime: str | None = Field(default=None, description="Date of labels that have none.")
    dates: int = Field(default=1, ge=1, le=100, description="Dates of a chip.")
    step_days: float = Field(default=30, gt=0, description="Days from one date to the next earlier one.")
    tolerance_days: float = Field(default=5, ge=0, description="Days an acquisition may be from a wanted date.")
    tolerance_minutes: float = Field(default=0, ge=0, description="Minutes more.")
    choice: Choice = Field(default=Choice.CLOUD, description="Few clouds first, or the nearest in time.")
    classes: list[ClassDefinition] | None = Field(default=None, description="Classes; None to take those found.")
    background: str | None = Field(default=None, description="Class of what lies outside of all polygons.")
    label_field: str | None = Field(default=None, description="Field of vector files with the label.")
    time_field: str | None = Field(default=None, description="Field of vector files with the time.")
    all_touched: bool = Field(default=False, description="Polygons take every pixel that they touch.")
    overlaps: Overlaps = Field(default=Overlaps.UNLABEL, description="Which label disputed pixels get.")
    invalid: Invalid = Field(default=Invalid.REFUSE, description="What is done with self-crossing polygons.")
    point_radius: int = Field(default=0, ge=0, le=512, description="Pixels around a point that take its label.")
    least_share: float = Field(default=0, ge=0, le=1, description="Share from which a class is a label of the chip.")
    max_nodata: float = Field(default=1, ge=0, le=1, description="Largest share of pixels without data.")
    min_labelled: float = Field(default=0, ge=0, le=1, description="Smallest share of labelled pixels.")
    buffer: dict[str, int] = Field(default_factory=dict, description="Class → pixels by which labels are spread.")
    limit: dict[str, int] = Field(default_factory=dict, description="Class → most labelled pixels in a chip.")
    mask_labels: bool = Field(default=False, description="No label where the imagery has no data.")
    license: str = Field(default="other", min_length=1, description="SPDX license of the data, or `other`.")
    engine: Engine = Field(default=Engine.PROCESSES, description="serial, processes, or ray.")
    workers: int | None = Field(default=None, ge=1, description="Processes; None for one for each core.")

    @model_validator(mode="after")
    def _fits(self) -> "ChipRequest":
        if (self.labels is None) == (self.labels_collection is None):
            raise ValueError("give labels as files (`labels`) or as items (`labels_collection`), one of both")
        if self.whole_box and self.bbox is None:
            raise ValueError("whole_box needs a bbox")
        if self.background is not None and self.task is Task.REGRESSION:
            raise ValueError("regression has no background class")
        names = [modality.name.lower() for modality in self.imagery]
        if len(set(names)) < len(names):
            raise ValueError("two modalities have the same name")
        return self

    @property
    def jobs(self) -> int:
        """Return into how many jobs the work is divided, at least."""
        return 1 if self.engine is Engine.SERIAL else 4 * (self.workers or os.cpu_count() or 1)

    def grid_recipe(self) -> GridRecipe:
        """Return the global grids."""
        return GridRecipe(self.resolution, self.chip_size, self.grid if self.grid.startswith("EPSG:") else None)

    def date_recipe(self) -> DateRecipe:
        """Return which dates a chip shows."""
        tolerance = timedelta(days=self.tolerance_days, minutes=self.tolerance_minutes)
        return DateRecipe(self.dates, timedelta(days=self.step_days), tolerance, self.choice)

    def label_recipe(self) -> LabelRecipe:
        """Return how labels are read."""
        return LabelRecipe(
            self.task, self.classes, self.background, self.label_field, self.time_field, self.invalid, self.overlaps
        )

    def target(self, classes: Sequence[ClassDefinition]) -> TargetRecipe:
        """Return what the label of a chip is."""
        return TargetRecipe(
            self.task,
            tuple(classes),
            self.all_touched,
            self.overlaps,
            _values({self.background: 0}, classes).popitem()[0] if self.background else None,
            self.point_radius,
            self.least_share,
        )

    def cleaning(self, classes: Sequence[ClassDefinition]) -> Cleaning:
        """Return how chips are cleaned."""
        return Cleaning(
            self.max_nodata,
            self.min_labelled,
            _values(self.buffer, classes),
            _values(self.limit, classes),
            self.mask_labels,
        )


def _values(by_name: dict[str, int], classes: Sequence[ClassDefinition]) -> dict[int, int]:
    """Return numbers by class value instead of class name."""
    known = {entry.name: entry.value for entry in classes}
    wrong = [name for name in by_name if name not in known]
    if wrong:
        raise InvalidInput(f"class {', '.join(wrong)} is unknown; the classes are {', '.join(known)}")
    return {known[name]: number for name, number in by_name.items()}
