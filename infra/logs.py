"""The services' logs, as supervisord writes and rotates them."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from terralab.catalog.errors import ServiceUnavailable, UnknownName
from terralab.catalog.settings import Settings
from terralab.infra.home import LabHome

_POLL_S = 0.3


def log_files(settings: Settings, service: str | None) -> dict[str, Path]:
    """Return the log files by service: all, or the one of a service.

    Raises:
        UnknownName: no service has that name.
        ServiceUnavailable: there is no log yet.
    """
    found = {path.stem: path for path in sorted(LabHome(settings).logs.glob("*.log"))}
    if not found:
        raise ServiceUnavailable(f"there is no log in {settings.lab.home} yet; start the lab with `terralab up`")
    if service is None:
        return found
    if service not in found:
        raise UnknownName.of("service", service, list(found))
    return {service: found[service]}


def last_lines(files: dict[str, Path], count: int) -> Iterator[str]:
    """Yield the last `count` lines of each file, with the service's name before them where there are several."""
    for service, path in files.items():
        with path.open(errors="replace") as file:
            for line in deque(file, maxlen=count):
                yield _prefixed(files, service, line)


def new_lines(files: dict[str, Path]) -> Iterator[str]:
    """Yield lines as they are written, until the caller stops; goes on after a rotation."""
    places = {service: path.stat().st_size for service, path in files.items()}
    while True:
        for service, path in files.items():
            # A file that is missing or shorter than before was rotated: begin anew.
            size = path.stat().st_size if path.exists() else 0
            places[service] = min(places[service], size) if size >= places[service] else 0
            if size > places[service]:
                with path.open("rb") as file:
                    file.seek(places[service])
                    fresh = file.read(size - places[service])
                places[service] = size
                for line in fresh.decode(errors="replace").splitlines(keepends=True):
                    yield _prefixed(files, service, line)
        time.sleep(_POLL_S)


def _prefixed(files: dict[str, Path], service: str, line: str) -> str:
    return line if len(files) == 1 else f"{service:>11} | {line}"
