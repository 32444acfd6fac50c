-- What the user says of a run, and the length of its epochs. A color stays with a run for life: runs that are stored already get theirs in order.

ALTER TABLE runs ADD COLUMN name TEXT NOT NULL DEFAULT '';            -- the user's own
ALTER TABLE runs ADD COLUMN color INTEGER NOT NULL DEFAULT -1;        -- index into the palette
ALTER TABLE runs ADD COLUMN starred TEXT NOT NULL DEFAULT 'false';    -- JSON
ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';          -- JSON: texts
ALTER TABLE runs ADD COLUMN deleted TEXT NOT NULL DEFAULT '';         -- UTC, ISO 8601: when it was marked
ALTER TABLE runs ADD COLUMN epoch_steps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN epoch_examples INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET color = rowid - 1;
CREATE INDEX runs_by_checksum ON runs (id, checksum);
