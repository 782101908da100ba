"""Runs: what each sync did, kept for the history."""

import enum
import os
import socket
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from amp_console.ledger.audiences import LABEL, audience
from amp_console.ledger.counts import outstanding
from amp_console.ledger.db import EVERY, Db
from amp_console.ledger.event_log import process_name
from amp_console.ledger.refused_requests import RefusedRequests, refused_requests
from amp_console.ledger.sources import ReadCounts
from amp_console.text import plural


class RunStatus(enum.StrEnum):
    """How a run ended.

    `delivered`: it left nothing, though users may be rejected by earlier runs. `partial`: finished,
    but it rejected users, members have no identifier to send, events were invalid, or audiences
    wait for an operator in a live session. `interrupted`: its process ended in the middle.
    """

    RUNNING = "running"
    DELIVERED = "delivered"
    PARTIAL = "partial"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class RunKind(enum.StrEnum):
    """What a run is for: to deliver, to compare cohorts, to repair them, or to follow events.

    `forget` removes people who asked to be deleted.
    """

    SYNC = "sync"
    COMPARE = "compare"
    REPAIR = "repair"
    LIVE = "live"
    FORGET = "forget"


class AudienceCounts(msgspec.Struct, frozen=True):
    """What one run did for one audience.

    `note` says why users are still pending. `is_stuck`: no sync delivers them before an operator
    acts on it.
    """

    added: int = 0
    removed: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0
    note: str = ""
    is_stuck: bool = False


def total_of(counted: Iterable[AudienceCounts]) -> AudienceCounts:
    """The sum over audiences, without their notes."""
    total = AudienceCounts()
    for counts in counted:
        total = AudienceCounts(
            total.added + counts.added,
            total.removed + counts.removed,
            total.rejected + counts.rejected,
            total.requests + counts.requests,
            total.retries + counts.retries,
        )
    return total


class ComparisonTotals(msgspec.Struct, frozen=True):
    """What the comparisons of one run found: in so many cohorts, so many users.

    The `differing` ones are neither pending nor rejected.
    """

    cohorts: int = 0
    differing: int = 0
    pending: int = 0
    rejected: int = 0

    def __str__(self) -> str:
        """In words: "3 users differ, 2 pending"."""
        differ = plural(self.differing, "user differs", "users differ")
        first = differ if self.differing else "no user differs"
        rest = ((self.pending, "pending"), (self.rejected, "rejected"))
        return ", ".join([first, *(f"{count:,} {word}" for count, word in rest if count)])


class Run(msgspec.Struct, frozen=True):
    """One run, summed over its audiences, finished or not. A run without an end is under way.

    `tally` is what was read for it; `holder` names its process ("process 71 on desk"), `operator`
    who uses that ("ana@laptop"; "" where that is not known); `refused`
    are the requests that a receiver of webhooks refused, the most recent reason first. So many
    users were `pending` after it (None: not known), for one audience because of `why` (see `left`);
    `rejected_after` could not be delivered: the `unidentified_after` had no identifier to send, the
    others were rejected by this run or an earlier one. `found` is what its comparisons found. An
    interrupted run ended when it was last seen alive.
    """

    id: int
    kind: RunKind
    started_at: int
    ended_at: int | None
    status: RunStatus
    note: str
    tally: ReadCounts
    audiences: int
    added: int
    removed: int
    rejected: int
    requests: int
    retries: int
    holder: str
    operator: str = ""
    refused: tuple[RefusedRequests, ...] = ()
    pending: int | None = None
    why: str = ""
    rejected_after: int | None = None
    unidentified_after: int | None = None
    found: ComparisonTotals = ComparisonTotals()
    left: "tuple[RunAudience, ...]" = ()
    """The audiences with pending users, where these are pending for more than one reason."""

    @property
    def rejected_earlier(self) -> int | None:
        """How many users earlier runs rejected; None: not known."""
        return rejected_earlier(self.rejected, self.rejected_after, self.unidentified_after)

    @property
    def has_rejected(self) -> bool:
        """Whether it rejected anyone, or left someone who could not be delivered."""
        return bool(self.rejected or self.rejected_after)


