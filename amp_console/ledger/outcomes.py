"""How a run ended: for each of its audiences, and as a whole the worst of them.

- delivered: every user that the run was for is delivered. Users that earlier runs rejected and
  members without an identifier are not among them: there is nothing to send.
- partial: the same, but the run rejected users itself, or events were invalid. Of a comparison and
  of a repair: differences are left.
- incomplete: changes that the run was for are still pending. Changes that arrive while it is under
  way, after its last request, are the next run's.
- interrupted: its process ended first.
"""

from collections.abc import Collection, Iterable

import msgspec

from amp_console.ledger.audiences import audience
from amp_console.ledger.comparisons import comparisons_in
from amp_console.ledger.db import Db
from amp_console.ledger.runs import (
    COUNTS,
    INTERRUPTED,
    AudienceCounts,
    Run,
    RunAudience,
    RunKind,
    RunStatus,
    read_counts,
    run,
)
from amp_console.text import first_sentence

WAITING = "waiting: "
GOES_LIVE = "It goes live when that has finished."
NO_COHORT = f"{WAITING}no cohort"
OFF = f"{WAITING}disabled"
BROKEN = f"{WAITING}broken link"
LARGE_REMOVAL = f"{WAITING}large removal"
PAUSED = "paused: nothing is sent"
STOPPED = "Stopped; the rest stays pending."
_WAITS = frozenset({NO_COHORT, OFF, LARGE_REMOVAL, PAUSED})
"""The notes of audiences that wait in a live session for what an operator decides."""
_FROM_BEST = (
    RunStatus.DELIVERED,
    RunStatus.PARTIAL,
    RunStatus.STOPPED,
    RunStatus.INTERRUPTED,
    RunStatus.RUNNING,
)


class AudienceRun(msgspec.Struct, frozen=True):
    """One of an audience's runs, what it did for this audience, and how and when it ended for it.

    `at` is in microseconds since 1970; of a run under way it is when it began, or last delivered.
    """

    run: Run
    counts: AudienceCounts
    status: RunStatus
    at: int


def audience_outcome(
    kind: RunKind,
    counts: AudienceCounts,
    *,
    differs: bool = False,
) -> RunStatus:
    """How a run ended for one audience; its note explains why users are still pending.

    `differs`: a comparison found differences, a repair left some, or a deletion request could not
    remove someone.
    """
    if counts.note == INTERRUPTED:
        return RunStatus.INTERRUPTED
    if counts.note:
        return RunStatus.STOPPED
    if kind in {RunKind.COMPARE, RunKind.REPAIR, RunKind.FORGET}:
        return RunStatus.PARTIAL if differs else RunStatus.DELIVERED
    return RunStatus.PARTIAL if counts.rejected else RunStatus.DELIVERED


def worst(outcomes: Iterable[RunStatus], *, invalid: int = 0) -> RunStatus:
    """How a run ended as a whole, which may have read `invalid` events."""
    least = RunStatus.PARTIAL if invalid else RunStatus.DELIVERED
    return max((least, *outcomes), key=_FROM_BEST.index)


def at_the_end(note: str) -> str:
    """The note of an audience in a live session that has ended: it no longer waits for anything."""
    if note == PAUSED:
        return "was paused"
    note = note.removesuffix(f" {GOES_LIVE}")
    return note.replace(WAITING, "waited: ", 1) if note.startswith(WAITING) else note


def waits_for_operator(counts: AudienceCounts) -> bool:
    """Whether a live session does not deliver an audience before an operator acts on it."""
    return counts.is_stuck or counts.note in _WAITS


def waits_for(found: RunAudience) -> str:
    """What an audience waited for when a live session ended, in a few words; "" if it did not."""
    if not waits_for_operator(found.counts):
        return ""
    if found.is_broken:
        return "broken link"
    if found.counts.note == PAUSED:
        return "paused"
    return first_sentence(found.counts.note.removeprefix(WAITING))


def keep_outcome(db: Db, run_id: int, audience_id: int, status: RunStatus) -> None:
    """Keep how a run ended for an audience, which `record_audience` has recorded."""
    db.execute(
        "UPDATE run_audience SET outcome = ? WHERE run_id = ? AND audience_id = ?",
        (status, run_id, audience_id),
    )


def runs_of_audience(
    db: Db,
    audience_id: int,
    limit: int,
    dead: Collection[int] = (),
    kinds: Collection[RunKind] = tuple(RunKind),
) -> list[AudienceRun]:
    """The last runs of an audience, the newest first; `dead` as in `all_runs`.

    A live session that sent nothing for it, because it waited, does not count as one of its runs.
    The newest run that is not a comparison ended when the audience was last synced.
    """
    last_sync_at = audience(db, audience_id).last_sync_at
    rows = db.execute(
        f"SELECT run_id, outcome, pending, {COUNTS} FROM run_audience "
        "JOIN run ON run.id = run_id WHERE audience_id = ? "
        "AND (run_audience.requests > 0 OR run.kind <> ?) "
        f"AND run.kind IN ({', '.join('?' * len(kinds))}) ORDER BY run_id DESC LIMIT ?",
        (audience_id, RunKind.LIVE, *kinds, limit),
    ).fetchall()
    found = []
    for run_id, outcome, pending, *row in rows:
        known, counts = run(db, run_id, dead), read_counts(row)
        assert known is not None
        own = RunStatus(outcome) if outcome else _unkept(db, known, audience_id, counts, pending)
        at = known.ended_at or known.started_at
        if known.kind is not RunKind.COMPARE:
            if known.status is not RunStatus.INTERRUPTED:
                at = last_sync_at or at
            last_sync_at = None
        found.append(AudienceRun(known, counts, own, at))
    return found


def _unkept(
    db: Db, found: Run, audience_id: int, counts: AudienceCounts, pending: int | None
) -> RunStatus:
    """How a run is going for an audience, or how it ended if that was not recorded."""
    if found.status in {RunStatus.RUNNING, RunStatus.INTERRUPTED}:
        return found.status
    compared = [item for item in comparisons_in(db, found.id) if item.audience_id == audience_id]
    if found.kind is RunKind.REPAIR:
        differs = found.status is RunStatus.PARTIAL
    else:
        differs = any(item.differing for item in compared)
    if pending and not counts.note:  # an older version did not say why
        return RunStatus.STOPPED
    return audience_outcome(found.kind, counts, differs=differs)
