"""What the measures need to know of one chip, without its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terralab.datasets.quality.ranges import Range
from terralab.extensions.chips import ChipRecord, Feature
from terralab.extensions.item import StoredFile, format_time
from terralab.extensions.raster import Grid

_REFERENCE = "ml-aoi:reference-grid"


@dataclass(frozen=True)
class FeatureSource:
    """One feature of a chip.

    Attributes:
        key: of its asset.
        href: of its file.
        bands: names of the bands of one date.
        dates: how many dates the file holds, one after the other.
        nodata: value of pixels without data, if there is one.
        ranges: of each band's histogram; None where nothing is known of its values.
    """

    key: str
    href: str
    bands: tuple[str, ...]
    dates: int
    nodata: float | None
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class ChipSource:
    """One chip.

    Attributes:
        id: item id.
        features: what a network looks at, the reference first.
        mask: reference to its mask, None where the task has none.
        values: values that pixels of the mask may have, in the order of `classes`.
        classes: names of the classes.
        labels: labels of the chip as a whole.
        grid: where its pixels lie.
        bounds: west, south, east, north in degrees.
        moment: time in the middle of its dates.
        split: it is in, None for none.
        group: that no split divides: the split's, else the scene.
        scene: `collection/id` of what the first feature was cut from.
        platform: of the satellite, where the item says it.
        counts: labelled pixels, labels or boxes by class name.
        checksums: of all its files, which say whether it was changed.
    """

    id: str
    features: tuple[FeatureSource, ...]
    mask: str | None
    values: tuple[int, ...]
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    grid: Grid
    bounds: tuple[float, float, float, float]
    moment: datetime
    split: str | None
    group: str
    scene: str
    platform: str | None
    counts: Mapping[str, int]
    checksums: tuple[str, ...]

    @classmethod
    def of_item(cls, item: Mapping[str, Any], ranges: Mapping[str, tuple[Range, ...]]) -> "ChipSource":
        """Read a chip item.

        Args:
            item: the chip.
            ranges: of the bands' values over all chips, by the key of their feature.

        Raises:
            InvalidRecord: it is no chip, or lacks a field.
        """
        chip = ChipRecord.of_item(item)
        target = chip.target
        features = sorted(chip.features, key=lambda feature: not _is_reference(item, feature))
        west, south, east, north = (float(number) for number in chip.footprint.geometry.bounds)
        start, end = chip.footprint.start, chip.footprint.end
        files: list[StoredFile] = [feature.file for feature in features if feature.file is not None]
        return cls(
            id=chip.id,
            features=tuple(_feature(feature, ranges.get(feature.key, ())) for feature in features),
            mask=target.file.href if target.file is not None and target.key == "mask" else None,
            values=tuple(entry.value for entry in target.classes),
            classes=tuple(entry.name for entry in target.classes),
            labels=tuple(target.labels or ()),
            grid=chip.grid,
            bounds=(west, south, east, north),
            moment=start + (end - start) / 2,
            split=chip.split,
            group=chip.split_group or chip.scene.id,
            scene=f"{chip.scene.collection}/{chip.scene.id}",
            platform=item["properties"].get("platform"),
            counts=dict(chip.class_counts),
            checksums=tuple(file.checksum for file in [*files, *([target.file] if target.file else [])]),
        )

    @property
    def day(self) -> str:
        """Return the time as text, for tables."""
        return format_time(self.moment)[:10]


def _is_reference(item: Mapping[str, Any], feature: Feature) -> bool:
    """Say whether a feature is the first: the database does not keep the order of assets."""
    return bool(item["assets"][feature.key].get(_REFERENCE))


def _feature(feature: Feature, ranges: Sequence[Range]) -> FeatureSource:
    assert feature.file is not None  # items have their files
    dates = max(1, len(feature.times))
    per_date = len(feature.bands) // dates
    names = [band.name.rsplit("_t", 1)[0] if dates > 1 else band.name for band in feature.bands[:per_date]]
    return FeatureSource(
        feature.key,
        feature.file.href,
        tuple(names),
        dates,
        feature.bands[0].nodata,
        tuple(ranges[place] if place < len(ranges) else None for place in range(per_date)),
    )