def rejected_earlier(
    rejected: int, rejected_after: int | None, unidentified_after: int | None
) -> int | None:
    """How many users earlier runs rejected, by the counts of a `Run`; None: not known.

    A run that rejected users itself does not tell them apart.
    """
    if rejected or rejected_after == 0:
        return 0
    if rejected_after is None or unidentified_after is None:
        return None
    return rejected_after - unidentified_after


class RunAudience(msgspec.Struct, frozen=True):
    """What a run did for one audience; so many users were `pending` after it (None: not known).

    While it is under way they are pending now. `is_broken`: they are pending because the audience's
    link is broken to this day. `is_settled`: none of them is pending anymore. `obstacle`: why no
    run delivers them before an operator acts; "" if the next one does.
    """

    audience_id: int
    key: str
    name: str
    counts: AudienceCounts
    pending: int | None
    is_broken: bool = False
    is_settled: bool = False
    obstacle: str = ""


def begin_run(db: Db, tally: ReadCounts, now: int, lock: str, kind: RunKind = RunKind.SYNC) -> int:
    """Start a run that delivers, among others, what was read as `tally`; return its id.

    `lock` is what `hold_run` gave: the run is alive as long as it is held.
    """
    holder = lock, os.getpid(), socket.gethostname()
    row = db.execute(
        "INSERT INTO run "
        "(kind, started_at, read, changes, filtered, invalid, lock, pid, host, operator) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, this_operator()) RETURNING id",
        (kind, now, tally.read, tally.valid, tally.filtered, tally.invalid, *holder),
    ).fetchone()
    return int(row[0])


def record_audience(
    db: Db, run_id: int, audience_id: int, counts: AudienceCounts, now: int
) -> None:
    """Keep what a run did for an audience, and how many users are pending or failed after it.

    Called again, it replaces what was kept. While a live session has sent nothing for an audience,
    the audience was not in a run.
    """
    left = outstanding(db, audience(db, audience_id))
    db.execute(
        "INSERT INTO run_audience (run_id, audience_id, added, removed, rejected, "
        "requests, retries, note, is_stuck, pending, rejected_after, unidentified_after) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (run_id, audience_id) DO UPDATE SET added = excluded.added, "
        "removed = excluded.removed, rejected = excluded.rejected, requests = excluded.requests, "
        "retries = excluded.retries, note = excluded.note, is_stuck = excluded.is_stuck, "
        "pending = excluded.pending, rejected_after = excluded.rejected_after, "
        "unidentified_after = excluded.unidentified_after",
        (
            run_id,
            audience_id,
            counts.added,
            counts.removed,
            counts.rejected,
            counts.requests,
            counts.retries,
            counts.note,
            counts.is_stuck,
            left.pending,
            left.failed,
            left.unidentified,
        ),
    )
    db.execute(
        "UPDATE audience SET last_sync_at = ?1 WHERE id = ?2 AND (?3 > 0 OR "
        "(SELECT kind FROM run WHERE id = ?4) NOT IN ('live', 'compare'))",
        (now, audience_id, counts.requests, run_id),
    )


def keep_tally(db: Db, run_id: int, tally: ReadCounts) -> None:
    """Record what was read during a run."""
    db.execute(
        "UPDATE run SET read = ?, changes = ?, filtered = ?, invalid = ? WHERE id = ?",
        (tally.read, tally.valid, tally.filtered, tally.invalid, run_id),
    )


def continue_run(db: Db, run_id: int) -> bool:
    """Mark a run as running again, if it was taken for dead; only for the process that has it.

    A server that was restarted has released its lock for a moment. Returns whether it was marked.
    """
    changed = db.execute(
        "UPDATE run SET status = 'running', ended_at = NULL "
        "WHERE id = ? AND status = 'interrupted' AND lock IS NOT NULL",
        (run_id,),
    )
    return changed.rowcount > 0


def end_run(db: Db, run_id: int, status: RunStatus, note: str, now: int) -> None:
    """Record how a run ended."""
    db.execute(
        "UPDATE run SET ended_at = ?, status = ?, note = ?, lock = NULL WHERE id = ?",
        (now, status, note, run_id),
    )


