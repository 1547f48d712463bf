"""Two users with a project each, over every route that shows objects: neither sees what is the other's, in any way.

What a stranger is answered is recorded before Ana's objects are there and compared with what it is answered afterwards:
it is the same. So nothing leaks, be it by a status, a count, a hint in an error or the extent of a collection.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.app import create_app
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.tiler.app import create_tiler_app
from tests.catalog.conftest import fill, serve
from tests.catalog.two_users import (
    CALLERS,
    COLLECTION_ROUTES,
    FINAL,
    LISTS,
    OBJECT_ROUTES,
    OWN,
    PUBLIC_COLLECTION,
    REMEMBERED,
    STRANGERS,
    TARGETS,
    TEAM,
    House,
    List,
    Route,
    Target,
    cases,
    objects_of,
    publish_product,
    tokens,
)
from tests.conftest import execute, official_schemas

DOCS = Path(__file__).parents[2] / "docs" / "access.md"


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
    mine = objects_of(workspace, "ben", "b")
    publish(workspace, [mine["ben-scenes"]], [mine["ben-own"], mine["ben-team"]])
    objects = objects_of(Workspace(elsewhere), "ana", "a")  # so that names and checksums are known before
    publish_product(workspace, objects["ana-own"])
    for server in serve(create_app(settings, {"/tiles": create_tiler_app(settings)})):
        found = House(workspace, server, tokens(workspace), objects, {})
        found.add_project("everything", "admin", {"lab:visibility": "public"}, PUBLIC_COLLECTION)
        found.record(0)
        assert objects_of(workspace, "ana", "a") == objects
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


def case_name(value: Any) -> str:
    return str(getattr(value, "item", getattr(value, "label", value)))


@pytest.mark.parametrize(("route", "target"), cases(), ids=case_name)
@pytest.mark.parametrize("caller", STRANGERS)
def test_for_a_stranger_it_is_as_if_it_were_not_there(house: House, route: Route, target: Target, caller: str) -> None:
    found = {phase: house.answers.get((phase, route.label, target.item, caller)) for phase in range(FINAL + 1)}
    assert found[FINAL] == found[0]
    if isinstance(route, List):
        assert found[1] == found[0]


@pytest.mark.parametrize(("route", "target"), cases(), ids=case_name)
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
    for route, target in cases():
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
