"""Finding and reading through TerraKit, in a process of its own that sees the connector's credentials and no others.

What TerraKit's connectors do not do is done here: whole answers where they take one page, an end where they would wait
for ever, and errors that say what to do and show no secret.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from terralab.catalog.errors import InvalidInput, ServiceUnavailable, SetupProblem, TooLarge, TooManyRequests
from terralab.catalog.settings import Settings
from terralab.datasets.imagery.area import Place
from terralab.datasets.imagery.found import BandSource, FoundScene, WantedScene, estimated_shape
from terralab.datasets.imagery.modalities import ProviderCollection, imagery_table
from terralab.extensions.item import parse_time
from terralab.extensions.raster import Grid
from terralab.flows.imagery.providers import Provider
from terralab.flows.imagery.remote_raster import BandWindow
from terralab.flows.imagery.stac_search import Times

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NOTHING = ("TerrakitNoDataFoundError",)
_NOTHING_SAID = re.compile(r"no data has been found|no data found|no items found", re.IGNORECASE)
_NO_LOGIN = ("TerrakitMissingEnvironmentVariable", "InvalidClientError", "KeyError")
_BUSY = re.compile(r"\b429\b|too many requests", re.IGNORECASE)
_REFUSED = re.compile(r"status code (401|403)|credentials|authenticat", re.IGNORECASE)
_AWAY = re.compile(r"connection|timeout|resolve|unreachable|max retries|status code 5\d\d", re.IGNORECASE)
_SECRETS = re.compile(r"(bearer|apikey=|headers=).*", re.IGNORECASE | re.DOTALL)
_SHOWN = 300
_STATIC_DAY = date(2020, 1, 1)


class TerrakitReads:
    """Scenes of one of TerraKit's connectors: one scene is one day over one place.

    Args:
        settings: the lab's.
        provider: whose connector it is.
    """

    def __init__(self, settings: Settings, provider: Provider) -> None:
        self._settings, self._provider = settings.imagery, provider

    def find(
        self, modality: str, collection: ProviderCollection, bands: tuple[str, ...], place: Place, times: Times | None
    ) -> list[FoundScene]:
        """Return the days of a collection over a place in a time range.

        Raises:
            SetupProblem: the connector refuses the credentials.
            TooManyRequests: it is too busy.
            ServiceUnavailable: it does not answer, or not in time, or gives a part of a day only.
            InvalidInput: it refuses the request.
            TooLarge: the place is larger than the provider gives at once.
        """
        self._refuse_large(modality, place)
        sources = tuple(BandSource(name, collection.bands.get(name, name), "") for name in bands)
        if times is None:
            first, last, items = _STATIC_DAY, _STATIC_DAY, [{"id": "", "datetime": _STATIC_DAY.isoformat()}]
        else:
            first, last = times[0].date(), times[1].date()
            items = list(self._items(modality, collection.name, [band.key for band in sources], place, first, last))
        days: dict[date, list[dict[str, Any]]] = {}
        for item in items:
            day = _moment(item["datetime"]).date()
            if first <= day <= last:
                days.setdefault(day, []).append(item)
        return [self._scene(modality, collection, sources, place, day, days[day]) for day in sorted(days)]

    def read(self, wanted: WantedScene, bands: list[BandSource]) -> list[BandWindow] | None:
        """Return one day's pixels; see `find` for the errors."""
        with TemporaryDirectory(prefix="terralab-terrakit-") as folder:
            output = Path(folder) / "pixels.npz"
            day = wanted.scene.id
            job = self._job(
                "get", wanted.scene.modality, wanted.scene.collection, bands_of(bands), wanted.place, day, day
            )
            facts = self._run({**job, "output": str(output)}, folder)
            if facts is None:
                return None
            with np.load(output, allow_pickle=False) as content:
                pixels = content["pixels"]
        if len(pixels) != len(bands):
            raise ServiceUnavailable(
                f"{self._provider.name} gave {len(pixels)} of {len(bands)} bands of {wanted.scene.collection} on {day}"
            )
        grid = Grid(facts["crs"], tuple(facts["transform"]), (pixels.shape[1], pixels.shape[2]))
        nodata = float(facts["nodata"]) if facts["nodata"] is not None else None
        return [BandWindow(band, grid, nodata) for band in pixels]

    def _refuse_large(self, modality: str, place: Place) -> None:
        side, gsd = self._provider.connector.side, imagery_table().modality(modality).gsd
        if side is not None and max(estimated_shape(place, gsd)) > side:
            raise TooLarge(
                f"{self._provider.name} gives at most {side} rows and columns of {modality} at once, that is"
                f" {side * gsd / 1000:g} km; ask for parts of the area one after the other"
            )

    def _items(
        self, modality: str, collection: str, bands: list[str], place: Place, first: date, last: date
    ) -> Iterator[dict[str, Any]]:
        """Yield all items of a range of days; where an answer may be one page of more, the range is halved."""
        job = self._job("find", modality, collection, bands, place, first.isoformat(), last.isoformat())
        with TemporaryDirectory(prefix="terralab-terrakit-") as folder:
            answer = self._run(job, folder)
        items = answer["items"] if answer else []
        page = self._provider.connector.page
        if page is None or len(items) < page:
            yield from items
        elif first == last:
            raise ServiceUnavailable(
                f"{self._provider.name} gives at most {page} scenes of {collection} and has perhaps more on {first};"
                " ask for a smaller area"
            )
        else:
            middle = first + (last - first) // 2
            yield from self._items(modality, collection, bands, place, first, middle)
            yield from self._items(modality, collection, bands, place, middle + timedelta(days=1), last)

    def _scene(
        self,
        modality: str,
        collection: ProviderCollection,
        sources: tuple[BandSource, ...],
        place: Place,
        day: date,
        items: list[dict[str, Any]],
    ) -> FoundScene:
        moments = sorted(_moment(item["datetime"]) for item in items)
        clouds = [float(item["cloud_cover"]) for item in items if item.get("cloud_cover") is not None]
        parts = tuple(sorted({item["id"] for item in items if item.get("id")}))
        endpoint = self._provider.endpoint
        return FoundScene(
            self._provider.name,
            modality,
            collection.name,
            day.isoformat(),
            moments[0],
            moments[-1],
            place.geometry,
            sources,
            sum(clouds) / len(clouds) if clouds else None,
            address=f"{endpoint}/collections/{collection.name}/items/{parts[0]}"
            if endpoint and len(parts) == 1
            else None,
            state="|".join(parts),
            parts=parts,
        )

    def _job(
        self, action: str, modality: str, collection: str, bands: list[str], place: Place, start: str, end: str
    ) -> dict[str, Any]:
        connector = self._provider.connector
        return {
            "action": action,
            "connector": self._provider.kind,
            "endpoint": self._provider.endpoint,
            "collection": collection,
            "modality": modality,
            "bands": bands,
            "bbox": list(place.box),
            "start": start,
            "end": end,
            "day_after": connector.day_after,
            "degrees": connector.degrees,
            "static": imagery_table().modality(modality).static,
        }

    def _run(self, job: dict[str, Any], folder: str) -> dict[str, Any] | None:
        """Return the answer of TerraKit's process; None where it found nothing."""
        for attempt in range(1, self._settings.attempts + 1):
            answer = run_terrakit({**job, "folder": folder}, self._provider, self._settings.terrakit_timeout_s)
            if "error" not in answer:
                return answer
            kind, message = str(answer["error"]), self._without_secrets(str(answer["message"]))
            if kind in _NOTHING or _NOTHING_SAID.search(message):
                return None
            if not _BUSY.search(message) or attempt == self._settings.attempts:
                raise self._error(kind, message)
            time.sleep(min(self._settings.longest_wait_s, 2.0**attempt))
        raise AssertionError("unreachable")

    def _error(self, kind: str, message: str) -> Exception:
        name, wanted = self._provider.name, ", ".join(self._provider.connector.credentials)
        said = f"{kind}: {message}"
        if kind in _NO_LOGIN or _REFUSED.search(said):
            return SetupProblem(f"{name} refuses the credentials; check {wanted or 'its settings'} ({said})")
        if _BUSY.search(said):
            return TooManyRequests(f"{name} refuses so many requests; run the same again later ({said})")
        if _AWAY.search(said):
            return ServiceUnavailable(f"{name} cannot be reached; check the network ({said})")
        return InvalidInput(f"{name}: {said}")

    def _without_secrets(self, message: str) -> str:
        for value in self._provider.credentials.values():
            message = message.replace(value, "…")
        return _SECRETS.sub(r"\1…", message)[:_SHOWN]


