"""Imagery: one item is a scene, one collection is a sensor and processing level over an area."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.item import COG_TYPE, Footprint, ItemFrame, StoredFile, asset, collection
from terralab.extensions.lab import KIND_PROP, SCHEMA_URI, Kind
from terralab.extensions.raster import BandRecord, Grid
from terralab.extensions.record import ItemReader, ItemRecord

IMAGE_ASSET = "image"
_EXTENSIONS = ["proj", "raster", "file", SCHEMA_URI]
TRUE_COLOR = ("B04", "B03", "B02")


def scene_item(
    *,
    id: str,
    collection_id: str,
    footprint: Footprint,
    grid: Grid,
    image: StoredFile,
    bands: Sequence[BandRecord],
    thumbnail: StoredFile | None = None,
    properties: dict[str, Any] | None = None,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the item of one scene, all bands in one cloud-optimized GeoTIFF.

    `properties` are further common properties such as `platform`, `gsd` or `eo:cloud_cover`.
    """
    optical = _optical(bands) or any(name.startswith("eo:") for name in properties or {})
    frame = ItemFrame(id, collection_id, footprint, [*_EXTENSIONS, *(["eo"] if optical else [])])
    frame.properties = {KIND_PROP: Kind.IMAGERY, **grid.properties(), **(properties or {})}
    frame.assets[IMAGE_ASSET] = asset(
        image,
        COG_TYPE,
        ["data"],
        "Image",
        bands=[band.to_stac() for band in bands],
        **{"raster:sampling": "area"},
    )
    if thumbnail is not None:
        frame.assets["thumbnail"] = asset(thumbnail, "image/png", ["thumbnail"], "Thumbnail")
    frame.links = list(links)
    return frame.to_dict()


@dataclass(frozen=True)
class SceneRecord(ItemRecord):
    """A scene, read from its item.

    Attributes:
        grid: where its pixels lie; None where the item does not say.
        bands: bands of the data assets by asset key, in their order.
        platform: satellite, such as `sentinel-2a`.
        gsd: ground sample distance, metres.
        cloud_cover: percent.
    """

    grid: Grid | None
    bands: Mapping[str, tuple[BandRecord, ...]]
    platform: str | None
    gsd: float | None
    cloud_cover: float | None

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "SceneRecord":
        """Read an imagery item.

        Raises:
            InvalidRecord: it is of another kind.
        """
        reader = ItemReader(item, Kind.IMAGERY)
        return cls(
            **reader.common(),
            grid=reader.grid(),
            bands=reader.bands_by_asset("data"),
            platform=reader.optional("platform", str),
            gsd=reader.optional("gsd", float),
            cloud_cover=reader.optional("eo:cloud_cover", float),
        )

    @property
    def band_names(self) -> tuple[str, ...]:
        """Return the names of all bands, those of an asset together."""
        return tuple(band.name for bands in self.bands.values() for band in bands)


def imagery_collection(
    *, id: str, title: str, description: str, footprint: Footprint, bands: Sequence[BandRecord]
) -> dict[str, Any]:
    """Return the collection of scenes with the bands `bands` (their statistics give the default stretch)."""
    return collection(
        id,
        title,
        description,
        footprint,
        kind=Kind.IMAGERY,
        extensions=[*(["eo"] if _optical(bands) else []), "raster", "render", SCHEMA_URI],
        item_assets={
            IMAGE_ASSET: {
                "type": COG_TYPE,
                "roles": ["data"],
                "raster:sampling": "area",
                "bands": [BandRecord(band.name, band.data_type, band.nodata).to_stac() for band in bands],
            }
        },
        renders=image_renders(bands),
    )


def _optical(bands: Sequence[BandRecord]) -> bool:
    """Say whether any band has a field of the eo extension, which must not be declared where none has."""
    return any(name.startswith("eo:") for band in bands for name in band.to_stac())


def image_renders(bands: Sequence[BandRecord], asset_key: str = IMAGE_ASSET) -> dict[str, Any]:
    """Return render presets: true colour where the bands allow it, else the first band, stretched to mean ± 2 σ."""
    names = [band.name for band in bands]
    shown = [name for name in TRUE_COLOR if name in names]
    chosen = shown if len(shown) == len(TRUE_COLOR) else names[:1]
    records = [bands[names.index(name)] for name in chosen]
    render: dict[str, Any] = {
        "title": "True color" if len(chosen) == len(TRUE_COLOR) else chosen[0],
        "assets": [asset_key],
        "bidx": [names.index(name) + 1 for name in chosen],
    }
    stretches = [_stretch(record) for record in records]
    if all(stretches):
        render["rescale"] = stretches
    return {"default": render}


def _stretch(band: BandRecord) -> list[float] | None:
    found = band.statistics
    if found is None:
        return None
    low, high = (
        max(found.minimum, found.mean - 2 * found.stddev),
        min(found.maximum, found.mean + 2 * found.stddev),
    )
    return [round(low, 4), round(high, 4)] if high > low else [low, low + 1]
