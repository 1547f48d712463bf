-- Which files of items were written by the lab itself when it froze a dataset version, and the files of the chips in
-- them. An object in the catalog may refer to any archive; only one that is noted here lets a reader of the version read
-- chips that the catalog has no longer.
CREATE TABLE IF NOT EXISTS lab.frozen_archives (
    archive text PRIMARY KEY,       -- multihash of the file of items
    version_item text NOT NULL,     -- id of the version's item in the collection of dataset versions
    collection text NOT NULL        -- whose chips it froze
);

CREATE TABLE IF NOT EXISTS lab.frozen_files (
    checksum text NOT NULL,         -- multihash of a chip's file
    archive text NOT NULL,
    owner text,                     -- access of the chip when it was frozen
    visibility text,
    project text,
    PRIMARY KEY (checksum, archive)
);
CREATE INDEX IF NOT EXISTS frozen_files_archive ON lab.frozen_files (archive);
