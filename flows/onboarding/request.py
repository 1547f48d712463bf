"""What a user may ask of onboarding."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import parse_period
from terralab.datasets.onboarding.choices import Choices
from terralab.datasets.onboarding.samples import SOLE
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition

TaskName = Literal["segmentation", "regression", "classification", "multilabel", "detection"]
FormName = Literal[
    "folder", "terratorch", "eotdl", "geostudio", "stac", "stac-geoparquet", "hugging-face", "coco", "labels"
]
Overlaps = Literal["refuse", "first", "last"]


class OnboardRequest(BaseModel):
    """What to onboard, and how: a `source` in any form, or patterns of `images` and `labels`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="Name of the dataset: a-z, 0-9, '_' and '-'.")
    images: str | None = Field(default=None, description="Pattern of the images, in the inbox or in a source folder.")
    labels: str | None = Field(
        default=None,
        description="Pattern of the labels; with a source, relative to it, or the name of their folder or suffix.",
    )
    source: str | None = Field(default=None, description="Folder, archive or file, in the inbox or in a source folder.")
    form: FormName | None = Field(default=None, description="Form of the source; None to find it.")
    data: str | None = Field(default=None, description="Folder or archive with the files that the source describes.")
    modalities: dict[str, str] = Field(
        default_factory=dict,
        description="Modality → pattern of its images, relative to the source; empty to find them.",
    )
    task: TaskName | None = Field(default=None, description="What the dataset teaches; None to find it.")
    background: str | None = Field(
        default=None, min_length=1, description="Class of pixels outside all outlines; None for no label."
    )
    class_field: str | None = Field(default=None, description="Field of outlines with the class; None to find it.")
    overlaps: Overlaps = Field(default="refuse", description="Which of two overlapping outlines wins.")
    all_touched: bool = Field(default=False, description="Whether an outline takes every pixel that it touches.")
    repair: bool = Field(default=False, description="Whether self-crossing outlines are made valid.")
    chip_size: int = Field(
        default=128, ge=16, le=4096, multiple_of=16, description="Rows and columns of a chip, pixels."
    )
    classes: list[ClassDefinition] | None = Field(default=None, description="Classes; None to take the values found.")
    datetime: str | None = Field(
        default=None, description="Acquisition of all images: a day, a time, or a range with '/'."
    )
    bands: list[str] | dict[str, list[str]] | None = Field(
        default=None, description="Band names in order, or those of each modality; None to take the files' own."
    )
    license: str = Field(default="other", min_length=1, description="SPDX license of the data, or `other`.")
    platform: str | None = Field(default=None, min_length=1, description="Satellite, such as `sentinel-2a`.")

    @field_validator("datetime")
    @classmethod
    def _is_period(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_period(value)
            except InvalidInput as error:
                raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _one_way(self) -> "OnboardRequest":
        if self.source is None and not (self.images and self.labels):
            raise ValueError("give a source, or patterns of images and labels")
        if self.source is None and isinstance(self.bands, dict):
            raise ValueError("bands: images by a pattern are of one modality; give one list of names")
        if self.source is not None and self.images is not None:
            raise ValueError("with a source, name the patterns of its images by modality, not by --images")
        return self

    def choices(self) -> Choices:
        """Return what the user says of the dataset."""
        by_modality = self.bands if isinstance(self.bands, dict) else {SOLE: self.bands} if self.bands else {}
        bands = {name: tuple(names) for name, names in by_modality.items()}
        return Choices(
            bands=bands,
            classes=tuple(self.classes) if self.classes else None,
            period=parse_period(self.datetime) if self.datetime else None,
            background=self.background,
            class_field=self.class_field,
            overlaps=self.overlaps,
            all_touched=self.all_touched,
            repair=self.repair,
        )

    def wanted_task(self) -> Task | None:
        """Return the task, None to find it."""
        return Task(self.task) if self.task else None
