"""A page that lists an app's endpoints, made from its OpenAPI document. It needs no script and no other host."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.responses import HTMLResponse

from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Public
from terralab.catalog.addresses import web_base
from terralab.catalog.pages import render_page


def reference_of(app: FastAPI, path: str = "") -> Callable[..., HTMLResponse]:
    """Return the endpoint that shows the reference of `app`.

    Args:
        app: what is described.
        path: where it is mounted, such as `/tiles`.
    """

    def reference_page(request: Request, _: Annotated[Principal, Depends(Public)]) -> HTMLResponse:
        """Answer with the endpoints of the app."""
        root = f"{str(request.base_url).rstrip('/')}{path}"
        return render_page(
            "reference.html",
            web_base(request),
            title=app.title,
            description=app.description,
            openapi=f"{root}{app.openapi_url}",
            root=root,
            endpoints=endpoints(app.openapi()),
        )

    return reference_page


def endpoints(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return method, path, summary and parameters of each endpoint of an OpenAPI document, in its order."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation.get("summary", ""),
            "parameters": [_parameter(entry) for entry in operation.get("parameters", [])],
        }
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _parameter(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["name"],
        "where": entry["in"],
        "required": entry.get("required", False),
        "description": entry.get("description", ""),
    }
