"""The house of two users: Ana's objects, the routes that could show them, and what everybody is answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from terralab.catalog.access.keys import create_key
from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import derived_from
from terralab.extensions.labels import label_item
from terralab.extensions.raster import Grid
from tests.catalog.conftest import BANDS, CLASSES, GRID, WHEN, Server, geotiff

STRANGERS = ("nobody", "ben")
CALLERS = (*STRANGERS, "amy", "ana", "admin")
PUBLIC_COLLECTION, PRODUCT = "flood-scenes", "flood-labels/mixed-label"
PRODUCT_ASSET = "flood-labels/items/mixed-label/assets/raster_labels"
# Elsewhere and at another time than what is public, so that an extent would show it.
FAR_GRID = Grid("EPSG:32630", (10, 0, 300000, 0, -10, 5200000), GRID.shape)
FAR_TIMES = {"own": WHEN.replace(year=1999), "team": WHEN.replace(year=1998)}
FINAL = 2
REMEMBERED = 3.1  # seconds; so long a web process may remember which collections are private, and items for tiles
Answer = tuple[int, str, str]


@dataclass(frozen=True)
class Target:
    """One of Ana's objects, and who may read it."""

    title: str
    collection: str
    item: str
    seen_by: tuple[str, ...]


OWN = Target("a private item in a public collection", PUBLIC_COLLECTION, "ana-own", ("ana", "admin"))
TEAM = Target("an item in the collection of a project", "ana-scenes", "ana-team", ("amy", "ana", "admin"))
TARGETS = (OWN, TEAM)


@dataclass(frozen=True)
class Route:
    """A request that names one of Ana's objects, and is 404 for a stranger.

    Attributes:
        label: as the table has it.
        path: with `{c}` and `{i}` for collection and item (`{hc}`, `{hi}`: as a paging token has them), `{sum}` and
            `{csum}` for the checksums of their files.
        method: of the request.
        body: JSON of the request; `item` stands for the item.
        headers: of the request.
        callers: who sends it.
    """

    label: str
    path: str
    method: str = "GET"
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    callers: tuple[str, ...] = CALLERS


@dataclass(frozen=True)
class List(Route):
    """A request that answers 200 to everybody, with what the caller may see.

    Attributes:
        shows: which of Ana's objects are in the answer to who may read them.
    """

    shows: tuple[Target, ...] = TARGETS


