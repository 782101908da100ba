"""The history of a ledger, across processes: imports, runs, live sessions, settings."""

from collections.abc import Collection, Iterator

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.event_log import log_entries
from amp_console.ledger.runs import Run, RunKind, RunStatus, all_runs, this_process
from amp_console.text import clean, plural

MAX_LENGTH = 200  # characters of a note
_NAMES = {
    RunKind.SYNC: "Sync",
    RunKind.COMPARE: "Comparison",
    RunKind.RECONCILE: "Repair",
    RunKind.LIVE: "Live session",
}
_OUTCOMES = {
    (RunKind.COMPARE, RunStatus.DELIVERED): "equal",
    (RunKind.COMPARE, RunStatus.PARTIAL): "different",
    (RunKind.RECONCILE, RunStatus.DELIVERED): "repaired",
    (RunKind.RECONCILE, RunStatus.PARTIAL): "differences left",
}
_BAD = {RunStatus.STOPPED, RunStatus.INTERRUPTED}


class HistoryEntry(msgspec.Struct, frozen=True):
    """One line of the history; `at` in microseconds since 1970.

    `is_bad`: an operator should check it. `run_id` is the run it is about.
    """

    at: int
    text: str
    is_bad: bool = False
    run_id: int | None = None


def run_outcome(kind: RunKind, status: RunStatus) -> str:
    """How a run of any kind ended, in one or two words."""
    return _OUTCOMES.get((kind, status), str(status))


def history(db: Db, limit: int, dead: Collection[int] = ()) -> list[HistoryEntry]:
    """What was done last, the newest first; `limit` is the most entries of each kind.

    `dead` as in `all_runs`.
    """
    found = [
        HistoryEntry(log_entry.at, log_entry.text, log_entry.is_bad)
        for log_entry in log_entries(db, limit)
    ]
    for run in all_runs(db, limit, dead):
        found += _of_run(run)
    # Of a run that began and ended within a moment, the end is the newer one.
    return sorted(found, key=lambda item: item.at, reverse=True)


def _of_run(run: Run) -> Iterator[HistoryEntry]:
    name = _NAMES[run.kind]
    if run.ended_at is not None:
        yield HistoryEntry(run.ended_at, _ended(run, name), run.status in _BAD, run.id)
    audiences = f" of {plural(run.audiences, 'audience')}" if run.audiences else ""
    holder = f", {run.holder}" if run.holder not in {"", this_process()} else ""
    yield HistoryEntry(
        run.started_at, f"{name}{audiences} started: run {run.id}{holder}.", run_id=run.id
    )


def _ended(run: Run, name: str) -> str:
    outcome = run_outcome(run.kind, run.status)
    counts = [
        f"{run.added:,} added" if run.added else "",
        f"{run.removed:,} removed" if run.removed else "",
        f"{run.rejected:,} rejected" if run.rejected else "",
        plural(run.requests, "request"),
    ]
    figures = ", ".join(count for count in counts if count)
    note = f" {clean(run.note, MAX_LENGTH)}" if run.note else ""
    return f"{name} ended: run {run.id}, {outcome}. {figures}.{note}"
