"""Archives on allowed hosts: looking into a zip by HTTP ranges, without loading it, and loading one whole.

Only the command line does this, on the user's machine and at the user's word; flows open no addresses.
"""

import io
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import httpx

from terralab.catalog.errors import InvalidInput, LabError, ServiceUnavailable, TooLarge
from terralab.datasets.onboarding.archives import Member, zip_members
from terralab.datasets.onboarding.findings import Finding, note
from terralab.datasets.onboarding.forms.folder import Arrangement, arrange
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.raster_file import read_facts

_BLOCK = 1 << 18
_MOST_LOADED = 64 << 20
_LARGEST_SAMPLE = 16 << 20
_LOCAL = ("127.0.0.1", "localhost", "::1")


def is_address(text: str) -> bool:
    """Say whether a source is an address and not a path."""
    return urlsplit(text).scheme in ("http", "https")


def check_host(address: str, hosts: str) -> None:
    """Check that an address may be opened.

    Args:
        address: http or https.
        hosts: hosts that are allowed, with ','.

    Raises:
        InvalidInput: its host is not allowed, or it is not https.
    """
    parts = urlsplit(address)
    allowed = [host.strip().lower() for host in hosts.split(",") if host.strip()]
    name = (parts.hostname or "").lower()
    with_port = f"{name}:{parts.port}" if parts.port else name
    if parts.username or parts.password or with_port not in allowed:
        raise InvalidInput(
            f"{address}: its host {with_port or 'none'} is not allowed; load the file yourself and give its path, or"
            " add the host to TERRALAB_ONBOARD_HOSTS"
        )
    if parts.scheme != "https" and name not in _LOCAL:
        raise InvalidInput(f"{address}: give an https address")


