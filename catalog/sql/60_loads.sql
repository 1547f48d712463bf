-- What a bulk load that is under way, or was broken off, has done: one row for each piece of its source, written in the
-- transaction that stores the piece. A finished load leaves no rows.
CREATE TABLE IF NOT EXISTS lab.loads (
    load bytea NOT NULL,                -- SHA-256 of the sources' names and the options
    chunk integer NOT NULL,             -- number of the piece
    checksum bytea NOT NULL,            -- SHA-256 of its content
    items integer NOT NULL,
    transaction xid NOT NULL,           -- the one that wrote it, which the rows of its items show
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (load, chunk)
);
