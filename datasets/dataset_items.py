"""A dataset that was cut, as STAC: items of scenes, labels and chips, and their three collections."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from terralab.datasets.chips import Chip, ChipRecipe
from terralab.datasets.scenes import StoredScene
from terralab.datasets.source_files import SourceFiles
from terralab.datasets.statistics import BandSums, class_shares, class_weights, pooled_bands, total_counts
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.imagery import IMAGE_ASSET, imagery_collection, scene_item
from terralab.extensions.item import Footprint
from terralab.extensions.lab import CLASS_COUNTS_PROP, DATASET_PROP, PARAMS_PROP
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.raster import BandRecord


@dataclass(frozen=True)
class CutScene:
    """A stored scene with its chips; `left_out` windows had no valid pixel."""

    scene: StoredScene
    chips: list[Chip]
    left_out: int

    @property
    def class_counts(self) -> dict[str, int]:
        """Return labelled pixels by class name, over the chips."""
        return total_counts(chip.class_counts for chip in self.chips)


@dataclass(frozen=True)
class DatasetItems:
    """Everything that is published of a new dataset.

    Attributes:
        name: the dataset's name.
        recipe: what its chips have in common.
        cut: scenes with their chips, at least one chip in all.
        sources: the files it was made of.
        run_link: link to the run that made it.
        license: SPDX license, or `other`.
        platform: satellite, where it is known.
        params: `lab:params` of the chips collection.
    """

    name: str
    recipe: ChipRecipe
    cut: Sequence[CutScene]
    sources: SourceFiles
    run_link: dict[str, Any]
    license: str = "other"
    platform: str | None = None
    params: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def chips(self) -> list[Chip]:
        """Return the chips of all scenes."""
        return [chip for part in self.cut for chip in part.chips]

    @cached_property
    def class_counts(self) -> dict[str, int]:
        """Return labelled pixels by class name over all chips."""
        return total_counts(part.class_counts for part in self.cut)

    @cached_property
    def bands(self) -> list[BandRecord]:
        """Return the bands with statistics over all chips."""
        return self._records(self.chips)

    @cached_property
    def scene_items(self) -> list[dict[str, Any]]:
        """Return one item per scene."""
        return [self._scene_item(part) for part in self.cut]

    @cached_property
    def label_items(self) -> list[dict[str, Any]]:
        """Return one item per label."""
        return [self._label_item(part, scene) for part, scene in zip(self.cut, self.scene_items, strict=True)]

    @cached_property
    def chip_items(self) -> list[dict[str, Any]]:
        """Return one item per chip."""
        return [
            self._chip_item(part, chip, scene, label)
            for part, scene, label in zip(self.cut, self.scene_items, self.label_items, strict=True)
            for chip in part.chips
        ]

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return all items."""
        return [*self.scene_items, *self.label_items, *self.chip_items]

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections `<name>-scenes`, `<name>-labels` and `<name>-v1`."""
        footprint = Footprint.union(Footprint.of_item(item) for item in (*self.scene_items, *self.chip_items))
        scenes = imagery_collection(
            id=f"{self.name}-scenes",
            title=f"{self.name}: scenes",
            description=f"Source scenes of the dataset `{self.name}`.",
            footprint=footprint,
            bands=self.bands,
        )
        labels = labels_collection(
            id=f"{self.name}-labels",
            title=f"{self.name}: labels",
            description=f"Labels of the scenes of the dataset `{self.name}`.",
            footprint=footprint,
            classes=self.recipe.classes,
        )
        return [
            {**scenes, "license": self.license},
            {**labels, "license": self.license},
            self._chips_collection(footprint),
        ]

    def band_rows(self) -> list[dict[str, Any]]:
        """Return a table of the bands' statistics."""
        return [{"band": band.name, **(band.statistics.to_stac() if band.statistics else {})} for band in self.bands]

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a table of the classes' pixels, shares and weights."""
        shares, weights = class_shares(self.class_counts), class_weights(self.class_counts)
        return [
            {"class": name, "pixels": count, "share": round(shares[name], 4), "weight": round(weights[name], 4)}
            for name, count in self.class_counts.items()
        ]

    def _records(self, chips: Sequence[Chip]) -> list[BandRecord]:
        sums: Sequence[BandSums] = pooled_bands(chip.bands for chip in chips)
        return [
            BandRecord(name, self.recipe.data_type, self.recipe.nodata, band.statistics())
            for name, band in zip(self.recipe.bands, sums, strict=True)
        ]

    def _scene_item(self, part: CutScene) -> dict[str, Any]:
        scene, recipe = part.scene, self.recipe
        records = self._records(part.chips) if part.chips else []
        bands = [BandRecord(band.name, band.data_type, recipe.source_nodata, band.statistics) for band in records] or [
            BandRecord(name, recipe.data_type, recipe.source_nodata) for name in recipe.bands
        ]
        known = {"platform": self.platform, PARAMS_PROP: self._source(scene.pair.image.path)}
        return scene_item(
            id=scene.pair.id,
            collection_id=f"{self.name}-scenes",
            footprint=scene.footprint,
            grid=scene.pair.image.grid,
            image=scene.image,
            bands=bands,
            thumbnail=scene.thumbnail,
            properties={key: value for key, value in known.items() if value is not None},
            links=[self.run_link],
        )

    def _label_item(self, part: CutScene, scene: dict[str, Any]) -> dict[str, Any]:
        pair = part.scene.pair
        item = label_item(
            id=pair.id,
            collection_id=f"{self.name}-labels",
            footprint=pair.image.grid.footprint(pair.start, pair.end),
            grid=pair.image.grid,
            raster=part.scene.mask,
            classes=self.recipe.classes,
            class_counts=part.class_counts,
            scene=scene,
            scene_asset=IMAGE_ASSET,
            description=f"Label of {pair.image.name}",
            links=[self.run_link],
        )
        item["properties"][PARAMS_PROP] = self._source(pair.label.path)
        return item

    def _chip_item(self, part: CutScene, chip: Chip, scene: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
        pair = part.scene.pair
        return chip_item(
            id=chip.id,
            collection_id=f"{self.name}-v1",
            dataset=self.name,
            footprint=chip.grid.footprint(pair.start, pair.end),
            grid=chip.grid,
            features=[Feature(IMAGE_ASSET, chip.image, chip.band_records(self.recipe))],
            target=Target.mask(chip.mask, self.recipe.classes, chip.class_counts),
            valid_share=chip.valid_share,
            scenes=[scene],
            label=label,
            window=(chip.window.row, chip.window.column),
            links=[self.run_link],
        )

    def _chips_collection(self, footprint: Footprint) -> dict[str, Any]:
        codes = sorted({part.scene.pair.image.grid.crs for part in self.cut})
        return chips_collection(
            id=f"{self.name}-v1",
            dataset=self.name,
            description=(
                f"Chips of {self.recipe.size} × {self.recipe.size} pixels with masks, cut from"
                f" {len(self.cut)} scenes on their own pixel grids."
            ),
            footprint=footprint,
            features=[Feature(IMAGE_ASSET, None, self.bands)],
            target=Target(Task.SEGMENTATION, classes=self.recipe.classes),
            summaries={"proj:code": [code for code in codes if code.startswith("EPSG:")]},
            fields={
                DATASET_PROP: self.name,
                CLASS_COUNTS_PROP: self.class_counts,
                PARAMS_PROP: self.params,
                "license": self.license,
                "links": [self.run_link],
            },
        )

    def _source(self, path: Any) -> dict[str, Any]:
        return {"source": self.sources.describe(path)}
