"""pystac-client over the lab's own transport, so that its requests carry the token and fail with the lab's errors."""

from collections.abc import Sequence
from typing import Any

from pystac_client import ItemSearch
from pystac_client.stac_api_io import StacApiIO

from terralab.catalog.client.transport import Transport


class LabStacIO(StacApiIO):
    """Reads for pystac-client.

    Args:
        transport: of the lab.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the text of an answer.

        Raises:
            LabError: the lab refuses, or does not answer.
        """
        if (method or "GET").upper() == "POST":
            return self._transport.send("POST", href, body=parameters or {}, headers=headers).text
        return self._transport.send("GET", href, query=parameters, headers=headers).text


class TextItemSearch(ItemSearch):
    """pystac-client's search of items, with free text, which it does not know.

    Args:
        words: that a text of the item holds; None for no such condition.
        arguments: as of `ItemSearch`.
    """

    def __init__(self, words: Sequence[str] | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._words = words

    def get_parameters(self) -> dict[str, Any]:
        """Return the body of the search."""
        parameters: dict[str, Any] = super().get_parameters()
        return parameters if self._words is None else {**parameters, "q": list(self._words)}
