"""The ledger's tables, and the steps that migrate an older ledger.

The central table is `member`: one row per (audience, ID type, identifier) with what is
wanted and what is delivered. Pending is where the two differ; it is never stored as such.
"""

import sqlite3
from collections.abc import Callable

from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerTooNew

APPLICATION_ID = 0x616D7063  # "ampc", so that `file` and we can tell a ledger from any database

_FIRST = """
CREATE TABLE audience (
    id             INTEGER PRIMARY KEY,
    space_id       TEXT NOT NULL,
    computation_id TEXT NOT NULL,            -- '' while only the key is known
    key            TEXT NOT NULL,
    name           TEXT,                     -- NULL: it is called by its key
    enabled        INTEGER NOT NULL DEFAULT 1,
    id_type        INTEGER NOT NULL DEFAULT 1,
    cohort_name    TEXT,                     -- overrides; NULL: the default
    owner_email    TEXT,
    seed_user      TEXT,
    cohort_id      TEXT,                     -- NULL: not linked
    linked_name    TEXT,                     -- the cohort's name when it was linked
    link           TEXT NOT NULL DEFAULT 'none',  -- none, created (by us), existing (before us)
    broken         TEXT,                     -- why the link no longer works
    last_run_at    INTEGER
) STRICT;
CREATE UNIQUE INDEX audience_identity ON audience (space_id, computation_id)
    WHERE computation_id <> '';
CREATE UNIQUE INDEX audience_by_key ON audience (space_id, key) WHERE computation_id = '';

CREATE TABLE source (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    path     TEXT UNIQUE,                    -- NULL: it can't be read again (stdin)
    read_at  INTEGER NOT NULL,
    read     INTEGER NOT NULL DEFAULT 0,
    changes  INTEGER NOT NULL DEFAULT 0,
    filtered INTEGER NOT NULL DEFAULT 0,
    invalid  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE filtered (
    source_id INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    reason    TEXT NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (source_id, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE invalid_event (
    id        INTEGER PRIMARY KEY,
    source_id INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    line      INTEGER NOT NULL,
    reason    TEXT NOT NULL
) STRICT;
CREATE INDEX invalid_event_of ON invalid_event (source_id);

CREATE TABLE member (
    n            INTEGER PRIMARY KEY,
    audience_id  INTEGER NOT NULL,
    id_type      INTEGER NOT NULL,
    id           TEXT NOT NULL,
    is_member    INTEGER NOT NULL,           -- what the newest event says
    wanted       INTEGER NOT NULL,           -- the same, but 0 under an ID type not in use
    event_at     INTEGER NOT NULL,           -- the newest event: its time,
    source_id    INTEGER NOT NULL,           -- its source
    line         INTEGER NOT NULL,           -- and where it stands there
    delivered    INTEGER,                    -- 1 in, 0 out, NULL unknown
    request_id   INTEGER,                    -- the last request that carried it
    rejection_id INTEGER,                    -- why Amplitude did not take it
    refusals     INTEGER NOT NULL DEFAULT 0, -- how often, since it was last wanted otherwise
    counterpart  TEXT,                       -- the same person's identifier of the other ID type
    UNIQUE (audience_id, id_type, id)
) STRICT;
CREATE INDEX member_pending ON member (audience_id, id_type, wanted)
    WHERE wanted IS NOT delivered AND rejection_id IS NULL;
CREATE INDEX member_rejected ON member (audience_id, id_type)
    WHERE rejection_id IS NOT NULL;

CREATE TABLE run (
    id         INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    status     TEXT NOT NULL DEFAULT 'running',
    note       TEXT NOT NULL DEFAULT '',
    read       INTEGER NOT NULL DEFAULT 0,
    changes    INTEGER NOT NULL DEFAULT 0,
    filtered   INTEGER NOT NULL DEFAULT 0,
    invalid    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE run_audience (
    run_id      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    audience_id INTEGER NOT NULL,
    added       INTEGER NOT NULL DEFAULT 0,
    removed     INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    requests    INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    note        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, audience_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL,
    audience_id INTEGER NOT NULL,
    kind        TEXT NOT NULL,               -- membership, upload
    id_type     INTEGER NOT NULL,
    operation   TEXT NOT NULL,
    size        INTEGER NOT NULL,            -- how many ids it carried
    first_n     INTEGER NOT NULL,            -- they stand in member.n between these two
    last_n      INTEGER NOT NULL,
    sent_at     INTEGER NOT NULL,
    settled_at  INTEGER,
    state       TEXT NOT NULL DEFAULT 'open',  -- open, confirmed, void
    status      INTEGER,                     -- HTTP; NULL: no answer
    answer      TEXT NOT NULL DEFAULT '',    -- Amplitude's words, or what went wrong
    skipped     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX request_open ON request (audience_id) WHERE state = 'open';
CREATE INDEX request_of ON request (run_id);
CREATE TABLE rejection (
    id         INTEGER PRIMARY KEY,
    request_id INTEGER NOT NULL,
    operation  TEXT NOT NULL,
    code       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE TABLE creation (                      -- a cohort that is being made: adopt it after a crash
    audience_id INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    owner_email TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    known_ids   TEXT NOT NULL                -- cohorts that bore the name before us (JSON)
) STRICT;
CREATE TABLE lease (                         -- who syncs an audience; the lock file is the truth
    audience_id INTEGER PRIMARY KEY,
    pid         INTEGER NOT NULL,
    host        TEXT NOT NULL,
    since       INTEGER NOT NULL
) STRICT;
"""

