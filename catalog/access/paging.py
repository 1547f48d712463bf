"""Paging tokens: each names the item after which a page begins, and anybody can write one.

So a token of an item that the caller may not read is refused as one of an item that is not there. A page that begins
after a private item would tell that it is there, and by sorting, what its fields hold.
"""

from collections.abc import Collection
from typing import Any

from fastapi import Request

from terralab.catalog.access.policy import Guarded, may_read_collection
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import principal_of
from terralab.catalog.errors import InvalidInput

_GUARD = """
    SELECT content->'properties'->>'lab:owner', content->'properties'->>'lab:visibility',
        content->'properties'->>'lab:project'
    FROM pgstac.items WHERE collection = $1 AND id = $2"""


async def check_token_item(token: str | None, request: Request) -> None:
    """Refuse a paging token of an item that the caller may not read, in a request of the STAC app.

    Raises:
        InvalidInput: it is one.
    """
    caller = principal_of(request)
    if token is None or caller.reads_all or caller.is_admin:
        return
    hidden = await request.app.state.collection_access.hidden_from(caller)
    async with request.app.state.get_connection(request, "r") as connection:
        await check_token(connection, token, caller, hidden)


async def check_token(connection: Any, token: str, caller: Principal, hidden: Collection[str]) -> None:
    """Refuse a paging token of an item that a caller may not read.

    Args:
        connection: of asyncpg.
        token: `next:` or `prev:`, then collection and id in hexadecimal digits; whatever else is left to pgstac.
        caller: who asks.
        hidden: ids of the collections that it may not read, from `CollectionAccess.hidden_from`.

    Raises:
        InvalidInput: it is one; the error says what pgstac's says where there is no such item.
    """
    try:
        _, collection, item = token.split(":")
        names = bytes.fromhex(collection).decode(), bytes.fromhex(item).decode()
    except ValueError:
        return
    row = None if names[0] in hidden else await connection.fetchrow(_GUARD, *names)
    if row is None or not may_read_collection(caller, Guarded(*row)):
        raise InvalidInput(f"the catalog cannot answer this request: Invalid paging token: {token}")
