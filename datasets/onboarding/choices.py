"""What a user may say about a dataset that its files do not say, or say wrongly."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from terralab.extensions.raster import ClassDefinition

Overlaps = Literal["refuse", "first", "last"]


@dataclass(frozen=True)
class Choices:
    """Everything that may be chosen.

    Attributes:
        bands: band names by modality, in order.
        classes: the classes; None to take those of the source, else those found.
        period: acquisition time of all images; None to take it from the source, the files or their names.
        background: name of the class of pixels outside all outlines (value 0); None for no label.
        class_field: field of outlines with the class; None to take the usual names.
        overlaps: which of two overlapping outlines of different classes wins.
        all_touched: whether an outline takes every pixel that it touches.
        repair: whether self-crossing outlines are made valid instead of refused.
    """

    bands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    classes: tuple[ClassDefinition, ...] | None = None
    period: tuple[datetime, datetime] | None = None
    background: str | None = None
    class_field: str | None = None
    overlaps: Overlaps = "refuse"
    all_touched: bool = False
    repair: bool = False
