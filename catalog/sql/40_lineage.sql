-- Provenance over lab.links, as catalog/lineage.py asks for it.
--
-- Things are named by the address that links have: `collections/<c>/items/<i>` for an item, `collections/<c>/items` for all
-- chips of a collection together, anything else for what is not in the catalog. Thousands of chips have the same few
-- sources, so both directions skip from one distinct value to the next in an index and never read every chip's links.
CREATE INDEX IF NOT EXISTS links_sources ON lab.links (collection, rel, target);
-- It serves what an index of the target alone would.
DROP INDEX IF EXISTS lab.links_target;
CREATE INDEX IF NOT EXISTS links_users ON lab.links (target, collection, rel);

-- The distinct links of all items of a collection.
CREATE OR REPLACE FUNCTION lab.sources_of_all(wanted text, rels text[]) RETURNS TABLE (rel text, target text) AS $$
    WITH RECURSIVE step (rel, target) AS (
        SELECT r, (SELECT min(l.target) FROM lab.links l WHERE l.collection = wanted AND l.rel = r) FROM unnest(rels) AS r
        UNION ALL
        SELECT s.rel, (SELECT min(l.target) FROM lab.links l
                       WHERE l.collection = wanted AND l.rel = s.rel AND l.target > s.target)
        FROM step s WHERE s.target IS NOT NULL
    )
    SELECT step.rel, step.target FROM step WHERE step.target IS NOT NULL
$$ LANGUAGE sql STABLE;

-- The collections with items that link to something.
CREATE OR REPLACE FUNCTION lab.collections_using(wanted text) RETURNS SETOF text AS $$
    WITH RECURSIVE step (collection) AS (
        SELECT (SELECT min(l.collection) FROM lab.links l WHERE l.target = wanted)
        UNION ALL
        SELECT (SELECT min(l.collection) FROM lab.links l WHERE l.target = wanted AND l.collection > s.collection)
        FROM step s WHERE s.collection IS NOT NULL
    )
    SELECT step.collection FROM step WHERE step.collection IS NOT NULL
$$ LANGUAGE sql STABLE;

-- Collection and id of an address; the id is null for all chips of a collection, both are for anything else.
CREATE OR REPLACE FUNCTION lab.parts_of(address text) RETURNS text[] AS $$
    SELECT regexp_match(address, '^collections/([^/]+)/items(?:/([^/]+))?$')
$$ LANGUAGE sql IMMUTABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION lab.holds_chips(wanted text) RETURNS boolean AS $$
    SELECT EXISTS (SELECT FROM pgstac.collections c WHERE c.id = wanted AND c.content->>'lab:kind' = 'chips')
$$ LANGUAGE sql STABLE;

-- What the things of `frontier` were made from.
CREATE OR REPLACE FUNCTION lab.sources_of(frontier text[], rels text[], any_stale boolean)
RETURNS TABLE (origin text, rel text, found text) AS $$
BEGIN
    RETURN QUERY
        SELECT f.address, l.rel, l.target FROM unnest(frontier) AS f (address) JOIN lab.links l
        ON l.collection = (lab.parts_of(f.address))[1] AND l.id = (lab.parts_of(f.address))[2] WHERE l.rel = ANY(rels)
        UNION ALL
        SELECT f.address, l.rel, l.target FROM unnest(frontier) AS f (address),
            lab.sources_of_all((lab.parts_of(f.address))[1], rels) AS l
        WHERE (lab.parts_of(f.address))[2] IS NULL;
    IF any_stale THEN
        RETURN QUERY
            SELECT f.address, l.rel, l.target FROM unnest(frontier) AS f (address) JOIN lab.stale_links() l
            ON l.collection = (lab.parts_of(f.address))[1] AND l.id = coalesce((lab.parts_of(f.address))[2], l.id)
            WHERE l.rel = ANY(rels);
    END IF;
END;
$$ LANGUAGE plpgsql STABLE;

-- What was made from the things of `frontier`; chips are found together, as their collection.
CREATE OR REPLACE FUNCTION lab.products_of(frontier text[], rels text[], any_stale boolean)
RETURNS TABLE (origin text, rel text, found text) AS $$
BEGIN
    RETURN QUERY
        SELECT f.address, l.rel, l.address FROM unnest(frontier) AS f (address)
        CROSS JOIN LATERAL (  -- OFFSET and LIMIT keep the steps in this order
            SELECT name, lab.holds_chips(name) AS grouped FROM lab.collections_using(f.address) AS name OFFSET 0
        ) AS user_of
        CROSS JOIN LATERAL (
            SELECT u.rel, 'collections/' || user_of.name || '/items/' || u.id AS address FROM lab.links u
            WHERE NOT user_of.grouped AND u.target = f.address AND u.collection = user_of.name AND u.rel = ANY(rels)
            UNION ALL
            SELECT r.rel, 'collections/' || user_of.name || '/items' FROM unnest(rels) AS r (rel)
            CROSS JOIN LATERAL (
                SELECT FROM lab.links u WHERE user_of.grouped
                AND u.target = f.address AND u.collection = user_of.name AND u.rel = r.rel LIMIT 1
            ) AS one
        ) AS l;
    IF any_stale THEN
        RETURN QUERY
            SELECT DISTINCT f.address, l.rel, 'collections/' || l.collection || '/items'
                || CASE WHEN lab.holds_chips(l.collection) THEN '' ELSE '/' || l.id END
            FROM unnest(frontier) AS f (address) JOIN lab.stale_links() l ON l.target = f.address
            WHERE l.rel = ANY(rels);
    END IF;
