from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import StringIO
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from terralab.catalog.access.principal import Principal
from terralab.catalog.database import Catalog
from terralab.catalog.errors import UnknownName
from terralab.catalog.lineage import Edge, Graph, lineage
from terralab.catalog.lineage_tree import render_tree
from terralab.catalog.lineage_walk import walk
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import change_item
from terralab.catalog.writing_collections import change_collection
from terralab.extensions.item import derived_from, item_link
from tests.catalog.conftest import SHA, Server, fill

PREDICTION = ("flood-net-predictions", "flood-net-spain")


def printed(graph: Graph, width: int = 300) -> list[str]:
    stream = StringIO()
    Console(file=stream, width=width).print(render_tree(graph, "http://lab"))
    return stream.getvalue().splitlines()


def test_chain_from_prediction_to_source_files(shared_lab: Workspace) -> None:
    graph = lineage(shared_lab.catalog, *PREDICTION)
    assert {node.kind for node in graph.nodes.values()} == {
        "prediction",
        "model",
        "dataset",
        "chips",
        "imagery",
        "labels",
    }
    assert graph.nodes["flood-v1"].title == "4 chips of flood-v1"
    assert Edge("datasets/flood-v1-0-0", "flood-v1", "lab:members") in graph.edges
    assert Edge("flood-v1", "flood-scenes/spain-s2", "derived_from") in graph.edges
    assert graph.nodes["flood-scenes/spain-s2"].source == {"file": "Spain_S2.tif", "sha256": SHA}
    assert graph.nodes["flood-labels/spain-label"].source == {"file": "Spain_Label.tif", "sha256": SHA[::-1]}
    assert graph.nodes["models/flood-net-abc"].run == "tune-1"
    assert (graph.complete, graph.cycles) == (True, [])


def test_tree_begins_with_the_tile_and_ends_at_the_files(shared_lab: Workspace) -> None:
    lines = printed(lineage(shared_lab.catalog, *PREDICTION))
    order = [
        "tile http://lab/tiles/collections/flood-net-predictions/items/flood-net-spain/assets/prediction/",
        "prediction flood-net-predictions/flood-net-spain",
        "model models/flood-net-abc  flood-net 1.0.0",
        "dataset datasets/flood-v1-0-0  flood 1.0.0",
        "chips flood-v1  4 chips of flood-v1",
        "labels flood-labels/spain-label",
        f"file Spain_Label.tif  sha256 {SHA[::-1]}",
        "imagery flood-scenes/spain-s2",
        f"file Spain_S2.tif  sha256 {SHA}",
    ]
    places = [next(place for place, line in enumerate(lines) if text in line) for text in order]
    assert places == sorted(places)
    depths = [lines[place].index(text) for place, text in zip(places, order, strict=True)]
    assert depths[:5] == sorted(set(depths[:5]))


def test_downwards_to_everything_that_was_made_from_a_scene(shared_lab: Workspace) -> None:
    graph = lineage(shared_lab.catalog, "flood-scenes", "spain-s2", "down")
    assert {"flood-v1", "datasets/flood-v1-0-0", "models/flood-net-abc", "/".join(PREDICTION)} <= set(graph.nodes)
    assert "flood-v1/chip-0000" not in graph.nodes
    assert graph.cycles == []


def test_depth_ends_the_walk_and_says_so(shared_lab: Workspace) -> None:
    graph = lineage(shared_lab.catalog, *PREDICTION, depth=1)
    assert set(graph.nodes) == {"/".join(PREDICTION), "models/flood-net-abc", "flood-scenes/spain-s2"}
    assert not graph.complete
    assert "there is more" in printed(graph)[-1]
    assert set(lineage(shared_lab.catalog, *PREDICTION, depth=0).nodes) == {"/".join(PREDICTION)}


def test_missing_objects_and_cycles_are_reported(lab: Workspace) -> None:
    model = lab.catalog.item("models", "flood-net-abc")
    model["links"].append(derived_from(lab.catalog.item(*PREDICTION)))
    model["links"].append(item_link("derived_from", "models", "gone"))
    publish(lab, [], [model])
    graph = lineage(lab.catalog, *PREDICTION)
    assert graph.nodes["models/gone"].missing
    assert graph.cycles == [["/".join(PREDICTION), "models/flood-net-abc", "/".join(PREDICTION)]]
    text = "\n".join(printed(graph))
    assert "missing: models/gone" in text
    assert "cycle:" in text


