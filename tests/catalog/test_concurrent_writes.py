"""Many writers at once, over HTTP: no update is lost, and nobody is told a lie."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.refresh import differences
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server

ITEM = "/collections/flood-scenes/items/spain-s2"
WRITERS, TURNS = 8, 25


@pytest.fixture
def client(lab: Workspace, server: Server) -> Callable[[], httpx.Client]:
    token = kept_secret(lab.settings.secrets_folder, TOKEN)
    headers = {"Authorization": f"Bearer {token}"}
    return lambda: httpx.Client(base_url=f"{server.url}/stac", headers=headers, timeout=60)


def all_at_once(work: Callable[[int], None], workers: int) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def incremented(item: dict[str, Any]) -> dict[str, Any]:
    properties = item["properties"]
    return {**item, "properties": {**properties, "count": properties.get("count", 0) + 1}}


def test_two_hundred_increments_are_all_kept(client: Callable[[], httpx.Client], lab: Workspace) -> None:
    seen: Counter[int] = Counter()

    def writer(number: int) -> None:
        with client() as session:
            for _ in range(TURNS):
                status = 0
                while status != 200:
                    read = session.get(ITEM)
                    tag = {"If-Match": read.headers["etag"]}
                    status = session.put(ITEM, json=incremented(read.json()), headers=tag).status_code
                    seen[status] += 1
                    assert status in (200, 412), status

    all_at_once(writer, WRITERS)
    assert seen[200] == WRITERS * TURNS
    assert seen[412] > 0  # or the writers were not at once
    assert lab.catalog.item("flood-scenes", "spain-s2")["properties"]["count"] == WRITERS * TURNS
    assert list(differences(lab.catalog)) == []


def test_of_64_writers_with_the_same_etag_one_wins(client: Callable[[], httpx.Client], lab: Workspace) -> None:
    with client() as session:
        read = session.get(ITEM)
    tag, seen = {"If-Match": read.headers["etag"]}, Counter[int]()

    def writer(number: int) -> None:
        item = read.json()
        item["properties"]["count"] = number
        with client() as session:
            seen[session.put(ITEM, json=item, headers=tag).status_code] += 1

    all_at_once(writer, 64)
    assert seen == {200: 1, 412: 63}


def test_patches_of_different_fields_are_all_kept(client: Callable[[], httpx.Client], lab: Workspace) -> None:
    def writer(number: int) -> None:
        with client() as session:
            for turn in range(5):
                answer = session.patch(ITEM, json={"properties": {f"field_{number}_{turn}": turn}})
                assert answer.status_code == 200, answer.text

    all_at_once(writer, WRITERS)
    properties = lab.catalog.item("flood-scenes", "spain-s2")["properties"]
    assert sum(name.startswith("field_") for name in properties) == WRITERS * 5


def square(x: float) -> dict[str, Any]:
    ring = [[x, 0], [x + 1, 0], [x + 1, 1], [x, 1], [x, 0]]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [x, 0, x + 1, 1]}


def deadlocks(lab: Workspace) -> int:
    with lab.catalog.connection() as connection:
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def test_extents_cover_every_item_whoever_writes_last(client: Callable[[], httpx.Client], lab: Workspace) -> None:
    """Items that widen the extent, items that go at its edge, and changes of the collection itself, all at once."""
    scenes = "/collections/flood-scenes"
    with client() as session:
        scene = session.get(ITEM).json()

    def writer(number: int) -> None:
        with client() as session:
            for turn in range(10):
                if number == 0:
                    answer = session.patch(scenes, json={"title": f"Turn {turn}"})
                else:
                    item = {**scene, "id": f"scene-{number}-{turn}", **square(number * 10 + turn)}
                    answer = session.post(f"{scenes}/items", json=item)
                    if number == 1:
                        answer = session.delete(f"{scenes}/items/{item['id']}")
                assert answer.is_success, answer.text

    all_at_once(writer, 5)
    box = lab.catalog.collection("flood-scenes")["extent"]["spatial"]["bbox"][0]
    assert (box[1] <= 0, box[2] >= 50) == (True, True)
    assert deadlocks(lab) == 0
    assert list(differences(lab.catalog)) == []
