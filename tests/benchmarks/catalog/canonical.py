"""Answers in the form in which those of two systems are compared.

Left out or made equal: the address of the host and the API's base path, the order of links and of declared extensions,
nulls (pgstac drops them), and the links that only our API adds to an item: its page for people and its maps.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

MAP_LINKS = ("xyz", "tilejson", "wmts", "preview", "legend")
_WEB_MAP_EXTENSION = "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json"


def canonical_item(item: dict[str, Any], url: str) -> Any:
    """Return an item without what may differ.

    Args:
        item: a feature of an answer.
        url: of the API's landing page that gave it.
    """
    made = without_nulls(item)
    if "links" in made:
        links = [_relative(link, url) for link in made["links"] if not _ours_only(link, url)]
        made["links"] = sorted(links, key=lambda link: (str(link.get("rel")), str(link.get("href")), str(link)))
    if "stac_extensions" in made:
        made["stac_extensions"] = sorted(uri for uri in made["stac_extensions"] if uri != _WEB_MAP_EXTENSION)
    return made


def without_nulls(value: Any) -> Any:
    """Return a JSON value with the members of objects that are null left out."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Yield where two JSON values differ; 1 and 1.0 are equal, true and 1 are not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            path = f"{where}/{key}"
            if key not in theirs:
                yield f"{path}: only ours has it: {_short(ours[key])}"
            elif key not in ours:
                yield f"{path}: only stock has it: {_short(theirs[key])}"
            else:
                yield from differences(ours[key], theirs[key], path)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{where}: ours has {len(ours)} entries, stock {len(theirs)}"
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(one, other, f"{where}/{index}")
    elif isinstance(ours, bool) != isinstance(theirs, bool) or ours != theirs:
        yield f"{where}: ours {_short(ours)}, stock {_short(theirs)}"


def _ours_only(link: dict[str, Any], url: str) -> bool:
    address, host = str(link.get("href", "")), urlsplit(url).netloc
    if urlsplit(address).netloc != host:
        return False  # a map link that the item itself brought along
    return link.get("rel") in MAP_LINKS or (link.get("rel") == "alternate" and link.get("type") == "text/html")


def _relative(link: dict[str, Any], url: str) -> dict[str, Any]:
    address = str(link.get("href", ""))
    return {**link, "href": address.removeprefix(url) or "/"} if address.startswith(url) else link


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