ONE = {"op": "=", "args": [{"property": "id"}, "{i}"]}
ASSET = "/tiles/collections/{c}/items/{i}/assets/image"
ITEM = "/stac/collections/{c}/items/{i}"
EVERY = "limit=1000"
OBJECT_ROUTES = [
    Route("item", ITEM),
    Route("item, by the stock way", f"{ITEM}?any=1"),
    Route("page", "/items/{c}/{i}"),
    Route("lineage, up", "/lineage/{c}/{i}?direction=up"),
    Route("lineage, down", "/lineage/{c}/{i}?direction=down"),
    Route("file", "/files/{sum}/image.tif"),
    Route("file, a range", "/files/{sum}/image.tif", headers=(("Range", "bytes=0-99"),)),
    Route("file, its head", "/files/{sum}/image.tif", method="HEAD"),
    Route("TileJSON", f"{ASSET}/tilejson.json"),
    Route("tile", f"{ASSET}/WebMercatorQuad/14/8055/6322.png"),
    Route("preview", f"{ASSET}/preview.png"),
    Route("box", f"{ASSET}/bbox/-3,37.93,-2.99,37.94.png"),
    Route("point", f"{ASSET}/point/-2.999,37.945"),
    Route("statistics", f"{ASSET}/statistics"),
    Route("raster info", f"{ASSET}/info"),
    Route("map", f"{ASSET}/map"),
    Route("WMTS", f"{ASSET}/WMTSCapabilities.xml"),
    Route("legend", f"{ASSET}/legend.json"),
    Route("models for the item", "/models/matching?item={c}/{i}"),
    Route("item below a project", "/stac/catalogs/everything/collections/{c}/items/{i}"),
    Route("replace", ITEM, method="PUT", body="item"),
    Route("patch", ITEM, method="PATCH", body={"properties": {"title": "Mine"}}),
    Route("delete", ITEM, method="DELETE", callers=STRANGERS),
]
COLLECTION_ROUTES = [
    Route("collection", "/stac/collections/{c}"),
    Route("items of a collection", "/stac/collections/{c}/items"),
    Route("queryables of a collection", "/stac/collections/{c}/queryables"),
    Route("sortables of a collection", "/stac/collections/{c}/sortables"),
    Route("Croissant of a collection", "/stac/collections/{c}/croissant"),
    Route("aggregation of a collection", "/stac/collections/{c}/aggregate?aggregations=total_count"),
    Route("aggregations of a collection", "/stac/collections/{c}/aggregations"),
    Route("file of a collection", "/files/{csum}/thumbnail.png"),
    Route("collection below a project", "/stac/catalogs/everything/collections/{c}"),
    Route("items below a project", "/stac/catalogs/everything/collections/{c}/items"),
    Route("project", "/stac/catalogs/a"),
    Route("collections of her project", "/stac/catalogs/a/collections"),
    Route("search of her project", "/stac/catalogs/a/search"),
    Route("patch of a collection", "/stac/collections/{c}", method="PATCH", body={"title": "Mine"}),
    Route("delete of a collection", "/stac/collections/{c}", method="DELETE", callers=STRANGERS),
]
LISTS = [
    List("search", f"/stac/search?{EVERY}"),
    List("search by id", "/stac/search?ids={i}"),
    List("search by collection", f"/stac/search?collections={{c}}&{EVERY}"),
    List("search by filter", "/stac/search?filter=id='{i}'"),
    List("search by negated filter", f"/stac/search?{EVERY}&filter=NOT (id='x')"),
    List("search by owner", "/stac/search?filter=\"lab:owner\"='ana' OR id='{i}'"),
    List("search by text", "/stac/search?q=secret"),
    List("search by place", f"/stac/search?bbox=-10,30,10,60&{EVERY}"),
    List("search by time", f"/stac/search?datetime=1998-01-01T00:00:00Z/1999-12-31T00:00:00Z&{EVERY}"),
    List("search with fields", f"/stac/search?fields=id&{EVERY}"),
    List("search, sorted", f"/stac/search?sortby=id&{EVERY}"),
    List("search after its token", "/stac/search?token=next:{hc}:{hi}&limit=1"),
    List("search after its token, the stock way", "/stac/search?token=next:{hc}:{hi}&filter=nothing IS NULL&limit=1"),
    List("search before its token", "/stac/search?token=prev:{hc}:{hi}&limit=1"),
    List("search, POST", "/stac/search", method="POST", body={"limit": 1000}),
    List("search by filter, POST", "/stac/search", method="POST", body={"filter": ONE}),
    List("search by query, POST", "/stac/search", method="POST", body={"query": {"id": {"eq": "{i}"}}}),
    List("collections", "/stac/collections", shows=(TEAM,)),
    List("collections by text", "/stac/collections?q=secret", shows=(TEAM,)),
    List("landing page of the API", "/stac/", shows=(TEAM,)),
    List("projects", "/stac/catalogs", shows=(TEAM,)),
    List("children", f"/stac/children?{EVERY}", shows=(TEAM,)),
    List("a project that all see", "/stac/catalogs/everything", shows=(TEAM,)),
    List("collections of a project", "/stac/catalogs/everything/collections", shows=(TEAM,)),
    List("children of a project", "/stac/catalogs/everything/children", shows=(TEAM,)),
    List("search of a project", f"/stac/catalogs/everything/search?{EVERY}"),
    List("search of a project, POST", "/stac/catalogs/everything/search", method="POST", body={"limit": 1000}),
    List("items for a model", "/models/flood-net-abc/items?limit=100"),
    List("public collection", f"/stac/collections/{PUBLIC_COLLECTION}", shows=()),
    List("items of the public collection", f"/stac/collections/{PUBLIC_COLLECTION}/items?{EVERY}", shows=(OWN,)),
    List("queryables", "/stac/queryables", shows=()),
    List("count", "/stac/aggregate?aggregations=total_count"),
    List("count, POST", "/stac/aggregate", method="POST", body={"aggregations": ["total_count"]}),
    List("count of a filter", "/stac/aggregate?aggregations=total_count&filter=id='{i}'"),
    List("histogram by collection", "/stac/aggregate?aggregations=collection_frequency"),
    List("histogram by month", "/stac/aggregate?aggregations=datetime_frequency"),
    List("earliest time", "/stac/aggregate?aggregations=datetime_min"),
    List("lineage of its source", f"/lineage/{PUBLIC_COLLECTION}/spain-s2?direction=down"),
    List("lineage of its product", f"/lineage/{PRODUCT}", shows=(OWN,)),
    List("page of its product", f"/items/{PRODUCT}", shows=(OWN,)),
    List(
        "map of its product", "/tiles/collections/flood-labels/items/mixed-label/assets/raster_labels/map", shows=(OWN,)
    ),
    List("landing page", "/"),
    List("landing page as JSON", "/", headers=(("Accept", "application/json"),)),
]


