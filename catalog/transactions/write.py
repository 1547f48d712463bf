"""One write: what is asked for, and what it is done with."""

from dataclasses import dataclass
from typing import Any

import psycopg

from terralab.catalog.access.signatures import Signer
from terralab.catalog.audit import ObjectChange, note_changes
from terralab.catalog.settings import Settings
from terralab.catalog.transactions.checking import Checking
from terralab.catalog.transactions.write_request import WriteRequest


@dataclass(frozen=True)
class Write:
    """One write.

    Attributes:
        request: what is asked for.
        checking: checks what the caller sends.
        connection: in the transaction of the write.
        settings: of the lab.
        signer: signs the addresses of private files; None where anybody may read every file.
    """

    request: WriteRequest
    checking: Checking
    connection: psycopg.Connection[Any]
    settings: Settings
    signer: Signer | None

    @property
    def default_visibility(self) -> str | None:
        """Return the visibility of what is new and names none; None for that of everything."""
        return None if self.settings.open_reads else self.settings.access.default_visibility

    def note(self, *changes: ObjectChange) -> None:
        """Put changes into the audit log."""
        note_changes(self.connection, self.request.caller.name, changes, self.request.request_id)
