"""The lab's private PostgreSQL cluster: made once, with data checksums and a generated password.

PostgreSQL refuses to run as root. When root starts the lab, the cluster belongs to the user `postgres` and its server
runs as that user. Root's own home folder is closed to others (0700), so a cluster inside it could not be opened; it
then lies in `/var/lib/terralab/<random>`, and `TERRALAB_HOME/postgres` is a link to it.

The server listens on 127.0.0.1 at a port that is chosen once and kept in the database's address, which only the owner
of the home folder can read.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from terralab.catalog.errors import SetupProblem
from terralab.infra.home import LabHome, write_private

SERVER_USER = "postgres"
_SYSTEM_FOLDER = Path("/var/lib/terralab")
_INSTALL = (
    "install PostgreSQL with PostGIS (Debian, Ubuntu: `apt-get install postgresql postgresql-postgis`; macOS:"
    " `brew install postgresql postgis`), or set TERRALAB_DATABASE_URL to one that runs already"
)
_ROLE = "terralab"


@dataclass(frozen=True)
class PrivateCluster:
    """A cluster that is ready to be started.

    Attributes:
        data: its data folder.
        binaries: folder of `postgres`, `initdb` and `pg_ctl`.
        port: TCP port on 127.0.0.1.
        user: account that runs the server, None for the caller's.
    """

    data: Path
    binaries: Path
    port: int
    user: str | None

    @property
    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]


def private_cluster(home: LabHome) -> PrivateCluster:
    """Return the lab's cluster, made now if there is none yet.

    Raises:
        SetupProblem: PostgreSQL, PostGIS or the account `postgres` is missing, or the cluster cannot be made.
    """
    binaries = server_binaries()
    user = _server_user()
    if not home.postgres.exists() or not home.database_url_file.is_file():
        _create(home, binaries, user)
    data = home.postgres.resolve()
    _place_settings(data, user)
    remove_stale_pid_file(data)
    return PrivateCluster(data, binaries, _kept_port(home), user)


def server_binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL server that has PostGIS.

    Raises:
        SetupProblem: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    candidates = [path.parent for path in reversed(found)] + ([Path(on_path).resolve().parent] if on_path else [])
    if not candidates:
        raise SetupProblem(f"PostgreSQL is not installed; {_INSTALL}")
    for binaries in candidates:
        if _has_postgis(binaries):
            return binaries
    raise SetupProblem(f"PostGIS is not installed for the PostgreSQL in {candidates[0]}; {_INSTALL}")


def postmaster_pid(data: Path) -> int | None:
    """Return the process id of the server that runs on a data folder, None where none runs."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        return pid if process.name().startswith(("postgres", "postmaster")) and _runs_on(process, data) else None
    except (OSError, ValueError, psutil.Error):
        return None


def remove_stale_pid_file(data: Path) -> bool:
    """Remove `postmaster.pid` where no server runs, since its number may be another program's by now."""
    stale = (data / "postmaster.pid").exists() and postmaster_pid(data) is None
    if stale:
        (data / "postmaster.pid").unlink()
    return stale


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _create(home: LabHome, binaries: Path, user: str | None) -> None:
    """Make the cluster aside and rename it, so that a crash leaves no half-made one under the final name."""
    password = secrets.token_urlsafe(24)
    folder = _cluster_folder(home, user)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    with tempfile.NamedTemporaryFile("w", prefix="terralab-") as password_file:
        password_file.write(password)
        password_file.flush()
        if user:
            shutil.chown(password_file.name, user)
        options = ["--data-checksums", "--auth=scram-sha-256", f"--username={_ROLE}", f"--pwfile={password_file.name}"]
        _as_server_user(
            user, [str(binaries / "initdb"), *options, "--encoding=UTF8", "--locale=C.UTF-8", "-D", str(aside)]
        )
    with (aside / "postgresql.conf").open("a") as settings:
        settings.write("\ninclude 'terralab.conf'\n")
    _discard(home.postgres)
    aside.rename(folder)
    if folder != home.postgres:
        home.postgres.symlink_to(folder)
    write_private(home.database_url_file, f"postgresql://{_ROLE}:{password}@127.0.0.1:{free_port()}/postgres\n")


def _cluster_folder(home: LabHome, user: str | None) -> Path:
    """Return where the cluster goes; its parent exists and lets the server's user in."""
    if user is None:
        return home.postgres
    inside = subprocess.run(["runuser", "-u", user, "--", "test", "-x", str(home.folder)], check=False)
    outer = home.folder if inside.returncode == 0 else _SYSTEM_FOLDER
    outer.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.mkdtemp(dir=outer, prefix="postgres-"))
    shutil.chown(parent, user)
    return parent / "data"


def _discard(cluster: Path) -> None:
    """Set aside what is left of an unfinished cluster: nothing of a user's is ever deleted."""
    if cluster.is_symlink():
        cluster.unlink()
    elif cluster.exists():
        cluster.rename(cluster.with_name(f"postgres.without-password.{os.getpid()}"))


def _place_settings(data: Path, user: str | None) -> None:
    target = data / "terralab.conf"
    target.write_text(files("terralab.infra").joinpath("postgresql.conf").read_text(encoding="utf-8"))
    if user:
        shutil.chown(target, user)


def _kept_port(home: LabHome) -> int:
    """Return the port written in the database's address, or a new one where another program took it meanwhile."""
    url = home.database_url_file.read_text().strip()
    port = int(urlsplit(url).port or 0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            fresh = free_port()
            write_private(home.database_url_file, url.replace(f"@127.0.0.1:{port}/", f"@127.0.0.1:{fresh}/") + "\n")
            return fresh
    return port


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError as error:
        raise SetupProblem(
            f"PostgreSQL does not run as root and there is no account {SERVER_USER!r}; {_INSTALL},"
            " or start the lab as another user"
        ) from error
    return SERVER_USER


def _as_server_user(user: str | None, command: list[str]) -> None:
    prefix = ["runuser", "-u", user, "--"] if user else []
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, cwd="/", check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SetupProblem(f"cannot make the private PostgreSQL cluster: {' '.join(reason)}")


def _has_postgis(binaries: Path) -> bool:
    asked = subprocess.run([str(binaries / "pg_config"), "--sharedir"], capture_output=True, text=True, check=False)
    guess = Path("/usr/share/postgresql") / binaries.parent.name
    folder = Path(asked.stdout.strip()) if asked.returncode == 0 else guess
    return any((place / "extension" / "postgis.control").is_file() for place in (folder, guess))


def _runs_on(process: psutil.Process, data: Path) -> bool:
    command = process.cmdline()
    return str(data) in command or Path(process.cwd()) == data
