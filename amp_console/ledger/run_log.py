"""What the log says of a run: one entry when it starts, one when it ends."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from amp_console.ledger.audiences import audience
from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.db import Db
from amp_console.ledger.event_log import LogEntry, LogKind, Severity, add_log_entry
from amp_console.ledger.outcomes import WAITING, waits_for
from amp_console.ledger.runs import (
    Run,
    RunAudience,
    RunKind,
    RunStatus,
    continue_run,
    end_dead_runs,
    run,
    run_audiences,
    running_locks,
)
from amp_console.text import clean, first_sentence, plural

MAX_NOTE_LENGTH = 1_000  # characters of a note
MAX_NAME_LENGTH = 200  # of the audience's name
_NAMES = {
    RunKind.SYNC: "Sync",
    RunKind.COMPARE: "Comparison",
    RunKind.REPAIR: "Repair",
    RunKind.LIVE: "Live session",
    RunKind.FORGET: "Deletion request",
}
ENDED = "ended"
"""The outcome of a live session that was ended as an operator wanted: its reason says the rest."""
_OUTCOMES = {
    (RunKind.LIVE, RunStatus.STOPPED): ENDED,
    (RunKind.COMPARE, RunStatus.DELIVERED): "same",
    (RunKind.COMPARE, RunStatus.PARTIAL): "different",
    (RunKind.REPAIR, RunStatus.DELIVERED): "repaired",
    (RunKind.REPAIR, RunStatus.PARTIAL): "differences left",
    (RunKind.FORGET, RunStatus.DELIVERED): "removed",
    (RunKind.FORGET, RunStatus.PARTIAL): "not removed",
}
_DELIVERING = {RunKind.SYNC, RunKind.LIVE}
_BAD = {RunStatus.STOPPED, RunStatus.INTERRUPTED}


def run_outcome(kind: RunKind, status: RunStatus) -> str:
    """How a run of any kind ended, in one or two words."""
    other = "incomplete" if status is RunStatus.STOPPED else str(status)
    return _OUTCOMES.get((kind, status), other)


def run_reason(ended: Run) -> str:
    """What a run left, and why, in a few words; "" where its outcome says it."""
    if ended.note:
        return ended.note
    if ended.kind is RunKind.COMPARE:
        found = ended.found
        is_same = not (found.differing or found.pending or found.rejected)
        return "; ".join(filter(None, ("" if is_same else str(found), ended.why)))
    invalid = ended.tally.invalid
    is_done = ended.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}
    is_left = ended.pending and (not is_done or ended.kind in _DELIVERING)
    since = " since" if is_done and ended.kind is RunKind.SYNC else ""
    pending = f"{ended.pending:,} pending{since}" if is_left else ""
    counts = [
        f"{ended.rejected:,} rejected" if ended.rejected else "",
        *(_not_sent(ended) if ended.kind in _DELIVERING else ()),
        plural(invalid, "invalid event") if invalid else "",
    ]
    others = ", ".join(count for count in counts if count)
    is_over = ended.status is not RunStatus.RUNNING
    why = _brief(ended.why.removeprefix(WAITING)) if is_over else ""
    if pending and is_over and ended.left:
        reason = _parts(f"{pending}: {_by_reason(ended.left)}", others)
    elif pending and why:  # which is why they are pending, and says nothing of the others
        reason = _parts(f"{pending}: {why}", others)
    else:
        what = ", ".join(filter(None, (pending, others)))
        reason = ": ".join(filter(None, (what, why)))
    if not ended.found.cohorts:
        return reason
    return _parts(reason, f"compared again: {ended.found}")


def _parts(*parts: str) -> str:
    """Those that say something, joined by semicolons: only the last one may be a sentence."""
    *others, last = filter(None, parts)
    return "; ".join((*(part.removesuffix(".") for part in others), last))


def _by_reason(left: Sequence[RunAudience]) -> str:
    """How many users are pending for each reason, the most first: "12 no cohort, 3 paused"."""
    counts: Counter[str] = Counter()
    for item in left:
        counts[_why_left(item)] += item.pending or 0
    return ", ".join(f"{count:,} {why}" for why, count in counts.most_common() if why)


def _why_left(item: RunAudience) -> str:
    return _brief(waits_for(item) or first_sentence(item.counts.note).removesuffix("."))


def _brief(why: str) -> str:
    """Why users are pending, for a list: the link's row and the run itself name the cohort."""
    return "broken link" if why.startswith(COHORT_GONE) else why


