"""What searches may filter and sort by."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import psycopg
import pytest

from terralab.catalog.migration import migrate
from terralab.catalog.queryables_api import queryables_of, sortables_of
from terralab.catalog.read_model import FIELDS, NUMBER
from terralab.extensions.lab import Kind, load_schema
from tests.catalog.conftest import Server

FIELDS_JSON: dict[str, Any] = json.loads(files("terralab.catalog").joinpath("queryables.json").read_text())
VALUES = {"string": "'x'", "number": "0.5", "integer": "5000000000", "boolean": "true"}


def test_fields_agree_with_the_extension_and_the_read_model() -> None:
    fields = load_schema()["definitions"]["fields"]["properties"]
    for name, one in FIELDS_JSON.items():
        assert one["title"]
        assert set(one.get("kinds", [])) <= {kind.value for kind in Kind}
        if "enum" in fields.get(name, {}):
            assert one["enum"] == fields[name]["enum"], name
        jsonschema.Draft202012Validator.check_schema({key: value for key, value in one.items() if key != "kinds"})
    assert FIELDS_JSON["lab:quality.level"]["enum"] == fields["lab:quality"]["properties"]["level"]["enum"]
    for name, (_, kind) in FIELDS.items():
        assert (FIELDS_JSON[name]["type"] in ("number", "integer")) == (kind == NUMBER), name
    missing = {name for name in fields if not any(known.split(".")[0] == name for known in FIELDS_JSON)}
    assert missing == {"lab:params", "lab:split_report"}  # of any shape: nothing to offer


@pytest.mark.parametrize(
    ("collection", "has", "lacks"),
    [
        ("models", "mlm:architecture", "ml-aoi:split"),
        ("flood-v1", "ml-aoi:split", "mlm:architecture"),
        ("runs", "lab:status", "eo:cloud_cover"),
        ("flood-scenes", "eo:cloud_cover", "lab:status"),
        ("datasets", "lab:dvc_rev", "platform"),
        ("flood-labels", "label:type", "gsd"),
        ("flood-net-predictions", "processing:datetime", "lab:seed"),
    ],
)
def test_a_collection_shows_the_fields_of_its_kind(server: Server, collection: str, has: str, lacks: str) -> None:
    path = f"/stac/collections/{collection}"
    answer = server.get(f"{path}/queryables")
    schema = answer.json()
    assert answer.headers["content-type"] == "application/schema+json"
    assert schema["$id"] == f"{server.url}{path}/queryables"
    assert {has, "lab:kind", "datetime"} <= schema["properties"].keys()
    assert lacks not in schema["properties"]
    assert schema["additionalProperties"] is True
    jsonschema.Draft202012Validator.check_schema(schema)
    links = {link["rel"]: link["href"] for link in server.get(path).json()["links"]}
    assert links["http://www.opengis.net/def/rel/ogc/1.0/queryables"] == schema["$id"]
    sortables = server.get(links["http://www.opengis.net/def/rel/ogc/1.0/sortables"].removeprefix(server.url)).json()
    assert sortables["properties"].keys() == {
        name for name, one in schema["properties"].items() if one.get("type") in ("string", "number", "integer")
    }


def test_the_catalog_shows_all_fields(server: Server) -> None:
    assert server.get("/stac/queryables").json()["properties"].keys() == FIELDS_JSON.keys()
    assert queryables_of("something else") == queryables_of(None)
    assert "mlm:tasks" not in sortables_of("model")
    root = server.get("/stac/").json()
    links = {link["rel"]: link["href"] for link in root["links"]}
    assert links["http://www.opengis.net/def/rel/ogc/1.0/sortables"] == f"{server.url}/stac/sortables"
    assert "https://api.stacspec.org/v1.1.0/item-search#sortables" in root["conformsTo"]
    for path in ("queryables", "sortables"):
        answer = server.get(f"/stac/collections/absent/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_name")


def test_every_sortable_sorts_and_every_queryable_filters(server: Server) -> None:
    for name in server.get("/stac/sortables").json()["properties"]:
        answer = server.get("/stac/search", params={"sortby": f"-{name}", "limit": "3"})
        assert answer.status_code == 200, (name, answer.text)
    for name, one in FIELDS_JSON.items():
        if one.get("type") in VALUES:
            value = "TIMESTAMP('2020-01-01T00:00:00Z')" if one.get("format") == "date-time" else VALUES[one["type"]]
            answer = server.get("/stac/search", params={"filter": f'"{name}" = {value}'})
            assert answer.status_code == 200, (name, answer.text)
    for name in server.get("/stac/collections-sortables").json()["properties"]:
        ids = [
            one.get(name)
            for one in server.get("/stac/collections", params={"sortby": f"-{name}"}).json()["collections"]
        ]
        assert ids == sorted(ids, reverse=True)


def test_values_are_compared_as_what_they_are(server: Server) -> None:
    def found(text: str) -> list[str]:
        return [item["id"] for item in server.get("/stac/search", params={"filter": text}).json()["features"]]

    assert found('"mlm:total_parameters" > 10000000') == ["flood-net-abc"]
    assert found('"mlm:memory_size" < 5000000000') == ["flood-net-abc"]  # more than 32 bits hold
    assert found("\"lab:started\" > TIMESTAMP('2026-01-02T12:30:00+01:00')") == ["predict-1", "onboard-2"]
    assert found("a_contains(\"mlm:tasks\", ('semantic-segmentation'))") == ["flood-net-abc"]
    assert found('"lab:metrics.test_miou" between 0.8 and 0.9') == ["flood-net-abc"]


def test_a_second_migration_leaves_queryables_alone(database_url: str) -> None:
    def rows() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute("SELECT id, name FROM pgstac.queryables ORDER BY id").fetchall()

    before = rows()
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM lab.installed")
    migrate(database_url)
    assert rows() == before
