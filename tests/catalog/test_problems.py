import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from terralab.catalog import errors
from terralab.catalog.problems import PROBLEM_TYPE, STATUS_OF_ERROR, add_problem_handlers, status_of
from terralab.catalog.request_record import RequestRecord


def all_errors() -> list[type[errors.LabError]]:
    kinds = [errors.LabError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return kinds


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownName("x"), 404),
        (errors.GridMismatch("x"), 400),
        (errors.AlreadyExists("x"), 409),
        (errors.OutOfSpace("x"), 507),
        (errors.ServiceUnavailable("x"), 503),
        (errors.VersionMismatch("x"), 503),
        (errors.AssetCorrupt("x"), 500),
    ],
)
def test_errors_become_problem_documents(error: errors.LabError, status: int) -> None:
    app = FastAPI()
    add_problem_handlers(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app).get("/")
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM_TYPE
    document = answer.json()
    assert (document["code"], document["detail"], document["status"]) == (error.code, "x", status)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_every_error_has_a_status() -> None:
    for kind in all_errors():
        assert status_of(kind("x")) in STATUS_OF_ERROR.values()


def test_an_error_of_ours_is_answered_with_the_id_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    add_problem_handlers(app)
    app.add_middleware(RequestRecord)

    @app.get("/")
    def fail() -> None:
        raise ZeroDivisionError("secret")

    answer = TestClient(app).get("/")
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
    assert "secret" not in answer.text
    assert f"request {answer.json()['request_id']} failed" in caplog.text
