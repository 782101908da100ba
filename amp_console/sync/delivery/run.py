"""Delivering a plan: several audiences side by side, each under its lease."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from amp_console.amplitude import AmplitudeError, CohortGone, KeysRefused
from amp_console.connections import Limits
from amp_console.connections.read_only import guard
from amp_console.ledger import Db, Ledger, deliveries, late_effects, rate_limits, runs
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.cohorts import COHORT_GONE, break_link
from amp_console.ledger.counts import Outstanding, outstanding
from amp_console.ledger.event_log import LogEntry, LogKind, Severity, add_log_entry
from amp_console.ledger.leases import busy_because, holder, note_holder
from amp_console.ledger.locks import AudienceBusy
from amp_console.ledger.outcomes import STOPPED, audience_outcome, keep_outcome, worst
from amp_console.ledger.run_log import log_run_end, log_run_start
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus
from amp_console.ledger.since_plan import SincePlan, keep_since_plan, total_since
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.backoff import RetriesExhausted, limit_note
from amp_console.sync.delivery.context import ActiveRun, AudienceBlocked, RunContext, RunStopped
from amp_console.sync.delivery.pending import deliver_audience
from amp_console.sync.delivery.plan import AudiencePlan, Plan
from amp_console.sync.delivery.progress import AudienceProgress, Progress, RunSnapshot
from amp_console.sync.delivery.retention import prune_if_due
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.formatting import uncertain_text
from amp_console.text import clean

NOTHING_READ = ReadCounts()
NO_PLANS: Mapping[int, AudiencePlan] = {}
LEASE_RECHECK = 1.0  # seconds between two attempts at a lease that another process holds
MAX_NAME_LENGTH = 200  # characters of an audience's name in the log

T = TypeVar("T")
Work = Callable[[AudienceWorker], Awaitable[None]]
"""What a run does for one audience, under its lease. What it raises becomes the audience's note."""


class AudienceReport(msgspec.Struct, frozen=True):
    """What a run did for one audience, how it ended for it, and what is outstanding now.

    `note` explains why users are still pending or not yet certain; "" if none are. `limited_until`
    is the time before which Amplitude wants no request, in microseconds since 1970. `since_plan` is
    what happened since the plan of a sync was made.
    """

    audience: Audience
    counts: AudienceCounts
    left: Outstanding
    note: str
    status: RunStatus
    limited_until: int | None = None
    since_plan: SincePlan | None = None

    @property
    def users(self) -> int:
        """How many users the run was for: delivered, rejected, or still pending."""
        counts = self.counts
        return counts.added + counts.removed + counts.rejected + self.left.pending


class RunReport(msgspec.Struct, frozen=True):
    """What a run did. `elapsed` in seconds; `keys_refused` holds the sentence if they were."""

    run_id: int
    status: RunStatus
    audiences: tuple[AudienceReport, ...]
    elapsed: float
    keys_refused: str | None
    was_stopped: bool

    @property
    def since_plan(self) -> SincePlan | None:
        """What happened since the plan of a sync was made; None if there was no plan."""
        return total_since([audience.since_plan for audience in self.audiences])

    @property
    def users(self) -> int:
        """How many users the run was for."""
        return sum(audience.users for audience in self.audiences)


async def deliver(
    plan: Plan, context: RunContext, *, tally: ReadCounts = NOTHING_READ
) -> RunReport:
    """Deliver a plan as a run of the history.

    `tally` is what was read for it, and is saved with the run. Raises `ReadOnly` and `LedgerError`;
    trouble with Amplitude is in the report, with the users still pending.
    """
    guard(context.connection, "Nothing was sent.")
    audiences = [
        AudienceProgress(item.audience_id, item.key, item.name, item.users, planned=item.planned)
        for item in plan.audiences
    ]
    return await carry_out(
        RunKind.SYNC,
        audiences,
        deliver_audience,
        context,
        tally=tally,
        plans={item.audience_id: item for item in plan.audiences},
    )


