-- The read model: what pgstac holds, once more, in the form in which it is asked for. pgstac stays the truth.
--
-- A row of lab.items has typed columns for the fields of the profile, and the finished JSON of the item. Our own writes
-- (catalog/writing.py) write both in one transaction. Any other writer (pypgstac, psql) is met by triggers that take the
-- rows out of the read model and note them in lab.stale; until they are rendered again (catalog/refresh.py), searches
-- that could miss them are answered by pgstac itself. So an answer is never stale.
CREATE SCHEMA IF NOT EXISTS lab;

CREATE TABLE IF NOT EXISTS lab.items (
    collection text NOT NULL,
    id text NOT NULL,
    datetime timestamptz NOT NULL,
    end_datetime timestamptz NOT NULL,
    geometry geometry NOT NULL,
    hash bytea NOT NULL,            -- first 16 bytes of the SHA-256 of the item's canonical JSON; its ETag
    kind text,
    split text,
    split_group text,
    dataset text,
    dataset_version text,
    version text,
    run_type text,
    status text,
    model text,
    architecture text,
    framework text,
    platform text,
    constellation text,
    processing_level text,
    proj_code text,
    grid_code text,
    gsd double precision,
    cloud_cover double precision,
    valid_share double precision,
    parameters double precision,
    metrics jsonb,
    owner text,
    visibility text,
    project text,
    words text,                     -- what free text search looks in
    body bytea NOT NULL             -- UTF-8 JSON; byte 1 stands for the address of the web process
) WITH (toast_tuple_target = 256);

DO $$ BEGIN
    ALTER TABLE lab.items ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this PostgreSQL was built without lz4; bodies are compressed by pglz';
END $$;
-- Filters on metrics read them for every row of a model: beside the row, not where the bodies are (5 times faster).
ALTER TABLE lab.items ALTER COLUMN metrics SET STORAGE MAIN;

CREATE UNIQUE INDEX IF NOT EXISTS items_key ON lab.items (collection, id);
CREATE INDEX IF NOT EXISTS items_time ON lab.items (datetime DESC, collection DESC, id DESC);
CREATE INDEX IF NOT EXISTS items_collection_time ON lab.items (collection, datetime DESC, id DESC);
-- With the collection (btree_gist comes with pgstac): a search of one collection by place is one scan of few pages.
CREATE INDEX IF NOT EXISTS items_place ON lab.items USING gist (collection, geometry);
CREATE INDEX IF NOT EXISTS items_split ON lab.items (collection, split, dataset_version, datetime DESC, id DESC)
    WHERE split IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_model ON lab.items (model, datetime DESC, collection DESC, id DESC)
    WHERE model IS NOT NULL;

CREATE INDEX IF NOT EXISTS items_words ON lab.items USING gin (to_tsvector('english', words)) WHERE words IS NOT NULL;

-- Links that say what an item was made from, for provenance in both directions.
CREATE TABLE IF NOT EXISTS lab.links (
    collection text NOT NULL,
    id text NOT NULL,
    rel text NOT NULL,
    target text NOT NULL            -- `collections/<c>/items/<i>`, or any other address
);
CREATE INDEX IF NOT EXISTS links_source ON lab.links (collection, id);

-- Which stored files an item or a collection (id '') refers to.
CREATE TABLE IF NOT EXISTS lab.files (
    checksum text NOT NULL,
    collection text NOT NULL,
    id text NOT NULL
);
CREATE INDEX IF NOT EXISTS files_checksum ON lab.files (checksum);
CREATE INDEX IF NOT EXISTS files_owner ON lab.files (collection, id);

-- One row a collection that was ever written to. `version` grows with every change of its items; no item lasts longer
-- than `longest`, so that a search for a time need not look at everything before it.
CREATE TABLE IF NOT EXISTS lab.collections (
    id text PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    longest interval NOT NULL DEFAULT '0'
);

-- Items that another program changed and that are not rendered yet.
CREATE TABLE IF NOT EXISTS lab.stale (
    collection text NOT NULL,
    id text NOT NULL
);
CREATE INDEX IF NOT EXISTS stale_collection ON lab.stale (collection, id);

-- Both run as their owner: pgstac's own functions and its ingest role may not touch this schema.
CREATE OR REPLACE FUNCTION lab.forget_item() RETURNS trigger AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM lab.items WHERE collection = OLD.collection AND id = OLD.id;
        DELETE FROM lab.links WHERE collection = OLD.collection AND id = OLD.id;
        DELETE FROM lab.files WHERE collection = OLD.collection AND id = OLD.id;
        INSERT INTO lab.stale VALUES (OLD.collection, OLD.id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO lab.stale VALUES (NEW.collection, NEW.id);
    END IF;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgstac, public, pg_temp;

-- A transaction that writes the read model itself says so with SET LOCAL lab.writes_read_model = 'on'.
DROP TRIGGER IF EXISTS lab_forget_item ON pgstac.items;
CREATE TRIGGER lab_forget_item AFTER INSERT OR UPDATE OR DELETE ON pgstac.items FOR EACH ROW
    WHEN (current_setting('lab.writes_read_model', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION lab.forget_item();

CREATE OR REPLACE FUNCTION lab.forget_collection() RETURNS trigger AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- pgstac drops the partition, so no row trigger fires for the items.
        DELETE FROM lab.items WHERE collection = OLD.id;
        DELETE FROM lab.links WHERE collection = OLD.id;
        DELETE FROM lab.files WHERE collection = OLD.id;
        DELETE FROM lab.stale WHERE collection = OLD.id;
        INSERT INTO lab.collections (id, version) VALUES (OLD.id, 1)
            ON CONFLICT (id) DO UPDATE SET version = lab.collections.version + 1;
    ELSIF NEW.content->'renders' IS DISTINCT FROM OLD.content->'renders' THEN
        -- The map links of items without renders of their own follow from their collection's. (A changed base item
        -- needs nothing: pgstac keeps the one that each item was stored against.)
        INSERT INTO lab.stale SELECT collection, id FROM lab.items WHERE collection = NEW.id;
    END IF;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgstac, public, pg_temp;

DROP TRIGGER IF EXISTS lab_forget_collection ON pgstac.collections;
CREATE TRIGGER lab_forget_collection AFTER UPDATE OR DELETE ON pgstac.collections FOR EACH ROW
    EXECUTE FUNCTION lab.forget_collection();
