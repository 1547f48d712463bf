"""Exports of versions of every task: read back by the programs that they are for, and compared with the version."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
import rasterio
import yaml

from terralab.catalog.errors import AlreadyExists, AssetCorrupt, InvalidInput, TooFewChips
from terralab.catalog.geoparquet.reader import read_geoparquet
from terralab.datasets.exports.export import Format, export_subject
from terralab.datasets.exports.subject import Subject
from terralab.extensions.chip_parts import Task
from tests.datasets.exports.versions import SEVERAL, version

FORMATS = get_args(Format)
KINDS: dict[str, dict[str, Any]] = {
    **{task.value: {"task": task} for task in Task},
    "several": {"modalities": SEVERAL, "dates": 2},
    "left out": {"splits": ("train", "train", "validate", "test", None)},
}


@pytest.fixture(params=sorted(KINDS))
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return version(tmp_path, **KINDS[request.param])


def exported(subject: Subject, tmp_path: Path, format: Format, copy: bool = False) -> Path:
    folder = tmp_path / "out" / format
    done = export_subject(subject, folder, format, copy)
    assert (done.chips, done.format) == (len(subject.chips), format)
    text = (folder / "README.md").read_text()
    assert all(note in text for note in done.notes)
    return folder


def has_all_files(subject: Subject, folder: Path) -> bool:
    found = {
        path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return subject.version.by_path.items() <= found.items()


def test_croissant_is_valid_and_its_records_load(subject: Subject, tmp_path: Path) -> None:
    import mlcroissant

    folder = exported(subject, tmp_path, "croissant")
    assert has_all_files(subject, folder)
    program = Path(sys.executable).with_name("mlcroissant")
    command = [str(program), "validate", "--jsonld", "croissant.json"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "Done." in checked.stderr
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    records = {record["chips/id"].decode(): record for record in dataset.records("chips")}
    assert sorted(records) == [chip.id for chip in subject.chips]
    first = subject.chips[0]
    for key, path in first.files.items():
        assert records[first.id][f"chips/{key}"].decode() == path
        assert records[first.id][f"chips/{key}_md5"].decode() == subject.version.by_path[path]
    assert [record["splits/name"] for record in dataset.records("splits")] == ["train", "validate", "test"]


def test_croissant_says_where_when_and_which_bands(tmp_path: Path) -> None:
    subject = version(tmp_path)
    found = json.loads((exported(subject, tmp_path, "croissant") / "croissant.json").read_text())
    west, south, east, north = subject.version.item["bbox"]
    assert found["spatialCoverage"]["geo"]["box"] == f"{south} {west} {north} {east}"
    assert found["temporalCoverage"] == "2024-05-01T10:30:00Z/2024-05-08T10:30:00Z"
    assert found["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    image = next(field for field in found["recordSet"][-1]["field"] if field["name"] == "image")
    assert image["geocr:bandConfiguration"]["geocr:bandNameList"] == ["B04", "B03", "B02", "B08"]
    assert image["geocr:spectralBandMetadata"][0]["geocr:centerWavelength"]["value"] == 664.6


def test_a_hugging_face_card_names_tables_that_are_there(subject: Subject, tmp_path: Path) -> None:
    folder = exported(subject, tmp_path, "huggingface")
    assert has_all_files(subject, folder)
    front = (folder / "README.md").read_text().split("---\n")[1]
    card = yaml.safe_load(front)
    assert (card["license"], card["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    names = [entry["name"] for entry in card["dataset_info"]["features"]]
    counts = {entry["name"]: entry["num_examples"] for entry in card["dataset_info"]["splits"]}
    for entry in card["configs"][0]["data_files"]:
        table = pq.read_table(folder / entry["path"])
        assert table.column_names == names
        assert table.num_rows == counts[entry["split"]]
        key = subject.modalities[0].key
        assert all((folder / path).is_file() for path in table[key].to_pylist())
    assert counts["train"] == subject.split_counts()["train"]


def test_stac_geoparquet_leads_to_its_files(subject: Subject, tmp_path: Path) -> None:
    folder = exported(subject, tmp_path, "stac-geoparquet")
    assert has_all_files(subject, folder)
    items = {item["id"]: item for item in read_geoparquet(folder / "items.parquet")}
    assert sorted(items) == [chip.id for chip in subject.chips]
    for chip in subject.chips:
        item, frozen = items[chip.id], subject.items[chip.id]
        assert item["properties"] == frozen["properties"]
        assert {key: item["assets"][key]["href"] for key in chip.files} == {k: f"./{p}" for k, p in chip.files.items()}


def test_taco_has_every_file(subject: Subject, tmp_path: Path) -> None:
    pytest.importorskip("tacotoolbox")
    folder = exported(subject, tmp_path, "taco")
    with zipfile.ZipFile(folder / "ponds.tacozip") as archive:
        found = {name: hashlib.md5(archive.read(name)).hexdigest() for name in archive.namelist()}
        collection = json.loads(archive.read("COLLECTION.json"))
    assert set(subject.version.by_path.values()) <= set(found.values())
    assert (collection["id"], collection["dataset_version"]) == ("ponds", "1.0.0")


def test_taco_is_read_by_tacoreader_or_fails_as_the_readme_says(tmp_path: Path) -> None:
    pytest.importorskip("tacotoolbox")
    import duckdb
    import tacoreader

    folder = exported(version(tmp_path), tmp_path, "taco")
    if int(duckdb.__version__.split(".")[0]) >= 2:
        with pytest.raises(AttributeError, match="fetch_arrow_table"):
            tacoreader.load(str(folder / "ponds.tacozip")).data.read(0)
        assert "fetch_arrow_table" in (folder / "README.md").read_text()
        return
    chip = tacoreader.load(str(folder / "ponds.tacozip")).data.read(0)
    with rasterio.open(chip.read(0)) as raster:
        assert raster.count == 4


def test_terratorch_folders_hold_what_the_configuration_names(subject: Subject, tmp_path: Path) -> None:
    folder = exported(subject, tmp_path, "terratorch")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    data = config["data"]["init_args"]
    for split, name in (("train", "train_split"), ("validate", "val_split"), ("test", "test_split")):
        assert (folder / data[name]).read_text().split() == [chip.id for chip in subject.of_split(split)]
    ids = [chip.id for chip in subject.chips]
    folders = data.get("data_root") or {"image": data["train_data_root"]}
    for modality in subject.modalities:
        assert sorted(path.stem for path in (folder / folders[modality.key]).glob("*.tif")) == ids
    if subject.task is not Task.DETECTION:
        for modality in subject.modalities:
            expected = [band["statistics"]["mean"] for band in modality.bands]
            assert data["means"][modality.key] == expected
    if subject.task is Task.SEGMENTATION:
        model = config["model"]["init_args"]
        assert (model["ignore_index"], data["no_label_replace"]) == (255, 255)
        assert data["class_names"] == ["land", "water", "unused_2", "ice"]
        assert [weight > 0 for weight in model["class_weights"]] == [True, True, False, True]


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_is_never_exported(format: Format, tmp_path: Path) -> None:
    subject = version(tmp_path)
    stored = subject.version.store.open_name("d50110" + subject.version.by_path["images/ponds-3.tif"])
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"!")
    with pytest.raises(AssetCorrupt, match=r"images/ponds-3\.tif"):
        export_subject(subject, tmp_path / "out", format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(AlreadyExists):
        export_subject(version(tmp_path), tmp_path / "out", "croissant")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_copies_can_be_written_to_and_links_are_the_stores(tmp_path: Path) -> None:
    subject = version(tmp_path)
    stored = subject.version.store.open_name("d50110" + subject.version.by_path["images/ponds-0.tif"])
    path = exported(subject, tmp_path, "croissant", copy=True) / "images" / "ponds-0.tif"
    assert not os.path.samefile(path, stored)
    path.write_bytes(b"mine")
    assert hashlib.md5(stored.read_bytes()).hexdigest() == subject.version.by_path["images/ponds-0.tif"]


def test_what_a_form_cannot_hold_is_refused(tmp_path: Path) -> None:
    detection = version(tmp_path / "a", Task.DETECTION, SEVERAL)
    with pytest.raises(InvalidInput, match="several modalities"):
        export_subject(detection, tmp_path / "out", "terratorch")
    with pytest.raises(TooFewChips, match="test"):
        export_subject(version(tmp_path / "b", splits=("train", "validate")), tmp_path / "out", "terratorch")
    with pytest.raises(InvalidInput, match="unknown format"):
        export_subject(version(tmp_path / "c"), tmp_path / "out", "shapefile")  # type: ignore[arg-type]