async def carry_out(
    kind: RunKind,
    audiences: Sequence[AudienceProgress],
    work: Work,
    context: RunContext,
    *,
    tally: ReadCounts = NOTHING_READ,
    differs: Callable[[int], bool] = lambda _: False,
    plans: Mapping[int, AudiencePlan] = NO_PLANS,
) -> RunReport:
    """Do the work for these audiences, as a run of the history; raises `LedgerError`.

    `differs` tells, by id, whether an audience differs from its cohort once the work is done;
    `plans` has what a sync planned for the audiences, by id.
    """
    async with open_run(kind, context, audiences, tally=tally) as run:
        was_asked = context.stop.is_asked
        audience_ids = [item.audience_id for item in audiences]
        turns = asyncio.Semaphore(context.connection.limits.parallel_cohorts)
        reports = await _all_or_none(
            [_deliver_one(run, id_, work, turns, differs, plans.get(id_)) for id_ in audience_ids]
        )
        status = worst((report.status for report in reports), invalid=tally.invalid)
        ended_at = await end_run(run, status, run.keys_refused or "")
        await prune_if_due(context.connection, context.ledger, context.timing.now)
        run.progress.flush()
        return RunReport(
            run.id,
            status,
            tuple(reports),
            max(0, ended_at - run.started_at) / 1_000_000,
            run.keys_refused,
            was_asked or (context.stop.is_asked and run.keys_refused is None),
        )


