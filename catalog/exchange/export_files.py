"""Where the parts of an export lie, and stored files in it by hard links where the disk is the same."""

import hashlib
import os
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore, make_folder
from terralab.catalog.store import Store
from terralab.catalog.store_check import copy_file
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.validation import is_stored_id

ITEMS, ASSETS_FOLDER = "items", "assets"
_LONGEST = 120


def file_name(id: str) -> str:
    """Return the name that an object's file has, without a suffix: its id, where that is a good name."""
    if is_stored_id(id) and len(id) <= _LONGEST and not id.startswith((".", "-")):
        return id
    return f"x-{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def take_file(store: Store, name: str, folder: Path) -> str:
    """Put a stored file into an export's folder and return its path there.

    Raises:
        AssetCorrupt: its bytes are missing or damaged.
    """
    target = FolderStore(folder / ASSETS_FOLDER)
    path = target.path_of_name(name)
    if not _linked(store.local(name), path) and not copy_file(store, target, name):
        raise AssetCorrupt(f"the bytes {name} in the store {store.place} are missing or damaged")
    return path.relative_to(folder).as_posix()


def take_file_as(store: Store, name: str, path: Path) -> None:
    """Put a stored file under a name of its own.

    Raises:
        AssetCorrupt: its bytes are missing or damaged.
    """
    if _linked(store.local(name), path):
        return
    with path.open("wb") as file:
        for piece in store.pieces(name):
            file.write(piece)
    if multihash_of_file(path, split_multihash(name)[0]) != name:
        raise AssetCorrupt(f"the bytes {name} in the store {store.place} are damaged")


def _linked(local: Path | None, path: Path) -> bool:
    make_folder(path.parent)
    if local is None:
        return False
    try:
        os.link(local, path)
    except OSError:
        return path.exists()  # another disk, or it is there already
    return True
