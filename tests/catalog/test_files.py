from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.app import create_app
from terralab.catalog.byte_ranges import parse_ranges
from terralab.catalog.files import media_type_of
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, geotiff, serve
from tests.catalog.s3_server import S3Server, s3_server

CONTENT = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module", params=["folder", "s3"])
def files_lab(
    request: pytest.FixtureRequest, shared_lab: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """Return the shared lab, or one over the same database whose store is a bucket."""
    if request.param == "folder":
        return shared_lab
    settings = Settings()
    settings.database.database_url = shared_lab.settings.database_url
    settings.lab.home = tmp_path_factory.mktemp("s3")
    settings.store = request.getfixturevalue("s3").settings("files")
    return Workspace(settings)


@pytest.fixture(scope="module")
def server(files_lab: Workspace) -> Iterator[Server]:
    yield from serve(create_app(files_lab.settings))


@pytest.fixture
def stored(files_lab: Workspace) -> str:
    """Return the path on the server of a file with known bytes."""
    return "/files/" + files_lab.store.put_bytes(CONTENT, "data.bin").href.removeprefix("asset://")


RANGES = {
    "0-9": (0, 10),
    "1000-": (1000, 1024),
    "-24": (1000, 1024),
    "-5000": (0, 1024),
    "1020-5000": (1020, 1024),
}


def test_one_range(server: Server, stored: str) -> None:
    for header, (start, end) in RANGES.items():
        answer = server.get(stored, headers={"Range": f"bytes={header}"})
        assert answer.status_code == 206, header
        assert answer.content == CONTENT[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"


def test_many_ranges_come_as_parts(server: Server, stored: str) -> None:
    answer = server.get(stored, headers={"Range": "bytes=0-3,100-103,-2"})
    assert answer.status_code == 206
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = answer.content.split(b"--" + boundary.encode())[1:-1]
    assert [part.split(b"\r\n\r\n")[1].removesuffix(b"\r\n") for part in parts] == [
        CONTENT[:4],
        CONTENT[100:104],
        CONTENT[-2:],
    ]
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_range_behind_the_end_is_416(server: Server, stored: str) -> None:
    for header in ("bytes=2000-", "bytes=-0", "bytes=1024-1025"):
        answer = server.get(stored, headers={"Range": header})
        assert answer.status_code == 416, header
        assert answer.headers["content-range"] == "bytes */1024"


def test_ranges_that_touch_come_as_one(server: Server, stored: str) -> None:
    answer = server.get(stored, headers={"Range": "bytes=5-9, 0-4 ,3-7"})
    assert (answer.status_code, answer.content) == (206, CONTENT[:10])
    many = ",".join(f"{2 * number}-{2 * number}" for number in range(200))
    assert server.get(stored, headers={"Range": f"bytes={many}"}).status_code == 200


def test_an_empty_file(server: Server, files_lab: Workspace) -> None:
    path = "/files/" + files_lab.store.put_bytes(b"", "empty.txt").href.removeprefix("asset://")
    assert server.get(path).content == b""
    assert server.get(path).headers["content-length"] == "0"
    assert server.get(path, headers={"Range": "bytes=0-"}).status_code == 416


def test_a_large_file_comes_in_pieces(server: Server, files_lab: Workspace) -> None:
    content = bytes(range(250)) * 80_000  # 20 MB, more than two pieces
    path = "/files/" + files_lab.store.put_bytes(content, "large.bin").href.removeprefix("asset://")
    assert server.get(path).content == content
    assert server.get(path, headers={"Range": "bytes=100-15000000"}).content == content[100:15_000_001]


def test_trees_are_not_served(server: Server, files_lab: Workspace) -> None:
    checksum = files_lab.store.put_bytes(b"[]", "tree", "md5", ".dir").checksum
    assert server.get(f"/files/{checksum}.dir/tree.json").status_code == 404


def test_a_store_that_went_away_is_503(shared_lab: Workspace, tmp_path: Path) -> None:
    settings = Settings()
    settings.database.database_url = shared_lab.settings.database_url
    settings.lab.home = tmp_path
    with s3_server() as s3:
        settings.store = s3.settings("files")
        checksum = Workspace(settings).store.put_bytes(CONTENT, "a").checksum
    for server in serve(create_app(settings)):
        for path in (f"/files/{checksum}/a", "/readyz"):
            answer = server.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
            assert "S3CR3T" not in answer.text


@given(st.text("0123456789-, =bytesBx", max_size=40).map(lambda text: f"bytes={text}"), st.integers(0, 50))
def test_every_range_lies_in_the_file(header: str, size: int) -> None:
    ranges = parse_ranges(header, size)
    end_before = -1
    for start, end in ranges or []:
        assert end_before < start < end <= size
        end_before = end


def test_ranges_that_cannot_be_understood_are_ignored() -> None:
    for header in ("", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-1", f"bytes={'9' * 5000}-"):
        assert parse_ranges(header, 10) is None, header
    assert parse_ranges("BYTES = 2-3", 10) == [(2, 4)]


def test_whole_file_and_head(server: Server, stored: str) -> None:
    answer = server.get(stored)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"
    head = server.client.head(stored)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1024")
    assert server.client.head(stored, headers={"Range": "bytes=0-9"}).headers["content-length"] == "10"


def test_files_are_cached_for_ever(server: Server, stored: str) -> None:
    first = server.get(stored)
    assert "immutable" in first.headers["cache-control"]
    checksum = stored.split("/")[2]
    assert first.headers["etag"] == f'"{checksum}"'
    for tag in (f'"{checksum}"', f'W/"{checksum}"', f'"x", "{checksum}"'):
        again = server.get(stored, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    assert server.get(stored, headers={"If-None-Match": '"other"'}).status_code == 200
    for tag, status in ((f'"{checksum}"', 206), ('"other"', 200)):
        assert server.get(stored, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == status


def test_nothing_active_is_shown(files_lab: Workspace, server: Server) -> None:
    checksum = files_lab.store.put_bytes(b"<script>alert(1)</script>", "x.html").checksum
    for name in ("evil.html", "evil.svg", "evil.xhtml", "evil.js", "evil", "evil.xml", "EVIL.HTML"):
        answer = server.get(f"/files/{checksum}/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "html" not in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


def test_unknown_checksum_is_404(server: Server) -> None:
    paths = [
        "x/y",
        "1220" + "0" * 64 + "/a.tif",
        "1220..%2f..%2f/a",
        "d50110" + "AB" * 16 + "/a",
        "%00/a",
        "..%2f..%2f/x",
    ]
    for path in paths:
        answer = server.get(f"/files/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_name_cannot_add_headers(files_lab: Workspace, server: Server) -> None:
    checksum = files_lab.store.put_bytes(b"1", "x").checksum
    answer = server.get(f"/files/{checksum}/a%20%22b%22%0d%0aX-Evil%3a%20%c3%bc.csv")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers


def test_gdal_reads_by_ranges(files_lab: Workspace, server: Server) -> None:
    href = geotiff(files_lab, "chip.tif", 4, seed=7, algorithm="md5").href
    url = f"{server.url}/files/{href.removeprefix('asset://')}"
    assert server.client.head(url).headers["content-type"].startswith("image/tiff; application=geotiff")
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(f"/vsicurl/{url}") as dataset:
        over_http = dataset.read(window=((0, 16), (16, 32)))
    with rasterio.open(files_lab.store.open_path(href)) as dataset:
        assert (dataset.read(window=((0, 16), (16, 32))) == over_http).all()


def test_pages_of_other_hosts_may_read_ranges(server: Server, stored: str) -> None:
    answer = server.get(stored, headers={"Origin": "https://map.example", "Range": "bytes=0-1"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Content-Range" in answer.headers["access-control-expose-headers"]
    asked = {"Origin": "https://map.example", "Access-Control-Request-Method": "GET"}
    preflight = server.client.options(stored, headers={**asked, "Access-Control-Request-Headers": "range"})
    assert preflight.status_code == 200


def test_media_types() -> None:
    assert media_type_of("a.TIF") == ("image/tiff; application=geotiff; profile=cloud-optimized", "inline")
    assert media_type_of("a.safetensors") == ("application/octet-stream", "attachment")