def _not_sent(ended: Run) -> Iterator[str]:
    """Who is not delivered although the run rejected none of them."""
    if ended.status not in {RunStatus.DELIVERED, RunStatus.PARTIAL}:
        return
    if ended.rejected_earlier is None:  # an older version did not count them separately
        if ended.status is RunStatus.PARTIAL:
            yield "rejected earlier or with missing IDs"
    elif ended.rejected_earlier:
        yield f"{ended.rejected_earlier:,} rejected earlier"
    if ended.unidentified_after:
        yield plural(ended.unidentified_after, "missing ID")


def log_run_start(
    db: Db, run_id: int, kind: RunKind, audience_ids: Sequence[int], now: int
) -> None:
    """Log that a run started; `audience_ids` are those that it is for, as far as is known."""
    text = f"{_NAMES[kind]}{_whose(db, audience_ids)} started: run {run_id}."
    add_log_entry(
        db,
        LogEntry(now, LogKind(kind), text, run_id=run_id, audience_id=_only(audience_ids)),
    )


def continue_run_and_log(db: Db, run_id: int, kind: RunKind, now: int) -> None:
    """Mark a run as running again, if another process took it for dead, and log that."""
    if continue_run(db, run_id):
        text = f"{_NAMES[kind]} continues: run {run_id}. Its process had lost the ledger's server."
        add_log_entry(db, LogEntry(now, LogKind(kind), text, run_id=run_id))


def log_run_end(db: Db, run_id: int) -> None:
    """Log how a run ended, once that is kept with the run."""
    ended = run(db, run_id)
    assert ended is not None
    assert ended.ended_at is not None
    severity = Severity.WARNING if ended.status in _BAD else Severity.INFORMATION
    audiences = run_audiences(db, run_id)
    audience_ids = [item.audience_id for item in audiences]
    outcome = run_outcome(ended.kind, ended.status)
    outcome = "" if outcome == "ended" else f", {outcome}"
    why = ended.note
    if not why and ended.status is RunStatus.STOPPED and ended.kind in _DELIVERING:
        why = _left_pending(audiences)
    note = f" {clean(why, MAX_NOTE_LENGTH)}" if why else ""
    entry = LogEntry(
        ended.ended_at,
        LogKind(ended.kind),
        f"{_NAMES[ended.kind]}{_whose(db, audience_ids)} ended: run {run_id}{outcome}. "
        f"{_figures(ended)}.{note}",
        severity,
        run_id,
        _only(audience_ids),
        ended.holder if ended.status is RunStatus.INTERRUPTED else "",
        operator=ended.operator,
    )
    add_log_entry(db, entry)


def _left_pending(audiences: Sequence[RunAudience]) -> str:
    """Whose users a run left pending and why, "Pending: 120 of “Newsletter” (no cohort)."."""
    found = []
    for item in audiences:
        if item.pending:
            why = _why_left(item)
            name = clean(item.name, MAX_NAME_LENGTH)
            found.append(f"{item.pending:,} of “{name}”" + (f" ({why})" if why else ""))
    return f"Pending: {', '.join(found)}." if found else ""


def end_and_log_dead_runs(db: Db, dead: Collection[int]) -> None:
    """End the runs whose process is gone, and log it; see `end_dead_runs`."""
    ended = sorted(set(dead) & set(running_locks(db)))
    end_dead_runs(db, ended)
    for run_id in ended:
        log_run_end(db, run_id)


def _only(audience_ids: Sequence[int]) -> int | None:
    return audience_ids[0] if len(audience_ids) == 1 else None


def _whose(db: Db, audience_ids: Sequence[int]) -> str:
    if (only := _only(audience_ids)) is not None:
        return f" of “{clean(audience(db, only).name, MAX_NAME_LENGTH)}”"
    return f" of {plural(len(audience_ids), 'audience')}" if audience_ids else ""


def _figures(ended: Run) -> str:
    found = ended.found
    if ended.kind is RunKind.COMPARE:
        return f"{plural(found.cohorts, 'cohort')} compared, {found}"
    counts = [
        f"{ended.added:,} added" if ended.added else "",
        f"{ended.removed:,} removed" if ended.removed else "",
        f"{ended.rejected:,} rejected" if ended.rejected else "",
        plural(ended.requests, "request"),
        f"compared again: {found}" if found.cohorts else "",
    ]
    return ", ".join(count for count in counts if count)
