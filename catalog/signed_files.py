"""Signatures in the addresses of private files, put there when a document is served to who may read it.

Only addresses that the lab itself made of `asset://…` are signed. A user could write the address of another's file into
an item of its own, as a link or an asset, and would be given a signature for it.
"""

from typing import Any

from terralab.catalog.access.signatures import Signer
from terralab.catalog.served_items import FileAddress


def sign_body(body: bytes, signer: Signer) -> bytes:
    """Return rendered JSON in which the addresses of stored files are signed."""
    return signer.sign_body(body)


def sign_assets(document: dict[str, Any], base: str, signer: Signer) -> None:
    """Sign the addresses that `address_assets` gave to the stored files of an item or a collection."""
    root = f"{base}/files/"
    for asset in (document.get("assets") or {}).values():
        href = asset.get("href") if isinstance(asset, dict) else None
        if isinstance(href, FileAddress):
            asset["href"] = f"{href}?{signer.query(href.removeprefix(root).partition('/')[0])}"
