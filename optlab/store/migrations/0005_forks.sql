-- Forks: the run that a run has begun in, and at which of its steps.
ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
