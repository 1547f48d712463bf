"""One prediction from end to end: a source through a network into stored files and a catalog item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rasterio

from terralab.catalog.errors import InvalidInput
from terralab.catalog.store import Store
from terralab.extensions.ids import derived_id, slug
from terralab.extensions.item import COG_TYPE, Footprint, asset
from terralab.extensions.lab import METRICS_PROP
from terralab.extensions.model import CONFIG_ASSET, WEIGHTS_ASSET, ModelInput
from terralab.extensions.prediction import prediction_item
from terralab.extensions.raster import MASK_NODATA, ClassDefinition
from terralab.flows.inference.engine import Network, predict_rows
from terralab.flows.inference.outputs import StoredPrediction, store_prediction
from terralab.flows.inference.source import Source, open_source
from terralab.flows.inference.windows import plan_windows
from terralab.flows.tuning.measures import metric_name

CONFIDENCE_ASSET = "confidence"
_LONGEST_STEM = 90
# GDAL's own default, a twentieth of the memory, would let the peak grow with the file; rasterio takes bytes here.
_BLOCK_CACHE_BYTES = 256 * 2**20
_SQUARE_METRES_PER_KM2 = 1e6


@dataclass(frozen=True)
class Recipe:
    """What all predictions of a run have in common.

    Attributes:
        model: the model's item.
        model_input: bands and scaling, from the item.
        classes: classes of the output channels, from the item.
        crop: rows and columns of a window, pixels.
        overlap: pixels that neighbouring windows share at least.
        confidence: whether a probability map is written.
        batch_size: windows that go through the network at once; it changes the speed only.
    """

    model: Mapping[str, Any]
    model_input: ModelInput
    classes: Sequence[ClassDefinition]
    crop: int
    overlap: int
    confidence: bool
    batch_size: int

    @property
    def collection(self) -> str:
        """Return the collection of the model's predictions."""
        return f"{slug(self.model['properties']['mlm:name'])}-predictions"

    @property
    def model_checksums(self) -> dict[str, str]:
        """Return the multihashes of weights and config."""
        assets = self.model["assets"]
        return {key: assets[key]["file:checksum"] for key in (WEIGHTS_ASSET, CONFIG_ASSET)}

    def params(self, source: Source) -> dict[str, Any]:
        """Return what determines the prediction besides the model's and the source's bytes."""
        return {
            "model": self.model["id"],
            "asset": source.asset,
            "bands": list(self.model_input.bands),
            "window": source.window,
            "crop": self.crop,
            "overlap": self.overlap,
            "probability": self.confidence,
        }

    def id_for(self, source: Source) -> str:
        """Return the id of the prediction from a source."""
        inputs = {**self.model_checksums, "source": source.checksum}
        return derived_id(str(source.item["id"])[:_LONGEST_STEM], inputs, self.params(source))


def predict_source(
    store: Store,
    recipe: Recipe,
    source: Source,
    network: Network,
    *,
    run_link: dict[str, Any],
    software: dict[str, str],
    on_rows: Callable[[int], None],
) -> dict[str, Any]:
    """Predict one source, store the files and return the prediction's item.

    Raises:
        InvalidInput: the source has no pixel with data.
        AssetCorrupt: the source's bytes are missing or damaged.
        OutOfSpace: the disk is full.
    """
    name = recipe.id_for(source)
    plan = plan_windows(source.grid.shape, recipe.crop, recipe.overlap)
    values = [entry.value for entry in recipe.classes]
    with rasterio.Env(GDAL_CACHEMAX=_BLOCK_CACHE_BYTES), open_source(store, source, recipe.model_input) as read:
        parts = predict_rows(read, network, plan, values, batch_size=recipe.batch_size, confidence=recipe.confidence)
        made = store_prediction(
            store, name, source.grid, recipe.classes, parts, confidence=recipe.confidence, on_rows=on_rows
        )
    if not any(made.pixels.values()):
        raise InvalidInput(f"{source.name} has no pixel with data in the window {source.window}; nothing to predict")
    return _item(recipe, source, made, name, run_link, software)


def area_metric(entry: ClassDefinition) -> str:
    """Return the key of a class's area in km², such as `km2_water`."""
    return f"km2_{metric_name(entry)}"


def _item(
    recipe: Recipe,
    source: Source,
    made: StoredPrediction,
    name: str,
    run_link: dict[str, Any],
    software: dict[str, str],
) -> dict[str, Any]:
    taken = Footprint.of_item(source.item)
    item = prediction_item(
        id=name,
        collection_id=recipe.collection,
        footprint=source.grid.footprint(taken.start, taken.end),
        grid=source.grid,
        raster=made.raster,
        classes=recipe.classes,
        class_counts=made.pixels,
        model=dict(recipe.model),
        sources=[dict(source.item)],
        params=recipe.params(source),
        software=software,
        processed=datetime.now(UTC),
        thumbnail=made.thumbnail,
        links=[run_link],
    )
    item["properties"][METRICS_PROP] = {
        area_metric(entry): made.square_metres[entry.name] / _SQUARE_METRES_PER_KM2 for entry in recipe.classes
    }
    if made.confidence is not None:
        item["assets"][CONFIDENCE_ASSET] = asset(
            made.confidence,
            COG_TYPE,
            ["data"],
            "Probability of the predicted class, percent",
            bands=[{"name": CONFIDENCE_ASSET, "data_type": "uint8", "nodata": MASK_NODATA, "unit": "%"}],
        )
    return item
