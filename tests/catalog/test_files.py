import pytest
import rasterio

from terralab.catalog.files import media_type_of
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, geotiff

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def stored(shared_lab: Workspace) -> str:
    """Return the path on the server of a file with known bytes."""
    return "/files/" + shared_lab.store.put_bytes(CONTENT, "data.bin").href.removeprefix("asset://")


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


def test_nothing_active_is_shown(shared_lab: Workspace, server: Server) -> None:
    checksum = shared_lab.store.put_bytes(b"<script>alert(1)</script>", "x.html").checksum
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


def test_a_name_cannot_add_headers(shared_lab: Workspace, server: Server) -> None:
    checksum = shared_lab.store.put_bytes(b"1", "x").checksum
    answer = server.get(f"/files/{checksum}/a%20%22b%22%0d%0aX-Evil%3a%20%c3%bc.csv")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers


def test_gdal_reads_by_ranges(shared_lab: Workspace, server: Server) -> None:
    href = geotiff(shared_lab, "chip.tif", 4, seed=7, algorithm="md5").href
    url = f"{server.url}/files/{href.removeprefix('asset://')}"
    assert server.client.head(url).headers["content-type"].startswith("image/tiff; application=geotiff")
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(f"/vsicurl/{url}") as dataset:
        over_http = dataset.read(window=((0, 16), (16, 32)))
    with rasterio.open(shared_lab.store.path(href)) as dataset:
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
