"""An onboarded dataset as STAC: items of scenes, labels and chips, and their collections."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from terralab.datasets.onboarding.cut_samples import CutChip, CutSample
from terralab.datasets.onboarding.plan import DatasetPlan, FeaturePlan
from terralab.datasets.statistics import BandSums, class_shares, class_weights, pooled_bands, total_counts
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.imagery import IMAGE_ASSET, imagery_collection, scene_item
from terralab.extensions.item import Footprint
from terralab.extensions.lab import CLASS_COUNTS_PROP, DATASET_PROP, PARAMS_PROP
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.raster import BandRecord

_NAN = float("nan")
_OF_TASK = {
    Task.SEGMENTATION: "masks",
    Task.REGRESSION: "numbers",
    Task.CLASSIFICATION: "a class each",
    Task.MULTILABEL: "classes",
    Task.DETECTION: "boxes",
}


@dataclass(frozen=True)
class PublishedDataset:
    """Everything that is published of a new dataset.

    Attributes:
        name: the dataset's name.
        plan: what it is.
        size: rows and columns of a chip.
        cut: samples with their chips, at least one chip in all.
        sha256: hex digest of the source files.
        run_link: link to the run that made it.
        license: SPDX license, or `other`.
        platform: satellite, where it is known.
        params: `lab:params` of the chips collection.
    """

    name: str
    plan: DatasetPlan
    size: int
    cut: Sequence[CutSample]
    sha256: dict[Path, str]
    run_link: dict[str, Any]
    license: str = "other"
    platform: str | None = None
    params: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def chips(self) -> list[CutChip]:
        """Return the chips of all samples."""
        return [chip for part in self.cut for chip in part.chips]

    @cached_property
    def class_counts(self) -> dict[str, int]:
        """Return pixels, labels or boxes by class name over all chips."""
        return total_counts(part.class_counts for part in self.cut)

    @cached_property
    def bands(self) -> list[list[BandRecord]]:
        """Return the bands of each feature with statistics over all chips."""
        return [self._records(place, self.chips) for place in range(len(self.plan.features))]

    @cached_property
    def scene_items(self) -> list[list[dict[str, Any]]]:
        """Return the items of each sample's images, in the order of the features."""
        return [[self._scene_item(part, place) for place in range(len(self.plan.features))] for part in self.cut]

    @cached_property
    def label_items(self) -> list[dict[str, Any]]:
        """Return one item per sample."""
        return [self._label_item(part, scenes[0]) for part, scenes in zip(self.cut, self.scene_items, strict=True)]

    @cached_property
    def chip_items(self) -> list[dict[str, Any]]:
        """Return one item per chip."""
        return [
            self._chip_item(part, chip, scenes, label)
            for part, scenes, label in zip(self.cut, self.scene_items, self.label_items, strict=True)
            for chip in part.chips
        ]

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return all items."""
        return [*(item for scenes in self.scene_items for item in scenes), *self.label_items, *self.chip_items]

    @property
    def produced(self) -> list[tuple[str, str]]:
        """Return scenes and labels, which the run item links; chips are reached through their collection."""
        return [
            (item["collection"], item["id"]) for item in (*(i for s in self.scene_items for i in s), *self.label_items)
        ]

    def given_split(self) -> dict[str, str]:
        """Return the chips' splits as the source gives them to their samples; empty where it gives none."""
        return {chip.id: part.sample.plan.split for part in self.cut for chip in part.chips if part.sample.plan.split}

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections of scenes (one for each modality), `<name>-labels` and `<name>-v1`."""
        footprint = Footprint.union(Footprint.of_item(item) for item in self.items)
        labels = labels_collection(
            id=f"{self.name}-labels",
            title=f"{self.name}: labels",
            description=f"Labels of the scenes of the dataset `{self.name}`.",
            footprint=footprint,
            classes=self.plan.classes,
            task=self.plan.task,
        )
        scenes = [self._scenes_collection(place, footprint) for place in range(len(self.plan.features))]
        return [*({**entry, "license": self.license} for entry in (*scenes, labels)), self._chips_collection(footprint)]

    def band_rows(self) -> list[dict[str, Any]]:
        """Return a table of the bands' statistics."""
        return [
            {"band": band.name if feature.modality is None else f"{feature.modality} {band.name}",
             **(band.statistics.to_stac() if band.statistics else {})}
            for feature, bands in zip(self.plan.features, self.bands, strict=True)
            for band in bands
        ]  # fmt: skip

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a table of the classes: how many, which share, which weight."""
        shares, weights = class_shares(self.class_counts), class_weights(self.class_counts)
        what = "pixels" if self.plan.task is Task.SEGMENTATION else "count"
        return [
            {"class": name, what: count, "share": round(shares[name], 4), "weight": round(weights[name], 4)}
            for name, count in self.class_counts.items()
        ]

    def scenes_id(self, feature: FeaturePlan) -> str:
        """Return the collection of a modality's scenes."""
        return f"{self.name}-scenes" if feature.modality is None else f"{self.name}-scenes-{feature.key}"

    def _records(self, place: int, chips: Sequence[CutChip]) -> list[BandRecord]:
        feature = self.plan.features[place]
        if not chips:
            return feature.records(feature.nodata)
        sums: Sequence[BandSums] = pooled_bands(chip.sums[place] for chip in chips)
        return [
            BandRecord(name, feature.data_type, feature.nodata, band.statistics())
            for name, band in zip(feature.bands, sums, strict=True)
        ]

    def _scenes_collection(self, place: int, footprint: Footprint) -> dict[str, Any]:
        feature = self.plan.features[place]
        return imagery_collection(
            id=self.scenes_id(feature),
            title=f"{self.name}: {f'{feature.modality} ' if feature.modality else ''}scenes",
            description=f"Source scenes of the dataset `{self.name}`.",
            footprint=footprint,
            bands=self.bands[place],
        )

    def _scene_item(self, part: CutSample, place: int) -> dict[str, Any]:
        feature, image = self.plan.features[place], part.sample.images[place]
        bands = [
            BandRecord(band.name, band.data_type, feature.source_nodata, band.statistics)
            for band in self._records(place, part.chips)
        ]
        known = {"platform": self.platform, PARAMS_PROP: self._source(part.sample.plan.images[place].path)}
        return scene_item(
            id=part.sample.plan.id,
            collection_id=self.scenes_id(feature),
            footprint=image.footprint,
            grid=part.sample.grid,
            image=image.file,
            bands=bands,
            thumbnail=image.thumbnail,
            properties={key: value for key, value in known.items() if value is not None},
            links=[self.run_link],
        )

    def _label_item(self, part: CutSample, scene: dict[str, Any]) -> dict[str, Any]:
        sample, task = part.sample.plan, self.plan.task
        is_raster = task in (Task.SEGMENTATION, Task.REGRESSION)
        paths = sample.label_paths
        item = label_item(
            id=sample.id,
            collection_id=f"{self.name}-labels",
            footprint=sample.footprint,
            grid=part.sample.grid,
            raster=part.sample.label if is_raster else None,
            vector=None if is_raster else part.sample.label,
            classes=self.plan.classes,
            class_counts=None if task is Task.REGRESSION else part.class_counts,
            scene=scene,
            scene_asset=IMAGE_ASSET,
            description=f"Label of {sample.images[0].name}",
            links=[self.run_link],
            task=task,
            band=self._target_band(part.chips) if task is Task.REGRESSION else None,
        )
        if paths:
            sources = [self._described(path) for path in paths]
            item["properties"][PARAMS_PROP] = {"source": sources[0]} if len(sources) == 1 else {"sources": sources}
        return item

    def _target_band(self, chips: Sequence[CutChip]) -> BandRecord:
        sums = BandSums.pooled(chip.target_sums for chip in chips if chip.target_sums)
        return BandRecord("target", "float32", _NAN, sums.statistics())

    def _chip_item(
        self, part: CutSample, chip: CutChip, scenes: Sequence[dict[str, Any]], label: dict[str, Any]
    ) -> dict[str, Any]:
        sample = part.sample.plan
        return chip_item(
            id=chip.id,
            collection_id=f"{self.name}-v1",
            dataset=self.name,
            footprint=chip.grid.footprint(sample.start, sample.end),
            grid=chip.grid,
            features=chip.features,
            target=chip.target,
            valid_share=chip.valid_share,
            scenes=scenes,
            label=label,
            window=(chip.window.row, chip.window.column),
            split_group=sample.group,
            links=[self.run_link],
        )

    def _chips_collection(self, footprint: Footprint) -> dict[str, Any]:
        codes = sorted({part.sample.grid.crs for part in self.cut})
        about = self.plan.about
        text = (
            f"Chips of {self.size} × {self.size} pixels with {_OF_TASK[self.plan.task]}, cut from"
            f" {len(self.cut)} scenes on their own pixel grids."
        )
        counts = {} if self.plan.task is Task.REGRESSION else {CLASS_COUNTS_PROP: self.class_counts}
        return chips_collection(
            id=f"{self.name}-v1",
            dataset=self.name,
            description=f"{text}\n\n{about.description}" if about.description else text,
            footprint=footprint,
            features=[
                Feature(feature.key, None, bands, feature.modality)
                for feature, bands in zip(self.plan.features, self.bands, strict=True)
            ],
            target=Target(
                self.plan.task,
                classes=self.plan.classes,
                band=self._target_band(self.chips) if self.plan.task is Task.REGRESSION else None,
            ),
            summaries={"proj:code": [code for code in codes if code.startswith("EPSG:")]},
            fields={
                DATASET_PROP: self.name,
                **counts,
                PARAMS_PROP: self.params,
                "license": self.license,
                "links": [self.run_link],
            },
        )

    def _source(self, path: Path) -> dict[str, Any]:
        return {"source": self._described(path)}

    def _described(self, path: Path) -> dict[str, str]:
        return {"file": path.name, "sha256": self.sha256[path]}
