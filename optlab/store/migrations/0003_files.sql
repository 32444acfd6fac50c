-- Size and SHA-256 of each file of the user's that a run has read; {} in runs that were stored before they were kept.

ALTER TABLE runs ADD COLUMN files TEXT NOT NULL DEFAULT '{}';
