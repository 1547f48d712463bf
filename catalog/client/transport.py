"""Requests to a lab: the token, repeating what was too busy, and problem documents as the lab's own errors."""

import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import httpx

from terralab.catalog.errors import (
    LabError,
    NotAllowed,
    NotAuthenticated,
    ServiceUnavailable,
    UnknownName,
    error_by_code,
)

IDEMPOTENCY_KEY = "Idempotency-Key"
Content = bytes | Callable[[], Iterator[bytes]]
_BUSY = (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)
_WITHOUT_BODY: Mapping[int, type[LabError]] = {401: NotAuthenticated, 403: NotAllowed, 404: UnknownName}
_LONGEST_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_KEPT_MEMBERS = ("type", "title", "status", "code", "detail", "description")


class Transport:
    """One lab's address and the caller's token.

    Args:
        url: address of the web process, without a slash at the end.
        token: API key or other token; None for an anonymous caller.
        attempts: how often a request is sent in all where the lab is too busy.
        transport: in place of the network, for tests.
    """

    def __init__(
        self, url: str, token: str | None = None, attempts: int = 4, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url, self._attempts = url, attempts
        headers = {"User-Agent": f"terralab/{version('terralab')}"}
        self._auth = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=True, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request and return the JSON of the answer; see `send`."""
        return self.send(method, path, **arguments).json()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
        write: bool = False,
    ) -> httpx.Response:
        """Send a request and return the answer.

        Args:
            method: HTTP method.
            path: below the lab's address, or a whole address; the token goes to the lab alone.
            query: members of the query string; those that are None are left out.
            body: sent as JSON.
            content: sent as it is; a function makes it anew for each attempt.
            headers: further ones.
            write: whether it changes something; it then carries a key, so that it is done once however often sent.

        Raises:
            LabError: the lab refuses, with its code and what it said; ServiceUnavailable where it does not answer.
        """
        address = path if "://" in path else f"{self.url}{path}"
        key = {IDEMPOTENCY_KEY: uuid4().hex} if write else {}
        sent = {**self._headers_for(address), **key, **(headers or {})}
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        for attempt in range(1, self._attempts + 1):
            answer = self._attempt(method, address, attempt, params=asked or None, headers=sent, **_sent(body, content))
            if answer is None:
                continue
            if answer.status_code in _BUSY and attempt < self._attempts:
                time.sleep(_wait(answer, attempt))
                continue
            break
        if answer is None or not answer.is_success:
            raise error_of(answer, self.url)
        return answer

    def download(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file.

        Args:
            path: as of `send`.

        Raises:
            LabError: as `send`; also where the connection breaks in the middle.
        """
        address = path if "://" in path else f"{self.url}{path}"
        try:
            with self._client.stream("GET", address, headers=self._headers_for(address)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise error_of(answer, self.url)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise _away(self.url, error) from error

    def _attempt(self, method: str, address: str, attempt: int, **arguments: Any) -> httpx.Response | None:
        """Return the answer, None where the connection broke and the request may be sent again."""
        try:
            return self._client.request(method, address, **arguments)
        except httpx.TransportError as error:
            broke = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError)
            if not broke or attempt == self._attempts:
                raise _away(self.url, error) from error
            return None

    def _headers_for(self, address: str) -> dict[str, str]:
        own = address == self.url or address.startswith((f"{self.url}/", f"{self.url}?"))
        return dict(self._auth) if own else {}


def error_of(answer: httpx.Response | None, url: str) -> LabError:
    """Return the error that an answer tells, with the server's code."""
    if answer is None:
        return ServiceUnavailable(f"the lab at {url} closes its connections without an answer; see `terralab logs web`")
    if answer.request.method == "HEAD" and answer.status_code in _WITHOUT_BODY:
        return _WITHOUT_BODY[answer.status_code](
            f"{answer.request.url.path} was answered with status {answer.status_code}"
        )
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("code"), str):
        return LabError(
            f"{answer.request.method} {answer.request.url.path} was answered with status {answer.status_code} and"
            f" without a problem document; is {url} a lab?"
        )
    code, detail = document["code"], str(document.get("detail") or document.get("description") or answer.reason_phrase)
    error = error_by_code(code, detail)
    error.code = code
    error.members = {key: value for key, value in document.items() if key not in _KEPT_MEMBERS}
    return error


def _sent(body: Any, content: Content | None) -> dict[str, Any]:
    if content is not None:
        return {"content": content() if callable(content) else content}
    return {} if body is None else {"json": body}


def _wait(answer: httpx.Response, attempt: int) -> float:
    """Return how long to wait: as the lab says, else longer each time."""
    said = answer.headers.get("retry-after", "")
    return min(float(said) if said.isdigit() else _FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S)


def _away(url: str, error: httpx.TransportError) -> ServiceUnavailable:
    reason = str(error) or type(error).__name__
    return ServiceUnavailable(
        f"the lab at {url} does not answer ({reason}); start it with `terralab up`, or set TERRALAB_URL"
    )
