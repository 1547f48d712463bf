"""stac-geoparquet: the chip items of a version as one table, beside the files that their assets lead to.

    items.parquet                     chip items as they were frozen, with relative asset paths
    collection.json                   their collection
    images/<id>.tif, masks/<id>.tif   as in the version

`terralab catalog load`, stac-geoparquet, GeoPandas, DuckDB and QGIS read the table.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.catalog.geoparquet.writer import write_geoparquet
from terralab.datasets.exports.placed_files import PlacedFiles
from terralab.datasets.exports.readme import write_readme
from terralab.datasets.exports.subject import Chip, Subject

ITEMS, COLLECTION = "items.parquet", "collection.json"
_HOW = """## Reading

```python
import geopandas

chips = geopandas.read_parquet("items.parquet")
train = chips[chips["ml-aoi:split"] == "train"]
```

Paths of assets are relative to this folder. `collection.json` describes the items."""


def write_stac_geoparquet(subject: Subject, folder: Path, files: PlacedFiles) -> list[str]:
    """Write the files, the table and the collection.

    Raises:
        InvalidInput: the version does not have its items.
    """
    lacking = [chip.id for chip in subject.chips if chip.id not in subject.items]
    if lacking:
        raise InvalidInput(
            f"{subject.version.name} does not hold the items of its chips ({lacking[0]}, …), as versions of early"
            " releases; make a new version"
        )
    files.place({path: path for chip in subject.chips for path in chip.files.values()})
    collection = _collection(subject)

    def items() -> Iterator[dict[str, Any]]:
        return (_item(subject, chip) for chip in subject.chips)

    write_geoparquet(folder / ITEMS, items, {str(collection["id"]): collection})
    text = json.dumps(collection, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / COLLECTION).write_text(text + "\n", encoding="utf-8")
    notes = [
        "Links between items are relative to the root of the lab's STAC API, as the catalog has them; scenes and labels"
        " that chips were cut from are not in this folder.",
    ]
    others = sorted({key for chip in subject.chips for key in _others(subject, chip)})
    if others:
        notes.append(f"The version has no files of these assets, which lead to the lab: {', '.join(others)}.")
    write_readme(subject, folder, [_HOW], notes)
    return notes


def _item(subject: Subject, chip: Chip) -> dict[str, Any]:
    item = dict(subject.items[chip.id])
    assets: Mapping[str, Mapping[str, Any]] = item["assets"]
    placed = {key: {**asset, "href": f"./{chip.files[key]}"} for key, asset in assets.items() if key in chip.files}
    return {**item, "assets": {**assets, **placed}}


def _others(subject: Subject, chip: Chip) -> set[str]:
    return set(subject.items[chip.id]["assets"]) - set(chip.files)


def _collection(subject: Subject) -> dict[str, Any]:
    """Return the collection as it is in the catalog now, or the least that STAC asks for where it is gone."""
    if subject.collection:
        return dict(subject.collection)
    box, properties = subject.version.item["bbox"], subject.version.item["properties"]
    start = properties.get("start_datetime") or properties.get("datetime")
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": subject.version.record.chips_collection,
        "description": subject.description,
        "license": subject.license,
        "links": [],
        "extent": {
            "spatial": {"bbox": [box]},
            "temporal": {"interval": [[start, properties.get("end_datetime") or start]]},
        },
    }
