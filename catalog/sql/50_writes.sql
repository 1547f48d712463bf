-- Who changed what. A row is written in the transaction of the change, and never changes: not even by mistake.
CREATE TABLE IF NOT EXISTS lab.audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    principal text,                      -- NULL: a flow or command on the lab's own machine
    action text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    collection text NOT NULL,
    item text,                           -- NULL: the collection itself
    etag_before text,
    etag_after text,
    request_id text
);
CREATE INDEX IF NOT EXISTS audit_object ON lab.audit (collection, item, number);
CREATE INDEX IF NOT EXISTS audit_time ON lab.audit (at);

CREATE OR REPLACE FUNCTION lab.refuse_change() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION 'lab.% only grows', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END;
$$ LANGUAGE plpgsql;

DROP TRIGGER IF EXISTS audit_only_grows ON lab.audit;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON lab.audit FOR EACH STATEMENT
    EXECUTE FUNCTION lab.refuse_change();

-- Answers to writes that came with an Idempotency-Key, for those that are sent again.
CREATE TABLE IF NOT EXISTS lab.idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,              -- SHA-256 of method, path, query and body
    status int,                          -- NULL only within the transaction of the write
    headers jsonb,
    body bytea,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX IF NOT EXISTS idempotency_created ON lab.idempotency (created);
