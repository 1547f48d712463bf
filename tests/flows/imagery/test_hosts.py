"""What may be read: the provider's hosts, at public addresses, and what a redirection leads to no less."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from terralab.catalog.errors import InvalidInput, InvalidRaster, LabError, ServiceUnavailable, SetupProblem, TooLarge
from terralab.catalog.settings import ImagerySettings
from terralab.flows.imagery.hosts import Hosts
from terralab.flows.imagery.http_reads import HttpReads
from terralab.flows.imagery.providers import provider_of
from terralab.flows.imagery.remote_file import RemoteFile
from terralab.flows.imagery.remote_raster import read_windows
from tests.flows.imagery.plain_web import Answer, Web, reply

HERE = (9.0, 50.0, 9.01, 50.01)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://data.example.org/a.tif", True),
        ("https://DATA.example.org:443/a.tif", True),
        ("https://data.example.org:8443/a.tif", False),
        ("http://data.example.org/a.tif", False),
        ("https://data.example.org.evil.net/a.tif", False),
        ("https://evil.net/data.example.org", False),
        ("https://user@data.example.org/a.tif", False),
        ("https://data.example.org@evil.net/a.tif", False),
        ("https://bucket.s3.example.com/a.tif", True),
        ("https://s3.example.com/a.tif", False),
        ("https://nots3.example.com/a.tif", False),
        ("http://127.0.0.1:8080/a.tif", True),
        ("http://127.0.0.1:5432/", False),
        ("file:///etc/passwd", False),
        ("/vsicurl/https://data.example.org/a.tif", False),
        ("s3://bucket/a.tif", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_addresses_of_the_provider_alone_are_allowed(url: str, allowed: bool) -> None:
    hosts = Hosts(("data.example.org", "*.s3.example.com", "127.0.0.1:8080"), ("127.0.0.1:8080",))
    assert hosts.allows(url) is allowed


def reads_of(server: Web, **values: Any) -> HttpReads:
    settings = ImagerySettings(
        providers=f"other={server.url}",
        tokens="other=s3cret",
        **{"private_hosts": server.host, "attempts": 3, "timeout_s": 5, **values},
    )
    return HttpReads(provider_of(settings, "other"), settings, sleep=lambda seconds: None)


def test_a_private_address_is_refused_unless_the_settings_name_it(web: Callable[[Answer], Web]) -> None:
    server = web(lambda handler: reply(handler, 200, b"{}"))
    assert reads_of(server).json("GET", f"{server.url}/a") == {}
    with pytest.raises(InvalidInput, match="TERRALAB_IMAGERY_PRIVATE_HOSTS"):
        reads_of(server, private_hosts="").json("GET", f"{server.url}/a")
    assert len(server.asked) == 1


def test_a_name_that_means_a_private_address_is_refused(
    web: Callable[[Answer], Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = web(lambda handler: reply(handler, 200, b"{}"))
    port = server.server.server_port
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "data.example.org" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings = ImagerySettings(providers=f"other=https://data.example.org:{port}", attempts=1)
    with pytest.raises(InvalidInput, match=r"data.example.org has the private address 127\.0\.0\.1"):
        HttpReads(provider_of(settings, "other"), settings).json("GET", f"https://data.example.org:{port}/")
    assert server.asked == []


def test_a_redirection_to_another_host_is_not_followed(web: Callable[[Answer], Web]) -> None:
    inside = web(lambda handler: reply(handler, 200, b"{}"))
    server = web(lambda handler: reply(handler, 302, location=f"{inside.url}/secret"))
    with pytest.raises(InvalidInput, match="not at an address that may be read"):
        reads_of(server).json("GET", f"{server.url}/a")
    assert inside.asked == []


def test_the_token_goes_to_the_provider_alone(web: Callable[[Answer], Web]) -> None:
    files = web(lambda handler: reply(handler, 200, b"{}"))
    server = web(lambda handler: reply(handler, 302, location=f"{files.url}/file"))
    reads_of(server, hosts=files.host, private_hosts=f"{server.host},{files.host}").json("GET", f"{server.url}/a")
    assert server.asked == [("/a", "Bearer s3cret")]
    assert files.asked == [("/file", None)]


def test_redirections_in_a_circle_end(web: Callable[[Answer], Web]) -> None:
    server = web(lambda handler: reply(handler, 302, location="/again"))
    with pytest.raises(ServiceUnavailable, match="redirections"):
        reads_of(server).json("GET", f"{server.url}/a")
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, SetupProblem, "TERRALAB_IMAGERY_TOKENS"),
        (403, SetupProblem, "refuses"),
        (404, LabError, "has no"),
        (418, InvalidInput, "418"),
    ],
)
def test_refusals_are_told_at_once(web: Callable[[Answer], Web], status: int, error: type, message: str) -> None:
    server = web(lambda handler: reply(handler, status))
    with pytest.raises(error, match=message):
        reads_of(server).json("GET", f"{server.url}/a?signature=secret")
    assert len(server.asked) == 1


def test_a_connection_that_breaks_is_made_again(web: Callable[[Answer], Web]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(server.asked) > 1:
            reply(handler, 200, b'{"all": true}')
            return
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"all"')
        handler.close_connection = True

    server = web(answer)
    assert reads_of(server).json("GET", f"{server.url}/a") == {"all": True}
    assert len(server.asked) == 2


def test_an_answer_that_drips_is_broken_off(web: Callable[[Answer], Web]) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        with suppress(OSError):
            for _ in range(1000):
                handler.wfile.write(b" ")
                time.sleep(0.05)

    server = web(drip)
    with pytest.raises(ServiceUnavailable, match="longer than 1 s"):
        reads_of(server, attempts=1, timeout_s=0.1).json("GET", f"{server.url}/a")


def test_an_answer_without_end_is_cut_off(web: Callable[[Answer], Web]) -> None:
    server = web(lambda handler: reply(handler, 200, b"x" * 2_000_000))
    with pytest.raises(TooLarge):
        reads_of(server).send("GET", f"{server.url}/a", largest=1_000_000)


def cog(path: Path, size: int = 1024, **profile: Any) -> Path:
    values = np.random.default_rng(1).integers(0, 4000, (2, size, size)).astype("uint16")
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=size,
        height=size,
        count=2,
        dtype="uint16",
        crs="EPSG:4326",
        transform=rasterio.transform.from_origin(9.0, 50.1024, 0.0001, 0.0001),
        **{"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate", **profile},
    ) as target:
        target.write(values)
    return path


def ranges(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, _, last = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last or len(content)) + 1]
        reply(
            handler, 206, part, content_range=f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}", etag='"one"'
        )

    return answer


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"interleave": "band"},
        {"tiled": False, "blockxsize": 1024, "blockysize": 8},
        {"BIGTIFF": "YES"},
        {"sparse_ok": True},
    ],
)
def test_a_window_of_any_geotiff_is_read_by_ranges(
    web: Callable[[Answer], Web], tmp_path: Path, profile: dict[str, Any]
) -> None:
    path = cog(tmp_path / "a.tif", **profile)
    server = web(ranges(path.read_bytes()))
    reads = reads_of(server)
    second, first = read_windows(reads, f"{server.url}/a.tif", [2, 1], HERE, 10**6) or []
    with rasterio.open(path) as source:
        window = rasterio.windows.Window(0, 924, 100, 100)
        np.testing.assert_array_equal(first.pixels, source.read(1, window=window))
        np.testing.assert_array_equal(second.pixels, source.read(2, window=window))
    assert first.grid.shape == (100, 100)
    assert reads.received < path.stat().st_size / 3


def test_a_server_without_ranges_gives_the_whole_file_once(web: Callable[[Answer], Web], tmp_path: Path) -> None:
    content = cog(tmp_path / "a.tif", 256).read_bytes()
    server = web(lambda handler: reply(handler, 200, content))
    assert read_windows(reads_of(server), f"{server.url}/a.tif", [1], (9.0, 50.09, 9.01, 50.1), 10**6)
    assert len(server.asked) == 1


def test_a_file_that_changes_while_it_is_read_is_refused(web: Callable[[Answer], Web], tmp_path: Path) -> None:
    content, count = cog(tmp_path / "a.tif").read_bytes(), iter(range(100))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, _, last = handler.headers["Range"].removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1]
        range_ = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        reply(handler, 206, part, content_range=range_, etag=f'"{next(count)}"')

    server = web(answer)
    with pytest.raises(ServiceUnavailable, match="changed"):
        read_windows(reads_of(server), f"{server.url}/a.tif", [1], HERE, 10**6)


def test_another_range_than_was_asked_for_is_refused(web: Callable[[Answer], Web]) -> None:
    server = web(lambda handler: reply(handler, 206, b"x" * 10, content_range="bytes 5-14/100"))
    with pytest.raises(ServiceUnavailable, match="another range"):
        RemoteFile(reads_of(server), f"{server.url}/a.tif").open()


def test_a_file_that_sends_gdal_elsewhere_is_refused(web: Callable[[Answer], Web], tmp_path: Path) -> None:
    trap = web(lambda handler: reply(handler, 200, b""))
    path = cog(tmp_path / "a.tif", 256)
    xml = f'<GDALMetadata><Item name="OVERVIEW_FILE" domain="OVERVIEWS">/vsicurl/{trap.url}/x.tif</Item></GDALMetadata>'
    with tifffile.TiffFile(path) as tiff:
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in tiff.pages[0].tags if tag.code > 33000]
    tifffile.imwrite(
        path, np.zeros((256, 256), np.uint16), metadata=None, extratags=[*tags, (42112, 2, len(xml) + 1, xml, True)]
    )
    server = web(ranges(path.read_bytes()))
    with pytest.raises(InvalidRaster, match="other files"):
        read_windows(reads_of(server), f"{server.url}/a.tif", [1], HERE, 10**6)
    assert trap.asked == []


@pytest.mark.parametrize("content", [b"<VRTDataset></VRTDataset>", b"II*\0" + b"\xff" * 60, b"II*\0", b""])
def test_what_is_no_geotiff_is_refused(web: Callable[[Answer], Web], content: bytes) -> None:
    server = web(lambda handler: reply(handler, 200, content))
    with pytest.raises(LabError):
        read_windows(reads_of(server), f"{server.url}/a.tif", [1], HERE, 10**6)


def test_too_many_pixels_are_refused_before_they_are_fetched(web: Callable[[Answer], Web], tmp_path: Path) -> None:
    server = web(ranges(cog(tmp_path / "a.tif").read_bytes()))
    with pytest.raises(TooLarge, match="TERRALAB_IMAGERY_MAX_PIXELS"):
        read_windows(reads_of(server), f"{server.url}/a.tif", [1], HERE, 9_999)
    assert len(server.asked) <= 2