class RangedFile(io.RawIOBase):
    """A file on a server, read by ranges; each block is loaded once.

    Args:
        address: allowed before.
        client: makes the requests.

    Raises:
        InvalidInput: the server has no such file, or does not serve ranges.
        ServiceUnavailable: it does not answer.
    """

    def __init__(self, address: str, client: httpx.Client) -> None:
        self.address = address
        self.loaded = 0
        self._client = client
        self._blocks: dict[int, bytes] = {}
        self._at = 0
        answer = self._get(0, 0)
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        if answer.status_code != httpx.codes.PARTIAL_CONTENT or not total.isdigit():
            raise InvalidInput(f"{address}: its server does not serve parts of files; load the file and give its path")
        self.size = int(total)

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where it is."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; at most to the end of a block."""
        if self._at >= self.size:
            return 0
        number, first = divmod(self._at, _BLOCK)
        part = self._block(number)[first : first + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if self.loaded > _MOST_LOADED:
                raise TooLarge(f"{self.address}: looking into it would load more than {_MOST_LOADED >> 20} MiB")
            start = number * _BLOCK
            content = self._get(start, min(start + _BLOCK, self.size) - 1).content
            self.loaded += len(content)
            self._blocks[number] = content
        return self._blocks[number]

    def _get(self, first: int, last: int) -> httpx.Response:
        try:
            with self._client.stream("GET", self.address, headers={"Range": f"bytes={first}-{last}"}) as answer:
                if answer.status_code == httpx.codes.OK:
                    return answer  # the whole file: its body is not read
                if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                    raise InvalidInput(f"{self.address}: the server answers {answer.status_code}")
                answer.read()
                return answer
        except httpx.HTTPError as problem:
            raise ServiceUnavailable(f"{self.address}: no answer ({problem})") from problem


def scan_remote(address: str, hosts: str, hints: Hints, scratch: Path) -> dict[str, Any]:
    """Return what a zip archive on a server holds, loading its list and one image of each modality.

    Args:
        address: of the archive.
        hosts: hosts that are allowed.
        hints: what the user says of the files.
        scratch: empty folder for those images.

    Raises:
        InvalidInput: the host is not allowed, or it is no zip archive with a usable list.
        TooLarge: it is a bomb, or over the limits.
    """
    check_host(address, hosts)
    name = PurePosixPath(urlsplit(address).path).name
    # No redirects: they would lead to a host that nobody allowed.
    with httpx.Client(timeout=30, follow_redirects=False) as client:
        remote = RangedFile(address, client)
        try:
            with zipfile.ZipFile(io.BufferedReader(remote, _BLOCK)) as archive:
                members = zip_members(archive, name, remote.size, hints.limits)
                return _report(archive, members, name, remote, hints, scratch)
        except zipfile.BadZipFile as problem:
            raise InvalidInput(f"{name}: no zip archive ({problem}); load it and give its path") from problem


def load(address: str, hosts: str, target: Path, limits: Limits, tell: Callable[[int, int], None]) -> Path:
    """Load a file of an allowed host.

    Raises:
        InvalidInput: the host is not allowed, or has no such file.
        TooLarge: it is over the limit.
        ServiceUnavailable: the server does not answer.
    """
    check_host(address, hosts)
    path = target / (PurePosixPath(urlsplit(address).path).name or "archive")
    try:
        with (
            httpx.Client(timeout=60, follow_redirects=False) as client,
            client.stream("GET", address) as answer,
            path.open("wb") as stream,
        ):
            if answer.status_code != httpx.codes.OK:
                raise InvalidInput(f"{address}: the server answers {answer.status_code}")
            total, done = int(answer.headers.get("content-length") or 0), 0
            for chunk in answer.iter_bytes():
                done += len(chunk)
                if max(done, total) > limits.unpacked:
                    raise TooLarge(f"{address}: over {limits.unpacked / 1e9:.0f} GB (TERRALAB_ONBOARD_MAX_UNPACKED_GB)")
                stream.write(chunk)
                tell(done, max(total, done))
    except httpx.HTTPError as problem:
        raise ServiceUnavailable(f"{address}: no answer ({problem})") from problem
    return path


def _report(
    archive: zipfile.ZipFile,
    members: list[tuple[zipfile.ZipInfo, Member]],
    name: str,
    remote: RangedFile,
    hints: Hints,
    scratch: Path,
) -> dict[str, Any]:
    infos = {member.path: info for info, member in members}
    found = arrange(sorted(infos), hints)
    findings = list(found.findings)
    bands = {
        modality: _bands(archive, infos[next(iter(group.values()))[0].path], scratch, findings)
        for modality, group in found.images.items()
    }
    keys = {key for group in found.images.values() for key in group}
    return {
        "name": name,
        "form": "zip",
        "ready": False,
        "files": len(infos),
        "bytes": sum(member.size for _, member in members),
        "loaded_bytes": remote.loaded,
        "samples": len(keys),
        "modalities": list(found.images),
        "bands": bands,
        "images": {modality: len(group) for modality, group in found.images.items()},
        "labels": {"files": len(found.labels or found.everywhere)},
        "without_partner": _without_partner(found),
        "findings": [finding.to_json() for finding in findings],
    }


def _without_partner(found: Arrangement) -> list[str]:
    groups = [set(group) for group in found.images.values()] + ([set(found.labels)] if found.labels else [])
    return sorted(set[str]().union(*groups) - groups[0].intersection(*groups[1:])) if groups else []


def _bands(archive: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path, findings: list[Finding]) -> list[str] | None:
    """Return the band names of one image, None where it is too large to be loaded for that."""
    if info.file_size > _LARGEST_SAMPLE:
        findings.append(note("not_read", f"{info.filename}: too large to be looked into from afar"))
        return None
    path = scratch / f"{len(findings)}-{PurePosixPath(info.filename).name}"
    with closing(archive.open(info)) as source:
        path.write_bytes(source.read(info.file_size + 1)[: info.file_size])
    try:
        facts = read_facts(path)
    except LabError as problem:
        findings.append(Finding(note("", "").weight, "unreadable", str(problem)))
        return None
    return [text or f"band {number + 1}" for number, text in enumerate(facts.descriptions)]
