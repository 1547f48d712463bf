import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pystac_client
import pytest
import rasterio
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralab.catalog.app import create_app
from terralab.catalog.database import Catalog
from terralab.catalog.errors import InvalidInput
from terralab.catalog.publish import publish
from terralab.catalog.search_guards import MAX_FILTER_DEPTH, check_filter, parse_filter, split_box
from terralab.catalog.stac_api import create_stac_app
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import multihash_of_bytes
from terralab.extensions.item import EXTENSION_URIS
from tests.catalog.conftest import Server, fill

BBOX = [-3.01, 37.93, -2.98, 37.95]


def nested(depth: int) -> dict:
    expression: dict = {"op": "=", "args": [{"property": "gsd"}, 1]}
    for _ in range(depth):
        expression = {"op": "not", "args": [expression]}
    return expression


def test_pystac_client_finds_chips_models_and_predictions(server: Server) -> None:
    client = pystac_client.Client.open(f"{server.url}/stac")
    assert all(client.conforms_to(name) for name in ("SORT", "FIELDS", "QUERY", "FILTER", "COLLECTION_SEARCH"))
    assert client.title == "TerraLab"

    def ids(**query: object) -> list[str]:
        return [item.id for item in client.search(**query).items()]

    chips = {"collections": ["flood-v1"], "bbox": BBOX}
    test_split = {"op": "=", "args": [{"property": "ml-aoi:split"}, "test"]}
    assert ids(**chips, filter=test_split, filter_lang="cql2-json") == ["chip-0003"]
    assert ids(bbox=[10, 10, 11, 11]) == []
    assert "flood-net-spain" in ids(datetime="2020-05-01/2020-05-02", collections=["flood-net-predictions"])
    assert ids(datetime="2021-01-01/..") == []
    assert ids(filter="\"mlm:name\" = 'flood-net'") == ["flood-net-abc"]
    assert ids(filter="\"mlm:name\" = 'flood-net'", filter_lang="cql2-text", method="GET") == ["flood-net-abc"]
    better = ids(
        collections=["models"],
        filter='"lab:metrics.test_miou" > 0.5',
        sortby="-properties.lab:metrics.test_miou",
    )
    assert better == ["flood-net-abc"]
    assert ids(filter='"lab:metrics.test_miou" > 0.9') == []
    assert client.search(**chips).matched() == 4
    assert len(ids(**chips, limit=3)) == 4  # two pages


def test_matched_is_counted_at_once_after_more_is_published(lab: Workspace, server: Server) -> None:
    assert server.get("/stac/search?collections=flood-v1").json()["numberMatched"] == 4
    list(lab.catalog.search(collections=["flood-v1"]))  # a flow's search keeps its count in the database
    fill(lab, chips=7)
    assert server.get("/stac/search?collections=flood-v1").json()["numberMatched"] == 7


