"""The links of a page of a search, as the stock API makes them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import Scope

from terralab.catalog.addresses import WEB_BASE
from terralab.catalog.rendering import STAC_PATH

_GEOJSON, _JSON = "application/geo+json", "application/json"


def page_links(
    scope: Scope, search: Mapping[str, Any], collection: str | None, following: str | None, previous: str | None
) -> list[dict[str, Any]]:
    """Return the links of a page.

    Args:
        scope: of the request.
        search: body of the search, for the links of a POST.
        collection: the collection whose items were asked for; None for a search.
        following: token of the next page.
        previous: token of the page before.
    """
    root = f"{scope[WEB_BASE]}{STAC_PATH}/"
    if collection is None:
        links = [_link("root", _JSON, root), _link("self", _GEOJSON, f"{root}search")]
    else:
        parent = f"{root}collections/{quote(collection)}"
        links = [
            _link("collection", _JSON, parent),
            _link("parent", _JSON, parent),
            _link("root", _JSON, root),
            _link("self", _GEOJSON, f"{parent}/items"),
        ]
    address = f"{root}search" if collection is None else f"{root}collections/{quote(collection)}/items"
    for rel, token in (("next", following), ("previous", previous)):
        if token is not None:
            links.append(_page_link(scope, search, address, rel, token))
    return links


def _page_link(scope: Scope, search: Mapping[str, Any], address: str, rel: str, token: str) -> dict[str, Any]:
    if scope["method"] == "POST":
        body = {**search, "token": token}
        return {**_link(rel, _GEOJSON, address), "method": "POST", "body": body}
    query = dict(parse_qsl(scope["query_string"].decode("ascii")))
    return {**_link(rel, _GEOJSON, f"{address}?{urlencode({**query, 'token': token})}"), "method": "GET"}


def _link(rel: str, media_type: str, href: str) -> dict[str, Any]:
    return {"rel": rel, "type": media_type, "href": href}
