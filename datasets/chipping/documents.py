"""A made dataset as STAC: items of chips and labels, and their collections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from terralab.datasets.chipping.making import MadeChip
from terralab.datasets.chipping.plan import ChipPlan, FeatureRecipe, ItemKey, Recipe
from terralab.datasets.statistics import BandSums, pooled_bands, total_counts
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.item import Footprint, parse_time
from terralab.extensions.lab import CLASS_COUNTS_PROP, DATASET_PROP, PARAMS_PROP
from terralab.extensions.raster import BandRecord

_NAN = float("nan")


@dataclass(frozen=True)
class MadeDataset:
    """What is said of a dataset and its chips.

    Attributes:
        name: the dataset's name.
        recipe: what its chips have in common.
        run_link: link to the run that made it.
        license: SPDX license, or `other`.
        params: `lab:params` of the chips collection.
    """

    name: str
    recipe: Recipe
    run_link: dict[str, Any]
    license: str
    params: Mapping[str, Any]

    def chip(self, plan: ChipPlan, made: MadeChip) -> dict[str, Any]:
        """Return the item of a chip that was cut."""
        files = made.files or {}
        features = [
            Feature(part.key, files[part.key], _bands(part, sums), part.modality, _times(part, plan, number))
            for number, (part, sums) in enumerate(zip(self.recipe.features, made.sums, strict=True))
        ]
        return chip_item(
            id=plan.id,
            collection_id=f"{self.name}-v1",
            dataset=self.name,
            footprint=plan.grid.footprint(parse_time(plan.start), parse_time(plan.end)),
            grid=plan.grid,
            features=features,
            target=self._target(made),
            valid_share=made.valid_share,
            scenes=[_ref(scene) for scene in plan.scenes],
            label=_ref(plan.label),
            window=plan.window,
            params=dict(plan.params),
            links=[self.run_link],
        )

    def collection(self, chips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the chips collection, with statistics over all chips, of their items."""
        pixels = self.recipe.size**2
        features = []
        for part in self.recipe.features:
            sums = pooled_bands(
                [BandSums.of_stac(band.get("statistics"), pixels) for band in chip["assets"][part.key]["bands"]]
                for chip in chips
            )
            features.append(Feature(part.key, None, _bands(part, sums), part.modality))
        target = self.recipe.target
        counts = total_counts(chip["properties"].get(CLASS_COUNTS_PROP) or {} for chip in chips)
        codes = sorted({str(chip["properties"].get("proj:code")) for chip in chips})
        return chips_collection(
            id=f"{self.name}-v1",
            dataset=self.name,
            description=f"{len(chips)} chips, {self.recipe.size} × {self.recipe.size} pixels, for {target.task.value}.",
            footprint=Footprint.union(Footprint.of_item(chip) for chip in chips),
            features=features,
            target=Target(target.task, classes=target.classes, band=_number_band(None)),
            summaries={"proj:code": [code for code in codes if code.startswith("EPSG:")]},
            fields={
                DATASET_PROP: self.name,
                **({CLASS_COUNTS_PROP: counts} if target.classes else {}),
                PARAMS_PROP: dict(self.params),
                "license": self.license,
                "links": [self.run_link],
            },
        )

    def _target(self, made: MadeChip) -> Target:
        recipe = self.recipe.target
        keys = {feature.key for feature in self.recipe.features}
        file = next((file for key, file in (made.files or {}).items() if key not in keys), None)
        band = _number_band(made.target_sums) if recipe.task is Task.REGRESSION else None
        return Target(recipe.task, file, recipe.classes, made.counts, made.labels, band)


def _number_band(sums: BandSums | None) -> BandRecord:
    return BandRecord("target", "float32", _NAN, sums.statistics() if sums else None)


def _bands(recipe: FeatureRecipe, sums: Sequence[BandSums]) -> list[BandRecord]:
    whole = np.dtype(recipe.data_type).kind != "f"
    nodata = int(recipe.fill) if whole else recipe.fill
    return [
        BandRecord(name, recipe.data_type, nodata, band.statistics())
        for name, band in zip(recipe.file_bands, sums, strict=True)
    ]


def _times(recipe: FeatureRecipe, plan: ChipPlan, number: int) -> list[str]:
    return [date[0].time for date in plan.dates[number]] if recipe.dates > 1 else []


def _ref(key: ItemKey) -> dict[str, Any]:
    return {"collection": key.collection, "id": key.id}
