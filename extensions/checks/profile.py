"""The lab's own profile: what each kind of object must say, so that it can be traced, read and run.

These rules hold only for what declares a `lab:kind`; imagery and collections from elsewhere are welcome without.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from terralab.extensions.checks.kinds import RULES_OF_KIND
from terralab.extensions.checksum import is_multihash, split_multihash
from terralab.extensions.ids import is_valid_id
from terralab.extensions.item import STAC_VERSION
from terralab.extensions.lab import EXECUTION_REL, KIND_PROP, PRODUCED_REL, SCHEMA_URI
from terralab.extensions.problem import Problem, broken, shown

STORED = "asset://"
_PLAIN_SCHEMES = ("https://", "http://", "s3://")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_PROVENANCE_RELS = ("derived_from", "source", EXECUTION_REL, PRODUCED_REL)
_PROVENANCE_HREF = re.compile(r"collections/[^/?#]+(?:/items/[^/?#]+)?|https?://.+")
_ASSET_FIELDS = ("type", "roles")
_STORED_FIELDS = ("file:size", "file:checksum")


def item_profile_problems(item: dict[str, Any], files: bool = False) -> list[Problem]:
    """Check an item of the lab; nothing is asked of one without `lab:kind`.

    Args:
        item: a document that its schemas were checked of; other shapes are passed over.
        files: the item lies in a file of a static catalog, where addresses may be relative to it.
    """
    properties = item.get("properties")
    if not isinstance(properties, dict) or KIND_PROP not in properties:
        return []
    found = list(_frame_problems(item))
    for key, asset in _assets(item).items():
        if not _is_plain(asset):
            found.extend(_asset_problems(key, asset, files))
    if not files:
        found.extend(_link_problems(item))
    rule = RULES_OF_KIND.get(str(properties[KIND_PROP]))
    if rule is not None:
        found.extend(rule(item))
    return found


def collection_profile_problems(collection: dict[str, Any]) -> list[Problem]:
    """Check a collection of the lab; nothing is asked of one without `lab:kind`."""
    if KIND_PROP not in collection:
        return []
    found = list(_frame_problems(collection))
    described = collection.get("item_assets")
    if not isinstance(described, dict) or not described:
        found.append(broken("item_assets_missing", ["item_assets"], "the collection does not describe its assets"))
    return found


def _frame_problems(document: dict[str, Any]) -> Iterator[Problem]:
    declared = document.get("stac_extensions")
    if not isinstance(declared, list) or SCHEMA_URI not in declared:
        message = "the extension of `lab:kind` is not declared"
        yield broken("lab_extension_undeclared", ["stac_extensions"], message, f"add {SCHEMA_URI}")
    if document.get("stac_version") == "1.0.0":
        message = "1.0.0 is not the version that the lab writes"
        yield broken("stac_version", ["stac_version"], message, f"write {STAC_VERSION}")
    for name in ("id", "collection"):
        value = document.get(name)
        if isinstance(value, str) and not is_valid_id(value):
            yield broken("lab_id_form", [name], f"{shown(value)} is not an id of the lab's form")


def _is_plain(asset: Mapping[str, Any]) -> bool:
    """Say whether an asset elsewhere has all that it needs, as most have; it is quicker than to look for problems."""
    href, checksum = asset.get("href"), asset.get("file:checksum")
    return (
        type(href) is str
        and href.startswith(_PLAIN_SCHEMES)
        and bool(asset.get("type"))
        and bool(asset.get("roles"))
        and (checksum is None or (type(checksum) is str and is_multihash(checksum)))
    )


def _asset_problems(key: str, asset: Mapping[str, Any], files: bool) -> Iterator[Problem]:
    href = asset.get("href")
    stored = isinstance(href, str) and href.startswith(STORED)
    wanted = (*_ASSET_FIELDS, *_STORED_FIELDS) if stored else _ASSET_FIELDS
    missing = [name for name in wanted if asset.get(name) in (None, "", [])]
    if missing:
        yield broken("asset_fields_missing", ["assets", key], f"the asset lacks {', '.join(missing)}")
    if isinstance(href, str) and not files and not _ABSOLUTE.match(href):
        yield broken("asset_href_relative", ["assets", key, "href"], f"{shown(href)} is relative")
    checksum = asset.get("file:checksum")
    if isinstance(checksum, str):
        yield from _checksum_problems(key, checksum, href.split("/")[2] if stored and isinstance(href, str) else None)


def _checksum_problems(key: str, checksum: str, in_href: str | None) -> Iterator[Problem]:
    path = ["assets", key, "file:checksum"]
    try:
        split_multihash(checksum)
    except ValueError:
        yield broken("asset_checksum", path, f"{shown(checksum)} is not a SHA-256 or MD5 multihash")
        return
    if in_href is not None and in_href != checksum:
        yield broken("asset_checksum", path, f"{shown(checksum)} is not the checksum in the address, {shown(in_href)}")


def _link_problems(item: dict[str, Any]) -> Iterator[Problem]:
    links = item.get("links")
    for number, link in enumerate(links if isinstance(links, list) else ()):
        if not isinstance(link, dict) or link.get("rel") not in _PROVENANCE_RELS:
            continue
        href = link.get("href")
        if isinstance(href, str) and not _PROVENANCE_HREF.fullmatch(href):
            message = f"{shown(href)} names no item of the catalog"
            yield broken("provenance_href", ["links", number, "href"], message)


def _assets(item: dict[str, Any]) -> dict[str, Mapping[str, Any]]:
    assets = item.get("assets")
    found = assets if isinstance(assets, dict) else {}
    return {key: asset for key, asset in found.items() if isinstance(asset, dict)}
