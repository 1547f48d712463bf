"""A provider on loopback, and a lab that knows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.app import create_app
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.flows.in_lab import checked_request
from terralab.flows.ingest import IngestRequest, ingest_imagery
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome
from tests.catalog.conftest import serve
from tests.conftest import execute, official_schemas
from tests.flows.imagery.plain_web import Answer, Web
from tests.flows.imagery.provider_lab import PLACE, Door, fill_provider


@dataclass
class Provider:
    """The provider's door and its address."""

    door: Door
    url: str

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")


@pytest.fixture(scope="session")
def provider_app(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory, data_folder: Path
) -> Iterator[Any]:
    execute(postgres, f"CREATE DATABASE provider TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/provider"
    settings.lab.home = tmp_path_factory.mktemp("provider")
    settings.lab.schemas = official_schemas()
    fill_provider(Workspace(settings), data_folder)
    yield create_app(settings)
    execute(postgres, "DROP DATABASE provider WITH (FORCE)")


@pytest.fixture(scope="session")
def provider_door(provider_app: Any) -> Iterator[Provider]:
    door = Door(provider_app)
    for server in serve(door):  # type: ignore[arg-type]
        yield Provider(door, server.url)


@pytest.fixture
def provider(provider_door: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Return the provider, known to this lab as `other`, with nothing counted and nothing refused."""
    door = provider_door.door
    door.requests.clear()
    door.files.clear()
    door.answer, door.change = (lambda kind, number: None), None
    door.pause_s, door.at_once, door.most_at_once = 0.0, 0, 0
    monkeypatch.setenv("TERRALAB_IMAGERY_PROVIDERS", f"other={provider_door.url}/stac")
    monkeypatch.setenv("TERRALAB_IMAGERY_PRIVATE_HOSTS", provider_door.host)
    return provider_door


@pytest.fixture
def box(data_folder: Path) -> list[float]:
    """Return the middle of the place, west, south, east, north."""
    import rasterio
    from rasterio.warp import transform_bounds

    with rasterio.open(data_folder / "terramesh" / "S2L2A" / f"{PLACE}.tif") as source:
        west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    wide, tall = (east - west) / 4, (north - south) / 4
    return [west + wide, south + tall, east - wide, north - tall]


@pytest.fixture
def lab_here(provider: Provider, workspace: Workspace) -> Workspace:
    """Return this lab; its settings know the provider."""
    return Workspace(Settings())


def ingest(workspace: Workspace, **values: Any) -> Outcome:
    """Run the flow's function."""
    request = checked_request(IngestRequest, **{"name": "here", "connector": "other", **values})
    return ingest_imagery(workspace, request, LogProgress())


@pytest.fixture
def web() -> Iterator[Callable[[Answer], Web]]:
    started: list[Web] = []

    def start(answer: Answer) -> Web:
        started.append(Web(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()
