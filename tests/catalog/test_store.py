"""Both stores do the same; what only one of them can meet comes after."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.errors import AssetCorrupt, ServiceUnavailable, SetupProblem
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.s3_store import S3Store
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, key_of, name_of, open_store
from terralab.catalog.store_cache import StoreCache
from terralab.extensions.checksum import multihash_of_bytes
from tests.catalog.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, Line, S3Server, s3_server

CONTENT = bytes(range(256)) * 40
LARGE = os.urandom(1 << 20) * 20


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"labs/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def bucket(s3: S3Server, prefix: str, tmp_path: Path) -> S3Store:
    return S3Store(s3.settings(prefix), tmp_path / "cache")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket")


def test_bytes_come_back_under_their_hash(store: Store) -> None:
    stored = store.put_bytes(CONTENT, "a.bin")
    assert stored.checksum == multihash_of_bytes(CONTENT)
    assert stored.href == f"asset://{stored.checksum}/a.bin"
    assert stored.size == len(CONTENT)
    assert store.open_path(stored.href).read_bytes() == CONTENT
    assert store.verify(stored.href).read_bytes() == CONTENT
    assert store.open_name(stored.checksum).stat().st_mode & 0o777 == 0o444
    assert store.size(stored.checksum) == len(CONTENT)
    assert list((store.folder / "tmp").iterdir()) == []


def test_storing_again_changes_nothing_but_the_time(store: Store) -> None:
    first = store.put_bytes(CONTENT, "a.bin", "md5")
    assert store.put_bytes(CONTENT, "b.bin", "md5").checksum == first.checksum
    objects = list(store.objects())
    assert [(entry.name, entry.size) for entry in objects] == [(first.checksum, len(CONTENT))]
    assert abs(objects[0].modified - datetime.now(UTC)) < timedelta(seconds=60)


def test_many_files_at_once(store: Store) -> None:
    known = store.put_bytes(b"known", "known.bin", "md5")
    contents = [b"one", b"two", b"known", b"one", os.urandom(3_000_000)]
    with store.scratch() as folder:
        files = []
        for number, content in enumerate(contents):
            path = folder / f"aside{number}"
            path.write_bytes(content)
            files.append((path, f"{number}.bin"))
        stored = store.put_many(files, "md5")
        assert list(folder.iterdir()) == []
    assert [file.href.rsplit("/", 1)[1] for file in stored] == [f"{number}.bin" for number in range(5)]
    assert [file.checksum for file in stored] == [multihash_of_bytes(content, "md5") for content in contents]
    assert stored[2].checksum == known.checksum
    assert [store.verify(file.href).read_bytes() for file in stored] == contents
    assert store.put_many([]) == []
    assert len(list(store.objects())) == 4


def test_many_files_are_safe_before_they_have_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        told.append(("fsync", os.readlink(f"/proc/self/fd/{handle}")))
        sync(handle)

    def replaced(path: Path, target: Path) -> None:
        told.append(("replace", str(path)))
        replace(path, target)
        told.append(("named", str(target)))

    store = FolderStore(tmp_path / "store")
    store.put_bytes(b"first", "first.bin")  # makes the folders
    with store.scratch() as folder:
        paths = [folder / str(number) for number in range(40)]
        for path in paths:
            path.write_bytes(path.name.encode())
        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", replaced)
        stored = store.put_many([(path, path.name) for path in paths])
    assert len(stored) == 40
    renames = [number for number, (what, _) in enumerate(told) if what == "replace"]
    assert {path for what, path in told[: renames[0]] if what == "fsync"} == {str(path) for path in paths}
    flushed = [path for what, path in told[renames[-1] :] if what == "fsync"]
    folders = {str(Path(path).parent) for what, path in told if what == "named"}
    assert folders < set(flushed)
    assert str(tmp_path / "store" / "files" / "sha256") in flushed
    assert len(flushed) == len(set(flushed)), "each folder is flushed once"


def test_pieces_of_a_file(store: Store) -> None:
    stored = store.put_bytes(LARGE, "large.bin")
    assert b"".join(store.pieces(stored.checksum)) == LARGE
    assert b"".join(store.pieces(stored.checksum, 5, 17_000_000)) == LARGE[5:17_000_000]
    assert list(store.pieces(stored.checksum, 7, 7)) == []
    with pytest.raises((AssetCorrupt, ServiceUnavailable)):
        list(store.pieces(stored.checksum, len(LARGE) - 5, len(LARGE) + 5))


def test_trees_lie_beside_the_chips_as_dvc_has_them(store: Store) -> None:
    stored = store.put_bytes(b"[]", "tree.json", "md5", ".dir")
    name = f"{stored.checksum}.dir"
    digits = stored.checksum.removeprefix("d50110")
    assert store.size(name) == 2
    assert store.size(stored.checksum) is None
    assert store.open_name(name) == store.folder / "files" / "md5" / digits[:2] / f"{digits[2:]}.dir"
    assert [entry.name for entry in store.objects()] == [name]


def test_what_is_not_there(store: Store) -> None:
    absent = multihash_of_bytes(b"never stored")
    assert store.size(absent) is None
    assert store.local(absent) is None
    stored = store.put_bytes(b"x", "x")
    assert store.sizes([absent, stored.checksum]) == {stored.checksum: 1}
    for ask in (store.open_name, lambda name: list(store.pieces(name))):
        with pytest.raises(AssetCorrupt, match="missing"):
            ask(absent)
    with pytest.raises(AssetCorrupt, match="missing"):
        store.open_path(f"asset://{absent}/x")
    for wrong in ("1220ab", "x", "../x", "1220" + "A" * 64, ""):
        with pytest.raises(ValueError, match="multihash"):
            store.size(wrong)


def test_removing(store: Store) -> None:
    names = [store.put_bytes(str(number).encode(), "x").checksum for number in range(3)]
    store.remove([names[0], names[1], multihash_of_bytes(b"absent")])
    assert [entry.name for entry in store.objects()] == [names[2]]
    with pytest.raises(AssetCorrupt):
        store.open_name(names[0])
    store.check()


@given(st.one_of(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16)), st.booleans())
def test_names_and_keys_are_the_same(digest: bytes, tree: bool) -> None:
    name = ("1220" if len(digest) == 32 else "d50110") + digest.hex() + (".dir" if tree else "")
    assert name_of(key_of(name)) == name


@given(st.text("0123456789abcdef/.filesmdsha256", max_size=90))
def test_only_files_of_the_store_have_names(key: str) -> None:
    name = name_of(key)
    assert name is None or key_of(name) == key


def test_settings_choose_the_store(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path))
    assert open_store(Settings()).place == str(tmp_path / "store")
    monkeypatch.setenv("TERRALAB_STORE_URL", str(tmp_path / "elsewhere"))
    assert open_store(Settings()).folder == tmp_path / "elsewhere"
    monkeypatch.setenv("TERRALAB_STORE_URL", f"s3://{BUCKET}/x")
    monkeypatch.setenv("TERRALAB_STORE_S3_ENDPOINT", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("TERRALAB_STORE_S3_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("TERRALAB_STORE_S3_SECRET_KEY", SECRET_KEY)
    store = open_store(Settings())
    store.check()
    assert (store.place, store.folder) == (f"s3://{BUCKET}/x", tmp_path / "cache" / "store")
    for url in ("gs://bucket", "s3://key:word@bucket/x", "s3://", "https://bucket/x?y"):
        monkeypatch.setenv("TERRALAB_STORE_URL", url)
        with pytest.raises(ValueError, match="s3://bucket/prefix") as refused:
            Settings()
        assert "word" not in str(refused.value)


def test_a_damaged_stored_file_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    path = store.open_path(store.put_bytes(CONTENT, "a").href)
    path.chmod(0o644)
    path.write_bytes(b"cut")
    store.put_bytes(CONTENT, "a")
    assert path.read_bytes() == CONTENT


def test_an_object_that_was_tampered_with_is_never_given(s3: S3Server, bucket: S3Store, prefix: str) -> None:
    stored = bucket.put_bytes(CONTENT, "a.bin")
    other = S3Store(s3.settings(prefix), bucket.folder.with_name("other"))
    for damage in (CONTENT[:-1] + b"!", CONTENT[:100], b""):
        s3.overwrite(f"{prefix}/{key_of(stored.checksum)}", damage)
        with pytest.raises(AssetCorrupt, match="differ from their checksum"):
            other.open_path(stored.href)
        assert [path for path in other.folder.rglob("*") if path.is_file()] == []
    assert bucket.verify(stored.href).read_bytes() == CONTENT, "the copy of the machine that stored it is whole"


def test_a_damaged_copy_is_fetched_anew(bucket: S3Store) -> None:
    stored = bucket.put_bytes(CONTENT, "a.bin")
    path = bucket.open_path(stored.href)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert bucket.verify(stored.href).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [300_000, len(LARGE)], ids=["one request", "parts"])
def test_an_upload_that_is_cut_off_shows_nothing(s3: S3Server, prefix: str, tmp_path: Path, size: int) -> None:
    line = Line(s3.port, breaks_after=200_000)
    store = S3Store(s3.settings(prefix, line.port), tmp_path / "cache")
    store._bucket = _impatient(s3, prefix, line.port)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        store.put_bytes(LARGE[:size], "a.bin")
    assert s3.keys(prefix) == []
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    line.breaks_after = None
    stored = store.put_bytes(LARGE[:size], "a.bin")
    assert s3.keys(prefix) == [key_of(stored.checksum)]


def test_a_server_that_went_away(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    line = Line(s3.port)
    store = S3Store(s3.settings(prefix, line.port), tmp_path / "cache")
    kept, other = store.put_bytes(b"kept", "a"), store.put_bytes(b"other", "b")
    store._cache.forget(other.checksum)
    line.close()
    store._bucket = _impatient(s3, prefix, line.port)
    assert store.open_path(kept.href).read_bytes() == b"kept", "a copy is as good without the server"
    asked = [
        lambda: store.open_path(other.href),
        lambda: store.size(other.checksum),
        lambda: store.sizes([other.checksum]),
        lambda: list(store.pieces(other.checksum, 0, 2)),
        lambda: list(store.objects()),
        lambda: store.put_bytes(b"new", "c"),
        lambda: store.remove([other.checksum]),
        store.check,
    ]
    for ask in asked:
        with pytest.raises(ServiceUnavailable) as told:
            ask()
        assert SECRET_KEY not in f"{told.value} {told.value.__cause__} {told.value.__context__!r}"
    assert SECRET_KEY not in repr(store) + repr(vars(store))


def test_a_bucket_that_does_not_exist_is_told(s3: S3Server, tmp_path: Path) -> None:
    settings = s3.settings("x")
    settings.url = "s3://no-such-bucket/x"
    store = S3Store(settings, tmp_path)
    for ask in (store.check, lambda: store.put_bytes(b"1", "x"), lambda: list(store.objects())):
        with pytest.raises(SetupProblem, match="no bucket of s3://no-such-bucket/x"):
            ask()


def test_a_file_that_is_stored_again_is_young_again(s3: S3Server, bucket: S3Store, prefix: str) -> None:
    bucket.put_bytes(b"1", "x")
    assert len(s3.keys(prefix)) == 1
    import terralab.catalog.s3_store as module

    before, module._TOUCH_AFTER = module._TOUCH_AFTER, timedelta(0)
    try:
        stored = bucket.put_bytes(b"1", "x")
    finally:
        module._TOUCH_AFTER = before
    assert sorted(s3.keys(prefix)) == [key_of(stored.checksum), f"touched/{stored.checksum}"]
    assert [entry.name for entry in bucket.objects()] == [stored.checksum]
    bucket.remove([stored.checksum])
    assert s3.keys(prefix) == []


def test_many_who_ask_at_once_fetch_once(bucket: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = bucket.put_bytes(LARGE[: 1 << 20], "a.bin")
    bucket._cache.forget(stored.checksum)
    fetched: list[str] = []
    download = bucket._download
    monkeypatch.setattr(bucket, "_download", lambda name, path: (fetched.append(name), download(name, path)))
    threads = [threading.Thread(target=bucket.open_path, args=(stored.href,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [stored.checksum]


def aged(folder: Path, hours: float = 1) -> None:
    """Make everything in a cache look as if it was used long ago."""
    then = datetime.now().timestamp() - hours * 3600
    for path in [*folder.rglob("*")]:
        os.utime(path, (then, then))


def test_the_cache_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = StoreCache(tmp_path, limit=10_000, holds=False)
    names = [multihash_of_bytes(str(number).encode()) for number in range(12)]
    for name in names:
        cache.path(name, lambda path: path.write_bytes(bytes(1000)) and None)
    cache.shrink()
    assert all(cache.files.size(name) for name in names), "what was opened a moment ago stays"
    aged(tmp_path)
    cache.path(names[0], lambda path: pytest.fail("it is there"))
    cache.shrink()
    kept = [name for name in names if cache.files.size(name)]
    assert names[0] in kept
    assert len(kept) == 9


HOLD = """
import sys
from pathlib import Path
from terralab.catalog.store_cache import StoreCache
cache = StoreCache(Path(sys.argv[1]), limit=10_000, holds=True)
for name in sys.argv[2:]:
    cache.path(name, lambda path: path.write_bytes(bytes(1000)))
print("holding", flush=True)
sys.stdin.read()
"""


def test_what_a_process_works_with_stays_until_it_ends(tmp_path: Path) -> None:
    names = [multihash_of_bytes(str(number).encode()) for number in range(20)]
    command = [sys.executable, "-c", HOLD, str(tmp_path), *names[:15]]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"holding\n"
    cache = StoreCache(tmp_path, limit=10_000, holds=False)
    for name in names[15:]:
        cache.path(name, lambda path: path.write_bytes(bytes(1000)) and None)
    aged(tmp_path)
    cache.shrink()
    assert [name for name in names if cache.files.size(name)] == names[:15]
    process.kill()
    process.wait()
    aged(tmp_path)
    cache.shrink()
    assert sum(cache.files.size(name) is not None for name in names) == 9
    assert list((tmp_path / "held").iterdir()) == []


def _impatient(s3: S3Server, prefix: str, port: int) -> object:
    """Return the bucket as the store has it, but tried once only."""
    from obstore.store import S3Store as Bucket

    return Bucket(
        BUCKET,
        prefix=prefix,
        config={
            "endpoint": f"http://127.0.0.1:{port}",
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        },
        client_options={"allow_http": True, "connect_timeout": "1s", "timeout": "5s"},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )
