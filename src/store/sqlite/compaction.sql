-- Version 2: frames that stand for several events, and a log that does not keep every event for ever.

-- A frame stands for the places `seq_first` to `seq`; NULL: for `seq` alone. `cuts` is how it is taken apart again.
ALTER TABLE events ADD COLUMN seq_first INTEGER;
ALTER TABLE events ADD COLUMN cuts BLOB;

-- Events up to `base` are no longer kept; `bases` has their fold. Up to `merged` the log is compacted. `frames` and
-- `size_bytes` count what is kept.
ALTER TABLE projects ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN merged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN frames INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET (frames, size_bytes) =
    (SELECT count(*), coalesce(sum(length(frame)), 0) FROM events WHERE events.project = projects.number);

CREATE TABLE bases (
    project INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    state BLOB NOT NULL
);
