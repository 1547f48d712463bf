"""Where the parts of an export lie, and copies of stored files in it, each compared with its hash."""

import hashlib
import os
import re
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.store import Store
from terralab.catalog.store_check import copy_file
from terralab.extensions.checksum import split_multihash
from terralab.extensions.validation import is_stored_id

ITEMS, ASSETS_FOLDER, FILES_FOLDER = "items", "assets", "files"
_LONGEST = 120
# What the lab itself puts into the folders of an export, and what its own names below begin with.
_TAKEN = re.compile(rf"{ITEMS}|{ASSETS_FOLDER}|{FILES_FOLDER}|.*\.(json|ndjson)|[.-].*|x-.*", re.IGNORECASE)


def file_name(id: str) -> str:
    """Return the name that an object's file has, without a suffix: its id, where that is a good name."""
    if is_stored_id(id) and len(id) <= _LONGEST and not _TAKEN.fullmatch(id):
        return id
    return f"x-{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def copy_by_hash(store: Store, name: str, folder: Path) -> str:
    """Copy a stored file into an export's folder, laid out as in the store, and return its path there.

    Raises:
        AssetCorrupt: its bytes are missing or damaged.
    """
    target = FolderStore(folder / ASSETS_FOLDER)
    if not copy_file(store, target, name):
        raise _damaged(store, name)
    return target.path_of_name(name).relative_to(folder).as_posix()


def copy_by_name(store: Store, name: str, path: Path) -> None:
    """Copy a stored file to a path, which is not there yet.

    Raises:
        AssetCorrupt: its bytes are missing or damaged.
    """
    algorithm, digits = split_multihash(name)
    state = hashlib.new(algorithm, usedforsecurity=False)
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        for piece in store.pieces(name):
            state.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if state.hexdigest() != digits:
        raise _damaged(store, name)


def _damaged(store: Store, name: str) -> AssetCorrupt:
    return AssetCorrupt(
        f"the bytes {name} in the store {store.place} are missing or damaged; see `terralab store verify`"
    )
