"""The corpus is the same for the same seed, valid, and what the queries ask for is in it."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import check
from tests.benchmarks.catalog.corpus import item, items, write_corpus
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES
from tests.benchmarks.catalog.corpus_support import collections, undescribed
from tests.benchmarks.catalog.corpus_variants import variant_collections, variants
from tests.benchmarks.catalog.queries import workload
from tests.conftest import official_schemas

SUPPORT = 52


@pytest.fixture(scope="module")
def schemas() -> SchemaStore:
    folder = official_schemas()
    if folder is None:
        pytest.skip("the official schemas are not here; set TERRALAB_TEST_SCHEMAS")
    return SchemaStore(folder)


def documents() -> Iterator[dict[str, Any]]:
    yield from collections()
    yield from variant_collections()
    yield from (undescribed(entry) for entry in collections())
    yield from items(1000)
    yield from variants()


def test_every_document_is_valid_by_schemas_and_profile(schemas: SchemaStore) -> None:
    broken = {entry["id"]: check(entry, schemas, known_extensions=True) for entry in documents()}
    assert {id: problems for id, problems in broken.items() if problems} == {}


def test_a_larger_corpus_begins_with_the_smaller_one() -> None:
    assert list(items(50)) == list(islice(items(200), SUPPORT + 50))
    assert item(17, seed=1) != item(17, seed=2)


def test_shares_of_the_kinds() -> None:
    counts = Counter(entry["collection"] for entry in islice(items(1000), SUPPORT, None))
    assert counts == {SCENES: 600, CHIPS: 300, PREDICTIONS: 100}


def test_links_name_items_that_exist() -> None:
    known = {f"collections/{entry['collection']}/items/{entry['id']}" for entry in items(300)}
    linked = {link["href"] for entry in items(300) for link in entry["links"] if link["rel"] == "derived_from"}
    assert linked
    assert linked <= known


def test_files_are_written_the_same_again(tmp_path: Path) -> None:
    first, second = (write_corpus(tmp_path / name, 100, with_variants=True) for name in ("one", "two"))
    assert first.sha256 == second.sha256
    assert first.items.read_bytes().count(b"\n") == first.count
    assert write_corpus(tmp_path / "one", 100, item_assets=False).sha256 != write_corpus(tmp_path / "one", 100).sha256


def test_variants_have_ids_of_their_own() -> None:
    keys = [(entry["collection"], entry["id"]) for entry in variants()]
    assert len(set(keys)) == len(keys) > 900


def test_requests_are_the_same_again_and_ask_for_what_is_there() -> None:
    asked = workload(1000)
    assert asked == workload(1000)
    assert {len(chosen) for chosen in asked.values()} == {400}
    chips = {entry["id"] for entry in items(1000) if entry["collection"] == CHIPS}
    assert {query.path.rsplit("/", 1)[1] for query in asked["item"]} <= chips
    assert all(set(query.body["ids"]) <= chips for query in asked["ids"] if query.body)
