"""Backups that give back exactly what was there.

A backup is a folder:

    manifest.json           versions, tables, partitions, counts and checksums
    database/*.copy.zst     the rows of every table of the schemas `pgstac` and `lab`, as text COPY
    files.txt.zst           name and size of every file in the asset store
    store/files/…           the files themselves, laid out as in the store; a bucket's only where that is asked for
    versions/ prefect.db    what `infra` adds: the repository of dataset versions, and Prefect's records

Why rows of our own and neither `pg_dump` nor `pg_basebackup`? A plain `pg_restore` of pgstac loses the table of
collections, since functions behind its generated columns name PostGIS without a schema. A base backup is exact, but it
is of a whole cluster and one major version of PostgreSQL, needs the right to replicate, and cannot be taken of a
database that somebody else runs. Rows can be read by whoever may read the tables, beside writers (one snapshot), and
restored into any PostgreSQL with PostGIS: the tables are made by the same migration that made them first.

A restore loads the rows into schemas that are made aside the present ones, compares count and hash of every table with
the manifest, and only then lets the old ones go.
"""
