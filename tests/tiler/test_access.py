"""Tiles of private rasters: for who may read them only, also while they are remembered, and in no shared cache."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from terralab.catalog.access.keys import create_key
from terralab.tiler.app import create_tiler_app
from tests.tiler.conftest import Lab

PATHS = [
    "preview.png",
    "tilejson.json",
    "info",
    "statistics",
    "legend.json",
    "legend.png",
    "map",
    "WMTSCapabilities.xml",
    "WebMercatorQuad/0/0/0.png",
]


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    """Yield the tile server of a lab whose reads are not open and whose label raster is Ana's."""
    settings = lab.workspace.settings
    settings.access.open_reads = False
    guard(lab, "private")
    with TestClient(create_tiler_app(settings)) as found:
        yield found


def guard(lab: Lab, visibility: str, **others: str) -> None:
    fields = {"lab:owner": "ana", "lab:visibility": visibility, **others}
    lab.workspace.catalog.write([], [{**lab.label, "properties": {**lab.label["properties"], **fields}}])


def key_of(lab: Lab, name: str, *projects: str) -> dict[str, str]:
    return {"X-API-Key": create_key(lab.workspace.catalog, name, ["read"], projects)[0]}


def normal(answer: Any, item: str) -> Any:
    document = answer.json()
    document.pop("request_id", None)
    return {key: str(value).replace(item, "ITEM") for key, value in document.items()}


@pytest.mark.parametrize("path", PATHS)
def test_a_private_raster_is_for_its_owner(lab: Lab, client: TestClient, path: str) -> None:
    missing = Lab.LABELS.replace("label-1", "label-9")
    seen = client.get(f"{Lab.LABELS}/{path}", headers=key_of(lab, "ana"))
    assert seen.status_code in (200, 404)
    assert seen.status_code == 200 or "0/0/0" in path
    for headers in ({}, key_of(lab, "ben")):
        refused = client.get(f"{Lab.LABELS}/{path}", headers=headers)
        absent = client.get(f"{missing}/{path}", headers=headers)
        assert refused.status_code == absent.status_code == 404
        assert normal(refused, "label-1") == normal(absent, "label-9")


def test_what_is_remembered_for_one_is_not_for_all(lab: Lab, client: TestClient) -> None:
    owner, path = key_of(lab, "ana"), f"{Lab.LABELS}/preview.png"
    first = client.get(path, headers=owner)
    assert first.headers["cache-control"] == "private, max-age=60"
    assert client.get(path).status_code == 404
    tag = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=tag).status_code == 404
    assert client.get(path, headers={**tag, **owner}).status_code == 304


def test_members_of_its_project_may_see_a_raster(lab: Lab, client: TestClient) -> None:
    guard(lab, "project", **{"lab:project": "flood"})
    client.app.state.lookup.forget()  # type: ignore[attr-defined]
    path = f"{Lab.LABELS}/preview.png"
    assert client.get(path, headers=key_of(lab, "ben", "flood")).status_code == 200
    assert client.get(path, headers=key_of(lab, "ben", "fire")).status_code == 404


def test_a_public_raster_may_lie_in_shared_caches(lab: Lab, client: TestClient) -> None:
    seen = client.get(f"{Lab.SCENE}/preview.png")
    assert (seen.status_code, seen.headers["cache-control"]) == (200, "public, max-age=60")
    assert "Authorization" in seen.headers["vary"]


def test_a_map_leaves_out_imagery_that_the_caller_may_not_see(lab: Lab, client: TestClient) -> None:
    hidden = {**lab.scene, "properties": {**lab.scene["properties"], "lab:owner": "eve", "lab:visibility": "private"}}
    lab.workspace.catalog.write([], [hidden])
    try:
        client.app.state.lookup.forget()  # type: ignore[attr-defined]
        page = client.get(f"{Lab.LABELS}/map", headers=key_of(lab, "ana"))
        assert page.status_code == 200
        assert "Imagery scene-1" not in page.text
    finally:
        lab.workspace.catalog.write([], [lab.scene])
    client.app.state.lookup.forget()  # type: ignore[attr-defined]
    assert "Imagery scene-1" in client.get(f"{Lab.LABELS}/map", headers=key_of(lab, "ana")).text
