"""The pystac class of the `lab:` extension knows every field of its schema, and so does its documentation."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from terralab.extensions import lab
from terralab.extensions.lab import (
    SCHEMA_URI,
    Kind,
    LabExtension,
    Quality,
    QualityLevel,
    RunStatus,
    Visibility,
    load_schema,
)
from terralab.extensions.lab_field import LabField
from terralab.extensions.schema_store import SchemaStore
from tests.extensions.test_profile import every_collection, every_kind

ROOT = Path(__file__).parents[2]
WHEN = datetime(2026, 5, 1, 10, 30, tzinfo=UTC)
FIELDS = load_schema()["definitions"]["fields"]["properties"]
VALUES: dict[str, Any] = {
    "kind": Kind.CHIPS, "run_type": "tune", "status": RunStatus.RUNNING, "started": WHEN, "finished": WHEN,
    "params": {"lr": 0.1}, "metrics": {"test_miou": 0.5}, "baseline": {"test_miou": 0.4}, "seed": 1,
    "git_sha": "a" * 40, "flow_run": "x", "error": {"code": "no_crs", "message": "no CRS"}, "dataset": "flood",
    "dataset_version": "1.0.0", "dvc_rev": "a" * 40, "dvc_tree": "a" * 32 + ".dir", "split_group": "b-1", "fold": 2,
    "split_report": {"touching_pairs": 0}, "leaks": True, "class_counts": {"water": 3}, "valid_share": 0.5,
    "task": "multilabel", "labels": ["water"],
    "qa": {"cloud_share": 0.1, "duplicate": False}, "quality": Quality(QualityLevel.Q2, WHEN),
    "aliases": ["production"], "owner": "ana", "visibility": Visibility.PROJECT, "project": "flood",
}  # fmt: skip


def attributes() -> dict[str, LabField[Any]]:
    return {name: field for name, field in vars(LabExtension).items() if isinstance(field, LabField)}


def test_every_field_of_the_schema_is_an_attribute() -> None:
    assert {field.name for field in attributes().values()} == set(FIELDS)
    assert {f"lab:{name}" for name in attributes()} == set(FIELDS)
    assert set(VALUES) == set(attributes())


def test_every_field_has_a_constant() -> None:
    names = {value for name, value in vars(lab).items() if name.endswith("_PROP") and str(value).startswith("lab:")}
    assert names == set(FIELDS)


def test_every_field_is_documented() -> None:
    text = (ROOT / "docs" / "lab-extension.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `lab:")]
    documented = {name.strip(" `") for row in rows for name in row.split(",")}
    assert set(FIELDS) <= documented
    assert SCHEMA_URI in text
    for name, field in FIELDS.items():
        for value in field.get("enum", []):
            assert f"`{value}`" in text, (name, value)


def test_enumerations_are_those_of_the_schema() -> None:
    assert set(FIELDS["lab:kind"]["enum"]) == set(Kind)
    assert set(FIELDS["lab:status"]["enum"]) == set(RunStatus)
    assert set(FIELDS["lab:visibility"]["enum"]) == set(Visibility)
    assert set(FIELDS["lab:quality"]["properties"]["level"]["enum"]) == set(QualityLevel)


def stac_objects() -> list[pystac.Item | pystac.Collection]:
    item = pystac.Item("x", {"type": "Point", "coordinates": [1, 2]}, [1, 2, 1, 2], WHEN, {})
    extent = pystac.Extent(pystac.SpatialExtent([[1, 2, 3, 4]]), pystac.TemporalExtent([[WHEN, None]]))
    return [item, pystac.Collection("x", "text", extent)]


@pytest.mark.parametrize("place", [0, 1], ids=["item", "collection"])
def test_all_fields_are_set_read_valid_and_removed(place: int) -> None:
    obj = stac_objects()[place]
    ext = LabExtension.ext(obj, add_if_missing=True)
    ext.apply(**VALUES)
    read = {name: getattr(ext, name) for name in attributes()}
    assert read == VALUES
    document = obj.to_dict(include_self_link=False)
    assert [str(problem) for problem in SchemaStore().problems(document)] == []
    again = (pystac.Item if place == 0 else pystac.Collection).from_dict(document)
    assert {name: getattr(LabExtension.ext(again), name) for name in attributes()} == VALUES
    for name in attributes():
        setattr(ext, name, None)
        assert getattr(ext, name) is None
    assert not [key for key in ext.properties if key.startswith("lab:")]


def test_wrong_names_and_objects_are_refused() -> None:
    item = stac_objects()[0]
    with pytest.raises(pystac.ExtensionNotImplemented):
        LabExtension.ext(item)
    ext = LabExtension.ext(item, add_if_missing=True)
    with pytest.raises(AttributeError):
        ext.apply(Kind.RUN, nothing=1)
    with pytest.raises(AttributeError):
        ext.apply(Kind.RUN, properties={})
    with pytest.raises(pystac.ExtensionTypeError):
        LabExtension.ext(pystac.Asset("https://example.org/a.tif"))  # type: ignore[arg-type]


def test_summaries_of_a_collection() -> None:
    collection = pystac.Collection.from_dict(every_collection()[2])
    summaries = LabExtension.summaries(collection)
    summaries.set_values("lab:dataset_version", ["1.0.0", "1.1.0"])
    again = LabExtension.summaries(pystac.Collection.from_dict(collection.to_dict(include_self_link=False)))
    assert again.values("lab:dataset_version") == ["1.0.0", "1.1.0"]
    summaries.set_values("lab:dataset_version", None)
    assert summaries.values("lab:dataset_version") is None
    with pytest.raises(ValueError, match="lab:"):
        summaries.set_values("gsd", [10])


def test_pystac_finds_the_extension_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    found = [entry for entry in entry_points(group="pystac.extensions") if entry.name == "lab"]
    assert found[0].load() is lab.LAB_EXTENSION_HOOKS
    assert pystac.EXTENSION_HOOKS.hooks[SCHEMA_URI].schema_uri == SCHEMA_URI
    assert all(LabExtension.has_extension(pystac.Item.from_dict(item)) for item in every_kind())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lab:leaks", "no"), ("lab:fold", -1), ("lab:fold", 1.5), ("lab:qa", {"cloud.share": 1}),
        ("lab:qa", {"nested": {}}),
        ("lab:quality", {"level": "Q9"}), ("lab:quality", {"computed": "2024-01-01T00:00:00Z"}), ("lab:owner", ""),
        ("lab:visibility", "secret"), ("lab:project", 5), ("lab:git_sha", "main"), ("lab:aliases", ["Prod!"]),
    ],
)  # fmt: skip
def test_the_schema_refuses_wrong_values(field: str, value: Any) -> None:
    item = every_kind()[2]
    item["properties"][field] = value
    problems = SchemaStore().problems(item)
    assert problems
    assert all(problem.where.startswith(f"properties.{field}") for problem in problems)
