-- What the migration made, so that a database that lost some of it can be told: a plain pg_restore of pgstac loses the
-- table of collections with its triggers, and goes on. The last file, since it notes what the others made.
--
-- Partitions and the indexes of queryables come and go with the items; they are left out.
CREATE TABLE IF NOT EXISTS lab.objects (
    kind text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE OR REPLACE VIEW lab.present_objects AS
WITH relation AS (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('pgstac', 'lab') AND NOT c.relispartition
)
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, name
FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
UNION ALL
SELECT 'trigger', format('%I on %s', t.tgname, relation.name)
FROM pg_trigger t JOIN relation ON relation.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'constraint', format('%I on %s', k.conname, relation.name)
FROM pg_constraint k JOIN relation ON relation.oid = k.conrelid
UNION ALL
SELECT 'function', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('pgstac', 'lab');

DELETE FROM lab.objects;
INSERT INTO lab.objects SELECT DISTINCT kind, name FROM lab.present_objects;
