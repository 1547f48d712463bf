"""Items of scenes, labels, chips and predictions of static catalogs, from GeoTIFFs where they lie."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from terralab.catalog.errors import GridMismatch, InvalidInput, InvalidItem
from terralab.datasets.classes import read_classes
from terralab.datasets.cog import raster_software
from terralab.datasets.dates import date_of, parse_period
from terralab.datasets.file_measures import describe_file, measure_image, measure_labels
from terralab.datasets.raster_file import RasterFacts
from terralab.datasets.same_grid import check_same_grid
from terralab.datasets.static_items import COLLECTION_HREF, ItemFile, StaticItem, joint_footprint
from terralab.extensions.chips import Feature, Target, chip_item
from terralab.extensions.ids import slug
from terralab.extensions.imagery import IMAGE_ASSET, scene_item
from terralab.extensions.item import Footprint
from terralab.extensions.labels import label_item
from terralab.extensions.model import ModelRecord
from terralab.extensions.prediction import prediction_item
from terralab.extensions.raster import ClassDefinition, Grid
from terralab.extensions.record import InvalidRecord


def imagery_of_file(
    image: Path,
    destination: Path,
    *,
    collection: str,
    collection_href: str = COLLECTION_HREF,
    item_id: str | None = None,
    when: str | None = None,
    bands: str | None = None,
    href: str | None = None,
    platform: str | None = None,
) -> dict[str, Any]:
    """Write the item of a scene; see `stac terralab create-item imagery --help` for the arguments."""
    target = StaticItem(destination, collection_href)
    measured = measure_image(image, _names(bands))
    facts = measured.facts
    start, end = parse_period(when) if when else date_of(facts)
    item = scene_item(
        id=_id(item_id, image),
        collection_id=_collection(collection),
        footprint=facts.grid.footprint(start, end),
        grid=facts.grid,
        image=describe_file(image, target.href(image, href)),
        bands=measured.bands,
        properties={"platform": platform} if platform else None,
    )
    return target.write(item)


def labels_of_file(
    raster: Path,
    destination: Path,
    *,
    scene: Path,
    collection: str,
    collection_href: str = COLLECTION_HREF,
    item_id: str | None = None,
    classes: Path | None = None,
    href: str | None = None,
    description: str = "Label",
) -> dict[str, Any]:
    """Write the item of a label; see `stac terralab create-item labels --help` for the arguments."""
    source = ItemFile.read(scene)
    target = StaticItem(destination, collection_href, [source])
    measured = measure_labels(raster, _classes(classes))
    item = label_item(
        id=_id(item_id, raster),
        collection_id=_collection(collection),
        footprint=_footprint(measured.facts, source),
        grid=measured.facts.grid,
        raster=describe_file(raster, target.href(raster, href)),
        classes=measured.classes,
        class_counts=measured.class_counts,
        scene=source.item,
        scene_asset=_data_asset(source.item),
        description=description,
    )
    return target.write(item)


def chip_of_files(
    image: Path,
    mask: Path,
    destination: Path,
    *,
    scene: Path,
    label: Path,
    dataset: str,
    collection: str,
    collection_href: str = COLLECTION_HREF,
    item_id: str | None = None,
    bands: str | None = None,
    classes: Path | None = None,
    split: str | None = None,
) -> dict[str, Any]:
    """Write the item of a chip; see `stac terralab create-item chips --help` for the arguments."""
    source, labelled = ItemFile.read(scene), ItemFile.read(label)
    target = StaticItem(destination, collection_href, [source, labelled])
    seen, named = measure_image(image, _names(bands)), measure_labels(mask, _classes(classes))
    check_same_grid(seen.facts, named.facts)
    item = chip_item(
        id=_id(item_id, image),
        collection_id=_collection(collection),
        dataset=dataset,
        footprint=_footprint(seen.facts, source),
        grid=seen.facts.grid,
        features=[Feature(IMAGE_ASSET, describe_file(image, target.href(image)), seen.bands)],
        target=Target.mask(describe_file(mask, target.href(mask)), named.classes, named.class_counts),
        valid_share=seen.valid_share,
        scenes=[source.item],
        label=labelled.item,
        window=_window(seen.facts.grid, source.item),
        split=split,
    )
    return target.write(item)


def prediction_of_file(
    raster: Path,
    destination: Path,
    *,
    model: Path,
    sources: Sequence[Path],
    collection: str,
    collection_href: str = COLLECTION_HREF,
    item_id: str | None = None,
    href: str | None = None,
) -> dict[str, Any]:
    """Write the item of a prediction; see `stac terralab create-item prediction --help` for the arguments."""
    made_by, looked_at = ItemFile.read(model), [ItemFile.read(path) for path in sources]
    target = StaticItem(destination, collection_href, [made_by, *looked_at])
    try:
        record = ModelRecord.of_item(made_by.resolved())
    except InvalidRecord as error:
        raise InvalidItem(f"{model}: {error}") from error
    measured = measure_labels(raster, record.classes)
    whole = joint_footprint(looked_at)
    item = prediction_item(
        id=_id(item_id, raster),
        collection_id=_collection(collection),
        footprint=measured.facts.grid.footprint(whole.start, whole.end),
        grid=measured.facts.grid,
        raster=describe_file(raster, target.href(raster, href)),
        classes=measured.classes,
        class_counts=measured.class_counts,
        model=made_by.item,
        sources=[source.item for source in looked_at],
        params={},
        software=raster_software(),
        processed=datetime.fromtimestamp(raster.stat().st_mtime, UTC),
    )
    return target.write(item)


def _names(written: str | None) -> list[str] | None:
    return [name.strip() for name in written.split(",")] if written else None


def _classes(path: Path | None) -> list[ClassDefinition]:
    return read_classes(path) if path else []


def _id(given: str | None, file: Path) -> str:
    try:
        return given or slug(file.stem)
    except ValueError as error:
        raise InvalidInput(f"{file.name}: {error}; give --id") from error


def _collection(given: str) -> str:
    if slug(given) != given:
        raise InvalidInput(f"{given!r} cannot be the id of a collection; how about {slug(given)!r}?")
    return given


def _footprint(facts: RasterFacts, source: ItemFile) -> Footprint:
    seen = Footprint.of_item(source.item)
    return facts.grid.footprint(seen.start, seen.end)


def _data_asset(item: dict[str, Any]) -> str:
    assets: dict[str, Any] = item.get("assets") or {}
    return next((key for key, asset in assets.items() if "data" in (asset.get("roles") or ())), IMAGE_ASSET)


def _window(grid: Grid, scene: dict[str, Any]) -> tuple[int, int]:
    """Return row and column of a chip's upper left pixel in its scene.

    Raises:
        GridMismatch: the chip does not lie on the scene's pixels.
    """
    properties = scene["properties"]
    if not properties.get("proj:transform") or not properties.get("proj:shape"):
        raise InvalidItem(f"{scene['id']} has no proj:transform and proj:shape, so the chip has no place in it")
    whole = Grid.of_properties(properties)
    a, _, c, _, e, f = whole.transform
    column, row = (grid.transform[2] - c) / a, (grid.transform[5] - f) / e
    same = whole.crs == grid.crs and all(
        abs(one - other) <= 1e-6 * abs(other) for one, other in ((grid.transform[0], a), (grid.transform[4], e))
    )
    if not same or max(abs(column - round(column)), abs(row - round(row))) > 1e-3:
        raise GridMismatch(f"the chip does not lie on the pixels of its scene {scene['id']}")
    return round(row), round(column)
