"""Class lists from files and from labels."""

from pathlib import Path

import pytest

from terralab.catalog.errors import InvalidLabels
from terralab.datasets.classes import found_classes, read_classes


def test_json_and_yaml_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(
        '[{"value": 1, "name": "water", "color": "#0000ff"}, {"value": 0, "name": "land"}]'
    )
    (tmp_path / "c.yaml").write_text(
        "- {value: 1, name: water, color: 0000ff}\n- {value: 0, name: land}\n".replace("0000ff", "'0000ff'")
    )
    found = read_classes(tmp_path / "c.json")
    assert [(entry.value, entry.name) for entry in found] == [(0, "land"), (1, "water")]
    assert found == read_classes(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"a": 1}', "must be a list"),
        ("[]", "there is no class"),
        ("[1]", "entry 0 must be an object"),
        ('[{"value": 300, "name": "a"}]', "entry 0, value"),
        ('[{"value": 1, "name": "a b"}]', "entry 0, name"),
        ('[{"value": 1, "name": "a"}, {"value": 1, "name": "b"}]', "value 1 is given twice"),
        ('[{"value": 1, "name": "a"}, {"value": 2, "name": "a"}]', "name 'a' is given twice"),
        ('[{"value": 1, "name": "a", "colour": "red"}]', "colour"),
    ],
)
def test_wrong_lists_name_file_and_entry(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(InvalidLabels, match=rf"classes\.json.*{message}"):
        read_classes(path)


def test_found_classes_have_names_and_different_colours() -> None:
    found = found_classes({3, 0, 7})
    assert [entry.name for entry in found] == ["class_0", "class_3", "class_7"]
    assert len({entry.color for entry in found_classes(range(16))}) == 16
