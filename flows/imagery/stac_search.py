"""Searching any STAC API: every page, and an error where one is missing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urljoin

from shapely.geometry import shape

from terralab.catalog.errors import InvalidInput, LabError, ServiceUnavailable, TooLarge
from terralab.datasets.imagery.area import Place
from terralab.datasets.imagery.found import FoundScene
from terralab.datasets.imagery.modalities import ProviderCollection, imagery_table
from terralab.extensions.ids import digest
from terralab.extensions.item import format_time
from terralab.flows.imagery.http_reads import HttpReads
from terralab.flows.imagery.providers import require_stac
from terralab.flows.imagery.stac_bands import band_sources, cloud_cover, item_grid, kept_properties, period

_PAGE = 100
_MOST_PAGES = 1000
_NO_POST = (405, 501)

Times = tuple[datetime, datetime]


class StacSearch:
    """Finds scenes in a STAC API.

    Args:
        reads: of the provider.
        most: scenes that one search may find.
    """

    def __init__(self, reads: HttpReads, most: int) -> None:
        self._reads, self._most = reads, most
        self._endpoint = require_stac(reads.provider)

    def find(
        self, modality: str, collection: ProviderCollection, bands: tuple[str, ...], place: Place, times: Times | None
    ) -> list[FoundScene]:
        """Return the scenes of a collection that touch a place in a time range, in order of time.

        Raises:
            InvalidInput: a scene has not all the bands.
            TooLarge: there are too many.
            LabError: the provider fails, or gives a part of the answer only.
        """
        described = imagery_table().modality(modality)
        found: dict[tuple[str, str], FoundScene] = {}
        for item in self._items(collection.name, place, times):
            outline = _outline(item)
            if outline is None or not outline.intersects(place.geometry):
                continue
            sources, missing = band_sources(item, described, collection, bands)
            if missing:
                has = ", ".join(sorted(item.get("assets") or {}))
                raise InvalidInput(
                    f"{collection.name}/{item.get('id')} has no {', '.join(missing)} of {modality}; its assets are"
                    f" {has}: choose other bands or another collection"
                )
            start, end = period(item)
            grid = item_grid(item, sources)
            scene = FoundScene(
                self._reads.provider.name,
                modality,
                str(item.get("collection") or collection.name),
                str(item["id"]),
                start,
                end,
                outline,
                tuple(sources),
                cloud_cover(item),
                grid,
                self._address(item),
                _state(item),
                kept_properties(item),
            )
            found[(scene.collection, scene.id)] = scene
        return sorted(found.values(), key=lambda scene: (scene.start, scene.id))

    def collections(self) -> list[str]:
        """Return the ids of all collections of the provider.

        Raises:
            LabError: the provider fails.
        """
        found, url = [], f"{self._endpoint}/collections"
        for _ in range(_MOST_PAGES):
            page = self._reads.json("GET", url)
            found += [str(entry.get("id")) for entry in page.get("collections") or []]
            following = next((link for link in page.get("links") or [] if link.get("rel") == "next"), None)
            if following is None:
                return found
            url = urljoin(url, str(following["href"]))
        raise ServiceUnavailable(f"{self._endpoint}: its list of collections does not end")

    def _items(self, collection: str, place: Place, times: Times | None) -> Iterator[dict[str, Any]]:
        body: dict[str, Any] = {"collections": [collection], "bbox": list(place.box), "limit": _PAGE}
        if times is not None:
            body["datetime"] = "/".join(format_time(moment) for moment in times)
        url, method, count, seen = f"{self._endpoint}/search", "POST", 0, set()
        sent: dict[str, Any] | None = body
        for _ in range(_MOST_PAGES):
            page, method = self._page(method, url, sent)
            features = page.get("features")
            if not isinstance(features, list):
                raise ServiceUnavailable(f"{url} answers without `features`; is it a STAC API?")
            yield from (feature for feature in features if isinstance(feature, dict))
            count += len(features)
            if count > self._most:
                raise TooLarge(
                    f"more than {self._most} scenes of {collection} (TERRALAB_IMAGERY_MAX_SCENES); narrow the dates"
                )
            following = next((link for link in page.get("links") or [] if link.get("rel") == "next"), None)
            if following is None:
                self._refuse_part(page, count, collection)
                return
            url, method, sent = _next(url, following, sent)
            if (key := digest([url, method, sent])) in seen:
                raise ServiceUnavailable(
                    f"{self._endpoint}: the next page of {collection} is one that was read already"
                )
            seen.add(key)
        raise ServiceUnavailable(f"{self._endpoint}: the pages of {collection} do not end")

    def _page(self, method: str, url: str, body: dict[str, Any] | None) -> tuple[dict[str, Any], str]:
        """Return a page and the method that the API understands."""
        try:
            return self._reads.json(method, url, body if method == "POST" else None), method
        except LabError as error:
            if method != "POST" or error.members.get("status") not in _NO_POST or body is None:
                raise
            query = {
                key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in body.items()
            }
            return self._reads.json("GET", f"{url}?{urlencode(query)}"), "GET"

    def _refuse_part(self, page: dict[str, Any], count: int, collection: str) -> None:
        matched = page.get("numberMatched", (page.get("context") or {}).get("matched"))
        if isinstance(matched, int) and matched > count:
            raise ServiceUnavailable(
                f"{self._endpoint} gave {count} of {matched} scenes of {collection} and no further page; run it again,"
                " or narrow the dates"
            )

    def _address(self, item: dict[str, Any]) -> str:
        for link in item.get("links") or []:
            if isinstance(link, dict) and link.get("rel") == "self" and str(link.get("href")).startswith("http"):
                return str(link["href"])
        return f"{self._endpoint}/collections/{item.get('collection')}/items/{item['id']}"


def _next(url: str, link: dict[str, Any], body: dict[str, Any] | None) -> tuple[str, str, dict[str, Any] | None]:
    method = str(link.get("method") or "GET").upper()
    following = urljoin(url, str(link.get("href")))
    if method != "POST":
        return following, "GET", None
    given = link.get("body") or {}
    return following, "POST", {**(body or {}), **given} if link.get("merge") else given


def _outline(item: dict[str, Any]) -> Any:
    try:
        outline = shape(item["geometry"])
        period(item)
    except Exception:  # shapely raises whatever it meets; an item without place or time is no scene
        return None
    return outline if outline.is_valid else outline.buffer(0)


def _state(item: dict[str, Any]) -> str:
    """Return what changes when the provider makes the item anew: its times of change and checksums of its files."""
    properties = item.get("properties") or {}
    sums = sorted(
        str(asset.get("file:checksum")) for asset in (item.get("assets") or {}).values() if isinstance(asset, dict)
    )
    return digest([properties.get("updated"), properties.get("created"), properties.get("processing:version"), sums])
