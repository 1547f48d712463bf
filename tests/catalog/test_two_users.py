"""Two users with a project each, over every route that shows objects: neither sees what is the other's, in any way.

What a stranger is answered is recorded before Ana's objects are there and compared with what it is answered afterwards:
it is the same. So nothing leaks, be it by a status, a count, a hint in an error or the extent of a collection.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from terralab.catalog.access.keys import create_key
from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import derived_from
from terralab.extensions.labels import label_item
from terralab.extensions.raster import Grid
from terralab.tiler.app import create_tiler_app
from tests.catalog.conftest import BANDS, CLASSES, GRID, WHEN, Server, fill, geotiff, serve
from tests.conftest import execute, official_schemas

DOCS = Path(__file__).parents[2] / "docs" / "access.md"
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
        for route, target in _cases():
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


@pytest.fixture(scope="module")
def house(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    execute(postgres, f"CREATE DATABASE two_users TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/two_users"
    settings.lab.home = tmp_path_factory.mktemp("two_users")
    settings.lab.schemas = official_schemas()
    settings.access.open_reads = False
    workspace = fill(Workspace(settings))
    elsewhere = Settings()
    elsewhere.lab.home = tmp_path_factory.mktemp("elsewhere")
    mine = _objects_of(workspace, "ben", "b")
    publish(workspace, [mine["ben-scenes"]], [mine["ben-own"], mine["ben-team"]])
    objects = _objects_of(Workspace(elsewhere), "ana", "a")  # so that names and checksums are known before
    _publish_product(workspace, objects["ana-own"])
    for server in serve(create_app(settings, {"/tiles": create_tiler_app(settings)})):
        found = House(workspace, server, _tokens(workspace), objects, {})
        found.add_project("everything", "admin", {"lab:visibility": "public"}, PUBLIC_COLLECTION)
        found.record(0)
        assert _objects_of(workspace, "ana", "a") == objects
        publish(workspace, [], [objects["ana-own"]])
        time.sleep(REMEMBERED)
        found.record(1)
        publish(workspace, [objects["ana-scenes"]], [objects["ana-team"]])
        time.sleep(REMEMBERED)
        found.add_project("a", "ana", {"lab:visibility": "project"}, "ana-scenes")
        found.change("admin", "/everything/collections", {"id": "ana-scenes"})
        time.sleep(REMEMBERED)
        found.record(FINAL)
        yield found
    execute(postgres, "DROP DATABASE two_users WITH (FORCE)")


def _tokens(workspace: Workspace) -> dict[str, dict[str, str]]:
    tokens = {
        name: {"X-API-Key": create_key(workspace.catalog, name, ["read", "write"], [project])[0]}
        for name, project in (("ana", "a"), ("amy", "a"), ("ben", "b"))
    }
    local = kept_secret(workspace.settings.secrets_folder, TOKEN)
    return {"nobody": {}, "admin": {"Authorization": f"Bearer {local}"}, **tokens}


def _objects_of(workspace: Workspace, owner: str, project: str) -> dict[str, Any]:
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


def _publish_product(workspace: Workspace, source: dict[str, Any]) -> None:
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


def _cases() -> list[tuple[Route, Target]]:
    both = [(route, target) for target in TARGETS for route in [*OBJECT_ROUTES, *LISTS]]
    return both + [(route, TEAM) for route in COLLECTION_ROUTES]


def case_name(value: Any) -> str:
    return str(getattr(value, "item", getattr(value, "label", value)))


@pytest.mark.parametrize(("route", "target"), _cases(), ids=case_name)
@pytest.mark.parametrize("caller", STRANGERS)
def test_for_a_stranger_it_is_as_if_it_were_not_there(house: House, route: Route, target: Target, caller: str) -> None:
    found = {phase: house.answers.get((phase, route.label, target.item, caller)) for phase in range(FINAL + 1)}
    assert found[FINAL] == found[0]
    if isinstance(route, List):
        assert found[1] == found[0]


@pytest.mark.parametrize(("route", "target"), _cases(), ids=case_name)
def test_who_may_read_it_does(house: House, route: Route, target: Target) -> None:
    cells = {caller: _cell(house, route, target, caller) for caller in route.callers}
    seen = {caller for caller, cell in cells.items() if cell in ("200", "206", "200, seen")}
    wanted = set(target.seen_by) & set(route.callers)
    assert seen == (wanted if not isinstance(route, List) or target in route.shows else set()), cells


def test_the_table_is_that_of_the_documentation(house: House) -> None:
    table = "\n".join(_table(house))
    print(f"\n{table}")
    documented = DOCS.read_text()
    assert table in documented, "put the table above (pytest -s) into docs/access.md"


def _table(house: House) -> Iterator[str]:
    """Yield the lines of the table of routes and callers, in Markdown."""
    for target in TARGETS:
        yield f"| {target.title} | {' | '.join(CALLERS)} |"
        yield f"|---|{'---|' * len(CALLERS)}"
        for route in [*OBJECT_ROUTES, *(COLLECTION_ROUTES if target is TEAM else []), *LISTS]:
            cells = [_cell(house, route, target, name) if name in route.callers else "" for name in CALLERS]
            yield f"| {route.label} | {' | '.join(cells)} |"
        yield ""


def _cell(house: House, route: Route, target: Target, caller: str) -> str:
    """Return what the table shows of an answer: the status, and of a list whether the object came into it."""
    if not isinstance(route, List):
        return str(house.ask(route, target, caller).status_code)
    phase = 1 if target is OWN else FINAL
    before, after = (house.answers[each, route.label, target.item, caller] for each in (phase - 1, phase))
    return f"{after[0]}, {'seen' if after != before else 'not seen'}"


def test_answers_to_a_token_are_in_no_shared_cache(house: House) -> None:
    for route, target in _cases():
        if route.method == "GET":
            headers = house.ask(route, target, "ana").headers
            kept = headers["cache-control"]
            assert "private" in kept or "no-store" in kept, route.label
            assert "public" not in kept, route.label
            assert "Authorization" in headers["vary"], route.label


def test_a_signed_address_opens_the_file_and_nothing_else(house: House) -> None:
    """The addresses of a private item's files open without a token, as for GDAL; the bare ones do not."""
    path = f"/stac/collections/{OWN.collection}/items/{OWN.item}"
    for query in ("", "?any=1"):
        item = house.server.get(path + query, headers=house.tokens["ana"]).json()
        href = item["assets"]["image"]["href"]
        assert "signature=" in href
        opened = house.server.get(href)
        assert opened.status_code == 200
        assert opened.headers["cache-control"] == "private, max-age=31536000, immutable"
        bare, _, signature = href.partition("?")
        other = house.objects[TEAM.item]["assets"]["image"]["file:checksum"]
        own = house.objects[OWN.item]["assets"]["image"]["file:checksum"]
        assert house.server.get(bare).status_code == 404
        assert house.server.get(f"{bare.replace(own, other)}?{signature}").status_code == 404
        assert house.server.get(href.replace("signature=", "signature=A")).status_code == 404