END;
$$ LANGUAGE plpgsql STABLE;

-- The items that another program changed and that are not in the read model yet, as pgstac has them.
CREATE OR REPLACE FUNCTION lab.stale_items() RETURNS TABLE (
    collection text, id text, owner text, visibility text, project text, content jsonb) AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM lab.stale) THEN
        RETURN;  -- before a plan is made for all partitions of pgstac
    END IF;
    RETURN QUERY
        SELECT s.collection, s.id, i.content->'properties'->>'lab:owner', i.content->'properties'->>'lab:visibility',
            i.content->'properties'->>'lab:project', i.content
        FROM (SELECT DISTINCT t.collection, t.id FROM lab.stale t) AS s
        CROSS JOIN LATERAL (
            SELECT p.content FROM pgstac.items p WHERE p.collection = s.collection AND p.id = s.id LIMIT 1
        ) AS i;
END;
$$ LANGUAGE plpgsql STABLE;

-- Their links.
CREATE OR REPLACE FUNCTION lab.stale_links() RETURNS TABLE (
    collection text, id text, rel text, target text, owner text, visibility text, project text) AS $$
    SELECT s.collection, s.id, l->>'rel', l->>'href', s.owner, s.visibility, s.project
    FROM lab.stale_items() AS s,
    jsonb_array_elements(CASE WHEN jsonb_typeof(s.content->'links') = 'array' THEN s.content->'links' END) AS l
    WHERE l->>'rel' IS NOT NULL AND l->>'href' IS NOT NULL
$$ LANGUAGE sql STABLE;

-- The links met on a walk from an item, level by level, to `depth` (null: to the end) and one farther, so that it can be
-- seen whether there is more: upwards it is enough of those to show one for each thing, and none for the many chips of a
-- collection. The walk ends after `most` links. `root_rels` are followed in the first step alone. Always by indexes,
-- however old the statistics are.
CREATE OR REPLACE FUNCTION lab.lineage(
    root text, downwards boolean, depth integer, rels text[], root_rels text[], most integer)
RETURNS TABLE (origin text, rel text, found text) AS $$
DECLARE
    any_stale boolean := EXISTS (SELECT FROM lab.stale);
    collection_of_root text := (lab.parts_of(root))[1];
    frontier text[] := ARRAY[root];
    seen text[] := frontier;
    level integer := 0;
    origins text[];
    met_rels text[];
    met text[];
BEGIN
    LOOP
        IF downwards THEN
            IF level = 0 AND lab.holds_chips(collection_of_root) THEN
                frontier := frontier || ('collections/' || collection_of_root || '/items');
            END IF;
            SELECT array_agg(p.origin), array_agg(p.rel), array_agg(p.found) INTO origins, met_rels, met
            FROM lab.products_of(frontier, CASE level WHEN 0 THEN root_rels ELSE rels END, any_stale) AS p;
            IF level = 0 THEN
                origins := array_fill(root, ARRAY[coalesce(cardinality(met), 0)]);  -- a chip is used as its collection is
            END IF;
        ELSE
            IF level >= depth THEN
                frontier := ARRAY(SELECT a FROM unnest(frontier) AS a WHERE (lab.parts_of(a))[2] IS NOT NULL);
            END IF;
            SELECT array_agg(s.origin), array_agg(s.rel), array_agg(s.found) INTO origins, met_rels, met
            FROM lab.sources_of(frontier, rels, any_stale) AS s;
        END IF;
        IF level >= depth AND NOT downwards THEN
            RETURN QUERY
                SELECT * FROM unnest(origins, met_rels, met) AS l (o, r, m) WHERE m IN (SELECT unnest(seen))
                UNION ALL
                SELECT DISTINCT ON (o) * FROM unnest(origins, met_rels, met) AS l (o, r, m)
                WHERE m NOT IN (SELECT unnest(seen));
            EXIT;
        END IF;
        RETURN QUERY SELECT * FROM unnest(origins, met_rels, met);
        most := most - coalesce(cardinality(met), 0);
        frontier := ARRAY(SELECT unnest(met) EXCEPT SELECT unnest(seen));
        EXIT WHEN frontier = '{}' OR most < 0 OR level >= depth;
        seen := seen || frontier;
        level := level + 1;
    END LOOP;
END;
$$ LANGUAGE plpgsql STABLE
SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