def bands_of(sources: list[BandSource]) -> list[str]:
    """Return the provider's names of bands."""
    return [source.key for source in sources]


def run_terrakit(job: dict[str, Any], provider: Provider, timeout: float) -> dict[str, Any]:
    """Return what TerraKit's process answers to one request.

    Raises:
        ServiceUnavailable: it did not answer in time, or died.
    """
    folder = str(job["folder"])
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment |= {"HOME": folder, "TMPDIR": folder, "MPLCONFIGDIR": folder, "LOGLEVEL": "WARNING"}
    environment |= {"PYTHON_DOTENV_DISABLED": "1", "OMP_NUM_THREADS": "1", **provider.credentials}
    process = subprocess.Popen(
        [sys.executable, "-m", "terralab.flows.imagery.terrakit_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        text=True,
        start_new_session=True,
    )
    try:
        written, log = process.communicate(json.dumps(job), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ServiceUnavailable(
            f"{provider.name} did not answer within {timeout:g} s (TERRALAB_IMAGERY_TERRAKIT_TIMEOUT_S)"
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    try:
        answer = json.loads(written)
    except ValueError:
        last = log.strip().splitlines()[-1:] or ["without a word"]
        raise ServiceUnavailable(
            f"TerraKit's process for {provider.name} ended with {process.returncode}:"
            f" {_SECRETS.sub('…', last[0])[:_SHOWN]}"
        ) from None
    assert isinstance(answer, dict)
    return answer


def _moment(written: Any) -> datetime:
    text = str(written)
    moment = (
        parse_time(text) if len(text) > len("2020-01-01") else datetime.combine(date.fromisoformat(text), time_of_day())
    )
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