@dataclass
class House:
    """The lab with the users, and what they were answered while Ana's objects came.

    Attributes:
        workspace: the lab.
        server: its web process.
        tokens: headers by caller.
        objects: Ana's items by id, as published, and her collection.
        answers: by phase, route, item and caller; phase 0 is before Ana's objects, 1 with the first, 2 with all.
    """

    workspace: Workspace
    server: Server
    tokens: Mapping[str, Mapping[str, str]]
    objects: Mapping[str, Any]
    answers: dict[tuple[int, str, str, str], Answer]

    def change(self, caller: str, path: str, body: dict[str, Any]) -> None:
        """Change the projects."""
        answer = self.server.client.post(f"/stac/catalogs{path}", json=body, headers=self.tokens[caller])
        assert answer.is_success, answer.text

    def add_project(self, id: str, caller: str, fields: dict[str, Any], collection: str) -> None:
        """Make a project with a collection in it."""
        project = {"type": "Catalog", "id": id, "stac_version": "1.1.0", "description": f"About {id}", **fields}
        self.change(caller, "", project)
        self.change(caller, f"/{id}/collections", {"id": collection})

    def record(self, phase: int) -> None:
        """Keep what is answered now: to strangers of everything, to the others of the lists that change now or next."""
        asked: dict[Any, Answer] = {}
        for route, target in cases():
            changes = isinstance(route, List) and phase - TARGETS.index(target) in (0, 1)
            compared = STRANGERS if isinstance(route, List) or phase in (0, FINAL) else ()
            for caller in CALLERS if changes else compared:
                request = self.request(route, target, caller)
                key = (request.method, request.url, request.content, caller, route.headers)
                if key not in asked:
                    asked[key] = normal(self.server.client.send(request))
                self.answers[phase, route.label, target.item, caller] = asked[key]

    def ask(self, route: Route, target: Target, caller: str) -> httpx.Response:
        """Send a request as a caller."""
        return self.server.client.send(self.request(route, target, caller))

    def request(self, route: Route, target: Target, caller: str) -> httpx.Request:
        """Return the request of a caller for one of Ana's objects."""
        item = self.objects[target.item]
        names = {
            "c": target.collection,
            "i": target.item,
            "hc": target.collection.encode().hex(),
            "hi": target.item.encode().hex(),
            "sum": item["assets"]["image"]["file:checksum"],
            "csum": self.objects["ana-scenes"]["assets"]["thumbnail"]["file:checksum"],
        }
        body = item if route.body == "item" else _filled(route.body, names)
        headers = {**self.tokens[caller], **dict(route.headers)}
        path = _filled(route.path, names)
        return self.server.client.build_request(route.method, path, json=body, headers=headers)


def normal(answer: httpx.Response) -> Answer:
    """Return what must not differ, without what differs each time."""
    text = re.sub(r'"request_id": ?"[0-9a-f]+"', "", answer.text)
    text = re.sub(r"expires=\d+&(amp;)?signature=[\w-]+", "", text)
    return answer.status_code, answer.headers.get("content-type", ""), text


def tokens(workspace: Workspace) -> dict[str, dict[str, str]]:
    tokens = {
        name: {"X-API-Key": create_key(workspace.catalog, name, ["read", "write"], [project])[0]}
        for name, project in (("ana", "a"), ("amy", "a"), ("ben", "b"))
    }
    local = kept_secret(workspace.settings.secrets_folder, TOKEN)
    return {"nobody": {}, "admin": {"Authorization": f"Bearer {local}"}, **tokens}


def objects_of(workspace: Workspace, owner: str, project: str) -> dict[str, Any]:
    """Return a private item, and a project's collection with an item; their files are stored."""
    far = owner == "ana"
    areas = {name: FAR_GRID.footprint(when) if far else GRID.footprint(WHEN) for name, when in FAR_TIMES.items()}
    collection = imagery_collection(
        id=f"{owner}-scenes", title="Secret scenes", description="Secret", footprint=areas["team"], bands=BANDS
    )
    picture = workspace.store.put_bytes(f"a picture of {owner}".encode(), "thumbnail.png")
    collection["assets"] = {
        "thumbnail": {
            "href": picture.href,
            "type": "image/png",
            "roles": ["thumbnail"],
            "file:size": picture.size,
            "file:checksum": picture.checksum,
        }
    }
    collection |= {"lab:owner": owner, "lab:visibility": "project", "lab:project": project}
    items = {}
    for seed, (name, within) in enumerate((("own", PUBLIC_COLLECTION), ("team", f"{owner}-scenes"))):
        item = scene_item(
            id=f"{owner}-{name}",
            collection_id=within,
            footprint=areas[name],
            grid=FAR_GRID if far else GRID,
            image=geotiff(workspace, f"{owner}-{name}.tif", 4, 10 * ord(owner[0]) + seed),
            bands=BANDS,
            properties={"title": "secret", "description": "secret"},
        )
        item["links"].append({"rel": "derived_from", "href": f"collections/{PUBLIC_COLLECTION}/items/spain-s2"})
        items[item["id"]] = item
    items[f"{owner}-own"]["properties"] |= {"lab:owner": owner, "lab:visibility": "private"}
    return {f"{owner}-scenes": collection, **items}


def publish_product(workspace: Workspace, source: dict[str, Any]) -> None:
    """Publish a public label that was made from Ana's private scene, before there is one."""
    label = label_item(
        id="mixed-label",
        collection_id="flood-labels",
        footprint=GRID.footprint(WHEN),
        grid=GRID,
        raster=geotiff(workspace, "mixed.tif", 1, 4),
        classes=CLASSES,
        class_counts={"land": 1},
        scene=source,
        scene_asset="image",
        description="hand",
        links=[derived_from(source)],
    )
    publish(workspace, [], [label])


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(part, names) for key, part in value.items()}
    return [_filled(part, names) for part in value] if isinstance(value, list) else value


def cases() -> list[tuple[Route, Target]]:
    both = [(route, target) for target in TARGETS for route in [*OBJECT_ROUTES, *LISTS]]
    return both + [(route, TEAM) for route in COLLECTION_ROUTES]
