"""The progress of each audience of a run, and what is said about that."""

from typing import NamedTuple

from amp_console.console.jobs.runs import SyncJob
from amp_console.console.run_words import waiting
from amp_console.ledger.comparisons import Comparison, SizeCheck
from amp_console.ledger.outcomes import at_the_end
from amp_console.ledger.runs import AudienceCounts, Run, RunAudience, RunKind, RunStatus
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.reconcile.descriptions import comparison_summary, describe_size


class RunLine(NamedTuple):
    """The progress of one audience: `done` of `total` changes (None: no longer known) have answers.

    `doing` is a sentence on its activity, or on why users are still pending. `speed` is in changes
    per second, `left` in seconds. `comparison_id` is the run's comparison of the audience.
    """

    audience_id: int
    name: str
    done: int
    total: int | None
    counts: AudienceCounts
    doing: str
    tone: str = ""
    speed: float | None = None
    left: float | None = None
    is_over: bool = True
    comparison_id: int | None = None

    @property
    def delivered(self) -> int:
        """How many changes Amplitude has applied; the rejected ones are `done`, too."""
        return self.counts.added + self.counts.removed


def live_line(job: SyncJob, at: int) -> RunLine:
    """Return the line of one audience of a run of this console, under way or over."""
    plan = job.operation.plan.audiences[at]
    if job.snapshot is None:
        doing = "not started" if job.is_over else "waiting"
        return RunLine(
            plan.audience_id, plan.name, 0, plan.add + plan.remove, AudienceCounts(), doing
        )
    now = job.snapshot.audiences[at]
    is_over = now.is_over or job.is_over
    is_moving = not is_over and not job.stop.is_paused
    speed = job.speeds[at].per_second(job.elapsed) if is_moving else None
    report = job.operation.report
    left = report.audiences[at].left.pending if report is not None and report.audiences else 0
    said = report.keys_refused if report is not None else None
    doing, tone = _doing(job, now, is_over, left, said)
    return RunLine(
        plan.audience_id,
        plan.name,
        now.done,
        now.total if report is None else now.done + left,  # counted again at the end
        now.counts,
        doing,
        tone,
        speed,
        job.speeds[at].seconds_left(now.total - now.done, job.elapsed) if is_moving else None,
        is_over,
    )


def _doing(
    job: SyncJob, now: AudienceProgress, is_over: bool, left: int, said: str | None
) -> tuple[str, str]:
    if is_over and not now.is_over:
        return "stopped; the rest stays pending", "warn"
    if is_over:
        return _ended(now.state, now.counts, left, said)
    if now.wait_until is not None and job.stop.is_paused:
        return "paused", "dim"
    if now.wait_until is not None:
        return waiting(now.state, now.wait_until - job.elapsed, now.tries), "warn"
    return now.state, "dim" if now.state in {"waiting", "paused"} else ""


def _ended(
    note: str, counts: AudienceCounts, pending: int, said: str | None = None
) -> tuple[str, str]:
    """How an audience ended; `pending` users are left, or have changed in the meantime.

    `said` is what ended the whole run, which is shown above all audiences.
    """
    if said and note == said:
        return "stopped: see above", "warn"
    if note not in {"", "done"}:
        return note, "warn"
    first = f"{pending:,} pending: sync again" if pending else "done"
    if counts.rejected:
        rejected = f"{counts.rejected:,} rejected"
        return f"{rejected}; {first}" if pending else f"{first}; {rejected}", "bad"
    return first, "warn" if pending else "good"


def past_line(
    audience: RunAudience, run: Run, compared: Comparison | None, size: SizeCheck | None
) -> RunLine:
    """Return the line of one audience of a run in the history."""
    done = audience.counts.added + audience.counts.removed + audience.counts.rejected
    is_live = run.kind is RunKind.LIVE and run.status is RunStatus.RUNNING
    is_ended_session = run.kind is RunKind.LIVE and run.ended_at is not None
    counts_pending = run.kind is RunKind.SYNC or is_live or is_ended_session
    pending = audience.pending or 0 if counts_pending else 0
    note = at_the_end(audience.counts.note) if is_ended_session else audience.counts.note
    doing, tone = _ended(note, audience.counts, pending, run.note)
    if is_live and not note:
        doing, tone = f"live, {pending:,} pending" if pending else "live", "accent"
    total = None if audience.counts.note else done
    if audience.pending is not None and counts_pending:
        total = done + audience.pending
    if compared is not None:
        doing, tone = _found(compared, doing, tone, run.kind)
    elif size is not None and (said := describe_size(size)):
        doing, tone = f"{doing}; {said}", tone if size.agrees else "bad"
    return RunLine(
        audience.audience_id,
        audience.name,
        done,
        total,
        audience.counts,
        doing,
        tone,
        is_over=not is_live,
        comparison_id=None if compared is None else compared.id,
    )


def _found(compared: Comparison, doing: str, tone: str, kind: RunKind) -> tuple[str, str]:
    """What a comparison found, and what a repair did for the audience before it."""
    summary = comparison_summary(compared)
    if compared.differing:
        tone = "bad"
    if kind is RunKind.COMPARE:
        return summary, tone
    return f"{doing}; compared again: {summary}", tone