_SUMMED = (
    "SELECT run.id, run.kind, started_at, ended_at, status, run.note, read, changes, filtered, "
    "invalid, pid, host, operator, count(audience_id), "
    "coalesce(sum(added), 0), coalesce(sum(removed), 0), "
    "coalesce(sum(run_audience.rejected), 0), coalesce(sum(requests), 0), "
    "coalesce(sum(retries), 0), "
    "sum(run_audience.pending), coalesce(max(run_audience.note), ''), sum(rejected_after), "
    "sum(unidentified_after), max(cohorts), max(found.differing), max(found.pending), "
    "max(found.rejected), "
    "count(DISTINCT CASE WHEN run_audience.pending > 0 THEN run_audience.note END) "
    "FROM run LEFT JOIN (SELECT run_id, count(*) AS cohorts, sum(pending) AS pending, "
    "sum(missing + has_left + strangers - pending - missing_rejected) AS differing, "
    "sum(missing_rejected) AS rejected FROM comparison GROUP BY run_id) AS found "
    "ON found.run_id = run.id LEFT JOIN run_audience ON run_audience.run_id = run.id "
)
_SUMS, _AFTER, _FOUND, _REASONS = 13, 19, 23, 27  # where they begin, and what comes after them
COUNTS = (
    "run_audience.added, run_audience.removed, run_audience.rejected, run_audience.requests, "
    "run_audience.retries, run_audience.note, run_audience.is_stuck"
)


def all_runs(db: Db, limit: int = EVERY, dead: Collection[int] = ()) -> list[Run]:
    """Every run, or the last `limit` ones, the newest first.

    `dead` are the ids from `Ledger.dead_runs`: such a run is interrupted, although it is still
    marked running. Without them a run has the status it is marked with.
    """
    rows = db.execute(f"{_SUMMED} GROUP BY run.id ORDER BY run.id DESC LIMIT ?", (limit,))
    return [_run(db, row, dead) for row in rows.fetchall()]


def runs_under_way(db: Db, kind: RunKind, dead: Collection[int] = ()) -> list[Run]:
    """The runs of a kind whose processes are at work, the oldest first; `dead` as in `all_runs`."""
    rows = db.execute(
        f"{_SUMMED} WHERE run.kind = ? AND run.status = ? GROUP BY run.id ORDER BY run.id",
        (kind, RunStatus.RUNNING),
    )
    return [_run(db, row, dead) for row in rows.fetchall() if row[0] not in dead]


def live_audiences(db: Db, dead: Collection[int] = ()) -> dict[int, str]:
    """The audiences that live sessions at work deliver now; `dead` as in `all_runs`.

    A session follows every audience. One that waits, or that could not be delivered, is not live.
    Each comes with the session's operator, "" where that is the one who asks.
    """
    rows = db.execute(
        "SELECT run.id, audience.id, "
        "CASE WHEN operator = this_operator() THEN '' ELSE operator END "
        "FROM run CROSS JOIN audience LEFT JOIN run_audience "
        "ON run_id = run.id AND audience_id = audience.id "
        "WHERE run.kind = ? AND run.status = ? AND coalesce(run_audience.note = '', "
        "enabled = 1 AND broken IS NULL AND cohort_id IS NOT NULL)",
        (RunKind.LIVE, RunStatus.RUNNING),
    )
    return {audience_id: by for run_id, audience_id, by in rows if run_id not in dead}


def audiences_sent_to(db: Db, since: int) -> frozenset[int]:
    """The audiences to whose cohorts a run has sent requests that were under way after this moment.

    It is in microseconds since 1970.
    """
    rows = db.execute(
        "SELECT DISTINCT audience_id FROM run_audience JOIN run ON run.id = run_id "
        "WHERE requests > 0 AND run.kind <> ? AND (ended_at IS NULL OR ended_at > ?)",
        (RunKind.COMPARE, since),
    )
    return frozenset(audience_id for (audience_id,) in rows)


def delivering_audiences(db: Db, dead: Collection[int] = ()) -> frozenset[int]:
    """The audiences whose cohorts a run is changing now; `dead` as in `all_runs`.

    A run does so from its first request for an audience until it has finished it, a live session
    while a request is open. Meanwhile no size of the cohort can be compared with the ledger's.
    """
    rows = db.execute(
        "SELECT run.id, request.audience_id FROM run JOIN request ON request.run_id = run.id "
        "WHERE run.status = ?1 AND run.kind <> ?2 AND NOT EXISTS (SELECT 1 FROM run_audience "
        "WHERE run_audience.run_id = run.id "
        "AND run_audience.audience_id = request.audience_id) "
        "UNION SELECT run.id, request.audience_id FROM request JOIN run ON run.id = request.run_id "
        "WHERE request.state = 'open' AND run.status = ?1",
        (RunStatus.RUNNING, RunKind.LIVE),
    )
    return frozenset(audience_id for run_id, audience_id in rows if run_id not in dead)


