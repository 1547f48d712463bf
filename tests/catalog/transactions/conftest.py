"""A lab that the tests of this folder write to by HTTP, emptied before each, and clients of several users."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from terralab.catalog.access.keys import create_key
from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing_collections import delete_collection, write_collections
from tests.catalog.conftest import Server, serve
from tests.conftest import execute, official_schemas

EXTENT = {
    "spatial": {"bbox": [[1, 1, 2, 2]]},
    "temporal": {"interval": [["2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z"]]},
}


def collection(name: str = "places", **fields: Any) -> dict[str, Any]:
    described = {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": name, "license": "other"}
    return {**described, "extent": EXTENT, "links": [], **fields}


def item(name: str = "a", x: float = 1.0, when: str = "2024-05-01T00:00:00Z", **properties: Any) -> dict[str, Any]:
    ring = [[x, 1.5], [x + 1, 1.5], [x + 1, 2.5], [x, 2.5], [x, 1.5]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": "places",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [x, 1.5, x + 1, 2.5],
        "properties": {"datetime": when, **properties},
        "links": [],
        "assets": {},
    }


@dataclass
class Api:
    """The STAC API as one caller sees it."""

    client: httpx.Client
    url: str

    def __call__(self, method: str, path: str, body: Any = None, **arguments: Any) -> httpx.Response:
        if body is not None:
            arguments["json"] = body
        return self.client.request(method, f"/stac{path}", **arguments)

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def etag(self, path: str) -> str:
        return str(self("GET", path).headers["etag"])


@pytest.fixture(scope="session")
def written_lab(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield the lab that the tests write to, one after another."""
    execute(postgres, f"CREATE DATABASE written_lab TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/written_lab"
    settings.lab.home = tmp_path_factory.mktemp("written")
    settings.lab.schemas = official_schemas()
    yield Workspace(settings)
    execute(postgres, "DROP DATABASE written_lab WITH (FORCE)")


@pytest.fixture(scope="session")
def written_server(written_lab: Workspace) -> Iterator[Server]:
    """Yield its web process."""
    yield from serve(create_app(written_lab.settings))


@pytest.fixture
def workspace(written_lab: Workspace) -> Workspace:
    """Return that lab with nothing but one empty collection."""
    with written_lab.catalog.connection() as connection:
        for (name,) in connection.execute("SELECT id FROM collections").fetchall():
            delete_collection(connection, name)
        connection.execute("TRUNCATE lab.idempotency, lab.api_keys, lab.uploads")
        write_collections(connection, [collection()])
    return written_lab


@pytest.fixture
def users(workspace: Workspace, written_server: Server) -> Iterator[Callable[..., Api]]:
    """Yield what makes a client: of the lab's own admin, or of a user with a name and projects."""
    token = kept_secret(workspace.settings.secrets_folder, TOKEN)
    with ExitStack() as stack:

        def make(name: str | None = None, *projects: str, scopes: tuple[str, ...] = ("read", "write")) -> Api:
            key = token if name is None else create_key(workspace.catalog, name, scopes, projects, None)[0]
            client = httpx.Client(base_url=written_server.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
            return Api(stack.enter_context(client), written_server.url)

        yield make


@pytest.fixture
def api(users: Callable[..., Api]) -> Api:
    return users()
