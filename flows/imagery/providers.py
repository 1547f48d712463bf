"""Providers: a connector of the table with its address, the hosts that may be read for it, and its credentials."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from terralab.catalog.errors import InvalidInput, SetupProblem, UnknownName
from terralab.catalog.settings import ImagerySettings
from terralab.datasets.imagery.modalities import STAC, Connector, imagery_table
from terralab.flows.imagery.hosts import Hosts


@dataclass(frozen=True)
class Provider:
    """Where imagery comes from.

    Attributes:
        name: of the connector, or of a STAC API in TERRALAB_IMAGERY_PROVIDERS.
        kind: the connector's name in the table.
        connector: its entry in the table.
        endpoint: address of its STAC API; empty where TerraKit knows it.
        hosts: that may be read.
        token: sent as a bearer token to `token_hosts`.
        token_hosts: hosts that get the token.
        credentials: variables that TerraKit's connector needs, with their values.
    """

    name: str
    kind: str
    connector: Connector
    endpoint: str
    hosts: Hosts
    token: str | None = field(default=None, repr=False)
    token_hosts: Hosts = field(default_factory=lambda: Hosts(()))
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


def provider_of(settings: ImagerySettings, name: str) -> Provider:
    """Return a provider by the name of a connector, or of a STAC API that the settings name.

    Raises:
        UnknownName: there is none of that name.
        SetupProblem: its credentials are missing.
    """
    own = named_values(settings.providers, "TERRALAB_IMAGERY_PROVIDERS")
    table = imagery_table().connectors
    if name in own:
        return _stac_provider(settings, name, own[name], table[STAC])
    if name == STAC:
        if len(own) == 1:
            only = next(iter(own))
            return _stac_provider(settings, only, own[only], table[STAC])
        raise SetupProblem(
            "no STAC API is known; set TERRALAB_IMAGERY_PROVIDERS to name=https://… of it"
            if not own
            else f"several STAC APIs are known; name one as the connector: {', '.join(own)}"
        )
    if name not in table:
        raise UnknownName.of("connector", name, [*table, *own])
    return _known_provider(settings, name, table[name])


def provider_names(settings: ImagerySettings) -> list[str]:
    """Return the names of all providers."""
    own = named_values(settings.providers, "TERRALAB_IMAGERY_PROVIDERS")
    return [*(name for name in imagery_table().connectors if name != STAC), *own]


def named_values(text: str, variable: str) -> dict[str, str]:
    """Return the `name=value` pairs of a setting.

    Raises:
        SetupProblem: it is not written so; the message shows no value.
    """
    found = {}
    for part in text.replace(",", " ").split():
        name, equals, value = part.partition("=")
        if not name or not equals or not value:
            raise SetupProblem(f"{variable}: write name=value, several with spaces between")
        found[name] = value
    return found


def missing_credentials(connector: Connector, environment: Mapping[str, str]) -> list[str]:
    """Return the variables that a connector needs and the environment lacks."""
    if connector.instead_of_credentials and environment.get(connector.instead_of_credentials):
        return []
    return [name for name in connector.credentials if not environment.get(name)]


def _stac_provider(settings: ImagerySettings, name: str, endpoint: str, connector: Connector) -> Provider:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise SetupProblem(f"TERRALAB_IMAGERY_PROVIDERS: {name} is no address; write {name}=https://host/path")
    token = named_values(settings.tokens, "TERRALAB_IMAGERY_TOKENS").get(name)
    more = tuple(settings.hosts.replace(",", " ").split())
    private = tuple(settings.private_hosts.replace(",", " ").split())
    hosts = Hosts((parts.netloc, *more), private)
    # What the lab's own connector needs where TerraKit calls it.
    environment = {
        "TERRALAB_IMAGERY_PROVIDERS": f"{name}={endpoint}",
        "TERRALAB_IMAGERY_HOSTS": settings.hosts,
        "TERRALAB_IMAGERY_PRIVATE_HOSTS": settings.private_hosts,
        **({"TERRALAB_IMAGERY_TOKENS": f"{name}={token}"} if token else {}),
    }
    own = Hosts((parts.netloc,), private)
    return Provider(name, STAC, connector, endpoint.rstrip("/"), hosts, token, own, environment)


def _known_provider(settings: ImagerySettings, name: str, connector: Connector) -> Provider:
    missing = missing_credentials(connector, os.environ)
    if missing:
        raise SetupProblem(
            f"{connector.title} needs {', '.join(missing)} in the environment of the lab (of this shell for `find`)"
        )
    endpoint = named_values(settings.endpoints, "TERRALAB_IMAGERY_ENDPOINTS").get(name, connector.endpoint or "")
    other = (urlsplit(endpoint).netloc,) if endpoint and endpoint != connector.endpoint else ()
    private = tuple(settings.private_hosts.replace(",", " ").split())
    hosts = Hosts((*connector.hosts, *other, *settings.hosts.replace(",", " ").split()), private)
    wanted = (
        *connector.credentials,
        *((connector.instead_of_credentials,) if connector.instead_of_credentials else ()),
    )
    return Provider(
        name,
        name,
        connector,
        endpoint.rstrip("/"),
        hosts,
        os.environ.get(connector.token) if connector.token else None,
        Hosts(connector.token_hosts, private),
        {variable: os.environ[variable] for variable in wanted if os.environ.get(variable)},
    )


def require_stac(provider: Provider) -> str:
    """Return the address of a provider's STAC API.

    Raises:
        InvalidInput: it has none.
    """
    if not provider.endpoint:
        raise InvalidInput(f"{provider.name} has no STAC API; leave the engine to the table")
    return provider.endpoint
