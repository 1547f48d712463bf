-- How many items a collection holds, by kind, split, month, class and so on: what counts and histograms of whole
-- collections are summed from, in place of reading a million rows.
--
-- Triggers on lab.items append to lab.facets, so it is exact in every transaction and no writer waits for another. Every
-- few thousand rows what was appended is merged. Only what has few values is counted so: a row for every grid cell would
-- cost a bulk load more than it gives.
ALTER TABLE lab.items ADD COLUMN IF NOT EXISTS class_counts jsonb;
ALTER TABLE lab.items ALTER COLUMN class_counts SET STORAGE MAIN;  -- beside the row, not where the bodies are

CREATE TABLE IF NOT EXISTS lab.facets (
    facet text NOT NULL,            -- what is counted; `item` counts all of them
    collection text NOT NULL,
    value text NOT NULL,            -- the value that is counted; '' for `item`
    owner text,
    visibility text,
    project text,
    items bigint NOT NULL,          -- how many more (or fewer) items have that value
    pixels double precision         -- for `class`: of how many pixels
);
CREATE INDEX IF NOT EXISTS facets_collection ON lab.facets (collection, facet);

-- The box of a geometry; of its first part where it crosses longitude 180.
CREATE OR REPLACE FUNCTION lab.box_of(place geometry) RETURNS box2d AS $$
    SELECT CASE WHEN ST_XMax(Box2D(place)) - ST_XMin(Box2D(place)) > 180 AND ST_NumGeometries(place) > 1
                THEN Box2D(ST_GeometryN(place, 1)) ELSE Box2D(place) END
$$ LANGUAGE sql IMMUTABLE PARALLEL SAFE;

-- The range of ten percent that a cloud cover lies in, `0` … `90`; 100 belongs to the last.
CREATE OR REPLACE FUNCTION lab.tenth_of(percent double precision) RETURNS text AS $$
    SELECT CASE WHEN percent IS NOT NULL THEN (least(9, greatest(0, floor(percent / 10))) * 10)::integer::text END
$$ LANGUAGE sql IMMUTABLE PARALLEL SAFE;

-- Aggregations of less than whole collections count the same values (catalog/aggregation.py).
CREATE OR REPLACE FUNCTION lab.count_facets() RETURNS trigger AS $$
DECLARE
    sign integer := TG_ARGV[0];
    appended integer;
BEGIN
    INSERT INTO lab.facets (facet, collection, value, owner, visibility, project, items)
    SELECT
        CASE WHEN grouping(kind) = 0 THEN 'kind' WHEN grouping(split) = 0 THEN 'split'
             WHEN grouping(month) = 0 THEN 'month' WHEN grouping(dataset_version) = 0 THEN 'dataset_version'
             WHEN grouping(run_type) = 0 THEN 'run_type' WHEN grouping(status) = 0 THEN 'status'
             WHEN grouping(model) = 0 THEN 'model' WHEN grouping(platform) = 0 THEN 'platform'
             WHEN grouping(cloud_cover) = 0 THEN 'cloud_cover' ELSE 'item' END AS facet,
        collection,
        coalesce(kind, split, month, dataset_version, run_type, status, model, platform, cloud_cover, '') AS value,
        owner, visibility, project, sign * count(*)
    FROM (
        SELECT collection, owner, visibility, project, kind, split, dataset_version, run_type, status, model, platform,
            to_char(datetime AT TIME ZONE 'UTC', 'YYYY-MM') AS month, lab.tenth_of(cloud_cover) AS cloud_cover
        FROM changed
    ) AS facets
    GROUP BY collection, owner, visibility, project, GROUPING SETS ((), kind, split, month, dataset_version, run_type,
        status, model, platform, cloud_cover)
    HAVING num_nonnulls(kind, split, month, dataset_version, run_type, status, model, platform, cloud_cover) = 1
        OR grouping(kind, split, month, dataset_version, run_type, status, model, platform, cloud_cover) = 511;
    GET DIAGNOSTICS appended = ROW_COUNT;
    INSERT INTO lab.facets (facet, collection, value, owner, visibility, project, items, pixels)
    SELECT 'class', c.collection, f.key, c.owner, c.visibility, c.project, sign * count(*), sign * sum(f.value::float8)
    FROM (SELECT * FROM changed WHERE jsonb_typeof(class_counts) = 'object') AS c, LATERAL jsonb_each(class_counts) AS f
    WHERE jsonb_typeof(f.value) = 'number' GROUP BY 2, 3, 4, 5, 6;
    IF random() < appended / 10000.0 THEN
        PERFORM lab.merge_facets(collection) FROM (SELECT DISTINCT collection FROM changed) AS touched;
    END IF;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;

-- Replace what was appended for a collection by its sums, where nobody else is at it.
DROP FUNCTION IF EXISTS lab.merge_facets(text, integer);
CREATE OR REPLACE FUNCTION lab.merge_facets(wanted text) RETURNS void AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
        OR NOT pg_try_advisory_xact_lock(hashtextextended(wanted, 30)) THEN
        RETURN;
    END IF;
    WITH gone AS (DELETE FROM lab.facets WHERE collection = wanted RETURNING *)
    INSERT INTO lab.facets (facet, collection, value, owner, visibility, project, items, pixels)
    SELECT facet, collection, value, owner, visibility, project, sum(items), sum(pixels)
    FROM gone GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(items) <> 0;
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE TRIGGER lab_count_new AFTER INSERT ON lab.items
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION lab.count_facets('1');
CREATE OR REPLACE TRIGGER lab_count_gone AFTER DELETE ON lab.items
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION lab.count_facets('-1');
CREATE OR REPLACE TRIGGER lab_count_before AFTER UPDATE ON lab.items
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION lab.count_facets('-1');
CREATE OR REPLACE TRIGGER lab_count_after AFTER UPDATE ON lab.items
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION lab.count_facets('1');

CREATE OR REPLACE FUNCTION lab.forget_facets() RETURNS trigger AS $$
BEGIN
    DELETE FROM lab.facets;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER lab_count_none AFTER TRUNCATE ON lab.items
    FOR EACH STATEMENT EXECUTE FUNCTION lab.forget_facets();
