"""Export and import: a fresh lab holds the same, byte by byte, and what is damaged is refused as a whole."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pystac
import pystac_client
import pytest

from terralab.catalog.app import create_app
from terralab.catalog.audit import audit_entries
from terralab.catalog.errors import AlreadyExists, AssetCorrupt, InvalidInput, InvalidItem, LabError, UnknownName
from terralab.catalog.exchange.export import ExportOptions, export
from terralab.catalog.exchange.export_manifest import Assets, Format
from terralab.catalog.exchange.importing import import_export
from terralab.catalog.exchange.load import LoadOptions, load
from terralab.catalog.refresh import differences
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import MD5_PREFIX, multihash_of_file
from tests.catalog.conftest import serve
from tests.catalog.exchange.odd_lab import PROJECTS, contents, fill_oddly, new_lab

FORMATS, ASSETS = get_args(Format), get_args(Assets)
NewLab = Callable[[], Workspace]


@pytest.fixture(scope="module")
def odd(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield a lab that is only read."""
    with new_lab(postgres, template, "odd", tmp_path_factory.mktemp("odd")) as workspace:
        yield fill_oddly(workspace)


@pytest.fixture
def fresh(postgres: str, template: str, tmp_path: Path) -> Iterator[NewLab]:
    """Yield what makes empty labs."""
    with ExitStack() as stack:
        made: list[Workspace] = []

        def make() -> Workspace:
            name = f"fresh_{len(made)}"
            made.append(stack.enter_context(new_lab(postgres, template, name, tmp_path / name)))
            return made[-1]

        yield make