def test_public_items_have_plain_addresses_that_may_be_cached(house: House) -> None:
    item = house.server.get(f"/stac/collections/{PUBLIC_COLLECTION}/items/spain-s2").json()
    href = item["assets"]["image"]["href"]
    assert "signature" not in href
    assert house.server.get(href).headers["cache-control"] == "public, max-age=31536000, immutable"


def test_an_item_in_a_private_collection_has_signed_addresses_too(house: House) -> None:
    """The item itself says nothing of who may see it: its collection does."""
    for path in (f"/stac/collections/{TEAM.collection}/items/{TEAM.item}", f"/stac/search?ids={TEAM.item}"):
        text = house.server.get(path, headers=house.tokens["amy"]).text
        checksum = house.objects[TEAM.item]["assets"]["image"]["file:checksum"]
        address = re.search(rf'http://[^"]*/files/{checksum}/[^"]*', text)
        assert address is not None
        assert house.server.get(address[0]).status_code == 200
    page = house.server.get(f"/items/{TEAM.collection}/{TEAM.item}", headers=house.tokens["amy"]).text
    address = re.search(rf'http://[^"]*/files/{checksum}/[^"]*', page)
    assert address is not None
    assert house.server.get(address[0].replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize("way", ["asset", "link", "address", "address of another host"])
def test_a_user_gets_no_file_by_writing_its_checksum(house: House, way: str) -> None:
    """Ben knows the checksum of Ana's file, and refers to it in an item of his own."""
    checksum = house.objects[OWN.item]["assets"]["image"]["file:checksum"]
    item = {**house.objects[OWN.item], "id": f"ben-{way.replace(' ', '-')}", "collection": "ben-scenes"}
    image = dict(item["assets"]["image"])
    item["properties"] = {name: value for name, value in item["properties"].items() if not name.startswith("lab:o")}
    item["properties"] |= {"lab:visibility": "private"}
    own = house.server.get("/stac/collections/ben-scenes/items/ben-team", headers=house.tokens["ben"]).json()
    item["assets"] = {"image": {**image, "href": own["assets"]["image"]["href"].partition("?")[0]}}
    item["assets"]["image"] |= {key: own["assets"]["image"][key] for key in ("file:size", "file:checksum")}
    host = {"Host": "evil.example"} if way == "address of another host" else {}
    base = "http://evil.example" if host else house.server.url
    if way == "asset":
        item["assets"]["image"] = image
    elif way == "link":
        item["links"] = [*item["links"], {"rel": "related", "href": f"../files/{checksum}/image.tif"}]
    else:
        item["assets"]["other"] = {
            "href": f"{base}/files/{checksum}/image.tif",
            "roles": ["data"],
            "type": "image/tiff",
        }
    headers = {**house.tokens["ben"], "Prefer": "return=representation"}
    written = house.server.client.post("/stac/collections/ben-scenes/items", json=item, headers=headers)
    # An address of this lab is stored as the file that it names.
    refused = way in ("asset", "address")
    assert written.status_code == (422 if refused else 201), written.text
    for query in ("", "?any=1"):
        path = f"/stac/collections/ben-scenes/items/{item['id']}{query}"
        seen = house.server.get(path, headers={**house.tokens["ben"], **host})
        assert seen.status_code == (404 if refused else 200)
        assert (checksum in seen.text) != refused
        for address in re.findall(rf'[^"]*/files/{checksum}/[^"]*', seen.text):
            asked = address.replace(base, house.server.url)
            assert house.server.get(asked).status_code == 404, address
            assert house.server.get(asked, headers=house.tokens["ben"]).status_code == 404


@pytest.mark.parametrize("caller", STRANGERS)
def test_nobody_else_may_write(house: House, caller: str) -> None:
    """A stranger's write to what it sees is refused by name, to what it does not see as if it were not there."""
    shown = {**house.objects[OWN.item], "id": "ana-shown"}
    shown["properties"] = {**shown["properties"], "lab:visibility": "public"}
    made = house.server.client.put(
        f"/stac/collections/{PUBLIC_COLLECTION}/items/ana-shown",
        json=shown,
        headers={**house.tokens["ana"], "If-None-Match": "*"},
    )
    assert made.status_code in (201, 412), made.text
    for path, known in ((f"{PUBLIC_COLLECTION}/items/ana-shown", 403), (TEAM.collection, 404)):
        answer = house.server.client.patch(
            f"/stac/collections/{path}", json={"title": "Mine"}, headers=house.tokens[caller]
        )
        assert answer.status_code == (401 if caller == "nobody" else known)
