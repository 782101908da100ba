"""The view of a run, whether it is under way or over.

These are plain values; the screen decides how to draw them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from amp_console.amplitude import KeysRefused
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.run_lines import RunLine, live_line, past_line
from amp_console.console.run_words import (
    OUTCOME_TONES,
    TEST_KEYS,
    UNDER_WAY,
    Except,
    advice,
    compared,
    did,
    ended,
    so_far,
    verdict,
)
from amp_console.console.words import SECOND
from amp_console.ledger.event_log import by_whom
from amp_console.ledger.outcomes import OFF, waits_for
from amp_console.ledger.runs import (
    AudienceCounts,
    Run,
    RunAudience,
    RunKind,
    RunStatus,
    rejected_earlier,
    total_of,
)
from amp_console.ledger.since_plan import SincePlan
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import AudienceReport
from amp_console.sync.formatting import refused_words, since_plan_text
from amp_console.sync.queries.run_details import RunDetails
from amp_console.text import clean, plural

DEALT_WITH = "What it left pending has been dealt with since."
PAUSED_SESSION = (
    "Paused in this console: events are read, and nothing is sent. Press 4 for Live, then P."
)


class Funnel(NamedTuple):
    """The counts of events and changes by stage, in Segment's terms. None: no longer known.

    `tally` counts events: each is filtered, invalid or valid. The other fields count changes to
    deliver; their sum is the number of the run's changes.
    """

    tally: ReadCounts
    pending: int | None
    retrying: int
    failed: int
    delivered: int

    @property
    def changes(self) -> int | None:
        """The number of the run's changes."""
        if self.pending is None:
            return None
        return self.pending + self.retrying + self.failed + self.delivered