@pytest.fixture(scope="module")
def whole(odd: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export with everything in it, which tests copy before they damage it."""
    target = tmp_path_factory.mktemp("whole") / "export"
    export(odd, target, ExportOptions(assets="copy"))
    return target


def files_of(store: Store) -> dict[str, int]:
    return {entry.name: entry.size for entry in store.objects()}


def copy_files(source: Workspace, target: Workspace) -> None:
    for name in files_of(source.store):
        path = target.store.folder / source.store.open_name(name).relative_to(source.store.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.store.open_name(name).read_bytes())


@pytest.mark.parametrize("assets", ASSETS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_fresh_lab_holds_the_same(
    odd: Workspace, fresh: NewLab, tmp_path: Path, format: Format, assets: Assets
) -> None:
    manifest = export(odd, tmp_path / "export", ExportOptions(format=format, assets=assets))
    lab, wanted = fresh(), contents(odd)
    assert sum(manifest.items.values()) == len(wanted["items"])
    if assets != "copy":
        copy_files(odd, lab)
    report = import_export(lab, tmp_path / "export")
    assert report.items.counts["created"] == len(wanted["items"])
    found = contents(lab)
    for name, rows in wanted.items():
        assert found[name] == rows, name
    assert list(differences(lab.catalog)) == []
    assert files_of(lab.store) == files_of(odd.store)
    assert report.files == (len(files_of(odd.store)) if assets == "copy" else 0)
    with lab.catalog.connection() as connection:
        before = audit_entries(connection, limit=10_000)
    assert {entry.principal for entry in before} == {"terralab catalog import"}
    assert len(before) == sum(len(wanted[name]) for name in ("items", "collections", "projects"))

    again = import_export(lab, tmp_path / "export")
    assert again.items.counts["unchanged"] == len(wanted["items"])
    assert (again.items.stored, again.collections, again.projects, again.files) == (0, 0, 0, 0)
    assert contents(lab) == found
    with lab.catalog.connection() as connection:
        assert audit_entries(connection, limit=10_000) == before


def test_a_static_catalog_is_one_for_others(odd: Workspace, tmp_path: Path) -> None:
    export(odd, tmp_path / "static", ExportOptions(format="static", assets="copy"))
    catalog = pystac.Catalog.from_file(str(tmp_path / "static" / "catalog.json"))
    wanted = contents(odd)
    assert {one.id for one in catalog.get_children()} == {row[0] for row in wanted["collections"]}
    items = {(one.collection_id, one.id): one for one in catalog.get_items(recursive=True)}
    assert items.keys() == {row[:2] for row in wanted["items"]}
    for item in items.values():
        for asset in item.assets.values():
            place = asset.get_absolute_href()
            assert place is not None
            if not place.startswith("https://"):
                stored = odd.store.open_path(_stored_href(odd, item, asset.href))
                assert Path(place).read_bytes() == stored.read_bytes(), place
    scene = items["flood-labels", "spain-label"].get_single_link("source")
    assert scene is not None
    assert pystac.Item.from_file(str(scene.get_absolute_href())).id == "spain-s2"
    picture = catalog.get_child("odd")
    assert picture is not None
    assert Path(str(picture.assets["files"].get_absolute_href())).read_bytes() == b"picture"


def _stored_href(lab: Workspace, item: pystac.Item, href: str) -> str:
    stored = lab.catalog.item(str(item.collection_id), item.id)["assets"]
    key = next(key for key, asset in item.assets.items() if asset.href == href)
    return str(stored[key]["href"])


def test_addresses_of_files_lead_to_the_lab_where_they_are_not_copied(odd: Workspace, tmp_path: Path) -> None:
    export(odd, tmp_path / "static", ExportOptions(("models",), format="static"))
    item = json.loads((tmp_path / "static" / "models" / "flood-net-abc" / "flood-net-abc.json").read_bytes())
    assert item["assets"]["weights"]["href"].startswith(f"{odd.settings.web.url}/files/1220")
    version = next(link["href"] for link in item["links"] if link["rel"] == "derived_from")
    assert version == f"{odd.settings.web.url}/stac/collections/datasets/items/flood-v1-0-0"


def test_some_collections_are_exported(odd: Workspace, fresh: NewLab, tmp_path: Path) -> None:
    manifest = export(odd, tmp_path / "part", ExportOptions(("odd", "empty"), assets="copy"))
    assert set(manifest.items) == {"odd", "empty"}
    lab = fresh()
    assert import_export(lab, tmp_path / "part").collections == 2
    found, wanted = contents(lab), contents(odd)
    assert found["items"] == [row for row in wanted["items"] if row[0] == "odd"]
    assert found["collections"] == [row for row in wanted["collections"] if row[0] in ("odd", "empty")]
    assert found["projects"] == []
    assert set(files_of(lab.store)) == {row[0] for row in wanted["files"] if row[1] == "odd"}
    with pytest.raises(UnknownName, match="did you mean flood-scenes"):
        export(odd, tmp_path / "none", ExportOptions(("flood-scene",)))
    with pytest.raises(UnknownName, match="floods"):
        export(odd, tmp_path / "none", ExportOptions(project="flods"))
    with pytest.raises(InvalidInput, match="not both"):
        export(odd, tmp_path / "none", ExportOptions(("odd",), "floods"))
    assert [path.name for path in tmp_path.iterdir() if "none" in path.name] == []


def test_a_project_is_exported_with_those_in_it(odd: Workspace, fresh: NewLab, tmp_path: Path) -> None:
    manifest = export(odd, tmp_path / "part", ExportOptions(project="spain", assets="copy"))
    assert set(manifest.items) == {"odd", "flood-v1"}
    lab = fresh()
    assert import_export(lab, tmp_path / "part").projects == 2
    found = contents(lab)
    assert {row[0] for row in found["projects"]} == {"spain", "both"}
    assert found["parents"] == [("spain", "both")]
    assert found["members"] == [("both", "flood-v1"), ("spain", "odd")]
    export(odd, tmp_path / "whole", ExportOptions(assets="copy"))
    import_export(lab, tmp_path / "whole")  # what is around it is put beside it
    assert contents(lab) == contents(odd)
    assert len(contents(lab)["projects"]) == len(PROJECTS)


def test_what_is_there_is_changed_to_what_was_exported(odd: Workspace, fresh: NewLab, whole: Path) -> None:
    lab = fresh()
    import_export(lab, whole)
    item = lab.catalog.item("odd", "integers")
    lab.catalog.write([], [{**item, "properties": {**item["properties"], "title": "changed"}}])
    report = import_export(lab, whole)
    assert (report.items.counts["updated"], report.items.counts["created"]) == (1, 0)
    assert contents(lab) == contents(odd)


@pytest.mark.parametrize("assets", ["none", "manifest"])
def test_a_store_that_lacks_files_is_told_which(odd: Workspace, fresh: NewLab, tmp_path: Path, assets: Assets) -> None:
    export(odd, tmp_path / "part", ExportOptions(("models",), assets=assets))
    lab = fresh()
    with pytest.raises(AssetCorrupt if assets == "manifest" else InvalidItem) as refusal:
        import_export(lab, tmp_path / "part")
    lacking = {row[0] for row in contents(odd)["files"] if row[1] == "models"}
    assert any(name in str(refusal.value) for name in lacking)
    assert "store" in str(refusal.value)
    assert contents(lab)["items"] == []
    copy_files(odd, lab)
    assert import_export(lab, tmp_path / "part").items.counts["created"] == 1


def test_a_tree_goes_with_its_chips(odd: Workspace, whole: Path) -> None:
    listed = {json.loads(line)["checksum"]: json.loads(line) for line in (whole / "assets.ndjson").open()}
    tree = odd.catalog.item("datasets", "flood-v2-0-0")["properties"]["lab:dvc_tree"]
    chips = json.loads(odd.store.open_name(MD5_PREFIX + tree).read_bytes())
    assert len(chips) == 3
    for name in (tree, *(chip["md5"] for chip in chips)):
        entry = listed[MD5_PREFIX + name]
        assert (whole / entry["path"]).stat().st_size == entry["size"]


def rewritten(folder: Path, path: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of an export and its checksum in the manifest, as who means harm would."""
    (folder / path).write_bytes(change((folder / path).read_bytes()))
    manifest = json.loads((folder / "terralab-export.json").read_text())
    manifest["files"][path] = multihash_of_file(folder / path)
    (folder / "terralab-export.json").write_text(json.dumps(manifest))


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def some_asset(folder: Path) -> Path:
    return next(path for path in sorted((folder / "assets").rglob("*")) if path.is_file())


def escape(folder: Path, path: str) -> None:
    """Let a listed file lie elsewhere, where its bytes are right."""

    def change(text: bytes) -> bytes:
        lines = [json.loads(line) for line in text.splitlines()]
        place = folder.parent / "outside"
        place.write_bytes((folder / lines[0]["path"]).read_bytes())
        lines[0]["path"] = path.format(outside=place)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    rewritten(folder, "assets.ndjson", change)


def manifest_escape(folder: Path) -> None:
    manifest = json.loads((folder / "terralab-export.json").read_text())
    outside = folder.parent / "items.parquet"
    (folder / "items" / "odd.parquet").rename(outside)
    manifest["files"]["items/../../items.parquet"] = manifest["files"].pop("items/odd.parquet")
    (folder / "terralab-export.json").write_text(json.dumps(manifest))


DAMAGES: dict[str, tuple[Callable[[Path], object], type[LabError], str]] = {
    "a bit of the items": (lambda at: flipped(at / "items" / "odd.parquet"), InvalidInput, "not as it was written"),
    "a bit of the collections": (lambda at: flipped(at / "collections.json"), InvalidInput, "not as it was written"),
    "a bit of the projects": (lambda at: flipped(at / "projects.json"), InvalidInput, "not as it was written"),
    "a bit of a file": (lambda at: flipped(some_asset(at)), AssetCorrupt, "is damaged"),
    "no items": (lambda at: (at / "items" / "odd.parquet").unlink(), InvalidInput, "lacks items/odd.parquet"),
    "no file": (lambda at: some_asset(at).unlink(), AssetCorrupt, "lacks .*/assets/files/"),
    "no list of files": (lambda at: (at / "assets.ndjson").unlink(), InvalidInput, "lacks assets.ndjson"),
    "no manifest": (lambda at: (at / "terralab-export.json").unlink(), InvalidInput, "is no export"),
    "half a manifest": (lambda at: (at / "terralab-export.json").write_text("{"), InvalidInput, "not the manifest"),
    "a path out": (lambda at: escape(at, "../outside"), InvalidInput, "leads out"),
    "an absolute path out": (lambda at: escape(at, "{outside}"), InvalidInput, "leads out"),
    "items out": (manifest_escape, InvalidInput, "leads out"),
    "a link out": (lambda at: linked_out(some_asset(at)), InvalidInput, "leads out"),
    "a link of items out": (lambda at: linked_out(at / "items" / "odd.parquet"), InvalidInput, "leads out"),
    "a folder that is a link": (lambda at: linked_out(at / "assets"), InvalidInput, "leads out"),
    "a line that is none": (
        lambda at: rewritten(at, "assets.ndjson", lambda text: b'{"checksum": "x"}\n' + text), InvalidInput, "no file"
    ),
    "a newer export": (
        lambda at: (at / "terralab-export.json").write_text('{"version": 99}'), InvalidInput, "update this one"
    ),
}  # fmt: skip


def linked_out(path: Path) -> None:
    """Put a symbolic link into the place of a file or folder, to the same outside of the export."""
    outside = Path(os.environ["PYTEST_OUTSIDE"]) / path.name
    path.rename(outside)
    path.symlink_to(outside)


@pytest.fixture(scope="module")
def empty(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield an empty lab, which stays so."""
    with new_lab(postgres, template, "empty_lab", tmp_path_factory.mktemp("empty")) as workspace:
        yield workspace


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused(
    empty: Workspace, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setenv("PYTEST_OUTSIDE", str(tmp_path))
    folder = tmp_path / "export"
    shutil.copytree(whole, folder)
    shutil.rmtree(empty.store.folder, ignore_errors=True)
    break_it, kind, message = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(kind, match=message):
        import_export(empty, folder)
    assert not any(contents(empty).values())


def test_an_export_appears_whole_or_not(odd: Workspace, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(AlreadyExists, match="is there already"):
        export(odd, tmp_path / "there", ExportOptions())

    def break_off(done: int, total: int | None, unit: str) -> None:
        if unit == "files":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(odd, tmp_path / "new", ExportOptions(assets="copy"), break_off)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_bytes_that_are_damaged_in_the_store_are_not_exported(fresh: NewLab, whole: Path, tmp_path: Path) -> None:
    lab = fresh()
    import_export(lab, whole)
    weights = lab.catalog.item("models", "flood-net-abc")["assets"]["weights"]["href"]
    flipped(lab.store.open_path(weights))
    for format in FORMATS:
        with pytest.raises(AssetCorrupt, match=r"1220.* damaged"):
            export(lab, tmp_path / "new", ExportOptions(("models",), format=format, assets="copy"))
    lab.store.open_path(weights).unlink()
    with pytest.raises(AssetCorrupt, match="models/flood-net-abc refers to 1220"):
        export(lab, tmp_path / "new", ExportOptions(("models",)))
    export(lab, tmp_path / "new", ExportOptions(("models",), assets="none"))


def test_a_damaged_file_of_the_store_is_replaced(odd: Workspace, fresh: NewLab, whole: Path) -> None:
    lab = fresh()
    import_export(lab, whole)
    path = lab.store.open_path(lab.catalog.item("models", "flood-net-abc")["assets"]["weights"]["href"])
    path.chmod(0o644)
    path.write_bytes(b"short")
    assert import_export(lab, whole).files == 1
    assert files_of(lab.store) == files_of(odd.store)


def test_an_export_does_not_lend_its_files_to_the_store(odd: Workspace, tmp_path: Path) -> None:
    for format in FORMATS:
        export(odd, tmp_path / format, ExportOptions(("models",), format=format, assets="copy"))
        for path in (tmp_path / format).rglob("*"):
            assert path.is_dir() or path.stat().st_nlink == 1


def test_projects_that_would_hold_one_another_are_refused(fresh: NewLab, whole: Path) -> None:
    lab = fresh()
    import_export(lab, whole)
    with lab.catalog.connection() as connection:
        connection.execute("DELETE FROM lab.project_catalogs")
        connection.execute("INSERT INTO lab.project_catalogs VALUES ('both', 'floods')")
    before = contents(lab)
    with pytest.raises(InvalidInput, match="inside itself"):
        import_export(lab, whole)
    assert contents(lab) == before


def test_items_that_are_not_valid_are_told_or_left_out(odd: Workspace, fresh: NewLab, tmp_path: Path) -> None:
    export(odd, tmp_path / "part", ExportOptions(("odd",), format="ndjson", assets="copy"))

    def change(text: bytes) -> bytes:
        return text.replace(b'"bbox":[1,2,1,2]', b'"bbox":[5,5,6,6]')

    rewritten(tmp_path / "part", "items/odd.ndjson", change)
    lab = fresh()
    with pytest.raises(InvalidItem, match="integers"):
        import_export(lab, tmp_path / "part")
    assert contents(lab)["items"] == []
    report = import_export(lab, tmp_path / "part", LoadOptions(skip_invalid=True))
    assert report.items.counts["invalid"] == 1
    assert {row[1] for row in contents(lab)["items"]} == {
        row[1] for row in contents(odd)["items"] if row[0] == "odd" and row[1] != "integers"
    }
    assert import_export(lab, tmp_path / "part", LoadOptions(validate=False)).items.counts["created"] == 1


def test_real_items_are_loaded_searched_exported_and_imported(fresh: NewLab, tmp_path: Path, data_folder: Path) -> None:
    first, second = fresh(), fresh()
    load(first, str(data_folder / "stac" / "1000-sentinel-2-items.parquet"), LoadOptions(create_collections=True))
    found = [searched(first)]
    manifest = export(first, tmp_path / "export", ExportOptions())
    assert manifest.items == {"sentinel-2-l2a": 1000}
    assert import_export(second, tmp_path / "export").items.counts["created"] == 1000
    found.append(searched(second))
    assert len(found[0]) == 1000
    assert found[0] == found[1]
    assert contents(first) == contents(second)


def searched(lab: Workspace) -> dict[str, Any]:
    """Return what pystac-client finds, without the lab's address."""
    found = {}
    for server in serve(create_app(lab.settings)):
        search = pystac_client.Client.open(f"{server.url}/stac").search(max_items=2000, limit=250)
        for page in search.pages_as_dicts():
            for item in page["features"]:
                found[item["id"]] = json.loads(json.dumps(item, sort_keys=True).replace(server.url, ""))
    return found
