-- Runs, their series in chunks, their snapshots and the control messages that were applied.

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    experiment TEXT NOT NULL,            -- TOML
    status TEXT NOT NULL,
    owner TEXT NOT NULL,                 -- name of the lock file that its owner holds
    created TEXT NOT NULL,               -- UTC, ISO 8601
    ended TEXT NOT NULL DEFAULT '',
    runner TEXT NOT NULL,
    device TEXT NOT NULL DEFAULT '',
    device_name TEXT NOT NULL DEFAULT '',
    versions TEXT NOT NULL,              -- JSON: name -> version
    population TEXT NOT NULL,            -- id of the population's first run
    place INTEGER NOT NULL,              -- row in the population
    tracked TEXT NOT NULL DEFAULT '[]',  -- JSON: names of the followed weights
    steps INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    final TEXT NOT NULL DEFAULT '{}',    -- JSON: name -> number or null
    theta_sha256 TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    broken TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_time ON runs (created, place);

-- Series that share their steps; columns is JSON: [[series, [names of its columns, none for one number a step]], ...]
CREATE TABLE bundles (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    columns TEXT NOT NULL,
    PRIMARY KEY (run, number)
);

-- data: little-endian, column after column: the steps (int64), then each column's values (float64).
CREATE TABLE chunks (
    run TEXT NOT NULL,
    bundle INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first_step INTEGER NOT NULL,
    last_step INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, bundle, number),
    FOREIGN KEY (run, bundle) REFERENCES bundles (run, number) ON DELETE CASCADE
);

CREATE TABLE snapshots (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    reason TEXT NOT NULL,
    seconds REAL NOT NULL,
    file TEXT NOT NULL,                  -- name within the run's folder
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    changes TEXT NOT NULL,               -- JSON: fields changed on the way, path -> value
    memory TEXT NOT NULL,                -- JSON: what the stopping rule remembers
    PRIMARY KEY (run, step, reason)
);

CREATE TABLE controls (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    step INTEGER NOT NULL,
    message TEXT NOT NULL,               -- JSON
    PRIMARY KEY (run, number)
);