async def _all_or_none(works: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """Run these side by side and return their results; if one raises, end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_run(
    kind: RunKind,
    context: RunContext,
    audiences: Sequence[AudienceProgress] = (),
    *,
    tally: ReadCounts = NOTHING_READ,
    on_keys_refused: Callable[[], None] | None = None,
) -> AsyncIterator[ActiveRun]:
    """Begin a run of the history and hold its lock; end runs that dead processes left running.

    The caller ends it with `end_run`; otherwise it counts as interrupted. By default, refused keys
    ask the context's stop.
    """
    ledger, timing = context.ledger, context.timing
    async with ledger.ahold(ledger.hold_run()) as lock:
        await ledger.aend_dead_runs()
        started_at = context.now()
        run_id = await ledger.writes_of().awrite(_begin, tally, started_at, lock, kind, audiences)
        progress = Progress(run_id, audiences, timing, context.observe)
        yield ActiveRun(context, run_id, kind, progress, started_at, on_keys_refused)


async def end_run(run: ActiveRun, status: RunStatus, note: str) -> int:
    """Record in the history how and when a run ended; raises `LedgerError`.

    Returns that moment, in microseconds since 1970.
    """
    ended_at = run.context.now()
    await run.context.ledger.writes_of().awrite(_end, run.id, status, note, ended_at)
    return ended_at


def _begin(
    db: Db,
    tally: ReadCounts,
    now: int,
    lock: str,
    kind: RunKind,
    audiences: Sequence[AudienceProgress],
) -> int:
    run_id = runs.begin_run(db, tally, now, lock, kind)
    log_run_start(db, run_id, kind, [item.audience_id for item in audiences], now)
    return run_id


def _end(db: Db, run_id: int, status: RunStatus, note: str, now: int) -> None:
    runs.end_run(db, run_id, status, note, now)
    log_run_end(db, run_id)


async def end_abandoned(ledger: Ledger, last: RunSnapshot, note: str, now: int) -> None:
    """End a run in the history that was cancelled before it could end itself.

    Records the progress of each audience in its last snapshot. The next process to sync an audience
    voids a request that is still open. A run that has ended by itself stays as it is. Raises
    `LedgerError`.
    """
    await ledger.awrite(_end_abandoned, last, note, now)


def _end_abandoned(db: Db, last: RunSnapshot, note: str, now: int) -> None:
    if last.run_id not in runs.running_locks(db):
        return
    for progress in last.audiences:
        if not progress.is_over:
            counts = msgspec.structs.replace(progress.counts, note=note)
            runs.record_audience(db, last.run_id, progress.audience_id, counts, now)
    _end(db, last.run_id, RunStatus.STOPPED, note, now)


async def _deliver_one(
    run: ActiveRun,
    audience_id: int,
    work: Work,
    turns: asyncio.Semaphore,
    differs: Callable[[int], bool],
    plan: AudiencePlan | None,
) -> AudienceReport:
    """Do the work for one audience when it is its turn, and record how it went."""
    worker = AudienceWorker(run, await run.context.ledger.aread(audience, audience_id))
    note = await _wait_for_turn(worker, work, turns)
    await worker.record(note)
    known = await worker.read(audience, audience_id)
    left = await worker.read(outstanding, known)
    if not note and left.uncertain and run.kind is not RunKind.COMPARE:
        note = uncertain_text(left.uncertain, left.certain_at)
        await worker.record(note)
    status = audience_outcome(run.kind, worker.counts, differs=differs(audience_id))
    await worker.write(keep_outcome, run.id, audience_id, status)
    since = None
    if plan is not None and plan.mark is not None:
        since = await worker.write(keep_since_plan, run.id, known, plan.mark, worker.now())
    run.progress.finish(audience_id, note or "done")
    return AudienceReport(known, worker.counts, left, note, status, worker.limited_until, since)


async def _wait_for_turn(worker: AudienceWorker, work: Work, turns: asyncio.Semaphore) -> str:
    """Take a turn as `take_turn` does, as soon as no other process holds the lease.

    Meanwhile other audiences have their turns. If the wait was in vain, the reason shows who holds
    it.
    """
    context = worker.run.context
    left = context.lease_wait
    while True:
        async with turns:
            note = await take_turn(worker, work)
        if not worker.was_busy or left <= 0 or context.stop.is_asked:
            return note
        who = await worker.read(holder, worker.audience.id)
        worker.show(f"waiting up to {left:,.0f} s for {who}")
        await worker.sleep(min(left, LEASE_RECHECK))
        left -= LEASE_RECHECK


async def take_turn(worker: AudienceWorker, work: Work) -> str:
    """Do the work for an audience under its lease; return why it did not end, "" if it did.

    Raises `LedgerError`.
    """
    worker.reset()
    if note := await _limit_note(worker):
        return note
    audience_id = worker.audience.id
    try:
        async with worker.lease():
            await worker.write(note_holder, audience_id, worker.now(), worker.run.id)
            await worker.write(_begin_turn, audience_id, worker.now(), worker.connection.limits)
            worker.audience = await worker.read(audience, audience_id)
            return await _keep_limit(worker, await _work(worker, work))
    except AudienceBusy:
        worker.was_busy = True
        return await worker.read(busy_because, audience_id)


def _begin_turn(db: Db, audience_id: int, now: int, limits: Limits) -> None:
    """Settle what earlier requests left behind; only for the holder of the lease."""
    deliveries.void_open(db, audience_id, now, limits.late_until(now))
    late_effects.make_due_pending(db, audience_id, now, limits.quiet)


async def _limit_note(worker: AudienceWorker) -> str:
    """Until when Amplitude wants no request for this audience, in words; "" if it accepts them."""
    now = worker.now()
    worker.limited_until = None
    if worker.run.kind is not RunKind.COMPARE:  # downloads have limits of their own
        worker.limited_until = await worker.read(rate_limits.limited_until, worker.audience.id, now)
    return limit_note(worker.limited_until, now) if worker.limited_until is not None else ""


async def _keep_limit(worker: AudienceWorker, note: str) -> str:
    """Record for the next run how long Amplitude asked to wait, unless it has answered since."""
    asked, now = worker.asked_to_wait, worker.now()
    is_over = not note or asked is None or asked.until <= now
    if asked is None or is_over or worker.run.kind is RunKind.COMPARE:
        return note
    audience_id = worker.audience.id if asked.is_about_cohort else rate_limits.CONNECTION
    await worker.write(rate_limits.keep_limit, audience_id, asked.until, now)
    worker.limited_until = asked.until
    if worker.counts.is_stuck:
        return note
    limit = limit_note(asked.until, now, is_capped=asked.is_capped)
    return f"Stopped. {limit}" if note == STOPPED else limit


async def _work(worker: AudienceWorker, work: Work) -> str:
    """Do the work; return in words what ended it early, "" if nothing did."""
    run = worker.run
    try:
        await work(worker)
    except RunStopped:
        if run.keys_refused is None:
            return STOPPED
        why = run.keys_refused
    except KeysRefused as error:
        why = str(error)
        run.refuse_keys(why)
    except CohortGone:
        why = _cohort_gone(worker)
        await worker.write(_break_link, worker.audience, why, run.id, worker.now())
    except AudienceBlocked as error:
        why = str(error)
    except (RetriesExhausted, AmplitudeError) as error:
        return str(error)
    else:
        return ""
    worker.counts = msgspec.structs.replace(worker.counts, is_stuck=True)
    return why


def _break_link(db: Db, known: Audience, why: str, run_id: int, now: int) -> None:
    break_link(db, known.id, why)
    text = f"The link of “{clean(known.name, MAX_NAME_LENGTH)}” is broken. {why}"
    add_log_entry(db, LogEntry(now, LogKind.LINK, text, Severity.WARNING, run_id, known.id))


def _cohort_gone(worker: AudienceWorker) -> str:
    """The reason, without Amplitude's words, which the request keeps and which say the same."""
    return (
        f"{COHORT_GONE} {worker.cohort_id} anymore. "
        "The audience's users stay pending. Link another cohort, or unlink this one: the next sync "
        "then creates a new cohort with all members."
    )
