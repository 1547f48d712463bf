-- Projects: catalogs of collections, in a hierarchy where everything may have many parents. They order what is there and
-- hold nothing of it: a collection that is in no project, or whose projects are all gone, is still a collection.
CREATE TABLE IF NOT EXISTS lab.projects (
    id text PRIMARY KEY,
    content jsonb NOT NULL           -- STAC catalog without links
);
CREATE TABLE IF NOT EXISTS lab.project_catalogs (
    parent text NOT NULL REFERENCES lab.projects ON DELETE CASCADE,
    child text NOT NULL REFERENCES lab.projects ON DELETE CASCADE,
    PRIMARY KEY (parent, child)
);
CREATE TABLE IF NOT EXISTS lab.project_collections (
    project text NOT NULL REFERENCES lab.projects ON DELETE CASCADE,
    collection text NOT NULL,
    PRIMARY KEY (project, collection)
);
CREATE INDEX IF NOT EXISTS project_collections_collection ON lab.project_collections (collection);

CREATE OR REPLACE FUNCTION lab.leave_projects() RETURNS trigger AS $$
BEGIN
    DELETE FROM lab.project_collections WHERE collection = OLD.id;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgstac, public, pg_temp;  -- pgstac deletes as a role of its own
CREATE OR REPLACE TRIGGER lab_leave_projects AFTER DELETE ON pgstac.collections FOR EACH ROW
    EXECUTE FUNCTION lab.leave_projects();