class RunView(NamedTuple):
    """A run at one time. `outcome` is one of `OUTCOME_TONES`, or its current activity."""

    run_id: int | None
    outcome: str
    says: tuple[str, ...]
    lines: tuple[RunLine, ...]
    funnel: Funnel
    counts: AudienceCounts
    elapsed: float
    started_at: int | None = None
    kind: RunKind = RunKind.SYNC
    is_of_all: bool = False
    """Whether it included every enabled audience."""
    has_rejected: bool = False
    """Whether anyone is rejected after it, by its own requests or those of earlier runs."""

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended yet."""
        return self.outcome not in OUTCOME_TONES or self.outcome == str(RunStatus.RUNNING)

    @property
    def tone(self) -> str:
        """The tone of its outcome."""
        return OUTCOME_TONES.get(self.outcome, "accent")


def live(job: SyncJob, details: RunDetails | None = None, *, resume: str = "p") -> RunView:
    """Return the view of a run of this console, under way or over.

    For a run that is over, it gives only advice that still applies according to `details`. `resume`
    names the keys that resume it where the view is shown.
    """
    lines = tuple(live_line(job, at) for at in range(len(job.operation.plan.audiences)))
    counts = total_of(line.counts for line in lines)
    now = job.snapshot
    retrying = now.retrying if now else 0
    total, done = sum(line.total or 0 for line in lines), sum(line.done for line in lines)
    if job.operation.report is not None:  # counted again at the end: people come and go
        pending = sum(audience.left.pending for audience in job.operation.report.audiences)
    else:
        pending = total - done - retrying
    funnel = _funnel(job.operation.tally, counts, max(0, pending), retrying)
    return RunView(
        job.run_id,
        _outcome(job),
        tuple(_says_live(job, lines, counts, funnel, details, resume)),
        lines,
        funnel,
        counts,
        job.operation.report.elapsed if job.operation.report else job.elapsed,
        is_of_all=job.operation.is_of_all,
        has_rejected=bool(counts.rejected) or _left_rejected(job),
    )


def past(
    details: RunDetails, now: int, *, is_ours: bool = False, is_paused: bool = False
) -> RunView:
    """Return the view of a run from the history. Times are in microseconds since 1970.

    `is_ours`: if it is under way, it is this console's; `is_paused`: it sends nothing now.
    """
    run, audiences = details.run, details.audiences
    counts = total_of(audience.counts for audience in audiences)
    pending = _pending_after(run, audiences)
    ended_at = run.ended_at if run.ended_at is not None else now
    elapsed = max(0.0, (ended_at - run.started_at) / SECOND)
    funnel = _funnel(run.tally, counts, pending, 0)
    return RunView(
        run.id,
        "paused" if is_paused else str(run.status),
        tuple(_says_past(details, counts, funnel, elapsed, is_ours=is_ours, is_paused=is_paused)),
        tuple(
            past_line(
                audience,
                run,
                details.comparisons.get(audience.audience_id),
                details.size_checks.get(audience.audience_id),
            )
            for audience in _most_different_first(details)
        ),
        funnel,
        counts,
        elapsed,
        run.started_at,
        run.kind,
        details.is_of_all,
        run.has_rejected,
    )


def _most_different_first(details: RunDetails) -> list[RunAudience]:
    """The audiences of a run, those with the most differences first."""

    def same(audience: RunAudience) -> int:
        compared = details.comparisons.get(audience.audience_id)
        return 0 if compared is None else -compared.differing

    return sorted(details.audiences, key=same)


def _pending_after(run: Run, audiences: Sequence[RunAudience]) -> int | None:
    """Return how many changes a run left pending; None if that is unknown, or not known yet."""
    is_done = run.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}
    is_followed = run.kind is RunKind.LIVE and run.status is RunStatus.RUNNING
    if run.kind is RunKind.COMPARE or (is_done and run.kind is RunKind.REPAIR):
        return 0
    known = [audience.pending for audience in audiences if audience.pending is not None]
    is_over = is_done or run.status is RunStatus.STOPPED
    is_known = (is_over or is_followed) and len(known) == len(audiences)
    return sum(known) if is_known else None


def _funnel(
    tally: ReadCounts, counts: AudienceCounts, pending: int | None, retrying: int
) -> Funnel:
    delivered = counts.added + counts.removed
    return Funnel(tally, pending, retrying, counts.rejected, delivered)


def _left_rejected(job: SyncJob) -> bool:
    """Whether anyone is rejected or without an identifier after a run."""
    report = job.operation.report
    return report is not None and any(item.left.failed for item in report.audiences)


def _outcome(job: SyncJob) -> str:
    if job.operation.report is not None:
        return str(job.operation.report.status)
    if job.is_over:  # it was ended from outside, as the history says, or never started
        return "failed" if job.snapshot is None and not job.stop.is_asked else "stopped"
    if job.stop.is_asked:
        return "stopping"
    if job.snapshot is None:
        return "starting"
    return "paused" if job.stop.is_paused else "running"


def _step(job: SyncJob) -> str:
    """The activity of a run under way; one asked to pause still waits for its last answers."""
    step = _outcome(job)
    now = job.snapshot.audiences if job.snapshot is not None else ()
    if step == "paused" and not all(map(_is_idle, now)):
        return "pausing"
    return step


def _is_idle(now: AudienceProgress) -> bool:
    """Whether an audience is not waiting for an answer."""
    return now.is_over or now.wait_until is not None or now.state in {"waiting", "paused"}


def _so_far(lines: Sequence[RunLine], planned: int) -> str:
    counts, total = total_of(line.counts for line in lines), sum(line.total or 0 for line in lines)
    speed = sum(line.speed or 0.0 for line in lines)
    left = [line.left for line in lines if not line.is_over]
    known = [seconds for seconds in left if seconds is not None]
    max_length = max(known) if known and len(known) == len(left) else None  # in parallel
    return so_far(counts, total, planned, speed, max_length)


def _says_live(
    job: SyncJob,
    lines: Sequence[RunLine],
    counts: AudienceCounts,
    funnel: Funnel,
    details: RunDetails | None,
    resume: str,
) -> Iterator[str]:
    if not job.is_over:
        if said := UNDER_WAY.get(_step(job)):
            yield said.format(resume=resume)
        if _step(job) in {"running", "pausing", "paused"}:
            yield _so_far(lines, job.operation.planned)
        return
    report = job.operation.report
    if report is None or report.keys_refused:
        yield (report.keys_refused if report else job.failure) or ""
    elif report.status is RunStatus.STOPPED and report.was_stopped:
        stay = plural(funnel.pending or 0, "change stays", "changes stay")
        yield f"Stopped as you asked: {stay} pending."
    else:
        unidentified = sum(audience.left.unidentified for audience in report.audiences)
        failed = sum(audience.left.failed for audience in report.audiences)
        earlier = rejected_earlier(counts.rejected, failed, unidentified)
        invalid = job.operation.tally.invalid
        left_over = Except(funnel.pending, earlier, unidentified, invalid)
        whose = _whose([line.name for line in lines])
        yield verdict(str(report.status), counts, left_over, whose)
    said = report.keys_refused if report else None
    if counts.requests or not said:
        yield did(counts, report.elapsed if report else job.elapsed)
    if report is not None and report.status is not RunStatus.STOPPED:
        yield from _since_plan(report.since_plan, report.users)
    status = str(report.status) if report else "stopped"
    if details is not None and details.audiences:
        left = [_left_of(audience, audience.pending) for audience in details.audiences]
    else:
        left = [_left_after(audience) for audience in (report.audiences if report else ())]
    still = details.still_rejected if details is not None else None
    yield from _advice(status, counts, job.operation.tally, left, said, still)


def _says_past(
    details: RunDetails,
    counts: AudienceCounts,
    funnel: Funnel,
    elapsed: float,
    *,
    is_ours: bool,
    is_paused: bool,
) -> Iterator[str]:
    run, audiences = details.run, details.audiences
    found = compared(run.kind, run.found)
    if run.status is RunStatus.RUNNING and is_ours:
        yield PAUSED_SESSION if is_paused else "This console is running it."
    elif run.status is RunStatus.RUNNING and run.holder:
        yield f"Another amp-console ({by_whom(details.operator, run.holder)}) is running it."
        if run.kind is RunKind.SYNC and run.requests:
            done = counts.added + counts.removed + counts.rejected
            total = done + sum(audience.pending or 0 for audience in audiences)
            yield so_far(counts, total, total, 0.0, None)
    else:
        pending = [(item, waits_for(item)) for item in audiences if item.pending]
        is_live = run.kind is RunKind.LIVE and all(why for _, why in pending)
        waiting = tuple(f"{clean(item.name)} ({why})" for item, why in pending if is_live)
        left_over = Except(
            funnel.pending,
            run.rejected_earlier,
            run.unidentified_after,
            run.tally.invalid,
            waiting,
        )
        said = run.note or ended(
            run.kind, str(run.status), counts, left_over, _whose([item.name for item in audiences])
        )
        yield from filter(None, (said, found))
    if run.ended_at is not None and details.operator:
        yield f"Run by {details.operator}."
    if run.ended_at is not None and (counts.requests or not run.note):
        yield did(counts, elapsed, run.kind)
        if run.kind is RunKind.SYNC and run.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}:
            yield from _since_plan(details.since_plan, funnel.changes)
    if run.refused:
        yield f"Requests: {refused_words(run.refused)}. The last one: {run.refused[0].message}"
    is_sending = run.kind is not RunKind.COMPARE
    left = [_left_of(item, item.pending if is_sending else 0) for item in audiences]
    status, still = str(run.status), details.still_rejected
    yield from _advice(status, counts, run.tally, left, run.note, still, run.kind)


def _whose(names: Sequence[str]) -> str:
    """Name the audience of a run, or say how many it included."""
    return clean(names[0]) if len(names) == 1 else plural(len(names), "audience")


def _since_plan(since: SincePlan | None, users: int | None) -> Iterator[str]:
    """Say why a finished run included more or fewer users than its plan."""
    if since is not None and users is not None and (text := since_plan_text(since, users)):
        yield text


class _Left(NamedTuple):
    """An audience after a run, with the number of changes left pending (None: unknown).

    `is_settled` and `obstacle` as in `RunAudience`.
    """

    name: str
    counts: AudienceCounts
    pending: int | None
    is_settled: bool
    obstacle: str


def _left_of(audience: RunAudience, pending: int | None) -> _Left:
    settled, obstacle = audience.is_settled, audience.obstacle
    return _Left(audience.name, audience.counts, pending, settled, obstacle)


def _left_after(audience: AudienceReport) -> _Left:
    counts = audience.counts
    obstacle = counts.note if counts.is_stuck else ""
    return _Left(audience.audience.name, counts, audience.left.pending, False, obstacle)


def _advice(
    status: str,
    counts: AudienceCounts,
    tally: ReadCounts,
    left: Sequence[_Left],
    said: str | None,
    still: int | None,
    kind: RunKind = RunKind.SYNC,
) -> Iterator[str]:
    """Say what to look at next, except what was already `said`."""
    stuck = [
        (item.name, item.obstacle)
        for item in left
        if item.obstacle and item.obstacle != said and not item.is_settled
    ]
    goes_on = not left or any(
        not item.obstacle and item.counts.note != OFF and item.pending != 0 and not item.is_settled
        for item in left
    )
    if said is not None and said.startswith(KeysRefused.HAPPENED):
        yield TEST_KEYS
    yield from advice(status, counts, tally, stuck, goes_on=goes_on, still=still, kind=kind)
    settled = [item.is_settled for item in left if item.pending and item.counts.note]
    if settled and all(settled):
        yield DEALT_WITH
