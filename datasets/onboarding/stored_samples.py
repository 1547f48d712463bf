"""Storing samples: images and labels as COGs, objects and whole-scene classes as GeoJSON."""

from dataclasses import dataclass
from pathlib import Path

import rasterio

from terralab.catalog.store import Store
from terralab.datasets.cog import cog_writer
from terralab.datasets.onboarding.box_labels import boxes_geojson, outline_geojson
from terralab.datasets.onboarding.label_pixels import mask_strips, number_strips
from terralab.datasets.onboarding.plan import BoxesPlan, DatasetPlan, FeaturePlan, NamesPlan, NumbersPlan, SamplePlan
from terralab.datasets.raster_file import RASTER_OPTIONS, RasterFacts
from terralab.datasets.scenes import data_footprint, image_cog, rows_window, thumbnail_png
from terralab.extensions.item import Footprint, StoredFile
from terralab.extensions.raster import MASK_NODATA, Grid


@dataclass(frozen=True)
class StoredImage:
    """One image of a sample.

    Attributes:
        file: COG with the bands that are taken.
        thumbnail: PNG of at most 256 pixels.
        footprint: ground outline of the pixels with data, and the time of this image.
    """

    file: StoredFile
    thumbnail: StoredFile
    footprint: Footprint


@dataclass(frozen=True)
class StoredSample:
    """A sample's bytes in the store.

    Attributes:
        plan: what it was made from.
        images: in the order of the features.
        label: COG of class values or numbers; GeoJSON where the label is no raster.
    """

    plan: SamplePlan
    images: tuple[StoredImage, ...]
    label: StoredFile

    @property
    def grid(self) -> Grid:
        """Return the grid of all images and of the label."""
        return self.plan.images[0].grid


def store_sample(store: Store, plan: DatasetPlan, sample: SamplePlan) -> StoredSample:
    """Re-encode the images and the label of a sample, and store them.

    Raises:
        InvalidRaster: a file became unreadable.
        OutOfSpace: the disk is full.
    """
    images = tuple(
        _store_image(store, feature, sample, facts, place)
        for place, (feature, facts) in enumerate(zip(plan.features, sample.images, strict=True))
    )
    return StoredSample(sample, images, _store_label(store, sample))


def _store_image(store: Store, feature: FeaturePlan, sample: SamplePlan, facts: RasterFacts, place: int) -> StoredImage:
    # The first image's grid: the others agree with it within a thousandth of a pixel, and now to the last digit.
    grid = sample.images[0].grid
    name = sample.id if feature.modality is None else f"{sample.id}_{feature.key}"
    with store.scratch() as folder:
        file = store.put(image_cog(folder / f"{name}.tif", facts, feature.bands, feature.select, grid))
    start, end = sample.periods[place]
    with rasterio.Env(**RASTER_OPTIONS), rasterio.open(store.open_path(file.href), driver="GTiff") as dataset:
        thumbnail = store.put_bytes(thumbnail_png(dataset, feature.bands, feature.source_nodata), f"{name}.png")
        footprint = data_footprint(dataset, feature.source_nodata, grid.footprint(start, end))
    return StoredImage(file, thumbnail, footprint)


def _store_label(store: Store, sample: SamplePlan) -> StoredFile:
    label, grid = sample.label, sample.images[0].grid
    if isinstance(label, NamesPlan):
        return store.put_bytes(outline_geojson(sample.footprint, label.names), f"{sample.id}_label.geojson")
    if isinstance(label, BoxesPlan):
        return store.put_bytes(boxes_geojson(label.boxes, grid), f"{sample.id}_label.geojson")
    with store.scratch() as folder:
        return store.put(_label_cog(folder / f"{sample.id}_label.tif", sample))


def _label_cog(target: Path, sample: SamplePlan) -> Path:
    label, grid = sample.label, sample.images[0].grid
    assert not isinstance(label, NamesPlan | BoxesPlan)  # those are no rasters
    numbers = isinstance(label, NumbersPlan)
    writer = cog_writer(
        target,
        count=1,
        data_type="float32" if numbers else "uint8",
        grid=grid,
        nodata=float("nan") if numbers else MASK_NODATA,
        names=["label"],
        labels=not numbers,
    )
    with writer as cog:
        for row, pixels in number_strips(label) if isinstance(label, NumbersPlan) else mask_strips(label, grid):
            cog.write(pixels, window=rows_window(row, pixels))
    return target
