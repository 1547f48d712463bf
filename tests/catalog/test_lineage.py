from io import StringIO
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from terralab.catalog.database import Catalog
from terralab.catalog.lineage import Edge, Graph, Node, find_cycles, lineage
from terralab.catalog.lineage_tree import render_tree
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
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


def test_many_chips_cost_few_queries(lab: Workspace) -> None:
    fill(lab, chips=300)
    asked = []

    class Counting(Catalog):
        def connection(self):  # type: ignore[no-untyped-def]
            asked.append(1)
            return super().connection()

    graph = lineage(Counting(lab.settings.database_url), *PREDICTION)
    assert graph.nodes["flood-v1"].count == 300
    assert len(asked) < 12


def test_endpoint(server: Server) -> None:
    graph = server.get("/lineage/flood-net-predictions/flood-net-spain").json()
    assert graph["root"] == "flood-net-predictions/flood-net-spain"
    assert len(graph["nodes"]) == 6
    assert server.get("/lineage/models/flood-net-abc?direction=down&depth=1").json()["direction"] == "down"
    assert server.get("/lineage/models/flood-net").json()["detail"].endswith("did you mean flood-net-abc?")
    assert server.get("/lineage/models/flood-net-abc?direction=sideways").status_code == 400


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_find_cycles_finds_one_exactly_where_there_is_one(pairs: list[tuple[int, int]]) -> None:
    nodes = {str(number): Node(str(number), "run", "") for number in range(7)}
    graph = Graph("0", "up", nodes, [Edge(str(a), str(b), "derived_from") for a, b in pairs])
    remaining = set(pairs)
    while ends := {pair for pair in remaining if pair[1] not in {start for start, _ in remaining}}:
        remaining -= ends
    assert bool(find_cycles(graph)) == bool(remaining)
    for cycle in find_cycles(graph):
        assert cycle[0] == cycle[-1]
        assert all((int(a), int(b)) in pairs for a, b in pairwise(cycle))