def failed_since(db: Db, note: str, outside_runs: int | None = None) -> int | None:
    """When a run last ended with a note that begins so, in microseconds since 1970.

    `outside_runs` is when the same happened to something that is no run, if it did. None where
    neither did, or where Amplitude has answered another run since: it confirmed a request, also of
    a session that is still under way, or a cohort was compared.
    """
    (of_a_run,) = db.execute(
        "SELECT max(ended_at) FROM run WHERE note LIKE ?", (f"{note}%",)
    ).fetchone()
    failed_at = max(of_a_run or 0, outside_runs or 0)
    if not failed_at:
        return None
    answered = db.execute(
        "SELECT 1 FROM run WHERE (ended_at IS NULL OR ended_at > ?) AND (EXISTS (SELECT 1 FROM "
        "request WHERE request.run_id = run.id AND state = 'confirmed' AND settled_at > ?) OR "
        "(ended_at IS NOT NULL AND EXISTS (SELECT 1 FROM comparison WHERE comparison.run_id = "
        "run.id))) LIMIT 1",
        (failed_at, failed_at),
    ).fetchone()
    return int(failed_at) if answered is None else None


def run(db: Db, run_id: int, dead: Collection[int] = ()) -> Run | None:
    """One run; None if there is none with this id; `dead` as in `all_runs`."""
    row = db.execute(f"{_SUMMED} WHERE run.id = ? GROUP BY run.id", (run_id,)).fetchone()
    return None if row is None else _run(db, row, dead)


def run_audiences(db: Db, run_id: int) -> list[RunAudience]:
    """What a run did for each of its audiences, by name, also for those that are under way."""
    rows = db.execute(
        f"SELECT audience.id, key, {LABEL}, pending, broken, {COUNTS} "
        "FROM run_audience JOIN audience ON audience.id = audience_id WHERE run_id = ?",
        (run_id,),
    )
    recorded = [
        RunAudience(id_, key, name, counts, pending, bool(broken) and counts.note == broken)
        for id_, key, name, pending, broken, counts in (
            (*row[:5], read_counts(row[5:])) for row in rows
        )
    ]
    under_way = [
        RunAudience(known.id, known.key, known.name, counts, outstanding(db, known).pending)
        for known, counts in (
            (audience(db, audience_id), counts)
            for audience_id, counts in _unrecorded(db, run_id, UNDER_WAY).items()
        )
    ]
    return sorted(recorded + under_way, key=lambda item: (item.name.casefold(), item.audience_id))


def read_counts(row: Sequence[Any]) -> AudienceCounts:
    """What was selected as `COUNTS`."""
    values = list(row)
    values[-1] = bool(values[-1])
    return AudienceCounts(*values)


def _run(db: Db, row: Sequence[Any], dead: Collection[int]) -> Run:
    id_, kind, start, end, status, note, *tally, pid, host, operator = row[:_SUMS]
    holder = process_name(pid, host) if pid else ""
    if status == RunStatus.RUNNING and id_ in dead:
        status, end = RunStatus.INTERRUPTED, _last_sign(db, id_)
    refused = refused_requests(db, id_) if kind == RunKind.LIVE else ()
    sums = row[_SUMS:_AFTER]
    is_followed = kind == RunKind.LIVE and status == RunStatus.RUNNING
    if end is None or status == RunStatus.INTERRUPTED:
        sums = _with_unrecorded(sums, _unrecorded(db, id_, "").values())
    found = ComparisonTotals(*(count or 0 for count in row[_FOUND:_REASONS]))
    left = [item for item in run_audiences(db, id_) if item.pending] if row[_REASONS] > 1 else ()
    if is_followed:  # a session follows every audience
        (audiences,) = db.execute("SELECT count(*) FROM audience").fetchone()
        sums = audiences, *sums[1:]
    counted = *sums, holder, operator, tuple(refused)
    rest = (*counted, *row[_AFTER:_FOUND], found, tuple(left))
    return Run(id_, RunKind(kind), start, end, RunStatus(status), note, ReadCounts(*tally), *rest)


