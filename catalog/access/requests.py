"""What a route asks of its caller. Every route of every app names one of `Public`, `Reads`, `Writes` and `Admin`.

    @router.get("/lineage/{collection}/{item}")
    def item_lineage(collection: str, item: str, caller: Reader) -> ...

A route that needs no caller lists `dependencies=[Depends(Public)]`. `Reads` lets everybody in, since everybody may read
what is public: the route itself asks `policy` about each object, and answers as if what the caller may not read did not
exist.
"""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from terralab.catalog.access.principal import ANONYMOUS, Principal, Scope
from terralab.catalog.errors import NotAllowed, NotAuthenticated

PRINCIPAL = "terralab.principal"
"""Where `authenticate.Authenticate` puts the caller into the scope of a request."""


def principal_of(request: Request | Mapping[str, Any]) -> Principal:
    """Return the caller of a request or ASGI scope; one that may read what is public where nobody authenticated it."""
    scope = request.scope if isinstance(request, Request) else request
    return cast(Principal, scope.get(PRINCIPAL, ANONYMOUS))


class Access:
    """A dependency that asks something of the caller, and says so to who lists the routes.

    Args:
        name: for people.
        scope: what the caller must have; None where anybody may call.
    """

    def __init__(self, name: str, scope: Scope | None) -> None:
        self.name, self.scope = name, scope

    def __call__(self, request: Request) -> Principal:
        """Return the caller.

        Raises:
            NotAuthenticated: the caller did not say who it is, and must.
            NotAllowed: it lacks the scope.
        """
        caller = principal_of(request)
        require_scope(caller, self.scope)
        return caller

    def __repr__(self) -> str:
        return self.name


def require_scope(caller: Principal, scope: Scope | None) -> None:
    """Check that a caller has a scope.

    Raises:
        NotAuthenticated: the caller did not say who it is.
        NotAllowed: it lacks the scope.
    """
    if scope is None or caller.has(scope):
        return
    if caller.name is None:
        raise NotAuthenticated(
            f"this needs a token or key with the scope {scope!r}; send it as `Authorization: Bearer …`"
            " (`terralab up` made one for this machine, `terralab keys create` makes others)"
        )
    raise NotAllowed(f"the token or key of {caller.name!r} has no scope {scope!r}; ask an admin for one that has")


Public = Access("Public", None)
"""Holds nothing that could be private: health, styles, descriptions."""
Reads = Access("Reads", None)
"""Shows objects: only those that the caller may read."""
Writes = Access("Writes", "write")
"""Changes objects: only those that the caller may write."""
Admin = Access("Admin", "admin")
"""For admins only."""

Reader = Annotated[Principal, Depends(Reads)]
Writer = Annotated[Principal, Depends(Writes)]
Administrator = Annotated[Principal, Depends(Admin)]
