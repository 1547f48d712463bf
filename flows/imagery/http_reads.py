"""Requests to a provider: patient where it is busy, quick to say what is wrong, and never to another host."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin

import httpx

from terralab.catalog.errors import (
    InvalidInput,
    LabError,
    ServiceUnavailable,
    SetupProblem,
    TooLarge,
    TooManyRequests,
    UnknownName,
)
from terralab.catalog.settings import ImagerySettings
from terralab.flows.imagery.hosts import GuardedTransport
from terralab.flows.imagery.providers import Provider

_BUSY = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_FIRST_WAIT_S = 0.5
_LARGEST_ANSWER = 64 << 20
_SILENCES = 10  # how many of the longest silences an answer may take in all: one byte a minute is no answer


class HttpReads:
    """Reads of one provider, from any number of threads.

    A provider that answers 429 is left alone by all threads until the time that it names.

    Args:
        provider: whose hosts may be read.
        settings: attempts, times and connections.
        sleep: in place of waiting, for tests.
    """

    def __init__(
        self, provider: Provider, settings: ImagerySettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.provider, self._settings, self._sleep = provider, settings, sleep
        self._client = httpx.Client(
            transport=GuardedTransport(provider.hosts, settings.parallel),
            timeout=httpx.Timeout(settings.timeout_s, connect=min(20.0, settings.timeout_s), pool=None),
            headers={"User-Agent": f"terralab/{version('terralab')}"},
            trust_env=False,
        )
        self._lock = threading.Lock()
        self._not_before = 0.0
        self.requests = 0
        self.received = 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON object of an answer; one that was cut off is asked for again.

        Raises:
            LabError: as `send`; also where the answer is no JSON object.
        """
        for attempt in range(1, self._settings.attempts + 1):
            answer = self.send(method, url, body=body)
            try:
                content = answer.json()
            except ValueError:
                content = None
            if isinstance(content, dict):
                return content
            self._pause(attempt)
        raise ServiceUnavailable(f"{self._shown(url)} answers with something that is no JSON object")

    def send(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        largest: int = _LARGEST_ANSWER,
    ) -> httpx.Response:
        """Send a request, again where the provider is busy or the connection breaks, and return the whole answer.

        Args:
            method: GET or POST.
            url: on one of the provider's hosts.
            body: sent as JSON.
            headers: further ones.
            largest: bytes of an answer that are taken.

        Raises:
            InvalidInput: the address is not the provider's.
            TooManyRequests: the provider asks for a longer wait than the settings allow, or stays busy.
            ServiceUnavailable: it does not answer.
            SetupProblem: it refuses the credentials.
            UnknownName: it has no such thing.
            TooLarge: the answer is larger than `largest`.
        """
        failure: LabError = ServiceUnavailable(f"{self._shown(url)} does not answer")
        for attempt in range(1, self._settings.attempts + 1):
            self._wait_for_turn()
            try:
                answer = self._once(method, url, body, headers or {}, largest)
            except httpx.TransportError as error:
                failure = ServiceUnavailable(
                    f"{self._shown(url)} cannot be reached ({type(error).__name__}: {str(error)[:120]}); check the"
                    " network and the provider's address"
                )
                self._pause(attempt)
                continue
            if answer.status_code not in _BUSY:
                return self._accepted(answer, url)
            failure = self._busy(answer, url)
            self._pause(attempt, answer)
        raise failure

    def _once(self, method: str, url: str, body: Any, headers: Mapping[str, str], largest: int) -> httpx.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            self.provider.hosts.require(url)
            sent = {**headers, **self._authorization(url)}
            with self._lock:
                self.requests += 1
            with self._client.stream(method, url, json=body, headers=sent) as answer:
                if answer.status_code in _REDIRECTS and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    method, body = ("GET", None) if answer.status_code == httpx.codes.SEE_OTHER else (method, body)
                    continue
                content = self._content(answer, url, largest)
            return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=content)
        raise ServiceUnavailable(f"{self._shown(url)}: more than {_MOST_REDIRECTS} redirections")

    def _content(self, answer: httpx.Response, url: str, largest: int) -> bytes:
        parts, size = [], 0
        latest = time.monotonic() + _SILENCES * self._settings.timeout_s
        for part in answer.iter_bytes():
            size += len(part)
            if time.monotonic() > latest:
                raise httpx.ReadTimeout(f"the answer takes longer than {_SILENCES * self._settings.timeout_s:g} s")
            if size > largest:
                raise TooLarge(f"{self._shown(url)} answers with more than {largest} bytes")
            parts.append(part)
        with self._lock:
            self.received += size
        return b"".join(parts)

    def _authorization(self, url: str) -> dict[str, str]:
        mine = self.provider.token and self.provider.token_hosts.allows(url)
        return {"Authorization": f"Bearer {self.provider.token}"} if mine else {}

    def _accepted(self, answer: httpx.Response, url: str) -> httpx.Response:
        status, shown = answer.status_code, self._shown(url)
        if answer.is_success:
            return answer
        if status in (401, 403):
            wanted = ", ".join(self.provider.connector.credentials) or "TERRALAB_IMAGERY_TOKENS"
            raise SetupProblem(f"{shown} refuses the lab (status {status}); check {wanted}")
        if status in (404, 410):
            raise UnknownName(f"{self.provider.name} has no {shown} (status {status})")
        raise InvalidInput(f"{shown} was answered with status {status}: {answer.text[:200]}", status=status)

    def _busy(self, answer: httpx.Response, url: str) -> LabError:
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            return ServiceUnavailable(f"{self._shown(url)} is answered with status {answer.status_code}")
        named, longest = retry_after(answer), self._settings.longest_wait_s
        if named is not None and named > longest:
            raise TooManyRequests(
                f"{self.provider.name} asks to wait {named:.0f} s, longer than the {longest:.0f} s of"
                " TERRALAB_IMAGERY_LONGEST_WAIT_S; run the same again later, what was fetched is kept"
            )
        return TooManyRequests(
            f"{self.provider.name} refuses so many requests; lower TERRALAB_IMAGERY_PARALLEL, or run the same again"
            " later, what was fetched is kept"
        )

    def _pause(self, attempt: int, answer: httpx.Response | None = None) -> None:
        """Wait before the next attempt; after a 429 all threads do."""
        if attempt == self._settings.attempts:
            return
        longest = self._settings.longest_wait_s
        named = retry_after(answer) if answer is not None else None
        backoff = min(longest, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
        seconds = backoff if named is None else min(named, longest)
        if answer is not None and answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + seconds)
        self._sleep(seconds)

    def _wait_for_turn(self) -> None:
        with self._lock:
            seconds = self._not_before - time.monotonic()
        if seconds > 0:
            self._sleep(seconds)

    @staticmethod
    def _shown(url: str) -> str:
        return url.split("?")[0][:200]


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that an answer asks to wait; None where it does not say."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()) if text else None
    except (TypeError, ValueError):
        return None


def _plain(headers: httpx.Headers) -> list[tuple[str, str]]:
    """Return the headers of a body that is decoded already."""
    return [
        (name, value)
        for name, value in headers.multi_items()
        if name.lower() not in ("content-encoding", "transfer-encoding")
    ]