_SECOND = """
ALTER TABLE run ADD COLUMN lock TEXT;        -- the lock file of who carries it out: the truth
ALTER TABLE run ADD COLUMN pid  INTEGER;     -- and who that is, for people to read
ALTER TABLE run ADD COLUMN host TEXT;
ALTER TABLE run_audience ADD COLUMN pending INTEGER;  -- after it; NULL: not known
ALTER TABLE run_audience ADD COLUMN is_stuck INTEGER NOT NULL DEFAULT 0;  -- until seen to
"""

# Users who could not be delivered are found and counted from these two alone, without reading the
# members themselves; of 100,000 in 500 audiences, in a few tens of milliseconds.
_THIRD = """
DROP INDEX member_rejected;
CREATE INDEX member_rejected ON member (audience_id, rejection_id, n, id)
    WHERE rejection_id IS NOT NULL;
CREATE INDEX member_unidentified
    ON member (audience_id, n, id, event_at, is_member, wanted, counterpart)  -- to look at no row
    WHERE is_member = 1 AND wanted = 0 AND counterpart IS NULL;
"""

# A cohort as it was found in Amplitude, and where it differs from its audience.
_FOURTH = """
ALTER TABLE run ADD COLUMN kind TEXT NOT NULL DEFAULT 'sync';  -- sync, compare, reconcile
CREATE TABLE download (
    id          INTEGER PRIMARY KEY,
    audience_id INTEGER NOT NULL,
    cohort_id   TEXT NOT NULL,
    request_id  TEXT,                        -- Amplitude's; NULL: its answer never came
    started_at  INTEGER NOT NULL,
    is_over     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX download_at ON download (started_at);
CREATE TABLE comparison (
    id              INTEGER PRIMARY KEY,
    run_id          INTEGER NOT NULL,
    audience_id     INTEGER NOT NULL,
    cohort_id       TEXT NOT NULL,
    id_type         INTEGER NOT NULL,
    at              INTEGER NOT NULL,        -- the cohort is shown as it was then
    against         TEXT,                    -- a list's name; NULL: what the ledger wants
    against_at      INTEGER,                 -- and its time
    applies         INTEGER,                 -- the comparison that this one proves the repair of
    in_audience     INTEGER NOT NULL,
    in_cohort       INTEGER NOT NULL,
    in_both         INTEGER NOT NULL,
    missing         INTEGER NOT NULL,
    missing_drifted INTEGER NOT NULL,        -- of the missing: delivered, and gone since
    missing_rejected INTEGER NOT NULL,       -- and: Amplitude did not take them
    has_left        INTEGER NOT NULL,
    strangers       INTEGER NOT NULL,
    cohort_no_id    INTEGER NOT NULL,
    audience_no_id  INTEGER NOT NULL,
    disagreeing     INTEGER NOT NULL         -- the list and the cohort agree, and not the ledger
) STRICT;
CREATE INDEX comparison_of ON comparison (audience_id, id);
CREATE INDEX comparison_in ON comparison (run_id);
CREATE TABLE size_check (                    -- what Amplitude's list said after a repair
    run_id      INTEGER NOT NULL,
    audience_id INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    expected    INTEGER NOT NULL,
    found       INTEGER,                     -- NULL: not computed since
    PRIMARY KEY (run_id, audience_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE difference (
    comparison_id INTEGER NOT NULL REFERENCES comparison (id) ON DELETE CASCADE,
    kind          INTEGER NOT NULL,
    id_type       INTEGER NOT NULL,
    id            TEXT NOT NULL,
    standing      INTEGER NOT NULL,          -- how the ledger knew them
    resembles     TEXT,                      -- an identifier of the other side, spelt alike
    state         INTEGER NOT NULL DEFAULT 0,  -- 1: chosen, to be put right; 2: put right
    PRIMARY KEY (comparison_id, kind, id_type, id)
) STRICT, WITHOUT ROWID;
"""

