"""Secrets that the lab makes for itself, each in a file of `secrets/` that only its owner may read."""

import os
import secrets
from pathlib import Path

TOKEN = "token"  # noqa: S105  # the name of a file
SIGNING_KEY = "signing_key"
_BYTES = 32


def kept_secret(folder: Path, name: str) -> str:
    """Return a secret of 43 letters, made on first use; of two processes that make it at once, one wins.

    Args:
        folder: of the lab's secrets.
        name: of the file.
    """
    if (found := read_secret(folder, name)) is not None:
        return found
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, folder / name)
        except FileExistsError:
            pass  # another process was faster; its secret holds
    finally:
        aside.unlink()
    return (folder / name).read_text().strip()


def read_secret(folder: Path, name: str) -> str | None:
    """Return a secret, None where nobody made it yet."""
    try:
        return (folder / name).read_text().strip() or None
    except FileNotFoundError:
        return None
