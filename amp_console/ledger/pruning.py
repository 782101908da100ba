"""Pruning the history: what is older than a given age is deleted, its changes kept as counts."""

from collections.abc import Sequence

import msgspec

from amp_console.ledger.db import Db
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry
from amp_console.ledger.requests import delete_requests, forgettable_requests
from amp_console.text import listed, local_time, plural

DAY = 86_400_000_000  # microseconds


class Pruned(msgspec.Struct, frozen=True):
    """How much of the history was deleted, and how many `backups` of the ledger."""

    runs: int = 0
    requests: int = 0
    comparisons: int = 0
    log_entries: int = 0
    backups: int = 0

    def __str__(self) -> str:
        """In words: "2 runs and 31 requests", "nothing"."""
        counts = (
            (self.runs, "run"),
            (self.requests, "request"),
            (self.comparisons, "comparison"),
            (self.log_entries, "log entry"),
            (self.backups, "backup"),
        )
        parts = [
            plural(count, one, "log entries" if one == "log entry" else None)
            for count, one in counts
            if count
        ]
        return listed(parts) if parts else "nothing"


class EarlierRuns(msgspec.Struct, frozen=True):
    """What the pruned runs did; the last of them ended by `until`, in microseconds since 1970."""

    until: int
    added: int
    removed: int
    rejected: int
    requests: int


# A run that is over, and that nothing which is kept refers to. The newest run of each audience
# says how it is doing, and the newest sync and live session since when events were read.
_IS_OLD_RUN = (
    "ended_at < :before AND id NOT IN (SELECT run_id FROM request) "
    "AND id NOT IN (SELECT max(run_id) FROM run_audience GROUP BY audience_id) "
    "AND id NOT IN (SELECT max(id) FROM run GROUP BY kind)"
)
_OVER = "SELECT id FROM run WHERE ended_at < :before"


def old_requests(db: Db, before: int) -> list[int]:
    """The ids of the requests that `prune` deletes; see `forgettable_requests`."""
    return forgettable_requests(db, _OVER, before)


def prune(db: Db, before: int, now: int, request_ids: Sequence[int]) -> Pruned:
    """Delete the history from before a time; what runs changed is kept as counts.

    The last request of each member, the cause of each rejection, their runs, and the newest run of
    each audience are kept. `request_ids` are the `old_requests`. Both times in microseconds since
    1970.
    """
    values = {"before": before}
    db.execute(
        "DELETE FROM rejection WHERE id NOT IN "
        "(SELECT rejection_id FROM member WHERE rejection_id IS NOT NULL)"
    )
    requests = delete_requests(db, request_ids)
    comparisons = db.execute(f"DELETE FROM comparison WHERE run_id IN ({_OVER})", values).rowcount
    db.execute(
        "INSERT INTO pruned_run (day, audience_id, added, removed, rejected, requests) "
        f"SELECT ended_at - ended_at % {DAY}, audience_id, sum(run_audience.added), "
        "sum(run_audience.removed), sum(run_audience.rejected), sum(run_audience.requests) "
        "FROM run_audience JOIN (SELECT id AS old_id, ended_at FROM run "
        f"WHERE {_IS_OLD_RUN}) AS old ON old_id = run_id GROUP BY 1, 2 "
        "ON CONFLICT (day, audience_id) DO UPDATE SET added = pruned_run.added + excluded.added, "
        "removed = pruned_run.removed + excluded.removed, "
        "rejected = pruned_run.rejected + excluded.rejected, "
        "requests = pruned_run.requests + excluded.requests",
        values,
    )
    db.execute(
        f"DELETE FROM size_check WHERE run_id IN (SELECT id FROM run WHERE {_IS_OLD_RUN})", values
    )
    runs = db.execute(f"DELETE FROM run WHERE {_IS_OLD_RUN}", values).rowcount
    entries = db.execute("DELETE FROM log_entry WHERE at < :before", values).rowcount
    pruned = Pruned(runs, requests, comparisons, entries)
    if pruned != Pruned():
        text = f"History from before {local_time(before)} deleted: {pruned}."
        add_log_entry(db, LogEntry(now, LogKind.PRUNE, text))
    db.execute("DELETE FROM pruning")
    db.execute("INSERT INTO pruning (at) VALUES (?)", (now,))
    return pruned


def is_due(db: Db, now: int) -> bool:
    """Whether the history has not been pruned for a day; `now` in microseconds since 1970."""
    row = db.execute("SELECT 1 FROM pruning WHERE at > ? AND at <= ?", (now - DAY, now)).fetchone()
    return row is None


def earlier_runs(db: Db) -> EarlierRuns | None:
    """What the pruned runs did; None if there are none."""
    row = db.execute(
        f"SELECT max(day) + {DAY}, sum(added), sum(removed), sum(rejected), sum(requests) "
        "FROM pruned_run"
    ).fetchone()
    return None if row[0] is None else EarlierRuns(*map(int, row))