def _with_unrecorded(sums: Sequence[int], more: Collection[AudienceCounts]) -> tuple[int, ...]:
    """Add what a run did for audiences that are under way to how many it has, and its counts."""
    audiences, added, removed, rejected, requests, retries = sums
    recorded = AudienceCounts(added, removed, rejected, requests, retries)
    total = total_of([recorded, *more])
    counts = total.added, total.removed, total.rejected, total.requests, total.retries
    return (audiences + len(more), *counts)


UNDER_WAY = "Under way."
INTERRUPTED = "The process ended before this audience was finished."
NEVER_SENT = "The process ended before this was sent."
"""What is kept of a request in place of its answer."""

_LAST_SIGN = (
    "SELECT max(started_at, coalesce(("
    " SELECT max(max(sent_at, CASE state WHEN 'confirmed' THEN settled_at ELSE 0 END))"
    " FROM request WHERE run_id = run.id), 0)) FROM run WHERE id = ?"
)


def running_locks(db: Db) -> dict[int, str | None]:
    """The runs that are marked running, and the names of their locks."""
    return dict(db.execute("SELECT id, lock FROM run WHERE status = 'running'").fetchall())


def end_dead_runs(db: Db, dead: Collection[int]) -> None:
    """End the runs whose process is gone, with what their requests say they did.

    Their requests without an answer are voided by the next holder of the audience's lease.
    """
    for run_id in set(dead) & set(running_locks(db)):
        _recount(db, run_id)
        db.execute(
            "UPDATE run SET status = 'interrupted', ended_at = ? WHERE id = ?",
            (_last_sign(db, run_id), run_id),
        )


def _last_sign(db: Db, run_id: int) -> int:
    """When a run that died was last known to be alive: it sent something, or got an answer."""
    return int(db.execute(_LAST_SIGN, (run_id,)).fetchone()[0])


# What the requests of a run say it did for the audiences that it has not recorded yet.
_UNRECORDED = (
    "SELECT audience_id, "
    "sum(CASE WHEN is_settled AND operation = 'add' THEN size - skipped ELSE 0 END), "
    "sum(CASE WHEN is_settled AND operation = 'remove' THEN size - skipped ELSE 0 END), "
    "sum(skipped + refused), sum(is_over) + max(CASE WHEN state = 'open' THEN 1 ELSE 0 END) FROM ("
    " SELECT request.*, kind = 'membership' AND state = 'confirmed' AS is_settled,"
    # Of several that are open, one was sent: the next one is opened meanwhile.
    f" CASE WHEN state <> 'open' AND answer <> '{NEVER_SENT}' THEN 1 ELSE 0 END AS is_over,"
    "  coalesce(users, 0) AS refused"
    " FROM request LEFT JOIN ("
    "  SELECT rejection.request_id, count(*) AS users FROM rejection JOIN member"
    "  ON rejection_id = rejection.id WHERE code = 'refused_by_amplitude'"
    "  GROUP BY rejection.request_id) AS named ON named.request_id = request.id"
    " WHERE run_id = ?1 AND audience_id NOT IN"
    "  (SELECT audience_id FROM run_audience WHERE run_id = ?1)) AS done GROUP BY audience_id"
)


def _unrecorded(db: Db, run_id: int, note: str) -> dict[int, AudienceCounts]:
    """What was done for the audiences that are not finished; retries are not known."""
    rows = db.execute(_UNRECORDED, (run_id,))
    return {
        audience_id: AudienceCounts(added, removed, rejected, requests, note=note)
        for audience_id, added, removed, rejected, requests in rows
    }


def done_unrecorded(db: Db, run_id: int) -> dict[int, int]:
    """How many users were answered for, of each audience that the run has not finished."""
    return {
        audience_id: counts.added + counts.removed + counts.rejected
        for audience_id, counts in _unrecorded(db, run_id, "").items()
    }


def _recount(db: Db, run_id: int) -> None:
    """Keep what was done for the audiences that were not finished."""
    db.executemany(
        "INSERT INTO run_audience "
        "(run_id, audience_id, added, removed, rejected, requests, note) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (run_id, id_, c.added, c.removed, c.rejected, c.requests, c.note)
            for id_, c in _unrecorded(db, run_id, INTERRUPTED).items()
        ],
    )
