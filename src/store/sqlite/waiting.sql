-- Version 3: what a run that waits for its turn needs to begin, so that it still can after a restart; whose replies are
-- kept, so that nobody's are forgotten for another's.

-- NULL: not known.
ALTER TABLE replies ADD COLUMN participant INTEGER;

-- `run` is the number of the project's run, `work` the core's own format. A row goes when its run begins or ends.
CREATE TABLE waiting (
    project INTEGER NOT NULL,
    run INTEGER NOT NULL,
    work BLOB NOT NULL,
    PRIMARY KEY (project, run)
);
