"""What was done with a ledger, by any process: imports, runs, live sessions, settings."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePath

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogEntry, LogKind, log_entries
from amp_console.ledger.runs import Run, RunKind, RunStatus, all_runs, this_process
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.reconcile.descriptions import outcome_of
from amp_console.text import clean, plural

LONGEST = 200  # characters of a name or note
MOST_NAMES = 3  # files that an entry names
_NAMES = {
    RunKind.SYNC: "Sync",
    RunKind.COMPARE: "Comparison",
    RunKind.RECONCILE: "Repair",
    RunKind.LIVE: "Live session",
}
_BAD = {RunStatus.STOPPED, RunStatus.INTERRUPTED}


class HistoryEntry(msgspec.Struct, frozen=True):
    """One line of the history; `at` in microseconds since 1970.

    `is_bad`: an operator should look at it. `run_id` is the run that it is about.
    """

    at: int
    text: str
    is_bad: bool = False
    run_id: int | None = None


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
    of = f" of {plural(run.audiences, 'audience')}" if run.audiences else ""
    holder = f", {run.holder}" if run.holder not in {"", this_process()} else ""
    yield HistoryEntry(run.started_at, f"{name}{of} started: run {run.id}{holder}.", run_id=run.id)


def _ended(run: Run, name: str) -> str:
    outcome = outcome_of(run.kind, run.status)
    counts = [
        f"{run.added:,} added" if run.added else "",
        f"{run.removed:,} removed" if run.removed else "",
        f"{run.rejected:,} rejected" if run.rejected else "",
        plural(run.requests, "request"),
    ]
    told = ", ".join(count for count in counts if count)
    note = f" {clean(run.note, LONGEST)}" if run.note else ""
    return f"{name} ended: run {run.id}, {outcome}. {told}.{note}"


def import_entry(
    names: Sequence[str],
    tally: ReadCounts,
    now: int,
    *,
    was_stopped: bool = False,
    unreadable: Sequence[str] = (),
    is_snapshot: bool = False,
) -> LogEntry:
    """Describe an import of these sources."""
    files = ", ".join(clean(PurePath(name).name or name, LONGEST) for name in names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        files += f" and {len(names) - MOST_NAMES:,} more"
    what = "Snapshot" if is_snapshot else "Import"
    how = " was stopped" if was_stopped else ""
    counts = (
        plural(tally.read, "event"),
        plural(tally.changes, "change"),
        f"{tally.filtered:,} filtered",
        f"{tally.invalid:,} invalid",
    )
    text = f"{what} of {files}{how}: {', '.join(counts)}."
    if unreadable:
        text += f" {plural(len(unreadable), 'source')} could not be read."
    is_bad = was_stopped or bool(unreadable) or bool(tally.invalid)
    return LogEntry(now, LogKind.IMPORT, text, is_bad)


def settings_entry(audience: Audience, changes: Iterable[str], now: int) -> LogEntry | None:
    """Describe a change of an audience's settings; None where nothing was changed."""
    told = "; ".join(changes)
    if not told:
        return None
    name = clean(audience.name, LONGEST)
    return LogEntry(now, LogKind.SETTINGS, f"Settings of “{name}” changed: {told}.")
