"""What a trusted proxy says of the request that it passes on: the client's address, and the address that it called.

`Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are believed where the peer is one of
`TERRALAB_API_TRUSTED_PROXIES`. Of a list the last entry counts, which the proxy itself wrote; whatever came before it
may be the client's. From anybody else the headers are taken out, so that nothing behind can believe them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from terralab.catalog.addresses import called_at
from terralab.catalog.errors import SetupProblem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_X = "x-forwarded-"
_NAMES = {name.encode(): name for name in ("forwarded", *(f"{_X}{end}" for end in ("for", "proto", "host", "prefix")))}
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_LAST_PORT = 65535
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
_PAIR = re.compile(r'\s*([A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')


class TrustedProxies:
    """Middleware that makes a request look as the client sent it.

    Args:
        app: what answers.
        networks: addresses of the proxies; empty for none.
    """

    def __init__(self, app: ASGIApp, networks: Sequence[Network]) -> None:
        self.app, self._networks = app, networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and any(name in _NAMES for name, _ in scope["headers"]):
            told = _told(scope["headers"])
            scope = {**scope, "headers": [entry for entry in scope["headers"] if entry[0] not in _NAMES]}
            if self._trusts(scope):
                scope = self._as_sent(scope, told)
        await self.app(scope, receive, send)

    def _as_sent(self, scope: Scope, told: Mapping[str, list[str]]) -> Scope:
        scheme, host, prefix = (_last(told, name) for name in ("proto", "host", "prefix"))
        client = self._client(told.get("for", []))
        if client is not None:
            scope = {**scope, "client": (client, 0)}
        return called_at(
            scope,
            scheme.lower() if scheme is not None and scheme.lower() in ("http", "https") else None,
            host if host is not None and _is_host(host) else None,
            prefix.rstrip("/") if prefix is not None and _PREFIX.fullmatch(prefix) else None,
        )

    def _client(self, chain: Iterable[str]) -> str | None:
        """Return the last address of a chain that is no proxy of ours."""
        for text in reversed(list(chain)):
            address = _address(text)
            if address is None:
                return None
            if not self._within(address):
                return str(address)
        return None

    def _trusts(self, scope: Scope) -> bool:
        client = scope.get("client")
        address = _address(client[0]) if client else None
        return address is not None and self._within(address)

    def _within(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def networks_of(proxies: str) -> list[Network]:
    """Return the networks of a list with commas; an address is a network of one.

    Raises:
        SetupProblem: an entry is neither.
    """
    networks: list[Network] = []
    for entry in filter(None, (part.strip() for part in proxies.split(","))):
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError as error:
            raise SetupProblem(
                f"TERRALAB_API_TRUSTED_PROXIES: {entry!r} is no address or network; write 10.0.0.7 or 10.0.0.0/24"
            ) from error
    return networks


def _told(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """Return what the headers say of `for`, `proto`, `host` and `prefix`; `Forwarded` counts before the others."""
    told: dict[str, list[str]] = {}
    standard: dict[str, list[str]] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        if name == b"forwarded":
            for element in _elements(text):
                for key, part in _PAIR.findall(element):
                    standard.setdefault(key.lower(), []).append(_unquoted(part))
        elif name in _NAMES:
            told.setdefault(_NAMES[name].removeprefix(_X), []).extend(part.strip() for part in text.split(","))
    return {**told, **standard}


def _elements(text: str) -> list[str]:
    """Split at the commas that are not within quotes."""
    return re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+', text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _last(told: Mapping[str, list[str]], name: str) -> str | None:
    return told[name][-1] if told.get(name) else None


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and int(match[1] or 0) <= _LAST_PORT


def _address(text: str) -> Address | None:
    """Read an address as proxies write it, with a port or without: `10.0.0.1:80`, `[::1]:80`, `::1`."""
    match = re.fullmatch(r"\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+)(?::\d+)?|([0-9A-Fa-f:.]+)", text.strip())
    if match is None:
        return None
    try:
        address = ip_address(next(part for part in match.groups() if part is not None))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