_FIFTH = """
CREATE TABLE tail (                          -- how far a watched file was read
    path      TEXT PRIMARY KEY,
    source_id INTEGER NOT NULL,
    device    INTEGER NOT NULL,
    inode     INTEGER NOT NULL,
    head_size INTEGER NOT NULL,              -- its first bytes, of which `head` is the digest
    head      TEXT NOT NULL,
    position  INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    is_whole  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

# What a receiver of webhooks refused during a run, by reason.
_REFUSED_REQUESTS = """
CREATE TABLE refused_requests (
    run_id  INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    reason  TEXT NOT NULL,
    status  INTEGER NOT NULL,                -- HTTP
    count   INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    words   TEXT NOT NULL,                   -- what the last one was told
    PRIMARY KEY (run_id, reason, status)
) STRICT, WITHOUT ROWID;
"""

_HOLDS = """
-- Until when Amplitude has asked for no more requests, in microseconds since 1970. An audience_id
-- of 0 means the whole connection.
CREATE TABLE hold (
    audience_id INTEGER PRIMARY KEY,
    until       INTEGER NOT NULL
) STRICT;
"""

# What requests without an answer may still do: add (1) or remove (0) a member of a cohort.
_LATE_EFFECTS = """
CREATE TABLE late_effect (
    audience_id INTEGER NOT NULL,
    cohort_id   TEXT NOT NULL,               -- '': one that was being created
    n           INTEGER NOT NULL,            -- the member
    operation   INTEGER NOT NULL,
    until       INTEGER NOT NULL,            -- afterwards it can't happen any more
    PRIMARY KEY (audience_id, cohort_id, n, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE late_replacement (              -- it would remove the members after `after_n`, too
    audience_id INTEGER NOT NULL,
    cohort_id   TEXT NOT NULL,
    after_n     INTEGER NOT NULL,
    until       INTEGER NOT NULL
) STRICT;
"""

_INVALID_REASONS = """
CREATE TABLE invalid_reason (                -- how many events of a source are invalid, and why
    source_id INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    reason    TEXT NOT NULL,
    count     INTEGER NOT NULL,              -- all of them; invalid_event lists a limited number
    PRIMARY KEY (source_id, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO invalid_reason (source_id, reason, count)
    SELECT source_id, reason, count(*) FROM invalid_event GROUP BY source_id, reason;
CREATE INDEX invalid_event_by_reason ON invalid_event (reason, id);
"""

_LIST_OVERLAP = """
ALTER TABLE comparison ADD COLUMN list_overlap INTEGER;  -- identifiers of the list that are known
"""

_OFFSETS = """
ALTER TABLE tail ADD COLUMN before TEXT NOT NULL DEFAULT '';  -- digest of the bytes before it
ALTER TABLE tail ADD COLUMN modified INTEGER NOT NULL DEFAULT 0;  -- the file's time
"""

_LOG = """
CREATE TABLE log_entry (                     -- what was done, in words; runs are in `run`
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    text   TEXT NOT NULL,
    is_bad INTEGER NOT NULL
) STRICT;
"""

# One table for all kinds of sources; what a followed file's row held is JSON now.
_CHECKPOINTS = """
CREATE TABLE checkpoint (
    key   TEXT PRIMARY KEY,                  -- the source: its scheme, ':', its name
    value TEXT NOT NULL                      -- JSON that only the source understands
) STRICT, WITHOUT ROWID;
INSERT INTO checkpoint (key, value)
    SELECT 'file:' || path, json_object(
        'source_id', source_id, 'device', device, 'inode', inode, 'head_size', head_size,
        'head', head, 'position', position, 'line', line,
        'is_whole', json(CASE WHEN is_whole = 1 THEN 'true' ELSE 'false' END),
        'before', before, 'modified', modified)
    FROM tail;
DROP TABLE tail;
"""

# Runs, too, have their words in the log now: it can be filtered and paged as one table.
_LOG_OF_EVERYTHING = """
ALTER TABLE log_entry RENAME COLUMN is_bad TO severity;  -- 0 information, 1 warning, 2 error
ALTER TABLE log_entry ADD COLUMN run_id INTEGER;         -- what it is about
ALTER TABLE log_entry ADD COLUMN audience_id INTEGER;
ALTER TABLE log_entry ADD COLUMN process TEXT NOT NULL DEFAULT '';  -- that did it
CREATE INDEX log_entry_by_time ON log_entry (at, id);
INSERT INTO log_entry (at, kind, text, severity, run_id, process)
    SELECT started_at, kind,
        CASE kind WHEN 'sync' THEN 'Sync' WHEN 'compare' THEN 'Comparison'
            WHEN 'reconcile' THEN 'Repair' ELSE 'Live session' END
        || ' started: run ' || id || '.',
        0, id, CASE WHEN pid IS NULL THEN '' ELSE 'process ' || pid || ' on ' || host END
    FROM run ORDER BY id;
INSERT INTO log_entry (at, kind, text, severity, run_id, process)
    SELECT ended_at, kind,
        CASE kind WHEN 'sync' THEN 'Sync' WHEN 'compare' THEN 'Comparison'
            WHEN 'reconcile' THEN 'Repair' ELSE 'Live session' END
        || ' ended: run ' || run.id || ', ' || CASE kind || ' ' || status
            WHEN 'compare delivered' THEN 'equal' WHEN 'compare partial' THEN 'different'
            WHEN 'reconcile delivered' THEN 'repaired'
            WHEN 'reconcile partial' THEN 'differences left' ELSE status END || '. '
        || CASE WHEN added > 0 THEN printf('%,d added, ', added) ELSE '' END
        || CASE WHEN removed > 0 THEN printf('%,d removed, ', removed) ELSE '' END
        || CASE WHEN rejected > 0 THEN printf('%,d rejected, ', rejected) ELSE '' END
        || printf('%,d', requests) || CASE requests WHEN 1 THEN ' request.' ELSE ' requests.' END
        || CASE note WHEN '' THEN '' ELSE ' ' || substr(note, 1, 1000) END,
        CASE WHEN status IN ('stopped', 'interrupted') THEN 1 ELSE 0 END, run.id,
        CASE WHEN pid IS NULL THEN '' ELSE 'process ' || pid || ' on ' || host END
    FROM (
        SELECT id, kind, status, ended_at, note, pid, host,
            (SELECT coalesce(sum(added), 0) FROM run_audience WHERE run_id = run.id) AS added,
            (SELECT coalesce(sum(removed), 0) FROM run_audience WHERE run_id = run.id) AS removed,
            (SELECT coalesce(sum(rejected), 0) FROM run_audience WHERE run_id = run.id)
                AS rejected,
            (SELECT coalesce(sum(requests), 0) FROM run_audience WHERE run_id = run.id)
                AS requests
        FROM run) AS run
    WHERE ended_at IS NOT NULL ORDER BY id;
"""

# How many people entered and left, by the day (UTC) of the event for good, and by short intervals
# for some hours. The key of a day is (audience_id * 8 + id_type * 2 + is_member) << 24 | day: of
# all ways to count members that flip, a trigger that increments a row found by one integer is the
# only one that does not slow an import down. New members are counted by `membership_changes.py`.
_MEMBERSHIP_CHANGES = """
CREATE TABLE membership_day (
    key    INTEGER PRIMARY KEY,
    people INTEGER NOT NULL
) STRICT;
CREATE TABLE membership_recent (
    audience_id INTEGER NOT NULL,
    id_type     INTEGER NOT NULL,
    at          INTEGER NOT NULL,            -- when the interval begins
    entered     INTEGER NOT NULL,
    left        INTEGER NOT NULL,
    PRIMARY KEY (audience_id, id_type, at)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER member_flips AFTER UPDATE OF is_member ON member
    WHEN NEW.is_member <> OLD.is_member AND NEW.event_at >= 0
BEGIN
    INSERT INTO membership_day VALUES (
        ((NEW.audience_id * 8 + NEW.id_type * 2 + NEW.is_member) << 24)
        + NEW.event_at / 86400000000, 1)
    ON CONFLICT DO UPDATE SET people = people + 1;
END;
"""

# Of the missing and those who left, the ones that the next sync sends anyway (kinds 1 and 2,
# standing 2); the differences of older comparisons are gone, and so is their number.
_PENDING_IN_COMPARISONS = """
ALTER TABLE comparison ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
UPDATE comparison SET pending = (
    SELECT count(*) FROM difference WHERE comparison_id = comparison.id
    AND kind IN (1, 2) AND standing = 2
) WHERE against IS NULL;
"""

# When members began to be counted by the day, in microseconds since 1970, in a ledger that had some
# before; no row: from the first one on.
_MEMBERSHIP_COUNTED = """
CREATE TABLE membership_counted (since INTEGER NOT NULL) STRICT;
INSERT INTO membership_counted
    SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000
    WHERE EXISTS (SELECT 1 FROM member) AND NOT EXISTS (SELECT 1 FROM membership_day);
"""
# How a run ended for each of its audiences, and how many users were rejected after it, by it or
# before it; NULL: not known.
_OUTCOMES = """
ALTER TABLE run_audience ADD COLUMN outcome TEXT;
ALTER TABLE run_audience ADD COLUMN rejected_after INTEGER;
"""
# For how many users the plan of a sync was, and what happened until its end: the changes that
# arrived, and the users that other runs delivered; NULL: not known.
_SINCE_PLAN = """
UPDATE run SET kind = 'repair' WHERE kind = 'reconcile';
UPDATE log_entry SET kind = 'repair' WHERE kind = 'reconcile';
ALTER TABLE audience RENAME COLUMN last_run_at TO last_sync_at;  -- comparisons do not count
UPDATE audience SET last_sync_at = (
    SELECT max(coalesce(ended_at, started_at)) FROM run JOIN run_audience ON run_id = run.id
    WHERE audience_id = audience.id AND kind <> 'compare' AND (kind <> 'live' OR requests > 0))
WHERE 'compare' = (
    SELECT kind FROM run JOIN run_audience ON run_id = run.id
    WHERE audience_id = audience.id ORDER BY run.id DESC LIMIT 1);
ALTER TABLE run_audience ADD COLUMN planned INTEGER;
ALTER TABLE run_audience ADD COLUMN changes_since_plan INTEGER;
ALTER TABLE run_audience ADD COLUMN sent_elsewhere INTEGER;
"""

_AUDIENCE_QUERIES = """
CREATE TABLE audience_query (                -- the query that an audience is refreshed from
    audience_id  INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,              -- its name in the connection's settings
    sql          TEXT NOT NULL,
    set_at       INTEGER NOT NULL,
    refreshed_at INTEGER,                    -- the last refresh; NULL: none yet
    seconds      REAL,
    row_count    INTEGER,
    outcome      TEXT,
    note         TEXT
) STRICT;
"""

_APPLIED_LISTS = """
CREATE TABLE applied_list (                  -- the newest list of members; older events are history
    audience_id INTEGER NOT NULL,
    id_type     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    source_id   INTEGER NOT NULL,
    PRIMARY KEY (audience_id, id_type)
) STRICT, WITHOUT ROWID;
"""

# What Segment's API said last: NULL is unknown.
_SEGMENT_AUDIENCES = """
CREATE TABLE segment_space (
    id       TEXT PRIMARY KEY,
    read_at  INTEGER,                        -- when its audiences were read
    tried_at INTEGER NOT NULL,
    trouble  TEXT NOT NULL                   -- why the last attempt failed
) STRICT, WITHOUT ROWID;
CREATE TABLE segment_audience (
    space_id   TEXT NOT NULL,
    id         TEXT NOT NULL,                -- the computation ID of events
    key        TEXT NOT NULL,
    name       TEXT NOT NULL,
    is_enabled INTEGER NOT NULL,
    status     TEXT,
    size       INTEGER,
    unit       TEXT NOT NULL,                -- what the size counts, in Segment's words
    definition TEXT,
    PRIMARY KEY (space_id, id)
) STRICT, WITHOUT ROWID;
"""
# How many of the users who were not delivered after a run had no identifier of the audience's ID
# type, so that no request carried them; NULL: not known.
_UNIDENTIFIED_AFTER = "ALTER TABLE run_audience ADD COLUMN unidentified_after INTEGER;"
_QUERIES_OF_CHANGES = """
ALTER TABLE audience_query ADD COLUMN is_changes INTEGER NOT NULL DEFAULT 0;  -- else of members
ALTER TABLE audience_query ADD COLUMN overlap REAL NOT NULL DEFAULT 0;  -- s before the cursor
ALTER TABLE audience_query ADD COLUMN cursor INTEGER;  -- changes until then were read; NULL: none
ALTER TABLE audience_query ADD COLUMN column_types TEXT NOT NULL DEFAULT '{}';  -- JSON, by name
"""
# Until when Segment asked for no more requests.
_SEGMENT_WAITS = "ALTER TABLE segment_space ADD COLUMN wait_until INTEGER;"
_UNREAD_SOURCES = """
CREATE TABLE unread_source (                 -- objects and files that could not be read
    key    TEXT PRIMARY KEY,                 -- of an object: that of its checkpoint
    name   TEXT NOT NULL,
    reason TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
# When Amplitude first rejected the change that is wanted now; `rejection` has the last time.
_REJECTED_SINCE = """
ALTER TABLE member ADD COLUMN rejected_since INTEGER;
UPDATE member SET rejected_since = (SELECT at FROM rejection WHERE id = rejection_id)
WHERE rejection_id IS NOT NULL;
"""

_ERASURES = """
CREATE TABLE forgotten (                     -- people who were deleted; older events are history
    digest   BLOB PRIMARY KEY,               -- of an identifier, by the key below
    until    INTEGER NOT NULL,
    revision INTEGER NOT NULL                -- the greatest one changes with each deletion request
) STRICT, WITHOUT ROWID;
CREATE TABLE forgotten_key (key BLOB NOT NULL) STRICT;
CREATE TABLE erasure (                       -- deletion requests; who it was is not kept
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,             -- events until then are erased
    operator   TEXT NOT NULL,                -- user@host
    cohorts    INTEGER,                      -- that the person was removed from
    erased_at  INTEGER,                      -- NULL: still in a cohort, so nothing was erased
    cleaned_at INTEGER                       -- NULL: the files may still hold erased bytes
) STRICT;
CREATE TABLE erasure_identifier (            -- of requests that are not erased yet
    erasure_id INTEGER NOT NULL REFERENCES erasure (id) ON DELETE CASCADE,
    id_type    INTEGER NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (erasure_id, id_type, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE erasure_cohort (                -- the audiences whose cohorts the person has to leave
    erasure_id  INTEGER NOT NULL REFERENCES erasure (id) ON DELETE CASCADE,
    audience_id INTEGER NOT NULL,
    PRIMARY KEY (erasure_id, audience_id)
) STRICT, WITHOUT ROWID;
"""
_PRUNING = """
CREATE TABLE pruned_run (                    -- what runs did that were pruned
    day         INTEGER NOT NULL,            -- UTC, on which they ended; its first microsecond
    audience_id INTEGER NOT NULL,
    added       INTEGER NOT NULL,
    removed     INTEGER NOT NULL,
    rejected    INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    PRIMARY KEY (day, audience_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE pruning (at INTEGER NOT NULL) STRICT;  -- when the history was pruned last
"""
# JSON: names of the destinations in Amplitude that Segment sends an audience to, each with whether
# it is enabled; NULL: not known.
_SEGMENT_DESTINATIONS = "ALTER TABLE segment_audience ADD COLUMN destinations TEXT;"

_MOVED = """
CREATE TABLE moved (                         -- one row: the ledger in use is elsewhere
    address TEXT NOT NULL,                   -- what opens it
    host    TEXT NOT NULL,                   -- the machine on which it was moved, if it has a file
    at      INTEGER NOT NULL
) STRICT;
"""
_LEASE_NUMBER = """
ALTER TABLE lease ADD COLUMN number INTEGER NOT NULL DEFAULT 0;  -- how often it was taken, if that
                                             -- is counted: a file's lock can't be lost
"""
# Who did it: the name of the operator; '' where it is not known. And the run in which an audience's
# lease was taken last; NULL: in none.
_OPERATORS = """
ALTER TABLE run ADD COLUMN operator TEXT NOT NULL DEFAULT '';
ALTER TABLE log_entry ADD COLUMN operator TEXT NOT NULL DEFAULT '';
ALTER TABLE lease ADD COLUMN operator TEXT NOT NULL DEFAULT '';
ALTER TABLE lease ADD COLUMN run_id INTEGER;
CREATE INDEX log_entry_by_operator ON log_entry (operator);
"""
_RECEIVED = """
CREATE TABLE received (                      -- events of webhooks that are not merged yet
    source_id INTEGER NOT NULL,
    line      INTEGER NOT NULL,              -- of the first one
    content   BLOB NOT NULL,                 -- what they say: see `sync.ingest.received`
    PRIMARY KEY (source_id, line)
) STRICT, WITHOUT ROWID;
"""
# When a wait was recorded, to notice a clock that was set back since.
_HOLDS_KEPT_AT = "ALTER TABLE hold ADD COLUMN kept_at INTEGER NOT NULL DEFAULT 0;"
MIGRATIONS: tuple[str, ...] = (
    *(_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH),
    _REFUSED_REQUESTS,
    _HOLDS,
    _INVALID_REASONS,
    _LIST_OVERLAP,
    _OFFSETS,
    _LOG,
    _LATE_EFFECTS,
    _CHECKPOINTS,
    _LOG_OF_EVERYTHING,
    _MEMBERSHIP_CHANGES,
    _PENDING_IN_COMPARISONS,
    _MEMBERSHIP_COUNTED,
    _OUTCOMES,
    _AUDIENCE_QUERIES,
    _SINCE_PLAN,
    _APPLIED_LISTS,
    _SEGMENT_AUDIENCES,
    _UNIDENTIFIED_AFTER,
    _QUERIES_OF_CHANGES,
    _SEGMENT_WAITS,
    _UNREAD_SOURCES,
    _REJECTED_SINCE,
    _ERASURES,
    _PRUNING,
    _SEGMENT_DESTINATIONS,
    _MOVED,
    _LEASE_NUMBER,
    _OPERATORS,
    _RECEIVED,
    _HOLDS_KEPT_AT,
)
"""Step n brings a ledger from version n to n + 1. Steps are only ever appended."""


def migrate(db: Db, before: Callable[[int], None] = lambda _: None) -> None:
    """Bring the ledger to the newest version, in one transaction.

    `before` is called with the version it has, if it is an older one; no other process can change
    the ledger meanwhile. Raises `LedgerTooNew` for a ledger that a newer amp-console has written.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        version = check_version(db)
        if 0 < version < len(MIGRATIONS):
            before(version)
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def check_version(db: Db) -> int:
    """The version of a ledger. Raises `LedgerTooNew` if a newer amp-console has written it."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise LedgerTooNew(version, len(MIGRATIONS))
    return version


def _statements(script: str) -> list[str]:
    """Split a script, since `executescript` would commit the transaction around it."""
    parts: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            parts.append(pending)
            pending = ""
    return parts
