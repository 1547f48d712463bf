"""Fetched scenes as items: a COG with all bands on the scene's own grid, and where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import rasterio

from terralab.catalog.errors import AlreadyExists
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import cog_writer
from terralab.datasets.imagery.found import WantedScene
from terralab.datasets.imagery.modalities import Modality, imagery_table
from terralab.datasets.raster_file import RASTER_OPTIONS, valid_pixels
from terralab.datasets.scenes import data_footprint, thumbnail_png
from terralab.datasets.statistics import BandSums
from terralab.extensions.ids import digest, slug
from terralab.extensions.imagery import image_renders, imagery_collection, scene_item
from terralab.extensions.item import GEOJSON_TYPE, Footprint, StoredFile
from terralab.extensions.lab import PARAMS_PROP, VALID_SHARE_PROP, Kind
from terralab.extensions.raster import BandRecord
from terralab.flows.imagery.fetching import ScenePixels

_LONGEST_SLUG = 100
_SHARE_DIGITS = 6
# Bands that are shown as those of Sentinel-2, whose names true colour is known by.
_SEEN_AS = {"RED": "B04", "GREEN": "B03", "BLUE": "B02"}


def collection_id(modality: str, area: str) -> str:
    """Return the id of the collection of a modality over an area: `<sensor>-<level>-<area>`."""
    described = imagery_table().modality(modality)
    return f"{described.sensor}-{described.level}-{area}"


def scene_id(wanted: WantedScene) -> str:
    """Return the item id: the provider's, and what makes this window of it another than the next."""
    scene = wanted.scene
    made_of = [
        scene.connector,
        scene.collection,
        scene.id,
        scene.state,
        [round(number, 7) for number in wanted.place.box],
        [[band.name, band.key, band.index] for band in scene.bands],
    ]
    return f"{slug(scene.id)[:_LONGEST_SLUG]}-{digest(made_of)}"


def make_scene(
    workspace: Workspace, pixels: ScenePixels, area: str, links: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Store a scene's pixels and return its item; None where no pixel has data.

    Args:
        workspace: the lab.
        pixels: all bands on one grid.
        area: name of the area.
        links: further ones, such as to the run.

    Raises:
        OutOfSpace: the disk is full.
    """
    scene, described = pixels.wanted.scene, imagery_table().modality(pixels.wanted.scene.modality)
    image, bands, share = _stored(workspace, pixels)
    if share is None:
        return None
    with (
        rasterio.Env(**RASTER_OPTIONS),
        rasterio.open(workspace.store.open_path(image.href), driver="GTiff") as dataset,
    ):
        seen = [_SEEN_AS.get(band.name, band.name) for band in bands]
        thumbnail = workspace.store.put_bytes(
            thumbnail_png(dataset, seen, pixels.nodata), f"{scene_id(pixels.wanted)}.png"
        )
        footprint = data_footprint(dataset, pixels.nodata, pixels.grid.footprint(scene.start, scene.end))
    properties: dict[str, Any] = {"gsd": described.gsd, **scene.properties, VALID_SHARE_PROP: share}
    if scene.cloud_cover is not None:
        properties["eo:cloud_cover"] = round(scene.cloud_cover, 2)
    properties[PARAMS_PROP] = {"provider": _fetched_from(pixels.wanted)}
    return scene_item(
        id=scene_id(pixels.wanted),
        collection_id=collection_id(scene.modality, area),
        footprint=footprint,
        grid=pixels.grid,
        image=image,
        bands=bands,
        thumbnail=thumbnail,
        properties=properties,
        links=[*_provenance(pixels.wanted), *(dict(link) for link in links)],
    )


def scene_collections(
    workspace: Workspace, area: str, items: Sequence[dict[str, Any]], modalities: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the collections that the items need and the catalog does not have yet.

    Args:
        workspace: the lab.
        area: name of the area.
        items: from `make_scene`.
        modalities: collection id → modality.

    Raises:
        AlreadyExists: a collection of that name holds something else than imagery.
    """
    made = []
    for id, modality in modalities.items():
        mine = [item for item in items if item["collection"] == id]
        known = workspace.catalog.find_collection(id)
        if known is not None and known.get("lab:kind") != Kind.IMAGERY:
            raise AlreadyExists(f"the collection {id} holds no imagery; give the area another name")
        if known is None and mine:
            made.append(_collection(id, imagery_table().modality(modality), area, mine))
    return made


def _collection(id: str, described: Modality, area: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    bands = [BandRecord.of_stac(entry) for entry in items[0]["assets"]["image"]["bands"]]
    made = imagery_collection(
        id=id,
        title=f"{described.title.split(',')[0]}, {area}",
        description=f"{described.title}, over {area}, fetched from its provider.",
        footprint=Footprint.union(Footprint.of_item(item) for item in items),
        bands=bands,
    )
    seen = [replace(band, name=_SEEN_AS.get(band.name, band.name)) for band in bands]
    return {**made, "renders": image_renders(seen)}


def _stored(workspace: Workspace, pixels: ScenePixels) -> tuple[StoredFile, list[BandRecord], float | None]:
    """Store the COG; return it, its bands, and the share of pixels with data in every band (None: no pixel has any)."""
    names = [band.name for band in pixels.wanted.scene.bands]
    records, full = [], np.ones(pixels.grid.shape, bool)
    some = False
    with workspace.store.scratch() as folder:
        target = folder / f"{scene_id(pixels.wanted)}.tif"
        writer = cog_writer(
            target,
            count=len(names),
            data_type=pixels.data_type,
            grid=pixels.grid,
            nodata=pixels.nodata,
            names=names,
            labels=False,
        )
        with writer as cog:
            for number, band in enumerate(pixels.bands(), start=1):
                valid = valid_pixels(band, pixels.nodata)
                full &= valid
                some = some or bool(valid.any())
                statistics = BandSums.of_pixels(band, valid).statistics()
                records.append(BandRecord(names[number - 1], pixels.data_type, pixels.nodata, statistics))
                cog.write(band, number)
        image = workspace.store.put(target)
    return image, records, round(float(full.mean()), _SHARE_DIGITS) if some else None


def _fetched_from(wanted: WantedScene) -> dict[str, Any]:
    scene = wanted.scene
    bands = {band.name: {"key": band.key, "index": band.index, **band.values} for band in scene.bands}
    found = {
        "name": scene.connector,
        "collection": scene.collection,
        "item": scene.id,
        "items": list(scene.parts),
        "modality": scene.modality,
        "box": [round(number, 7) for number in wanted.place.box],
        "bands": bands,
    }
    return {name: value for name, value in found.items() if value}


def _provenance(wanted: WantedScene) -> list[dict[str, Any]]:
    """Return the links to the provider's item: what the scene was made of, and where it was got."""
    address = wanted.scene.address
    if address is None:
        return []
    title = f"{wanted.scene.collection}/{wanted.scene.id} at {wanted.scene.connector}"
    return [{"rel": rel, "href": address, "type": GEOJSON_TYPE, "title": title} for rel in ("derived_from", "via")]
