"""The lab's home folder: what `terralab up` makes in it, and who may read it.

run/        supervisord's configuration, pid file and socket, and the lock of `up` and `down`; 0700
secrets/    the private database's address with its password, the local token, the key of signatures; 0700
logs/       one log per service, rotated
prefect/    Prefect's own database, settings and results
postgres/   the private cluster, or a link to it
store/ inbox/ work/ versions/ schemas/    of the catalog and the flows
cache/      local copies of a store that is in a bucket
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.settings import Settings
from terralab.infra.errors import FolderUnwritable

# A unix socket's address holds 107 bytes; supervisord adds its pid while it binds.
_LONGEST_SOCKET = 95
_PRIVATE = 0o700


class LabHome:
    """Paths in the home folder that only the running of the lab is concerned with.

    Args:
        settings: the lab's.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.lab.home
        self.run = self.folder / "run"
        self.secrets = self.folder / "secrets"
        self.logs = self.folder / "logs"
        self.prefect = self.folder / "prefect"
        self.postgres = self.folder / "postgres"
        self.database_url_file = self.secrets / "database_url"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            FolderUnwritable: the home folder cannot be made or written.
        """
        try:
            for folder in (self.folder, self.logs, self.prefect):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.secrets):
                folder.mkdir(exist_ok=True)
                folder.chmod(_PRIVATE)
            with tempfile.TemporaryFile(dir=self.run):
                pass
        except OSError as error:
            raise FolderUnwritable(
                f"cannot write to {self.folder} ({error.strerror}); set TERRALAB_HOME to a folder that you may write"
            ) from error

    def socket(self) -> Path:
        """Return where supervisord listens: in `run/`, or in a private temporary folder where that path is too long."""
        near = self.run / "supervisor.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET:
            return near
        written = self.run / "socket"
        if not written.is_file():
            written.write_text(str(Path(tempfile.mkdtemp(prefix="terralab-")) / "supervisor.sock"))
        path = Path(written.read_text())
        if not path.parent.is_dir():
            written.unlink()
            return self.socket()
        return path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep two commands from starting or stopping the lab at once.

        Raises:
            ServiceUnavailable: another command holds the lock.
        """
        with (self.run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServiceUnavailable(
                    f"another command starts or stops the lab in {self.folder} right now;"
                    " wait and look at `terralab status`"
                ) from error
            yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all or nothing."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