def test_many_chips_are_one_node_and_few_queries(lab: Workspace) -> None:
    fill(lab, chips=300)
    asked = []

    class Counting(Catalog):
        @contextmanager
        def connection(self) -> Iterator[Any]:
            with super().connection() as connection:
                yield SimpleNamespace(execute=lambda *a, **k: asked.append(a) or connection.execute(*a, **k))

    graph = lineage(Counting(lab.settings.database_url), *PREDICTION)
    assert graph.nodes["flood-v1"].count == 300
    assert len(asked) == 4


def test_a_chip_is_used_as_its_collection_is(shared_lab: Workspace) -> None:
    graph = lineage(shared_lab.catalog, "flood-v1", "chip-0000", "down")
    assert graph.edges[0] == Edge("datasets/flood-v1-0-0", "flood-v1/chip-0000", "lab:members")
    assert "models/flood-net-abc" in graph.nodes
    assert "flood-v1" not in graph.nodes
    up = lineage(shared_lab.catalog, "flood-v1", "chip-0000")
    assert set(up.nodes) == {"flood-v1/chip-0000", "flood-scenes/spain-s2", "flood-labels/spain-label"}


def test_downwards_from_a_run_to_what_it_made(shared_lab: Workspace) -> None:
    graph = lineage(shared_lab.catalog, "runs", "tune-1", "down", depth=1)
    assert graph.edges == [Edge("models/flood-net-abc", "runs/tune-1", "processing-execution")]


def test_a_source_elsewhere_is_external(lab: Workspace) -> None:
    scene = lab.catalog.item("flood-scenes", "spain-s2")
    scene["links"].append({"rel": "derived_from", "href": "https://example.org/scene", "type": "application/geo+json"})
    publish(lab, [], [scene])
    node = lineage(lab.catalog, "flood-scenes", "spain-s2").nodes["https://example.org/scene"]
    assert (node.kind, node.missing) == ("external", False)


def test_what_another_program_wrote_is_seen_at_once(lab: Workspace) -> None:
    before = lineage(lab.catalog, *PREDICTION).to_dict()
    with lab.catalog.connection() as connection:  # as pypgstac would, without a word to the read model
        connection.execute("UPDATE items SET content = jsonb_set(content, '{properties,title}', '\"new\"')")
        (left,) = connection.execute("SELECT count(*) FROM lab.items").fetchone() or (None,)
    assert left == 0
    graph = lineage(lab.catalog, *PREDICTION)
    assert graph.nodes["models/flood-net-abc"].title == "new"
    assert graph.nodes["flood-v1"].count == 4
    after = graph.to_dict()
    assert {(e["product"], e["source"], e["rel"]) for e in after["edges"]} == {
        (e["product"], e["source"], e["rel"]) for e in before["edges"]
    }
    down = lineage(lab.catalog, "flood-scenes", "spain-s2", "down")
    assert {"flood-v1", "datasets/flood-v1-0-0", "models/flood-net-abc"} <= set(down.nodes)
    assert "flood-v1/chip-0000" not in down.nodes


def guard(lab: Workspace, collection: str, item: str, **fields: str) -> None:
    with lab.catalog.connection() as connection:
        for name, value in fields.items():
            change_item(connection, collection, item, partial(with_property, f"lab:{name}", value))


def with_property(name: str, value: str, item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "properties": {**item["properties"], name: value}}


def test_what_the_caller_may_not_read_is_missing(lab: Workspace) -> None:
    guard(lab, "models", "flood-net-abc", owner="ann", visibility="private")
    bob, ann = (Principal(name, frozenset({"read"})) for name in ("bob", "ann"))
    graph = lineage(lab.catalog, *PREDICTION, principal=bob)
    assert graph.nodes["models/flood-net-abc"].missing
    assert set(graph.nodes) == {"/".join(PREDICTION), "models/flood-net-abc", "flood-scenes/spain-s2"}
    assert len(lineage(lab.catalog, *PREDICTION, principal=ann).nodes) == 6
    scene = ("flood-scenes", "spain-s2", "down")
    assert "models/flood-net-abc" not in lineage(lab.catalog, *scene, principal=bob).nodes
    assert "models/flood-net-abc" in lineage(lab.catalog, *scene, principal=ann).nodes
    hidden, absent = [], []
    for name, said in (("flood-net-abc", hidden), ("flood-net-abd", absent)):
        with pytest.raises(UnknownName) as caught:
            lineage(lab.catalog, "models", name, principal=bob)
        said.append(str(caught.value).replace(name, "NAME"))
    assert hidden == absent


