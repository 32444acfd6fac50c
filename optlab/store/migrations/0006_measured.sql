-- The values of the arms of a study that are computed, not trained: arm -> index of the seed -> value.

ALTER TABLE studies ADD COLUMN measured TEXT NOT NULL DEFAULT '{}';
