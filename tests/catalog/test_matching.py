"""Models for data and data for models, over HTTP and on the command line."""

import json
from typing import Any

from typer.testing import CliRunner

from terralab.catalog.access.principal import Principal
from terralab.catalog.app import create_app
from terralab.catalog.matching import items_for
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from tests.catalog.conftest import Server, fill, serve

SCENE, MODEL = "flood-scenes/spain-s2", "models/flood-net-abc"


def other_model(lab: Workspace, id: str, **properties: Any) -> None:
    model = lab.catalog.item("models", "flood-net-abc")
    publish(lab, [], [{**model, "id": id, "properties": {**model["properties"], **properties}}])


def test_models_for_an_item(server: Server) -> None:
    answer = server.get(f"/models/matching?item={SCENE}").json()
    (found,) = answer["matches"]
    assert (found["name"], found["title"], found["asset"]) == (MODEL, "flood-net 1.0.0", "image")
    assert found["reasons"] == [
        "has all 4 bands",
        "pixels of 10 m, learned from 10 m",
        "same sensor, sentinel-2",
        "100% of the area is where it learned",
        "test mIoU 0.860",
    ]
    assert found["bands"][0] == {"needed": "B02", "offered": "B02", "by": "name", "asset": "image"}
    assert found["metrics"]["test_miou"] == 0.86
    assert server.get(found["links"][0]["href"].removeprefix(server.url)).json()["id"] == "flood-net-abc"
    assert (answer["unfit"], answer["looked_at"], answer["complete"]) == ([], 1, True)


def test_models_for_bands(server: Server) -> None:
    fits = server.get("/models/matching?bands=b2,B3,B04,B08&sensor=Sentinel-2A&gsd=10&bbox=0,0,1,1").json()
    assert [one["area_overlap"] for one in fits["matches"]] == [0.0]
    assert server.get("/models/matching?bands=blue,green,red,nir&sensor=landsat-8&gsd=30").json()["matches"]
    lacks = server.get("/models/matching?bands=B02,B03").json()
    assert lacks["matches"] == []
    assert lacks["unfit"] == [{"name": MODEL, "reasons": ["lacks B04, B08"]}]
    assert server.get(f"/models/matching?item={SCENE}&task=object-detection").json()["looked_at"] == 0


def test_the_better_model_comes_first(lab: Workspace) -> None:
    other_model(lab, "worse", **{"lab:metrics": {"test_miou": 0.5}})
    other_model(lab, "best", **{"lab:aliases": ["production"], "lab:metrics": {"test_miou": 0.9}})
    for server in serve(create_app(lab.settings)):
        found = server.get(f"/models/matching?item={SCENE}").json()["matches"]
        assert [one["name"] for one in found] == ["models/best", MODEL, "models/worse"]
        assert len(server.get(f"/models/matching?item={SCENE}&limit=2").json()["matches"]) == 2
        with lab.catalog.connection() as connection:  # as another program would
            connection.execute("UPDATE items SET content = content WHERE id = 'best'")
        again = server.get(f"/models/matching?item={SCENE}").json()["matches"]
        assert [one["name"] for one in again] == [one["name"] for one in found]


def test_items_for_a_model(server: Server) -> None:
    answer = server.get("/models/flood-net-abc/items").json()
    assert [one["name"] for one in answer["matches"]] == [SCENE]
    assert server.get("/models/flood-net-abc/items?bbox=100,0,101,1").json()["looked_at"] == 0
    assert server.get("/models/flood-net-abc/items?datetime=2021-01-01T00:00:00Z/..").json()["matches"] == []
    assert server.get("/models/flood-net-abc/items?collections=flood-v1,absent").json()["looked_at"] == 0


def test_wrong_questions(server: Server) -> None:
    for query in ("", "item=a/b&bands=B02", "item=abc", "bands=B02&bbox=1,2", "bands=B02&limit=0", "bands=B02&gsd=-1"):
        answer = server.get(f"/models/matching?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), query
    assert server.get("/models/matching?item=flood-scenes/absent").status_code == 404
    assert server.get("/models/absent/items").status_code == 404
    assert server.get("/models/flood-net-abc/items?datetime=yesterday").status_code == 400


def test_strangers_see_what_is_public(lab: Workspace) -> None:
    other_model(lab, "mine", **{"lab:owner": "ann", "lab:visibility": "private"})
    closed = Settings()
    closed.lab.home, closed.lab.schemas = lab.settings.lab.home, lab.settings.lab.schemas
    closed.database.database_url, closed.access.open_reads = lab.settings.database_url, False
    for server in serve(create_app(closed)):
        found = server.get(f"/models/matching?item={SCENE}").json()
        assert ([one["name"] for one in found["matches"]], found["looked_at"]) == ([MODEL], 1)
        hidden, absent = (server.get(f"/models/{name}/items") for name in ("mine", "nine"))
        assert hidden.status_code == absent.status_code == 404
        assert hidden.json()["detail"].replace("mine", "nine") == absent.json()["detail"]
    ann = Principal("ann", frozenset({"read"}))
    assert items_for(lab, ann, "mine", 5).fit


def test_command(workspace: Workspace) -> None:
    fill(workspace)
    said = CliRunner().invoke(app, ["models", "match", SCENE, "--json"])
    assert json.loads(said.stdout)[0]["name"] == MODEL
    said = CliRunner().invoke(app, ["models", "match", "--bands", "B02", "--sensor", "sentinel-2"])
    assert "lacks B03, B04, B08" in " ".join(said.stdout.split())
