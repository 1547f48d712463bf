"""The rules that STAC documents are held to beyond their JSON Schemas: code, meaning and remedy of each.

The codes are stable: programs may rely on them. `docs/validation.md` is this table.
"""

from dataclasses import dataclass

MAX_DEPTH = 50
"""Objects and lists inside one another."""
MAX_VERTICES = 100_000
"""Positions in one geometry: a footprint is for finding, the exact outline belongs into an asset."""
BBOX_TOLERANCE = 0.01
"""Degrees, about 1 km at the equator."""
ALLOWED_SCHEMES = (
    "https", "http", "s3", "gs", "az", "abfs", "abfss", "wasbs", "adl", "swift", "oss", "obs", "ftp", "sftp", "ipfs",
    "hf", "asset", "urn", "doi", "mailto",
)  # fmt: skip
"""Schemes that an href may have; none of them runs code in a browser or names a file of one machine."""
SECRET_PARAMETERS = (
    "sig", "signature", "token", "access_token", "id_token", "auth", "api_key", "api-key", "apikey",
    "subscription-key", "password", "passwd", "secret", "x-amz-signature", "x-amz-credential", "x-amz-security-token",
    "x-goog-signature", "x-goog-credential", "awsaccesskeyid", "googleaccessid", "key-pair-id",
)  # fmt: skip
"""Names of query parameters, in lowercase, that carry a credential."""


@dataclass(frozen=True)
class Rule:
    """One rule: its stable code, the group it is documented in, what it says, and what to do where it is broken."""

    code: str
    group: str
    meaning: str
    fix: str


