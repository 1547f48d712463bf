"""Bringing a database to what this lab needs: pgstac with its settings and queryables, and the lab's own tables.

The lab's own tables are in the schema `lab`; the files `sql/*.sql` make them, in the order of their names, and can be
run again and again. A hash of all of them is kept in the database, so that a start with nothing to do costs one query.
"""

import hashlib
import json
from importlib.resources import files
from typing import Any

import psycopg

from terralab.catalog.database import Catalog
from terralab.catalog.database_errors import first_line
from terralab.catalog.errors import ServiceUnavailable, SetupProblem, VersionMismatch

PGSTAC_VERSION = "0.10.0"
_REMEDY = "start the lab anew (`terralab down`, `terralab up`), which migrates it"
_PGSTAC_SETTINGS = {
    "context": "on",
    # Counts are cached for a day otherwise, and would not see what was just published.
    "context_stats_ttl": "0 seconds",
    # pgstac would read a whole partition after every write; `writing` widens the extent by what is new.
    "update_collection_extent": "false",
    "additional_properties": "true",
}

# What has a column of its own needs none. pgstac would read integers as 32 bits; models have more parameters.
_SET_QUERYABLES = """
    SELECT upsert_queryable(name, definition, wrapper)
    FROM jsonb_each(%s::jsonb) AS given (name, described),
    LATERAL (SELECT described - 'kinds', CASE described->>'type' WHEN 'integer' THEN 'to_float' END)
        AS one (definition, wrapper)
    WHERE queryable_column(name) IS NULL AND NOT EXISTS (
        SELECT FROM queryables q WHERE q.name = given.name AND q.collection_ids IS NULL
        AND q.definition = one.definition AND q.property_wrapper IS NOT DISTINCT FROM one.wrapper)"""


def migrate(url: str) -> None:
    """Create or update everything in a database.

    Raises:
        SetupProblem: PostGIS is missing.
        VersionMismatch: the database holds a newer pgstac.
        ServiceUnavailable: the database does not answer.
    """
    found = pgstac_version(url)
    if found is not None and _as_numbers(found) > _as_numbers(PGSTAC_VERSION):
        raise VersionMismatch(
            f"the database holds pgstac {found}, this lab needs {PGSTAC_VERSION};"
            " use a matching terralab or another database"
        )
    if found != PGSTAC_VERSION:
        install_pgstac(url, PGSTAC_VERSION)
    with Catalog(url).connection() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('terralab-migrate', 0))")
        installed = _installed(connection)
        if installed != _wanted():
            _configure(connection)
            _install(connection)
        if installed is None:
            # Items from before the read model.
            connection.execute("INSERT INTO lab.stale SELECT collection, id FROM items")


def pgstac_version(url: str) -> str | None:
    """Return the version of pgstac in a database, None where there is none.

    Raises:
        ServiceUnavailable: the database does not answer.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return _pgstac_version(connection)
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"the database does not answer: {first_line(error)}") from error


def install_pgstac(url: str, version: str) -> None:
    """Make or update pgstac in a database, with PostGIS.

    Raises:
        SetupProblem: PostGIS is missing.
        VersionMismatch: the version is newer than this lab's.
    """
    if _as_numbers(version) > _as_numbers(PGSTAC_VERSION):
        raise VersionMismatch(f"pgstac {version} is newer than {PGSTAC_VERSION}, which this lab has; update terralab")
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    except psycopg.errors.UndefinedFile as error:
        raise SetupProblem(
            "PostGIS is not installed for this PostgreSQL; install it (`apt-get install postgresql-postgis`)"
        ) from error
    # These import boto3, half a second that only a migration needs to wait for.
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    with PgstacDB(dsn=url) as database:
        Migrate(database).run_migration(version)


def check_installed(connection: psycopg.Connection[Any]) -> None:
    """Check that a database is as `migrate` leaves it.

    Raises:
        VersionMismatch: it has another pgstac, or other tables of the lab.
    """
    found = _pgstac_version(connection)
    if found != PGSTAC_VERSION:
        raise VersionMismatch(
            f"the database holds pgstac {found or '(none)'}, this lab needs {PGSTAC_VERSION}; {_REMEDY}"
        )
    if _installed(connection) != _wanted():
        raise VersionMismatch(f"the lab's own tables in the database are of another version of terralab; {_REMEDY}")


def _pgstac_version(connection: psycopg.Connection[Any]) -> str | None:
    exists = connection.execute("SELECT to_regclass('pgstac.migrations')").fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute(
        "SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1"
    ).fetchone()
    return str(row[0]) if row else None


def _configure(connection: psycopg.Connection[Any]) -> None:
    for name, value in _PGSTAC_SETTINGS.items():
        connection.execute(
            "INSERT INTO pgstac_settings (name, value) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
    connection.execute(_SET_QUERYABLES, (_resource("queryables.json"),))


def _install(connection: psycopg.Connection[Any]) -> None:
    for name in _sql_files():
        connection.execute(_resource("sql", name))
    connection.execute("CREATE TABLE IF NOT EXISTS lab.installed (hash text NOT NULL)")
    connection.execute("DELETE FROM lab.installed")
    connection.execute("INSERT INTO lab.installed VALUES (%s)", (_wanted(),))


def _installed(connection: psycopg.Connection[Any]) -> str | None:
    exists = connection.execute("SELECT to_regclass('lab.installed')").fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute("SELECT hash FROM lab.installed").fetchone()
    return str(row[0]) if row else None


def _wanted() -> str:
    """Return a hash of everything that a migration puts into the database."""
    texts = [_resource("queryables.json"), json.dumps(_PGSTAC_SETTINGS), *(_resource("sql", n) for n in _sql_files())]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _sql_files() -> list[str]:
    folder = files("terralab.catalog").joinpath("sql")
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))


def _resource(*names: str) -> str:
    return files("terralab.catalog").joinpath(*names).read_text(encoding="utf-8")


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