def test_every_asset_opens_and_matches_its_checksum(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    items = list(pystac_client.Client.open(f"{server.url}/stac").search().items())
    assert len(items) == 12
    for asset in (asset for item in items for asset in item.assets.values()):
        answer = httpx.get(asset.href)
        assert answer.status_code == 200
        checksum = asset.extra_fields["file:checksum"]
        algorithm = "md5" if checksum.startswith("d5") else "sha256"
        assert multihash_of_bytes(answer.content, algorithm) == checksum
        assert answer.headers["content-type"].startswith(str(asset.media_type).split(";")[0])
        if asset.href.endswith(".tif"):
            with rasterio.open(f"/vsicurl/{asset.href}", driver="GTiff") as dataset:
                assert dataset.read(1).shape == (64, 64)


READ_PATHS = [
    "/stac/search?collections=flood-net-predictions",
    "/stac/collections/flood-net-predictions/items",
    "/stac/collections/flood-net-predictions/items/flood-net-spain",
]


def test_assets_and_map_links_on_every_read_path(server: Server) -> None:
    answers = [server.get(path).json() for path in READ_PATHS]
    answers.append(server.client.post("/stac/search", json={"collections": ["flood-net-predictions"]}).json())
    for answer in answers:
        check_prediction(server, answer["features"][0] if "features" in answer else answer)


def check_prediction(server: Server, item: dict) -> None:
    assert item["assets"]["prediction"]["href"].startswith(f"{server.url}/files/1220")
    links = {link["rel"]: link for link in item["links"]}
    tiles = f"{server.url}/tiles/collections/flood-net-predictions/items/flood-net-spain/assets/prediction"
    assert links["xyz"]["href"] == tiles + "/WebMercatorQuad/{z}/{x}/{y}.png?render=default"
    assert links["tilejson"]["href"] == f"{tiles}/tilejson.json?render=default"
    assert links["preview"]["href"] == f"{tiles}/map?render=default"
    assert links["legend"]["href"] == f"{tiles}/legend.json"
    assert links["wmts"]["href"] == f"{tiles}/WMTSCapabilities.xml"
    assert links["wmts"]["wmts:layer"] == "prediction-default"
    assert links["xyz"]["render"] == links["tilejson"]["render"] == "default"
    assert EXTENSION_URIS["web-map-links"] in item["stac_extensions"]
    assert links["self"]["href"] == f"{server.url}{READ_PATHS[2]}"
    assert links["derived_from"]["href"].startswith(f"{server.url}/stac/collections/")


def test_items_share_the_renders_of_their_collection(server: Server) -> None:
    chip = server.get("/stac/collections/flood-v1/items/chip-0000").json()
    hrefs = [link["href"] for link in chip["links"] if link["rel"] == "xyz"]
    assert len(hrefs) == 1
    assert "/assets/image/" in hrefs[0]
    model = server.get("/stac/collections/models/items/flood-net-abc").json()
    assert not [link for link in model["links"] if link["rel"] == "xyz"]


def test_served_items_stay_valid(shared_lab: Workspace, server: Server) -> None:
    for item in server.get("/stac/search?limit=100").json()["features"]:
        # A tile address is a template, `{z}/{x}/{y}`, as the web map links extension asks; STAC's own schema calls
        # every href an IRI.
        problems = [one for one in shared_lab.schemas.problems(item) if "iri-reference" not in one.message]
        assert problems == []
    for collection in server.get("/stac/collections").json()["collections"]:
        assert shared_lab.schemas.problems(collection) == []


def test_null_datetime_of_a_time_range_is_served(lab: Workspace, server: Server) -> None:
    scene = lab.catalog.item("flood-scenes", "spain-s2")
    times = {"datetime": None, "start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-06-01T00:00:00Z"}
    publish(lab, [], [{**scene, "id": "mosaic", "properties": {**scene["properties"], **times}}])
    for path in ("/stac/collections/flood-scenes/items/mosaic", "/stac/search?ids=mosaic"):
        found = server.get(path).json()
        item = found["features"][0] if "features" in found else found
        assert item["properties"]["datetime"] is None
        assert not [problem for problem in lab.schemas.problems(item) if "iri-reference" not in problem.message]


def test_collection_assets_are_addressed(lab: Workspace, server: Server) -> None:
    collection = lab.catalog.collection("flood-v1")
    stored = lab.store.put_bytes(b"id\n", "chips.csv")
    collection["assets"] = {"table": {"href": stored.href, "type": "text/csv", "roles": ["metadata"]}}
    publish(lab, [collection], [])
    address = f"{server.url}/files/{stored.checksum}/chips.csv"
    assert server.get("/stac/collections/flood-v1").json()["assets"]["table"]["href"] == address
    for path in ("/stac/collections", "/stac/collections?fields=id,assets"):
        found = {entry["id"]: entry for entry in server.get(path).json()["collections"]}
        assert found["flood-v1"]["assets"]["table"]["href"] == address


def test_links_follow_the_host_that_was_called_and_nothing_else(server: Server) -> None:
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    assert "evil" not in server.get("/stac/", headers=forged).text
    assert server.get("/stac/", headers={"Host": "lab.example:81"}).json()["links"][0]["href"] == (
        "http://lab.example:81/stac/"
    )


@pytest.mark.parametrize("sent", ["/stac/collections/models", "/lab/stac/collections/models"])
def test_links_use_the_public_address(lab: Workspace, sent: str) -> None:
    lab.settings.web.public_url = "https://eo.example.org/lab/"
    with TestClient(create_app(lab.settings), base_url="http://inside:8080") as client:
        links = {link["rel"]: link["href"] for link in client.get(sent).json()["links"]}
        item = client.get("/stac/collections/models/items/flood-net-abc").json()
    assert links["self"] == "https://eo.example.org/lab/stac/collections/models"
    assert item["assets"]["weights"]["href"].startswith("https://eo.example.org/lab/files/1220")


def test_standalone_api_links_without_a_mount(shared_lab: Workspace) -> None:
    with TestClient(create_stac_app(shared_lab.settings, shared_lab.settings.database_url)) as client:
        page = client.get("/collections/models/items").json()
    assert page["features"][0]["assets"]["config"]["href"].startswith("http://testserver/files/")


BAD_BODIES = {
    "too deep": {"filter": nested(400)},
    "unknown operator": {"filter": {"op": "frob", "args": [{"property": "gsd"}, 1]}},
    "division by zero": {"filter": {"op": "=", "args": [{"op": "/", "args": [1, 0]}, 1]}},
    "value of another type": {"filter": {"op": ">", "args": [{"property": "gsd"}, "abc"]}},
    "many parts": {"filter": {"op": "or", "args": [nested(0)] * 3000}},
    "garbage token": {"token": "garbage"},
    "foreign token": {"token": "next:nothing:here"},
    "NUL": {"ids": ["a\0b"]},
    "end before start": {"datetime": "2021-01-01T00:00:00Z/2020-01-01T00:00:00Z"},
    "query and filter": {"query": {"gsd": {"gt": 1}}, "filter": nested(0)},
    "vertices": {"intersects": {"type": "LineString", "coordinates": [[i / 1e4, 0] for i in range(6000)]}},
    "list": [],
    "text": "x",
}


def test_bad_search_is_a_problem_document(server: Server) -> None:
    for name, body in BAD_BODIES.items():
        answer = server.client.post("/stac/search", json=body)
        assert answer.status_code == 400, name
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "invalid_input"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert server.get("/stac/search?limit=1").status_code == 200


def test_bad_query_string_is_400(server: Server) -> None:
    for query in ("bbox=nan,0,1,1", "bbox=1,2", "filter=((((", "filter=a", "token=x", "query=x", "ids=%00"):
        assert server.get(f"/stac/search?{query}").status_code == 400, query
    assert server.get("/stac/search?intersects=5").status_code == 400
    assert server.get("/stac/search?fields=,&sortby=-").status_code == 200


def test_wrong_bodies_are_4xx(server: Server) -> None:
    for content in (
        b"{",
        b'{"bbox": [NaN, 0, 1, 1]}',
        b'{"bbox": [1e999, 0, 1, 1]}',
        b'{"ids": ["\xff"]}',
        b"[" * 99999,
    ):
        headers = {"Content-Type": "application/json"}
        assert server.client.post("/stac/search", content=content, headers=headers).status_code == 400
    assert server.client.post("/stac/search", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    large = {"ids": ["a" * 2_000_000]}
    assert httpx.post(f"{server.url}/stac/search", json=large).status_code == 413


def test_nothing_can_be_written_without_a_token(server: Server) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        answer = server.client.request(method, "/stac/collections/models/items/flood-net-abc", json={})
        assert answer.status_code == 401


def test_a_client_cannot_change_pgstac_settings(server: Server) -> None:
    body = {"conf": {"context": "off", "nohydrate": True}, "collections": ["flood-v1"]}
    assert server.client.post("/stac/search", json=body).json()["numberMatched"] == 4


def test_a_box_across_longitude_180_searches_its_own_side(server: Server) -> None:
    assert server.get("/stac/search?bbox=170,-5,-170,50").json()["numberMatched"] == 0
    assert server.get("/stac/search?bbox=-170,-5,170,50").json()["numberMatched"] == 12


def test_database_that_is_away_is_503_and_comes_back(lab: Workspace, postgres: str) -> None:
    name = lab.settings.database_url.rsplit("/", 1)[1]
    with TestClient(create_app(lab.settings)) as client:
        assert client.get("/readyz").status_code == 200
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            for path in ("/stac/search", "/readyz", "/lineage/models/flood-net-abc", "/"):
                answer = client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable"), path
                assert answer.headers["retry-after"] == "5"
            assert client.get("/livez").status_code == 200
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert client.get("/stac/search").status_code == 200


def test_web_process_starts_without_a_database(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.settings.database, "database_url", "postgresql://nobody@127.0.0.1:1/none")
    with TestClient(create_app(lab.settings)) as client:
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/stac/collections").status_code == 503


def test_slow_search_is_503(lab: Workspace) -> None:
    with psycopg.connect(lab.settings.database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE items, lab.items IN ACCESS EXCLUSIVE MODE")
        with TestClient(create_app(lab.settings)) as client:
            answer = client.get("/stac/search")
        connection.execute("ROLLBACK")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")


def test_lifespans_of_mounted_apps_run(shared_lab: Workspace) -> None:
    events: list[str] = []

    async def answer() -> dict[str, str]:
        return {"hello": "tiles"}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("stop")

    tiles = FastAPI(lifespan=lifespan)
    tiles.add_api_route("/", answer)
    with TestClient(create_app(shared_lab.settings, mounts={"/tiles": tiles})) as client:
        assert client.get("/tiles/").json() == {"hello": "tiles"}
        assert events == ["start"]
    assert events == ["start", "stop"]


def test_statistics_of_searches_are_not_written(lab: Workspace, server: Server) -> None:
    server.get("/stac/search?collections=models&limit=3")
    with Catalog(lab.settings.database_url).connection() as connection:
        assert connection.execute("SELECT count(*) FROM search_wheres").fetchone() == (0,)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_filter_check_only_raises_its_own_error(value: object) -> None:
    for check in (lambda: check_filter(value), lambda: parse_filter(json.dumps(value), "cql2-json")):
        try:
            check()
        except InvalidInput:
            continue


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_text_filter_parse_only_raises_its_own_error(text: str) -> None:
    try:
        parse_filter(text, "cql2-text")
    except InvalidInput:
        return


def test_filter_depth_has_a_limit() -> None:
    check_filter(nested(5))
    with pytest.raises(InvalidInput, match=f"at most {MAX_FILTER_DEPTH} levels"):
        check_filter(nested(MAX_FILTER_DEPTH))


longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)


@given(longitudes, latitudes, longitudes, latitudes)
def test_split_box_covers_both_sides_of_the_line(west: float, south: float, east: float, north: float) -> None:
    halves = split_box([west, south, east, north])
    assert (halves is None) == (west <= east)
    if halves:
        xs = [x for polygon in halves["coordinates"] for x, _ in polygon[0]]
        assert {180.0, -180.0} <= set(xs)
        assert {west, east} <= set(xs)


@pytest.mark.parametrize("text", ["ml-aoi:split <> 'train'", "platform - constellation > 1"])
def test_a_name_with_a_hyphen_that_is_read_as_a_subtraction_is_explained(server: Server, text: str) -> None:
    answer = server.get("/stac/search", params={"filter": text, "filter-lang": "cql2-text"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert "double quotes" in answer.json()["detail"]
