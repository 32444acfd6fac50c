-- A checksum of all other columns in each row of metadata; NULL in rows that were written before there was one. Chunks have theirs.

ALTER TABLE runs ADD COLUMN checksum INTEGER;
ALTER TABLE bundles ADD COLUMN checksum INTEGER;
ALTER TABLE snapshots ADD COLUMN checksum INTEGER;
ALTER TABLE controls ADD COLUMN checksum INTEGER;
