"""The schema store asks the network only where it may, keeps what it got, and does not ask again."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from terralab.extensions import schema_store
from terralab.extensions.schema_store import SchemaStore
from tests.extensions.test_validation import foreign

URL = "https://stac-extensions.github.io/x/v1.0.0/schema.json"
SCHEMA = {"properties": {"id": {"const": "right"}}}


class Network:
    """Answers in the place of the network, and remembers what was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get(self, url: str, **_: Any) -> httpx.Response:
        self.asked.append(url)
        request = httpx.Request("GET", url)
        answer = self.answers.get(url)
        if answer is None:
            raise httpx.ConnectError("no network", request=request)
        status, text = answer
        return httpx.Response(status, text=text, request=request)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    found = Network({URL: (200, json.dumps(SCHEMA))})
    monkeypatch.setattr(schema_store.httpx, "get", found.get)
    return found


def test_nothing_is_fetched_unless_allowed(network: Network, tmp_path: Path) -> None:
    store = SchemaStore(tmp_path)
    assert store.missing(foreign(stac_extensions=[URL])) == [URL]
    assert network.asked == []


def test_what_was_fetched_is_kept_for_those_who_may_not(network: Network, tmp_path: Path) -> None:
    item = foreign(stac_extensions=[URL], links=[{"rel": "collection", "href": "c"}])
    store = SchemaStore(tmp_path / "cache", fetch=True)
    assert [(problem.where, problem.fix) for problem in store.problems(item)] == [("id", 'write "right"')]
    assert store.missing(item) == []
    assert network.asked == [URL]
    later = SchemaStore(tmp_path / "cache")
    assert later.problems(item) == store.problems(item)
    assert network.asked == [URL]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]


def test_two_stores_that_fill_one_cache_lose_nothing(network: Network, tmp_path: Path) -> None:
    other = URL.replace("/x/", "/y/")
    network.answers[other] = (200, json.dumps(SCHEMA))
    one, two = SchemaStore(tmp_path, fetch=True), SchemaStore(tmp_path, fetch=True)
    one.schema(URL)
    two.schema(other)
    assert set(json.loads((tmp_path / "index.json").read_text())) == {URL, other}


def test_without_a_folder_it_is_kept_in_memory(network: Network) -> None:
    store = SchemaStore(fetch=True)
    assert store.schema(URL) == store.schema(URL) == SCHEMA
    assert network.asked == [URL]


@pytest.mark.parametrize("answer", [None, (404, "{}"), (200, "<html>"), (200, "[]"), (302, "")])
def test_what_is_not_to_be_had_is_asked_for_once(network: Network, tmp_path: Path, answer: Any) -> None:
    network.answers[URL] = answer
    store = SchemaStore(tmp_path, fetch=True)
    for _ in range(3):
        assert store.problems(foreign()) == SchemaStore().problems(foreign())
        assert store.missing(foreign(stac_extensions=[URL])) == [URL]
    assert network.asked == [URL]
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/schema.json",
        "http://stac-extensions.github.io/x/v1.0.0/schema.json",
        "https://stac-extensions.github.io@example.org/schema.json",
        "file:///etc/passwd",
        "not a url",
        "https://[::1/schema.json",
    ],
)
def test_a_document_cannot_send_the_lab_elsewhere(network: Network, tmp_path: Path, url: str) -> None:
    network.answers[url] = (200, json.dumps(SCHEMA))
    item = foreign(stac_extensions=[url])
    assert SchemaStore(tmp_path, fetch=True).missing(item) == [url]
    assert network.asked == []


def test_stac_1_0_0_is_checked_by_the_schema_of_1_1_0() -> None:
    store = SchemaStore()
    older = foreign(stac_version="1.0.0", links=[{"rel": "collection", "href": "c"}])
    assert store.problems(older) == []
    del older["links"][0]["href"]
    assert [problem.where for problem in store.problems(older)] == ["links[0].href"]
    assert store.schema("https://schemas.stacspec.org/v0.9.0/item-spec/json-schema/item.json") is None
