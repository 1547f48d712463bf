import re
from html.parser import HTMLParser

from fastapi import FastAPI
from fastapi.testclient import TestClient

from terralab.catalog.api_reference import endpoints
from terralab.catalog.app import create_app
from terralab.catalog.item_page import metrics_table
from terralab.catalog.pages import human_number, human_size, human_time
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve


class Links(HTMLParser):
    """Collects the addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.tags.add(tag)
        assert "style" not in values
        assert not [key for key in values if key.startswith("on")]
        if tag == "a":
            self.links.append(values["href"])
        if tag in ("img", "link"):
            self.loaded.append(values.get("src") or values["href"])


def test_landing_page_counts_and_links(server: Server) -> None:
    answer = server.get("/", headers={"Accept": "text/html"})
    page = Links(answer.text)
    for kind, count in (("imagery", 1), ("chips", 4), ("model", 1), ("runs", 3), ("prediction", 1)):
        assert re.search(rf"<strong>{count}</strong><span>{kind}</span>", answer.text)
    assert "test mIoU 0.860" in answer.text
    assert "label is 10 px smaller" in answer.text
    for path in ("/stac/", "/stac/api.html", "/items/models/flood-net-abc"):
        assert f"{server.url}{path}" in page.links
    assert not [link for link in page.links if "/tiles" in link]
    assert "http://127.0.0.1:4200" in page.links


def test_pages_link_maps_where_tiles_are_served(shared_lab: Workspace) -> None:
    tiles = FastAPI(title="Tiles")
    tiles.add_api_route("/x", lambda: {}, summary="A tile")
    with TestClient(create_app(shared_lab.settings, {"/tiles": tiles})) as client:
        page = Links(client.get("/").text)
        root = "http://testserver/tiles/collections"
        assert f"{root}/flood-net-predictions/items/flood-net-spain/assets/prediction/map?render=default" in page.links
        scene = f"{root}/flood-scenes/items/spain-s2/assets/image"
        assert f"{scene}/map?render=default" in page.links
        assert f"{scene}/preview.png?render=default&max_size=480" in page.loaded
        assert f"{scene}/map?render=default" in Links(client.get("/items/flood-scenes/spain-s2").text).links
        reference = client.get("/tiles/api.html").text
    assert "http://testserver/tiles/x" in reference
    assert "A tile" in reference


def test_pages_load_nothing_from_elsewhere_and_run_nothing(server: Server) -> None:
    for path in (
        "/",
        "/items/models/flood-net-abc",
        "/items/runs/predict-1",
        "/stac/api.html",
        "/items/flood-v1/chip-0000",
    ):
        answer = server.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200, path
        assert "script" not in Links(answer.text).tags
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for address in Links(answer.text).loaded:
            assert address.startswith(server.url)
            assert server.get(address).status_code == 200


def test_own_links_of_pages_work(server: Server) -> None:
    pages = [server.get(path).text for path in ("/", "/items/flood-net-predictions/flood-net-spain")]
    for address in {address for page in pages for address in Links(page).links}:
        if address.startswith(server.url) and "/tiles/" not in address:
            assert server.get(address).status_code == 200, address


def test_landing_page_as_json(server: Server) -> None:
    content = server.get("/", headers={"Accept": "application/json"}).json()
    assert content["counts"] == {
        "imagery": 1,
        "chips": 4,
        "labels": 1,
        "dataset": 1,
        "model": 1,
        "run": 3,
        "prediction": 1,
    }
    assert [item["kind"] for item in content["items"]][:2] == ["prediction", "model"]
    assert content["runs"][0]["status"] == "failed"
    assert "text/html" in server.get("/", headers={"Accept": "*/*"}).headers["content-type"]


def test_empty_lab_has_a_landing_page(workspace: Workspace) -> None:
    for empty in serve(create_app(workspace.settings)):
        answer = empty.get("/")
        assert answer.status_code == 200
        assert "Nothing is catalogued yet" in answer.text
        assert empty.get("/readyz").json()["status"] == "ready"


def test_model_page_shows_metrics_beside_the_baseline_and_plots(server: Server) -> None:
    text = server.get("/items/models/flood-net-abc").text
    assert re.search(r'test_miou</td>\s*<td class="right better">0.86</td>\s*<td class="right">0.81</td>', text)
    assert re.search(r'test_accuracy</td>\s*<td class="right worse">0.95</td>', text)
    assert '<img src="' in text
    assert "Training curves" in text
    assert "4 chips of flood-v1" in text
    assert "abab" in text


def test_text_of_users_is_escaped(lab: Workspace, server: Server) -> None:
    item = lab.catalog.item("models", "flood-net-abc")
    item["properties"]["title"] = "<script>alert(1)</script>"
    publish(lab, [], [item])
    for path in ("/", "/items/models/flood-net-abc"):
        text = server.get(path).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


def test_unknown_item_is_404(server: Server) -> None:
    assert server.get("/items/models/flood").status_code == 404
    assert server.get("/items/nothing/here").json()["code"] == "unknown_name"


def test_values_for_people() -> None:
    assert [human_size(size) for size in (None, 5, 1500, 2_500_000, 3e12)] == [
        "",
        "5 B",
        "1.5 kB",
        "2.5 MB",
        "3000.0 GB",
    ]
    assert [human_number(value) for value in (1234567, 0.123456, True, "x")] == ["1,234,567", "0.1235", "True", "x"]
    assert human_time("2026-05-01T10:20:30Z") == "2026-05-01 10:20 UTC"
    assert human_time(None) == ""


def test_metrics_table_says_what_is_better() -> None:
    rows = metrics_table({"test_miou": 0.9, "val_loss": 0.5, "n": 3}, {"test_miou": 0.8, "val_loss": 0.4})
    assert [row[3] for row in rows] == [None, True, False]


def test_reference_lists_endpoints() -> None:
    document = {"paths": {"/x": {"get": {"summary": "S", "parameters": [{"name": "a", "in": "query"}]}}}}
    assert endpoints(document)[0]["parameters"][0]["name"] == "a"
