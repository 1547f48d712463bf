"""A collection as a Croissant document: what a search engine for datasets, or mlcroissant, wants to know of it.

For a dataset's chips the manifest of a version is the table: chips with their splits, and files with their checksums,
picked out of it by JSON paths. For anything else the document describes and leads to the items.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from terralab.catalog.served_items import file_url
from terralab.extensions.checksum import SHA256_PREFIX, split_multihash
from terralab.extensions.croissant import (
    SPLITS_RECORDS,
    band_members,
    class_records,
    dataset_head,
    field,
    json_path_of,
    record_set,
    split_records,
)

# Readers make one table of what is picked out of a file, so the manifest stands there once for each table.
_CHIPS_TABLE, _FILES_TABLE = "manifest-chips", "manifest-files"
_CLASSES = "classification:classes"
_CHIP_FIELDS = {"id": "Id of the chip.", "split": "Split; null where there is none.", "group": "What no split divides."}
_FILE_FIELDS = {
    "relpath": ("sc:Text", "Path in a checkout: folder, and id of the chip."),
    "md5": ("sc:Text", "MD5 of the bytes; the lab serves them at `/files/d50110<md5>/<name>`."),
    "size": ("sc:Integer", "Bytes."),
}


def croissant_of(collection: Mapping[str, Any], version: Mapping[str, Any] | None, base: str) -> dict[str, Any]:
    """Return the document.

    Args:
        collection: as stored.
        version: the item of a version of its chips, whose assets have addresses; None where there is none.
        base: address of the web process.
    """
    name, root = str(collection["id"]), f"{base}/stac/collections/{collection['id']}"
    properties: Mapping[str, Any] = version["properties"] if version else {}
    head = dataset_head(
        collection,
        name=str(collection.get("title") or name),
        url=root,
        version=properties.get("version") or collection.get("version"),
        published=properties.get("created"),
    )
    bands = _bands(collection)
    return {
        **head,
        "isLiveDataset": version is None,
        "geocr:recordEndpoint": f"{root}/items",
        **(band_members(bands) if bands else {}),
        **_contents(collection, version, base),
    }


def _contents(collection: Mapping[str, Any], version: Mapping[str, Any] | None, base: str) -> dict[str, Any]:
    objects = _file_objects(collection.get("assets") or {}, base)
    if version is None:
        return {"distribution": objects} if objects else {}
    manifest = version["assets"]["manifest"]
    tables = [_file_object(name, manifest, base) for name in (_CHIPS_TABLE, _FILES_TABLE)]
    classes = _classes(collection)
    records = [split_records(), *([class_records(classes)] if classes else []), _chips(), _files()]
    return {"distribution": [*tables, *objects], "recordSet": records}


def _chips() -> dict[str, Any]:
    fields = []
    for name, description in _CHIP_FIELDS.items():
        refers = {"references": {"field": {"@id": f"{SPLITS_RECORDS}/name"}}} if name == "split" else {}
        source = json_path_of(_CHIPS_TABLE, f"$.chips[*].{name}")
        fields.append(field("chips", name, "sc:Text", description, source=source, **refers))
    return record_set("chips", "Chips of the version.", fields, key={"@id": "chips/id"})


def _files() -> dict[str, Any]:
    fields = [
        field("files", name, kind, description, source=json_path_of(_FILES_TABLE, f"$.files[*].{name}"))
        for name, (kind, description) in _FILE_FIELDS.items()
    ]
    return record_set("files", "Files of the chips.", fields, key={"@id": "files/relpath"})


def _file_objects(assets: Mapping[str, Mapping[str, Any]], base: str) -> list[dict[str, Any]]:
    """Return those assets of a collection whose hash Croissant can say; it asks for one."""
    return [_file_object(key, asset, base) for key, asset in assets.items() if _has_hash(asset)]


def _file_object(name: str, asset: Mapping[str, Any], base: str) -> dict[str, Any]:
    checksum = str(asset["file:checksum"])
    known = {
        "description": asset.get("title"),
        "contentUrl": file_url(str(asset["href"]), base),
        "contentSize": f"{asset['file:size']} B" if asset.get("file:size") is not None else None,
        "encodingFormat": asset.get("type") or "application/octet-stream",
        split_multihash(checksum)[0]: split_multihash(checksum)[1],
    }
    told = {key: value for key, value in known.items() if value is not None}
    return {"@type": "cr:FileObject", "@id": name, "name": name, **told}


def _has_hash(asset: Mapping[str, Any]) -> bool:
    return str(asset.get("file:checksum")).startswith(SHA256_PREFIX)


def _bands(collection: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the bands of the first asset that has any and is no label."""
    for asset in (collection.get("item_assets") or {}).values():
        if asset.get("bands") and asset.get("ml-aoi:role") != "label":
            found: Sequence[Mapping[str, Any]] = asset["bands"]
            return found
    return ()


def _classes(collection: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    places = [collection.get("summaries") or {}, *(collection.get("item_assets") or {}).values()]
    found: list[Mapping[str, Any]] = next((place[_CLASSES] for place in places if place.get(_CLASSES)), [])
    return [entry for entry in found if not entry.get("nodata")]