_DOCUMENT, _PLACE, _TIME, _ADDRESS, _PROFILE = "Document", "Place", "Time", "Addresses", "Profile of the lab"
_ALL = (
    Rule("not_an_object", _DOCUMENT, "A STAC document is a JSON object.", "give one JSON object"),
    Rule(
        "type", _DOCUMENT, "`type` is `Feature` (an item) or `Collection`.", 'set "type" to "Feature" or "Collection"'
    ),
    Rule(
        "stac_version",
        _DOCUMENT,
        "`stac_version` is 1.0.0 or 1.1.0.",
        "write STAC 1.1.0; pystac's `Item.from_dict(item).to_dict()` migrates older versions",
    ),
    Rule(
        "id_form",
        _DOCUMENT,
        "Ids are 1 to 256 of the letters A-Z and a-z, digits, `.`, `_` and `-`, and not `.` or `..`: all else breaks in"
        " addresses or misleads the eye.",
        "rename it with A-Z, a-z, 0-9, '.', '_' and '-'",
    ),
    Rule(
        "too_deep",
        _DOCUMENT,
        f"Objects and lists lie at most {MAX_DEPTH} levels inside one another.",
        "flatten it, or store it as a file and link that as an asset",
    ),
    Rule(
        "nul_character",
        _DOCUMENT,
        "No key and no text holds the character U+0000, which PostgreSQL cannot store.",
        "remove the character",
    ),
    Rule(
        "not_unicode",
        _DOCUMENT,
        "Keys and texts are valid Unicode: no half of a surrogate pair stands alone.",
        "decode the text as UTF-8 (or UTF-16) where it was read",
    ),
    Rule(
        "not_json",
        _DOCUMENT,
        "Values are those of JSON: finite numbers, texts, booleans, null, lists and objects with text keys.",
        "leave the value out, or write null or text",
    ),
    Rule(
        "collection_link_missing",
        _DOCUMENT,
        "An item in a file that has `collection` has a link with the rel `collection` (in the catalog, the API writes"
        " it).",
        'add {"rel": "collection", "href": "../collection.json"}',
    ),
    Rule(
        "unknown_extension",
        _DOCUMENT,
        "The schema of every extension in `stac_extensions` is in the lab's schema store, so that its fields can be"
        " checked (only where unknown extensions are refused).",
        "correct the URL, or put its schema into the TERRALAB_SCHEMAS folder",
    ),
    Rule(
        "geometry_missing",
        _PLACE,
        "An item has a geometry: without one no search finds it.",
        "give the footprint; for a model or a run, that of the data it worked on",
    ),
    Rule(
        "geometry_form",
        _PLACE,
        "`geometry` is a GeoJSON geometry of one of the seven types, with lists as deep as the type has them.",
        "write it as RFC 7946 has it, such as with shapely's `mapping`",
    ),
    Rule(
        "position_form",
        _PLACE,
        "A position is two or three finite numbers: longitude, latitude and perhaps height.",
        "write [longitude, latitude] as numbers",
    ),
    Rule(
        "position_out_of_range",
        _PLACE,
        "Longitudes are -180 to 180 and latitudes -90 to 90 degrees.",
        "transform the footprint to EPSG:4326, longitude first; divide it at 180° where it goes beyond",
    ),
    Rule(
        "ring_open",
        _PLACE,
        "The last position of a polygon's ring is its first.",
        "repeat the first position at the end",
    ),
    Rule("ring_short", _PLACE, "A polygon's ring has four positions or more.", "give at least three corners"),
    Rule(
        "polygon_invalid",
        _PLACE,
        "Polygons are valid: rings do not cross themselves or one another, and holes lie inside.",
        "repair it with shapely's `make_valid`, or give the corners in order around the outline",
    ),
    Rule(
        "crosses_180",
        _PLACE,
        "No edge is longer than 180 degrees of longitude: most tools would read it the wrong way around the world.",
        "split the polygon at 180° (`terralab.extensions.meridian.split_at_180` does), or, if it does go the long"
        " way, add a corner in between",
    ),
    Rule(
        "too_many_vertices",
        _PLACE,
        f"A geometry has at most {MAX_VERTICES:,} positions.",
        "simplify the footprint; the exact outline can be an asset",
    ),
    Rule("bbox_missing", _PLACE, "An item with a geometry has a `bbox`.", "add [west, south, east, north]"),
    Rule(
        "bbox_form",
        _PLACE,
        "`bbox` is four finite numbers (six with heights): west, south, east, north.",
        "write [west, south, east, north] as numbers",
    ),
    Rule(
        "bbox_out_of_range",
        _PLACE,
        "The sides of a `bbox` are longitudes of -180 to 180 and latitudes of -90 to 90 degrees.",
        "transform it to EPSG:4326",
    ),
    Rule("bbox_upside_down", _PLACE, "The south of a `bbox` is not above its north.", "swap south and north"),
    Rule(
        "bbox_differs_from_geometry",
        _PLACE,
        f"`bbox` is that of the geometry, within {BBOX_TOLERANCE} degrees. West is greater than east only where the"
        " geometry is divided at 180°.",
        "compute it from the geometry",
    ),
    Rule(
        "datetime_missing",
        _TIME,
        "An item has `datetime`, or a null `datetime` with `start_datetime` and `end_datetime`.",
        "give the acquisition time, or null with start_datetime and end_datetime",
    ),
    Rule(
        "datetime_form",
        _TIME,
        "Times are written as RFC 3339 has them, in the years 1 to 9999.",
        "write it as 2024-05-31T10:20:30Z",
    ),
    Rule(
        "datetime_naive",
        _TIME,
        "Times have a time zone.",
        "add the zone: Z for UTC, or an offset such as +02:00",
    ),
    Rule("start_after_end", _TIME, "A range of time does not end before it starts.", "swap the two times"),
    Rule(
        "href_scheme",
        _ADDRESS,
        f"The scheme of an address is one of {', '.join(ALLOWED_SCHEMES)}: `javascript:`, `data:` and their like run in"
        " a reader's browser, `file:` and GDAL's prefixes open files of one machine.",
        "upload the file to the lab (`terralab.catalog.store`), or give its https address",
    ),
    Rule(
        "href_local_path",
        _ADDRESS,
        "An address is not an absolute path: it would mean another file on every machine.",
        "upload the file to the lab, or give its https address",
    ),
    Rule(
        "href_reference",
        _ADDRESS,
        "A reference into the lab's store is `asset://<multihash>/<file name>`.",
        "write the href that the store answered when the file was stored",
    ),
    Rule(
        "href_credentials",
        _ADDRESS,
        "An address carries no user name, password, signature or token: everybody who can read the item would have it,"
        " and a signature expires.",
        "give the address without it, and revoke the credential if the item was shown to anybody",
    ),
    Rule(
        "href_characters",
        _ADDRESS,
        "An address has no control characters, no spaces at its ends, and is not empty.",
        "percent-encode the characters, or remove them",
    ),
    Rule(
        "lab_extension_undeclared",
        _PROFILE,
        "What has a `lab:kind` declares the lab's extension, so that its fields can be checked.",
        "add the extension's URL to stac_extensions",
    ),
    Rule(
        "lab_id_form",
        _PROFILE,
        "Ids of the lab's own objects are lowercase letters, digits, `_` and `-`, at most 128.",
        "make it with `terralab.extensions.ids.slug` or `derived_id`",
    ),
    Rule(
        "asset_fields_missing",
        _PROFILE,
        "Every asset has `type` and `roles`; a stored one also `file:size` and `file:checksum`.",
        "make it with `terralab.extensions.item.asset`",
    ),
    Rule(
        "asset_checksum",
        _PROFILE,
        "`file:checksum` is a multihash of SHA-256 (1220…) or MD5 (d50110…), and that in the asset's own address.",
        "take href, size and checksum from what the store answered",
    ),
    Rule(
        "asset_href_relative",
        _PROFILE,
        "An asset's address is absolute, so that it opens from any machine.",
        "upload the file to the lab, or give its https address",
    ),
    Rule(
        "provenance_missing",
        _PROFILE,
        "Derived things link what they were made from: chips their scene and label (`derived_from` with `ml-aoi:role`"
        " `feature` and `label`), labels their scene (`source`), dataset versions their scenes and labels, predictions"
        " their model and what it looked at (`derived_from`).",
        "add the link with `terralab.extensions.item.derived_from`",
    ),
    Rule(
        "provenance_href",
        _PROFILE,
        "A provenance link is `collections/<collection>/items/<item>`, or a collection, relative to the root of the"
        " API; or an http address elsewhere.",
        "make it with `terralab.extensions.item.item_link`",
    ),
    Rule(
        "split_value",
        _PROFILE,
        "`ml-aoi:split` is train, validate or test.",
        "write train, validate or test",
    ),
    Rule(
        "role_asset_missing",
        _PROFILE,
        "The asset that the kind is about is there: a `data` asset of imagery, the `feature` and `label` assets of a"
        " chip, the `labels` asset of a label, the `mlm:model` asset of a model, the `data` asset of a prediction.",
        "make the item with the builder of its kind",
    ),
    Rule(
        "bands_missing",
        _PROFILE,
        "Imagery, chips and models name the bands of their data assets in `bands`.",
        "describe each band, at least by its name",
    ),
    Rule(
        "classes_missing",
        _PROFILE,
        "Assets of class values have `classification:classes`.",
        "add the classes with `terralab.extensions.raster.classes_to_stac`",
    ),
    Rule(
        "chip_labels",
        _PROFILE,
        "Labels of a chip as a whole are classes: one for `classification`, any number for `multilabel`.",
        "name classes of `classification:classes` in the properties",
    ),
    Rule(
        "model_bands",
        _PROFILE,
        "A model's `mlm:input` names its bands, and `bands` describes each of them in the properties and on the"
        " weights.",
        "make the item with `terralab.extensions.model.model_item`",
    ),
    Rule(
        "model_scaling",
        _PROFILE,
        "`mlm:input` has the value scaling of each band, or one for all: inference needs no other file.",
        "give one value_scaling entry for each band",
    ),
    Rule(
        "item_assets_missing",
        _PROFILE,
        "Collections of the lab describe the assets of their items in `item_assets`.",
        "make the collection with the builder of its kind",
    ),
)
RULES = {rule.code: rule for rule in _ALL}
