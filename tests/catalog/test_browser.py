import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from terralab.catalog.app import create_app
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve
from tests.conftest import ROOT

BUILT = ROOT / "build" / "stac-browser"
SCRIPT = "js/app.0123abcd.js"


def settings_of(lab: Workspace, folder: Path | None) -> Settings:
    """Return settings for a web process of its own over a lab."""
    settings = Settings()
    settings.database.database_url = lab.catalog.url
    settings.lab.home = lab.settings.lab.home
    settings.web.browser_folder = folder
    return settings


def config_of(client: TestClient | Server, path: str = "/browser/config.js") -> dict:
    """Return what the configuration script sets."""
    text = client.get(path).text
    return json.loads(re.match(r"window\.STAC_BROWSER_CONFIG = (\{.*\});\n", text)[1])


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Return a folder as `make browser` leaves it, as far as the web process cares."""
    folder = tmp_path / "browser"
    (folder / "js").mkdir(parents=True)
    (folder / "index.html").write_text(
        f'<html><head><title>B</title><script defer src="{SCRIPT}"></script></head></html>'
    )
    (folder / SCRIPT).write_text("run()")
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    return folder


def test_without_a_build_the_answer_says_how_to_make_one(shared_lab: Workspace, tmp_path: Path) -> None:
    with TestClient(create_app(settings_of(shared_lab, tmp_path / "none"))) as client:
        answer = client.get("/browser")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_name")
        assert "make browser" in answer.json()["detail"]
        assert "/browser" not in client.get("/").text
        assert "/browser" not in client.get("/items/models/flood-net-abc").text


def test_page_runs_our_configuration_first_and_may_load_from_here_alone(shared_lab: Workspace, build: Path) -> None:
    with TestClient(create_app(settings_of(shared_lab, build))) as client:
        answer = client.get("/browser")
        assert str(answer.url) == "http://testserver/browser/"
        assert re.findall(r'<script[^>]*src="([^"]+)"', answer.text) == ["config.js", SCRIPT]
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert not re.search(r"https?:|\*", " ".join(policy.values()))
        assert 'href="http://testserver/browser/"' in client.get("/").text
        assert client.get("/", headers={"Accept": "application/json"}).json()["links"]["browser"].endswith("/browser/")
        page = client.get("/items/models/flood-net-abc").text
        assert 'href="http://testserver/browser/#/collections/models/items/flood-net-abc"' in page


def test_files_are_kept_by_caches_where_their_names_hold_a_hash(shared_lab: Workspace, build: Path) -> None:
    with TestClient(create_app(settings_of(shared_lab, build))) as client:
        script = client.get(f"/browser/{SCRIPT}")
        assert (script.text, script.headers["content-type"]) == ("run()", "text/javascript; charset=utf-8")
        assert "immutable" in script.headers["cache-control"]
        assert client.get("/browser/").headers["cache-control"] == "no-cache"
        assert client.get(f"/browser/{SCRIPT}", headers={"If-None-Match": script.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["js/none.js", "js", "out", "%2e%2e/secret", "..%2fsecret", "/etc/passwd", "js/%00"])
def test_other_files_are_not_there(shared_lab: Workspace, build: Path, path: str) -> None:
    with TestClient(create_app(settings_of(shared_lab, build))) as client:
        answer = client.get(f"/browser/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_name")


def test_configuration_follows_the_address_that_was_called(shared_lab: Workspace, build: Path) -> None:
    settings = settings_of(shared_lab, build)
    with TestClient(create_app(settings), base_url="http://elsewhere:81") as client:
        config = config_of(client)
        assert config["catalogUrl"] == "http://elsewhere:81/stac/" == own_link(client)
        assert config["pathPrefix"] == "/browser/"
        assert "authConfig" not in config
    settings.web.public_url = "https://eo.example.org/lab/"
    with TestClient(create_app(settings)) as client:
        config = config_of(client)
        assert config["catalogUrl"] == "https://eo.example.org/lab/stac/" == own_link(client)
        assert config["pathPrefix"] == "/lab/browser/"
        # Behind a proxy not everybody may read, so the page can log in.
        assert (config["authConfig"]["name"], config["authConfig"]["formatter"]) == ("Authorization", "Bearer")
        allowed = re.search(r'RegExp\("(.*)"\)', client.get("/browser/config.js").text)[1].replace("\\\\", "\\")
        assert re.match(allowed, "https://eo.example.org/lab/files/x")
        assert not re.match(allowed, "https://eo.example.org.evil/lab/")
        assert not re.match(allowed, "https://eo-example.org/lab/")


def own_link(client: TestClient) -> str:
    """Return the root's `self` link, which STAC Browser compares with `catalogUrl`."""
    return next(link["href"] for link in client.get("/stac/").json()["links"] if link["rel"] == "self")


@pytest.fixture
def built(shared_lab: Workspace) -> Iterator[Server]:
    """Yield a server with the real STAC Browser."""
    if not (BUILT / "index.html").is_file():
        pytest.skip("STAC Browser is not built; run `make browser`")
    yield from serve(create_app(settings_of(shared_lab, BUILT)))


@pytest.mark.browser
@pytest.mark.parametrize(
    ("place", "texts"),
    [
        ("", ["Models", "Flood scenes"]),
        ("collections/models/items/flood-net-abc", ["test mIoU", "Machine learning model", "Made from datasets/flood"]),
        ("collections/flood-net-predictions/items/flood-net-spain", ["Pixels by class", "Made from models/flood-net"]),
    ],
)
def test_chromium_shows_objects_and_asks_nobody_else(
    built: Server, tmp_path: Path, place: str, texts: list[str]
) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900"]
    command += ["--disable-background-networking", "--enable-logging=stderr", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{built.url}/browser/#/{place}"]
    found = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    for text in texts:
        assert text in found.stdout
    assert "ol-viewport" in found.stdout or not place
    # The policy names this origin alone, so a request to another would be refused, and said to be so.
    assert not re.findall(r".*(?:Refused to|violates the following|Uncaught).*", found.stderr)
