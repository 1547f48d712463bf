"""Archives that nobody trusts: what is honest is unpacked, the rest is refused and touches nothing outside."""

import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.datasets.onboarding.archives import unpack
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.opening import opened
from terralab.datasets.onboarding.remote_archives import check_host, load, scan_remote
from tests.datasets.onboarding.sets import codes, look, pairs

LIMITS = Limits()


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def tarred(folder: Path, path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("make", [zipped, tarred, partial(tarred, mode="w"), partial(tarred, mode="w:xz")])
def test_a_packed_dataset_is_the_folder(folder: Path, tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(pairs(folder), tmp_path / "packed.bin")
    with opened(archive, LIMITS, tmp_path) as root:
        found = look(root)
        assert codes(found) == set()
        assert [sample.id for sample in found.usable().samples] == ["s0", "s1"]
    assert not root.exists()


def zip_with(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def tar_with(path: Path, *entries: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    return path


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, target, size
    return entry


def zip_link(path: Path) -> Path:
    link = zipfile.ZipInfo("a.tif")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return zip_with(path, (link, b"/etc/passwd"))


def encrypted(path: Path) -> Path:
    zip_with(path, ("a.tif", b"1234"))
    content = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    path.write_bytes(content)
    return path


def overlapping(path: Path) -> Path:
    """Two members with the same bytes, as in a bomb of kilobytes that unpacks to petabytes."""
    zip_with(path, ("a.tif", b"1" * 1000), ("b.tif", b"1" * 1000))
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(content)
    return path


def lying(path: Path) -> Path:
    """A member that is larger than its header says."""
    zip_with(path, ("a.tif", b"1" * 100_000))
    content = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(magic) + place
        content[start : start + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    return path


def cut(path: Path) -> Path:
    zip_with(path, ("a.tif", os.urandom(9000)))
    path.write_bytes(path.read_bytes()[:5000])
    return path


def cut_tar(path: Path) -> Path:
    tar_with(path, tar_entry("a.tif", size=100_000))
    path.write_bytes(path.read_bytes()[:60])
    return path


def text(path: Path) -> Path:
    path.write_text("no archive")
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "escape": (lambda path: zip_with(path, ("../../evil.tif", b"")), "outside its folder"),
    "absolute": (lambda path: zip_with(path, ("/tmp/evil.tif", b"")), "outside its folder"),
    "drive": (lambda path: zip_with(path, ("C:/evil.tif", b"")), "outside its folder"),
    "backslash": (lambda path: zip_with(path, ("..\\evil.tif", b"")), "outside its folder"),
    "zip link": (zip_link, "link or a special file"),
    "encrypted": (encrypted, "encrypted"),
    "overlapping": (overlapping, "shares its bytes"),
    "lying": (lying, "damaged|larger than"),
    "twice": (lambda path: zip_with(path, ("a.tif", b"1"), ("A.tif", b"2")), "in it twice"),
    "cut": (cut, "damaged archive"),
    "cut tar": (cut_tar, "damaged archive|truncated"),
    "text": (text, "neither a zip nor a tar"),
    "tar escape": (lambda path: tar_with(path, tar_entry("../../evil.tif")), "outside its folder"),
    "tar absolute": (lambda path: tar_with(path, tar_entry("/tmp/evil.tif")), "outside its folder"),
    "tar link": (lambda path: tar_with(path, tar_entry("a", tarfile.SYMTYPE, "/etc")), "link or a special file"),
    "tar hard link": (lambda path: tar_with(path, tar_entry("a", tarfile.LNKTYPE, "/etc/passwd")), "link or a special"),
    "tar device": (lambda path: tar_with(path, tar_entry("a", tarfile.CHRTYPE)), "link or a special file"),
    "tar twice": (lambda path: tar_with(path, tar_entry("a.tif"), tar_entry("a.tif")), "in it twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_are_refused_and_nothing_lies_outside(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    archive = make(tmp_path / "bad.zip")
    target = tmp_path / "deep" / "er" / "target"
    with pytest.raises(InvalidInput, match=message) as caught:
        unpack(archive, target, LIMITS)
    assert "bad.zip" in str(caught.value)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(target)]
    assert outside == [archive]
    assert not Path("/tmp/evil.tif").exists()


@pytest.mark.parametrize("make", [zip_with, tar_with])
def test_a_bomb_is_refused(tmp_path: Path, make: Any) -> None:
    zeros = tar_entry("a.tif", size=3_000_000) if make is tar_with else ("a.tif", bytes(3_000_000))
    archive = make(tmp_path / "bomb.zip", zeros)
    with pytest.raises(TooLarge, match=r"bomb\.zip: unpacks to \d+ times its size"):
        unpack(archive, tmp_path / "target", Limits(free=1_000_000))
    with pytest.raises(TooLarge, match="unpacks to more than"):
        unpack(archive, tmp_path / "other", Limits(unpacked=2_000_000))
    unpack(archive, tmp_path / "fine", LIMITS)


@pytest.mark.parametrize("make", [zip_with, tar_with])
def test_too_many_members_are_refused(tmp_path: Path, make: Any) -> None:
    names = [f"{number}.tif" for number in range(5)]
    entries = [tar_entry(name) if make is tar_with else (name, b"") for name in names]
    with pytest.raises(TooLarge, match="files"):
        unpack(make(tmp_path / "many.zip", *entries), tmp_path / "target", Limits(files=4))


class _Ranges(SimpleHTTPRequestHandler):
    """Serves files with ranges, and counts what it sent."""

    sent = 0

    def do_GET(self) -> None:  # the library's name
        content = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        first, last = (
            (int(part) for part in asked.removeprefix("bytes=").split("-")) if asked else (0, len(content) - 1)
        )
        part = content[first : last + 1]
        type(self).sent += len(part)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve `tmp_path` and yield its host."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranges, directory=str(tmp_path)))
    _Ranges.sent = 0
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_zip_is_looked_into_from_afar_without_being_loaded(folder: Path, tmp_path: Path, web: str) -> None:
    pairs(folder, 20)
    (folder / "masks" / "s3.tif").unlink()
    (folder / "filler.bin").write_bytes(os.urandom(3_000_000))
    size = zipped(folder, tmp_path / "set.zip").stat().st_size
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = scan_remote(f"http://{web}/set.zip", web, Hints(), scratch)
    assert (found["samples"], found["images"], found["labels"]) == (20, {"image": 20}, {"files": 19})
    assert found["bands"] == {"image": ["B02", "B03"]}
    assert found["without_partner"] == ["s3"]
    assert found["loaded_bytes"] <= _Ranges.sent < size / 2


def test_only_allowed_hosts_are_asked(tmp_path: Path, web: str) -> None:
    for hosts in ("", "data.example.org", "127.0.0.1"):
        with pytest.raises(InvalidInput, match="TERRALAB_ONBOARD_HOSTS"):
            scan_remote(f"http://{web}/set.zip", hosts, Hints(), tmp_path)
    assert _Ranges.sent == 0
    with pytest.raises(InvalidInput, match="https"):
        check_host("http://data.example.org/a.zip", "data.example.org")
    with pytest.raises(InvalidInput, match="not allowed"):
        check_host("https://data.example.org:99@evil.example/a.zip", "data.example.org")


def test_an_archive_is_loaded_from_an_allowed_host(folder: Path, tmp_path: Path, web: str) -> None:
    archive = zipped(pairs(folder), tmp_path / "set.zip")
    target = tmp_path / "loaded"
    target.mkdir()
    assert (
        load(f"http://{web}/set.zip", web, target, LIMITS, lambda done, total: None).read_bytes()
        == archive.read_bytes()
    )
    with pytest.raises(TooLarge):
        load(f"http://{web}/set.zip", web, target, Limits(unpacked=100), lambda done, total: None)
