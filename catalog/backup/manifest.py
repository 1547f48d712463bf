"""The manifest of a backup: what is in it, in which versions, and how to know that it is whole."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from terralab.catalog.backup.tables import Rows, StoredTable, Table
from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.folder_store import flush
from terralab.extensions.checksum import multihash_of_file

FORMAT = 1
MANIFEST = "manifest.json"
FILES = "files.txt.zst"
STORE = "store"


@dataclass(frozen=True)
class Partition:
    """A partition of pgstac's items.

    Attributes:
        name: its table.
        collection: whose items it holds.
        dtrange: begins of its items, as PostgreSQL writes a range.
        edtrange: ends of its items.
    """

    name: str
    collection: str
    dtrange: str
    edtrange: str


@dataclass(frozen=True)
class StoredFiles:
    """The asset store in a backup.

    Attributes:
        place: of the store that was backed up.
        count: of its files.
        size: bytes of all of them.
        included: whether the files are in the backup, not only their names.
        missing: files that items refer to and that were not in the store even then.
    """

    place: str
    count: int
    size: int
    included: bool
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Manifest:
    """What is in a backup.

    Attributes:
        created: when, RFC 3339.
        versions: of terralab, pgstac and PostgreSQL.
        schema: hash of the lab's own schema, as in `lab.installed`.
        counts: items by collection.
        tables: every table.
        partitions: of pgstac's items.
        indexes: definitions of pgstac's indexes.
        files: the asset store.
        checksums: multihashes of further files of the backup, by their path in it.
    """

    created: str
    versions: dict[str, str]
    schema: str
    counts: dict[str, int]
    tables: list[StoredTable]
    partitions: list[Partition]
    indexes: list[str]
    files: StoredFiles
    checksums: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write the manifest, the last file of a backup: without it, there is no backup."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        aside = folder / f".{MANIFEST}"
        aside.write_text(text + "\n")
        flush(aside)
        os.replace(aside, folder / MANIFEST)
        flush(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a backup.

        Raises:
            InvalidInput: the folder has none, or one of another format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise InvalidInput(f"{folder} is no backup: it has no {MANIFEST}, so none was finished there")
        try:
            found = json.loads(path.read_bytes())
            number = found.pop("format")
            if number == FORMAT:
                return cls(**{**found, **_parts(found)})
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path} is damaged ({type(error).__name__}); use another copy of the backup") from error
        raise InvalidInput(f"{path} has format {number}; this terralab reads format {FORMAT}")

    def check(self, folder: Path) -> None:
        """Compare the files of the backup, but for those of the store, with their checksums.

        Raises:
            AssetCorrupt: one is missing or damaged.
        """
        for name, checksum in self.all_checksums().items():
            path = folder / name
            if not path.is_file() or multihash_of_file(path) != checksum:
                raise AssetCorrupt(f"{path} is missing or damaged; use another copy of the backup")

    def all_checksums(self) -> dict[str, str]:
        """Return the multihashes of all files of the backup but the manifest and those of the store."""
        return {**{stored.table.file: stored.checksum for stored in self.tables}, **self.checksums}

    def tables_of(self, schema: str) -> list[StoredTable]:
        """Return the tables of a schema."""
        return [stored for stored in self.tables if stored.table.schema == schema]


def _parts(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tables": [_table(entry) for entry in found["tables"]],
        "partitions": [Partition(**entry) for entry in found["partitions"]],
        "files": StoredFiles(**found["files"]),
    }


def _table(entry: Mapping[str, Any]) -> StoredTable:
    table = Table(**{**entry["table"], "columns": tuple(entry["table"]["columns"])})
    return StoredTable(table, Rows(**entry["rows"]), entry["checksum"])
