import threading
from collections.abc import Callable

import httpx
import pytest

from terralab.catalog.workspace import Workspace
from tests.catalog.transactions.conftest import Api, item

ITEMS = "/collections/places/items"
KEY = {"Idempotency-Key": "5f1c"}


def same(one: httpx.Response, other: httpx.Response) -> bool:
    varying = {"x-request-id", "date", "idempotency-replayed"}
    headers = [{k: v for k, v in each.headers.items() if k not in varying} for each in (one, other)]
    return one.status_code == other.status_code and one.content == other.content and headers[0] == headers[1]


def test_the_same_request_gets_the_same_answer_and_is_done_once(api: Api, workspace: Workspace) -> None:
    first = api("POST", ITEMS, item(), headers=KEY)
    again = api("POST", ITEMS, item(), headers=KEY)
    assert first.status_code == 201
    assert same(first, again)
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert api("POST", ITEMS, item()).status_code == 409
    deleted = [api("DELETE", f"{ITEMS}/a", headers={"Idempotency-Key": "d"}) for _ in range(2)]
    assert [answer.status_code for answer in deleted] == [204, 204]
    with workspace.catalog.connection() as connection:
        counts = connection.execute("SELECT count(*) FROM lab.idempotency WHERE status IS NOT NULL").fetchone()
    assert counts == (2,)


def test_a_key_stands_for_one_request(api: Api) -> None:
    api("POST", ITEMS, item(), headers=KEY)
    for method, path, body in (
        ("POST", ITEMS, item("b")),
        ("POST", f"{ITEMS}?mode=partial", item()),
        ("PUT", f"{ITEMS}/a", item()),
        ("DELETE", f"{ITEMS}/a", None),
    ):
        answer = api(method, path, body, headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reuse")


def test_keys_of_two_users_have_nothing_in_common(users: Callable[..., Api]) -> None:
    ann, bob = users("ann"), users("bob")
    assert ann("POST", ITEMS, item("a"), headers=KEY).status_code == 201
    assert bob("POST", ITEMS, item("b"), headers=KEY).status_code == 201


def test_what_was_refused_is_tried_again(api: Api) -> None:
    assert api("PUT", f"{ITEMS}/a", item(n=2), headers=KEY).status_code == 404
    api("POST", ITEMS, item(n=1))
    assert api("PUT", f"{ITEMS}/a", item(n=2), headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é".encode()])
def test_keys_of_another_form(api: Api, key: str | bytes) -> None:
    assert api("POST", ITEMS, item(), headers={"Idempotency-Key": key}).status_code == 400


def test_after_a_day_a_key_is_new(api: Api, workspace: Workspace) -> None:
    api("POST", ITEMS, item("a"), headers=KEY)
    api("POST", ITEMS, item("b"), headers={"Idempotency-Key": "other"})
    with workspace.catalog.connection() as connection:
        connection.execute("UPDATE lab.idempotency SET created = created - interval '25 hours'")
    assert api("POST", ITEMS, item("c"), headers=KEY).status_code == 201
    with workspace.catalog.connection() as connection:
        assert connection.execute("SELECT key FROM lab.idempotency").fetchall() == [("5f1c",)]


def test_of_many_at_once_one_is_done(users: Callable[..., Api], workspace: Workspace) -> None:
    callers = [users() for _ in range(8)]
    barrier, answers = threading.Barrier(8), []

    def send(caller: Api) -> None:
        barrier.wait()
        answers.append(caller("POST", ITEMS, item(), headers=KEY))

    threads = [threading.Thread(target=send, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    with workspace.catalog.connection() as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (1,)
