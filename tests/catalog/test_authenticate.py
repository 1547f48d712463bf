"""Tokens over HTTP: who is let in as whom, and that a wrong token never counts as none."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from terralab.catalog.access import keys as keys_module
from terralab.catalog.access.authenticate import Authenticate, Callers
from terralab.catalog.access.keys import KEPT_SECONDS, KeyCheck, create_key, list_keys, revoke_key
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Admin, Public, Reader, Writer
from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.errors import InvalidInput, NotAuthenticated, UnknownName
from terralab.catalog.problems import add_problem_handlers
from terralab.catalog.workspace import Workspace


def app_over(workspace: Workspace) -> FastAPI:
    """Return an app that says who calls."""
    app = FastAPI()

    @app.get("/who")
    def who(caller: Reader) -> dict[str, object]:
        return shown(caller)

    @app.post("/write")
    def write(caller: Writer) -> dict[str, object]:
        return shown(caller)

    @app.get("/admin", dependencies=[Depends(Admin)])
    def admin() -> None: ...

    @app.get("/public", dependencies=[Depends(Public)])
    def public() -> None: ...

    app.add_middleware(Authenticate, callers=Callers(workspace.settings))
    add_problem_handlers(app)
    return app


def shown(caller: Principal) -> dict[str, object]:
    return {
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "projects": sorted(caller.projects),
        "reads_all": caller.reads_all,
    }


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """Yield a client of a lab whose reads are not open."""
    workspace.settings.access.open_reads = False
    with TestClient(app_over(workspace)) as found:
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_nobody_is_anonymous_and_reads_what_is_public(client: TestClient) -> None:
    assert client.get("/who").json() == {"name": None, "scopes": [], "projects": [], "reads_all": False}


def test_open_reads_let_anybody_read_all_but_write_nothing(workspace: Workspace) -> None:
    assert workspace.settings.open_reads, "the default on loopback"
    client = TestClient(app_over(workspace))
    assert client.get("/who").json()["reads_all"]
    assert client.post("/write").status_code == 401


def test_the_local_token_is_an_admin(client: TestClient, workspace: Workspace) -> None:
    token = kept_secret(workspace.settings.secrets_folder, TOKEN)
    assert client.get("/who", headers=bearer(token)).json() == {
        "name": "lab",
        "scopes": ["admin"],
        "projects": [],
        "reads_all": True,
    }
    assert client.get("/admin", headers={"X-API-Key": token}).status_code == 200
    assert client.get("/who", headers=bearer(token[:-1])).status_code == 401


def test_without_a_local_token_none_holds(client: TestClient, workspace: Workspace) -> None:
    workspace.settings.secrets_folder.mkdir(parents=True)
    (workspace.settings.secrets_folder / TOKEN).write_text("\n")
    for token in ("", " ", "x", "None"):
        assert client.get("/who", headers=bearer(token)).status_code == 401


def test_the_local_token_is_private_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    token = kept_secret(folder, TOKEN)
    assert len(token) == 43
    assert kept_secret(folder, TOKEN) == token
    assert (folder / TOKEN).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [TOKEN]


def test_a_key_says_who_calls(client: TestClient, workspace: Workspace) -> None:
    key, made = create_key(workspace.catalog, "ana", ["read", "write"], ["flood"], timedelta(days=30))
    assert client.get("/who", headers=bearer(key)).json() == {
        "name": "ana",
        "scopes": ["read", "write"],
        "projects": ["flood"],
        "reads_all": False,
    }
    assert client.post("/write", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/admin", headers=bearer(key)).status_code == 403
    assert made.is_valid


def test_scopes_are_asked_for(client: TestClient, workspace: Workspace) -> None:
    reader, _ = create_key(workspace.catalog, "ana", ["read"])
    writer, _ = create_key(workspace.catalog, "ben", ["write"])
    admin, _ = create_key(workspace.catalog, "cleo", ["admin"])
    statuses = {
        name: (
            client.get("/who", headers=headers).status_code,
            client.post("/write", headers=headers).status_code,
            client.get("/admin", headers=headers).status_code,
        )
        for name, headers in {
            "nobody": {},
            "reader": bearer(reader),
            "writer": bearer(writer),
            "admin": bearer(admin),
        }.items()
    }
    assert statuses == {
        "nobody": (200, 401, 401),
        "reader": (200, 403, 403),
        "writer": (200, 200, 403),
        "admin": (200, 200, 200),
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer tl_aaaaaaaa_" + "A" * 43},
        {"Authorization": "Bearer tl_"},
        {"Authorization": "Basic bGFiOmxhYg=="},
        {"Authorization": "Bearer"},
        {"Authorization": ""},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Authorization": b"Bearer \xc3\xa4"},
        {"X-API-Key": ""},
        {"X-API-Key": "tl_aaaaaaaa_" + "A" * 43},
    ],
)
def test_a_wrong_token_is_401_even_where_none_is_needed(client: TestClient, headers: dict[str, str]) -> None:
    for path in ("/who", "/public"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_authenticated"
        assert answer.headers["www-authenticate"] == 'Bearer realm="terralab", error="invalid_token"'
        assert answer.headers["cache-control"] == "private"


def test_two_tokens_are_one_too_many(client: TestClient, workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    both = [("Authorization", f"Bearer {key}"), ("X-API-Key", key)]
    assert client.get("/who", headers=both).status_code == 401
    assert client.get("/who", headers=both[:1] * 2).status_code == 401


def test_a_missing_token_is_401_where_one_is_needed(client: TestClient) -> None:
    answer = client.post("/write")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="terralab"'


def test_caches_are_told_that_answers_differ(client: TestClient, workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    anonymous, known = client.get("/who"), client.get("/who", headers=bearer(key))
    assert anonymous.headers["vary"] == known.headers["vary"] == "Authorization, X-API-Key"
    assert known.headers["cache-control"] == "private"
    assert "cache-control" not in anonymous.headers


def test_a_revoked_key_stops_within_five_seconds(
    client: TestClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, made = create_key(workspace.catalog, "ana")
    assert client.get("/who", headers=bearer(key)).status_code == 200
    revoke_key(workspace.catalog, made.prefix)
    passed = monotonic() + KEPT_SECONDS
    monkeypatch.setattr(keys_module, "monotonic", lambda: passed)
    refused = client.get("/who", headers=bearer(key))
    assert refused.status_code == 401
    assert "was revoked" in refused.json()["detail"]
    assert KEPT_SECONDS <= 5


def test_an_expired_key_stops_at_once(client: TestClient, workspace: Workspace) -> None:
    key, made = create_key(workspace.catalog, "ana", lifetime=timedelta(days=1))
    with workspace.catalog.connection() as connection:
        connection.execute("UPDATE lab.api_keys SET expires = now() - interval '1 second'")
    refused = client.get("/who", headers=bearer(key))
    assert (refused.status_code, "expired" in refused.json()["detail"]) == (401, True)
    assert [key.is_valid for key in list_keys(workspace.catalog)] == [False]
    assert made.expires is not None


def test_a_remembered_key_also_expires(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = create_key(workspace.catalog, "ana", lifetime=timedelta(milliseconds=300))
    check = KeyCheck(workspace.catalog)
    check.principal(key)
    sleep(0.4)
    with pytest.raises(NotAuthenticated, match="expired"):
        check.remembered(key)


def test_the_database_is_not_asked_again_within_five_seconds(workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    check = KeyCheck(workspace.catalog)
    assert check.remembered(key) is None
    assert check.remembered(key) is None
    assert check.principal(key) == check.remembered(key) == Principal("ana", frozenset({"read"}))


def test_the_key_itself_is_nowhere_in_the_database(workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    with psycopg.connect(workspace.catalog.url) as connection:
        rows = connection.execute("SELECT to_jsonb(k)::text FROM lab.api_keys k").fetchall()
    assert len(rows) == 1
    assert key.rsplit("_", 1)[1] not in rows[0][0]
    assert key.split("_", 2)[2] not in rows[0][0]


def test_a_key_with_another_secret_does_not_hold(client: TestClient, workspace: Workspace) -> None:
    key, made = create_key(workspace.catalog, "ana")
    other, _ = create_key(workspace.catalog, "ben", ["admin"])
    mixed = f"tl_{made.prefix}_{other.split('_', 2)[2]}"
    assert client.get("/who", headers=bearer(mixed)).status_code == 401
    assert client.get("/who", headers=bearer(key)).json()["name"] == "ana"


def test_last_use_is_kept_to_the_hour(client: TestClient, workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    assert list_keys(workspace.catalog)[0].last_used is None
    client.get("/who", headers=bearer(key))
    used = list_keys(workspace.catalog)[0].last_used
    assert used is not None
    assert (used.minute, used.second) == (0, 0)


@pytest.mark.parametrize(
    ("owner", "scopes", "projects"),
    [("", ["read"], []), ("lab", ["read"], []), ("a\n", ["read"], []), ("a", ["delete"], []), ("a", ["read"], [""])],
)
def test_what_is_no_key_is_refused(workspace: Workspace, owner: str, scopes: list[str], projects: list[str]) -> None:
    with pytest.raises(InvalidInput):
        create_key(workspace.catalog, owner, scopes, projects)


def test_revoking_takes_the_prefix_or_the_key(workspace: Workspace) -> None:
    first, made = create_key(workspace.catalog, "ana")
    assert revoke_key(workspace.catalog, first).prefix == made.prefix
    assert revoke_key(workspace.catalog, f"tl_{made.prefix}").revoked is not None
    with pytest.raises(UnknownName):
        revoke_key(workspace.catalog, "nosuchkey")


def test_a_database_that_is_away_is_503_and_not_401(workspace: Workspace) -> None:
    key, _ = create_key(workspace.catalog, "ana")
    workspace.settings.database.database_url = "postgresql://nobody@127.0.0.1:1/none"
    client = TestClient(app_over(workspace))
    answer = client.get("/who", headers=bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert client.get("/who").status_code == 200


def test_commands_make_list_and_revoke(workspace: Workspace) -> None:
    from typer.testing import CliRunner

    from terralab.infra.cli.app import app

    run = CliRunner().invoke
    made = run(
        app, ["keys", "create", "ana", "--scope", "read", "--scope", "write", "--project", "x", "--expires", "30d"]
    )
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert KeyCheck(workspace.catalog).principal(key) == Principal(
        "ana", frozenset({"read", "write"}), frozenset({"x"})
    )
    listed = json.loads(run(app, ["keys", "list", "--json"]).stdout)
    assert [(row["owner"], row["scopes"], row["valid"]) for row in listed] == [("ana", ["read", "write"], True)]
    assert key not in json.dumps(listed)
    assert run(app, ["keys", "revoke", listed[0]["prefix"]]).exit_code == 0
    assert "revoked" in run(app, ["keys", "list"]).stdout
    wrong = run(app, ["keys", "create", "ana", "--expires", "soon"])
    assert isinstance(wrong.exception, InvalidInput)
