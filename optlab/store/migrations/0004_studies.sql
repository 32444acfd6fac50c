-- Studies: questions over many runs. The runs of a study are ordinary runs; one that is deleted leaves its studies, too.

CREATE TABLE studies (
    id TEXT PRIMARY KEY,
    question TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',       -- of the shipped study or of the file
    document TEXT NOT NULL,              -- TOML
    status TEXT NOT NULL,
    owner TEXT NOT NULL,                 -- name of the lock file that its owner holds
    created TEXT NOT NULL,               -- UTC, ISO 8601
    ended TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    versions TEXT NOT NULL,              -- JSON: name -> version
    runs INTEGER NOT NULL DEFAULT 0,     -- how many runs it has, also those that were deleted
    result TEXT NOT NULL DEFAULT '{}',   -- JSON
    checksum INTEGER
);

CREATE TABLE study_runs (
    study TEXT NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    arm TEXT NOT NULL,
    role TEXT NOT NULL,
    seed INTEGER NOT NULL,               -- index, not the seed itself
    setting TEXT NOT NULL DEFAULT '{}',  -- JSON: path -> value, of a tuned study
    number INTEGER NOT NULL,             -- order within the study
    checksum INTEGER,
    PRIMARY KEY (study, run)
);
CREATE INDEX study_runs_by_run ON study_runs (run);
