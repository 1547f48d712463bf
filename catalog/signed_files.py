"""Signatures in the addresses of private files, put there when a document is served to who may read it."""

import re
from typing import Any

from terralab.catalog.access.signatures import Signer
from terralab.catalog.rendering import BASE

_FILE = re.compile(re.escape(BASE) + rb'/files/([0-9a-f]+)/[^"?\\]+(?=")')


def sign_body(body: bytes, signer: Signer) -> bytes:
    """Return rendered JSON in which every address of a stored file is signed."""
    return _FILE.sub(lambda found: b"%b?%b" % (found[0], signer.query(found[1].decode()).encode()), body)


def sign_assets(document: dict[str, Any], base: str, signer: Signer) -> None:
    """Sign the addresses of the stored files of an item or a collection that is being served."""
    root = f"{base}/files/"
    for asset in (document.get("assets") or {}).values():
        href = asset.get("href") if isinstance(asset, dict) else None
        if isinstance(href, str) and href.startswith(root) and "?" not in href:
            asset["href"] = f"{href}?{signer.query(href.removeprefix(root).partition('/')[0])}"
