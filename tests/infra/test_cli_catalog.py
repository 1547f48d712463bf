"""`terralab catalog validate`: the forms of its argument, what it prints, and exit code 3."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from terralab.catalog.errors import InvalidInput, LabError, SetupProblem, UnknownName, UnsupportedMedia
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from tests.extensions.test_profile import every_collection, every_kind

SCENE = every_kind()[0]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TERRALAB_SCHEMAS", raising=False)
    return tmp_path


def validate(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["catalog", "validate", *arguments], input=stdin)


def report(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    return json.loads(validate(*arguments, "--json", stdin=stdin).stdout)


def broken(item: dict[str, Any] = SCENE) -> dict[str, Any]:
    return {**item, "bbox": [0, 0, 1, 1]}


def test_a_file_is_checked_without_a_lab(home: Path) -> None:
    file = home / "scene.json"
    file.write_text(json.dumps(SCENE))
    done = validate(str(file))
    assert done.exit_code == 0, done.output
    assert "1 document checked, 0 not valid" in done.stderr
    file.write_text(json.dumps(broken()))
    done = validate(str(file))
    assert done.exit_code == 3
    for part in ("scene.json", "bbox_differs_from_geometry", "write ["):
        assert part in done.stdout


def test_lines_lists_and_standard_input_are_checked(home: Path) -> None:
    lines = "\n".join(json.dumps(item) for item in (SCENE, broken(), *every_kind()[1:]))
    (home / "items.ndjson").write_text(lines)
    assert [problem["document"] for problem in report(str(home / "items.ndjson"))["problems"]] == ["items.ndjson:2"]
    assert report("-", stdin=lines)["problems"][0]["document"] == "stdin:2"
    found = report("-", stdin=json.dumps({"type": "FeatureCollection", "features": [SCENE, broken()]}))
    assert (found["checked"], found["invalid"], found["valid"]) == (2, 1, False)
    assert found["problems"][0]["document"] == "stdin features[1]"
    assert report("-", stdin=json.dumps({"collections": every_collection()}))["valid"]
    assert report("-", stdin=json.dumps([SCENE]))["checked"] == 1


def test_a_folder_of_a_static_catalog_is_checked(home: Path) -> None:
    import pystac

    catalog = pystac.Catalog("all", "Everything")
    catalog.add_item(pystac.Item.from_dict({**SCENE, "links": []}))
    catalog.normalize_and_save(str(home / "static"), pystac.CatalogType.SELF_CONTAINED)
    (home / "static" / "package.json").write_text('{"type": "module"}')
    found = report(str(home / "static"))
    assert found["checked"] == 2
    assert {problem["rule"] for problem in found["problems"]} == {"collection_link_missing"}
    written = home / "static" / "scene" / "scene.json"
    item = json.loads(written.read_text())
    del item["collection"]
    written.write_text(json.dumps(item))
    assert report(str(home / "static"))["valid"]


def test_what_python_alone_reads_is_named(home: Path) -> None:
    text = json.dumps({**SCENE, "properties": {**SCENE["properties"], "gsd": float("nan")}})
    (home / "nan.json").write_text(text)
    assert [(p["where"], p["rule"]) for p in report(str(home / "nan.json"))["problems"]] == [
        ("properties.gsd", "not_json")
    ]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.json", "{", InvalidInput),
        ("a.ndjson", '{}\n{"a"', InvalidInput),
        ("a.tif", "II*", UnsupportedMedia),
        ("a.json", None, InvalidInput),
    ],
)
def test_what_is_not_json_is_an_error(home: Path, name: str, content: str | None, error: type[LabError]) -> None:
    if content is not None:
        (home / name).write_text(content)
    done = validate(str(home / name))
    assert type(done.exception) is error
    assert name in str(done.exception)


def test_schemas_that_are_not_there_are_told_and_refused_when_strict(home: Path) -> None:
    (home / "scene.json").write_text(json.dumps(SCENE))
    found = report(str(home / "scene.json"))
    assert found["valid"]
    assert "https://stac-extensions.github.io/eo/v2.0.0/schema.json" in found["not_checked"]
    done = validate(str(home / "scene.json"), "--strict")
    assert done.exit_code == 3
    assert "unknown_extension" in done.stdout


def test_a_wrong_index_of_schemas_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "index.json").write_text("[]")
    (home / "scene.json").write_text(json.dumps(SCENE))
    monkeypatch.setenv("TERRALAB_SCHEMAS", str(home))
    done = validate(str(home / "scene.json"))
    assert type(done.exception) is SetupProblem
    assert str(home / "index.json") in str(done.exception)


def test_what_the_catalog_holds_is_checked(workspace: Workspace) -> None:
    workspace.catalog.write(every_collection(), [*every_kind(), broken({**SCENE, "id": "wrong"})])
    assert validate("scenes/scene").exit_code == 0
    assert validate("scenes/wrong").exit_code == 3
    whole = report()
    assert whole["checked"] == len(every_collection()) + len(every_kind()) + 1
    assert [problem["document"] for problem in whole["problems"]] == ["scenes/wrong"]
    assert report("models")["checked"] == 2
    assert report("scenes")["invalid"] == 1
    assert type(validate("scenes/nothing").exception) is UnknownName
    assert type(validate("nothing").exception) is UnknownName


def test_an_empty_catalog_says_so(workspace: Workspace) -> None:
    assert type(validate().exception) is InvalidInput
