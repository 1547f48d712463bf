import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from terralab.catalog import Lab
from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import LabError, ServiceUnavailable, TooManyRequests
from tests.catalog.conftest import Server, serve
from tests.conftest import free_port


class Busy:
    """A server that is too busy a few times, and remembers what came."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.refusals = 0
        self.status, self.wait = 503, "0"
        self.app.add_api_route("/{path:path}", self.answer, methods=["GET", "POST"])

    async def answer(self, path: str, request: Request) -> Response:
        self.requests.append((path, dict(request.headers), await request.body()))
        if path == "plain":
            return PlainTextResponse("<h1>Bad gateway</h1>", 502)
        if path == "new":
            document = {"code": "of_a_newer_lab", "detail": "what it is", "problems": [1], "request_id": "r"}
            return JSONResponse(document, 418, media_type="application/problem+json")
        if len(self.requests) <= self.refusals:
            code = "service_unavailable" if self.status == 503 else "too_many_requests"
            return JSONResponse({"code": code, "detail": "busy"}, self.status, {"Retry-After": self.wait})
        return JSONResponse({"done": True})


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def web(busy: Busy) -> Iterator[Server]:
    yield from serve(busy.app)


@pytest.mark.parametrize("status", [503, 429])
def test_a_request_is_repeated_while_the_lab_is_busy(busy: Busy, web: Server, status: int) -> None:
    busy.refusals, busy.status = 2, status
    transport = Transport(web.url, "t")
    content = [b"one", b"two"]
    assert transport.json("POST", "/x", content=lambda: iter(content), write=True) == {"done": True}
    assert len(busy.requests) == 3
    assert {body for _, _, body in busy.requests} == {b"onetwo"}
    # One key for all attempts: what was done in spite of a 503 is not done again.
    assert len({headers["idempotency-key"] for _, headers, _ in busy.requests}) == 1


def test_it_waits_as_long_as_the_lab_says(busy: Busy, web: Server) -> None:
    busy.refusals, busy.wait = 1, "1"
    started = time.monotonic()
    Transport(web.url).json("GET", "/x")
    assert 0.9 < time.monotonic() - started < 5


def test_a_lab_that_stays_busy_is_an_error(busy: Busy, web: Server) -> None:
    busy.refusals = 10
    with pytest.raises(ServiceUnavailable, match="busy"):
        Transport(web.url, attempts=2).json("GET", "/x")
    assert len(busy.requests) == 2
    busy.status = 429
    with pytest.raises(TooManyRequests):
        Transport(web.url, attempts=1).json("GET", "/x")


def test_every_write_has_a_key_of_its_own_and_reads_have_none(busy: Busy, web: Server) -> None:
    transport = Transport(web.url)
    for write in (True, True, False):
        transport.json("POST", "/x", body={}, write=write)
    keys = [headers.get("idempotency-key") for _, headers, _ in busy.requests]
    assert keys[0] != keys[1]
    assert keys[2] is None


def test_errors_that_are_not_known_keep_their_code(web: Server) -> None:
    with pytest.raises(LabError, match="what it is") as error:
        Transport(web.url).json("GET", "/new")
    assert error.value.code == "of_a_newer_lab"
    assert error.value.members == {"problems": [1], "request_id": "r"}
    assert LabError.code == "lab_error"


def test_an_answer_of_something_else_is_said_to_be_one(web: Server) -> None:
    with pytest.raises(LabError, match="status 502"):
        Transport(web.url).json("GET", "/plain")


def test_a_lab_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnavailable, match="terralab up"):
        Lab(url).search().matched()
    with pytest.raises(ServiceUnavailable):
        list(Transport(url).download("/x"))


def test_the_token_goes_to_the_lab_alone(busy: Busy, web: Server) -> None:
    transport = Transport(f"{web.url}/lab", "S3CR3T")
    for address in ("/x", f"{web.url}/lab/x", f"{web.url}/laboratory", f"{web.url}/other"):
        transport.json("GET", address)
    assert ["authorization" in headers for _, headers, _ in busy.requests] == [True, True, False, False]


def test_which_lab_and_which_token(web: Server, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("local\n")
    assert Lab()._transport._auth == {"Authorization": "Bearer local"}
    assert Lab("http://127.0.0.1:8080/")._transport._auth == {"Authorization": "Bearer local"}
    # The token of this machine is for the lab of this machine.
    assert Lab(web.url)._transport._auth == {}
    assert Lab(web.url, "given")._transport._auth == {"Authorization": "Bearer given"}
    monkeypatch.setenv("TERRALAB_URL", "https://eo.example.org/lab/")
    assert (Lab().url, Lab()._transport._auth) == ("https://eo.example.org/lab", {})
    monkeypatch.setenv("TERRALAB_TOKEN", "from the environment")
    assert Lab()._transport._auth == {"Authorization": "Bearer from the environment"}
    assert "environment" not in repr(Lab())