def test_a_hidden_collection_is_missing_with_all_its_items(lab: Workspace) -> None:
    def hide(collection: dict[str, Any]) -> dict[str, Any]:
        return {**collection, "lab:owner": "ann", "lab:visibility": "private"}

    with lab.catalog.connection() as connection:
        change_collection(connection, "flood-v1", hide)
    bob = Principal("bob", frozenset({"read"}))
    graph = lineage(lab.catalog, "datasets", "flood-v1-0-0", principal=bob)
    assert (graph.nodes["flood-v1"].missing, graph.nodes["flood-v1"].count) == (True, 0)
    assert "flood-v1" not in lineage(lab.catalog, "flood-scenes", "spain-s2", "down", principal=bob).nodes
    with pytest.raises(UnknownName, match="no collection is called 'flood-v1'"):
        lineage(lab.catalog, "flood-v1", "chip-0000", principal=bob)


def test_of_a_group_the_readable_chips_count_alone(lab: Workspace) -> None:
    chip = lab.catalog.item("flood-v1", "chip-0001")
    chip["links"].append(item_link("derived_from", "flood-scenes", "secret"))
    publish(lab, [], [chip])
    guard(lab, "flood-v1", "chip-0001", owner="ann", visibility="private")
    bob = Principal("bob", frozenset({"read"}))
    dataset = ("datasets", "flood-v1-0-0")
    assert lineage(lab.catalog, *dataset).nodes["flood-v1"].count == 4
    assert "flood-scenes/secret" in lineage(lab.catalog, *dataset).nodes
    graph = lineage(lab.catalog, *dataset, principal=bob)
    assert graph.nodes["flood-v1"].count == 3
    assert "flood-scenes/secret" not in graph.nodes
    assert Edge("flood-v1", "flood-scenes/spain-s2", "derived_from") in graph.edges
    assert "flood-v1" in lineage(lab.catalog, "flood-scenes", "spain-s2", "down", principal=bob).nodes


def test_endpoint(server: Server) -> None:
    graph = server.get("/lineage/flood-net-predictions/flood-net-spain").json()
    assert graph["root"] == "flood-net-predictions/flood-net-spain"
    assert len(graph["nodes"]) == 6
    assert server.get("/lineage/models/flood-net-abc?direction=down&depth=1").json()["direction"] == "down"
    assert server.get("/lineage/models/flood-net").json()["detail"].endswith("did you mean flood-net-abc?")
    assert server.get("/lineage/models/flood-net-abc?direction=sideways").status_code == 400


@pytest.fixture(scope="module")
def links(shared_lab: Workspace) -> Iterator[Any]:
    """Yield a connection whose links go when the tests are done."""
    with psycopg.connect(shared_lab.settings.database_url, options="-c search_path=pgstac,public") as connection:
        yield connection
        connection.rollback()


NAMES = st.integers(0, 6)


@settings(max_examples=60)
@given(
    pairs=st.sets(st.tuples(NAMES, NAMES), max_size=14),
    direction=st.sampled_from(["up", "down"]),
    depth=st.none() | st.integers(0, 5),
)
def test_walk_meets_every_link_within_reach_and_no_other(
    links: Any, pairs: set[tuple[int, int]], direction: Any, depth: int | None
) -> None:
    links.execute("DELETE FROM lab.links WHERE collection LIKE 'random%'")
    for product, source in pairs:
        target = f"collections/random{source % 2}/items/{source}"
        links.execute(
            "INSERT INTO lab.links VALUES (%s, %s, 'derived_from', %s)", (f"random{product % 2}", str(product), target)
        )
    links.execute('INSERT INTO pgstac.collections (content) VALUES (\'{"id": "random0"}\') ON CONFLICT DO NOTHING')
    links.execute('INSERT INTO pgstac.collections (content) VALUES (\'{"id": "random1"}\') ON CONFLICT DO NOTHING')
    found, too_many = walk(links, "collections/random0/items/0", direction, depth)
    ends = {0}
    for _ in range(7 if depth is None else depth):
        ends |= {b if direction == "up" else a for a, b in pairs if (a if direction == "up" else b) in ends}
    met = {(int(link.product[-1]), int(link.source[-1])) for link in found}
    within = {(a, b) for a, b in pairs if a in ends and b in ends}
    beyond = {(a, b) for a, b in pairs if (a if direction == "up" else b) in ends} - within
    assert within <= met <= within | beyond
    assert bool(met - within) == bool(beyond)
    assert not too_many
