"""Which hosts may be read: those of the configured provider, at public addresses unless the settings say otherwise.

An address in a provider's catalog is text that somebody else wrote. It is read only where its host is one of the
provider's, and the connection goes to the very address that was looked at, so that a name cannot mean another machine
a moment later.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from terralab.catalog.errors import InvalidInput

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Hosts:
    """Hosts that may be read.

    Attributes:
        names: `host`, `host:port`, or `*.domain` for every host below a domain.
        private: those that may have private addresses, and may be read without TLS.
    """

    names: tuple[str, ...]
    private: tuple[str, ...] = ()

    def allows(self, url: str) -> bool:
        """Say whether the address is on one of the hosts; without TLS only on private ones."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return False
        if parts.scheme not in _PORTS or not host or parts.username or parts.password:
            return False
        safe = parts.scheme == "https" or self.may_be_private(host, port)
        return safe and _named(host, port, _PORTS[parts.scheme], self.names)

    def may_be_private(self, host: str, port: int) -> bool:
        """Say whether a host may have a private address."""
        return _named(host.lower(), port, 0, self.private)

    def require(self, url: str) -> None:
        """Refuse an address that is not on one of the hosts.

        Raises:
            InvalidInput: it is not.
        """
        if not self.allows(url):
            shown = url.split("?")[0][:200]
            raise InvalidInput(
                f"{shown!r} is not at an address that may be read; if it is the provider's, name its host in"
                " TERRALAB_IMAGERY_HOSTS (without TLS or at a private address: also in TERRALAB_IMAGERY_PRIVATE_HOSTS)"
            )


class GuardedTransport(httpx.HTTPTransport):
    """HTTP to the allowed hosts alone, at the addresses that were checked.

    Args:
        hosts: that may be read.
        connections: at once, at most.
    """

    def __init__(self, hosts: Hosts, connections: int) -> None:
        super().__init__(trust_env=False)
        # httpx has no public way to choose how its pool connects.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=CheckedNetwork(hosts),
        )


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to the address that was checked.

    Args:
        hosts: that may be read.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts, self._inner = hosts, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to one of the host's addresses, all of which must be public unless the host may be private.

        Raises:
            InvalidInput: one is private.
        """
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        if not self._hosts.may_be_private(host, port):
            for address in found:
                if not ipaddress.ip_address(address.split("%")[0]).is_global:
                    raise InvalidInput(
                        f"{host} has the private address {address}; if it is yours, name it in"
                        " TERRALAB_IMAGERY_PRIVATE_HOSTS"
                    )
        return self._connected(found, port, timeout, local_address, socket_options)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: no provider is a socket of this machine."""
        raise httpcore.ConnectError(f"{path} is no host")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)

    def _connected(self, addresses: list[str], port: int, *arguments: Any) -> httpcore.NetworkStream:
        for address in addresses[:-1]:
            try:
                return self._inner.connect_tcp(address, port, *arguments)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._inner.connect_tcp(addresses[-1], port, *arguments)


def _named(host: str, port: int, usual: int, names: tuple[str, ...]) -> bool:
    for name in names:
        wanted, _, number = (
            name.lower().rpartition(":") if name.rpartition(":")[2].isdigit() else (name.lower(), "", "")
        )
        if number and int(number) != port:
            continue
        if not number and usual and port != usual:
            continue
        wanted = wanted.strip("[]")
        if host == wanted or (wanted.startswith("*.") and host.endswith(wanted[1:]) and host != wanted[2:]):
            return True
    return False
