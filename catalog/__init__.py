"""The truth: settings, errors, pgstac, the asset store, publishing, lineage, the STAC API and its Python client."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terralab.catalog.client import Lab

__all__ = ["Lab"]


def __getattr__(name: str) -> Any:
    # pystac-client takes a second to import, and the web process needs none of it.
    if name == "Lab":
        from terralab.catalog.client import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
