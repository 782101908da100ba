"""Delivering a plan: several audiences side by side, each under its lease."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from amp_console.amplitude import AmplitudeClient, AmplitudeError, CohortGone, KeysRefused
from amp_console.connections import Connection, Limits
from amp_console.ledger import Db, Ledger, deliveries, holds, late_effects, runs
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.dead_runs import end_dead_runs
from amp_console.ledger.leases import AudienceBusy, busy_because, lease, note_holder
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.ledger.standing import Outstanding, outstanding
from amp_console.sync.delivery.audience import deliver_audience
from amp_console.sync.delivery.backoff import RetriesExhausted
from amp_console.sync.delivery.context import (
    AudienceBlocked,
    RequestLimiter,
    RunContext,
    RunStopped,
)
from amp_console.sync.delivery.holds import held_note
from amp_console.sync.delivery.plan import Plan
from amp_console.sync.delivery.progress import AudienceProgress, Observer, Progress, nobody
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.read_only import guard
from amp_console.sync.timing import Stop, Timing
from amp_console.sync.words import uncertain_text


class AudienceReport(msgspec.Struct, frozen=True):
    """What a run did for one audience, and how the audience stands now.

    `note` says in words why users are still pending or not yet certain, "" where none are.
    `held_until` is the time before which Amplitude asks not to be asked again, in microseconds
    since 1970.
    """

    audience: Audience
    counts: AudienceCounts
    left: Outstanding
    note: str
    held_until: int | None = None


class RunReport(msgspec.Struct, frozen=True):
    """What a run did. `elapsed` in seconds; `keys_refused` holds the sentence if they were."""

    run_id: int
    status: RunStatus
    audiences: tuple[AudienceReport, ...]
    elapsed: float
    keys_refused: str | None
    was_stopped: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a run is to do: for which audiences, and what with each of them.

    `work` is done under the audience's lease; what it raises becomes the audience's note, as
    `Delivery` knows how. `status_of` tells how the run ended.
    """

    kind: RunKind
    audiences: tuple[AudienceProgress, ...]
    work: Callable[[AudienceWorker], Awaitable[None]]
    status_of: Callable[[Sequence[AudienceReport], ReadCounts], RunStatus]


class Delivery:
    """One run: what `carry_out` does, step by step."""

    def __init__(
        self, context: RunContext, job: Job, give_up: Callable[[], None] | None = None
    ) -> None:
        """`give_up` is called when the keys are refused; else the desk's stop is asked for."""
        self._context = context
        self._job = job
        self._give_up = give_up or context.stop.ask
        self._turns = asyncio.Semaphore(context.connection.limits.parallel_cohorts)
        self._limits = context.connection.limits
        self._keys_refused: str | None = None

    async def run(self, tally: ReadCounts) -> RunReport:
        """Deliver every audience of the plan and write down how it went."""
        context = self._context
        asked_before = context.stop.is_asked
        reports = await asyncio.gather(
            *(self._audience(item.audience_id) for item in self._job.audiences)
        )
        status = self._job.status_of(reports, tally)
        note = self._keys_refused or ""
        await context.ledger.awrite(
            runs.end_run, context.run_id, status, note, context.timing.now()
        )
        context.progress.flush()
        return RunReport(
            context.run_id,
            status,
            tuple(reports),
            context.progress.elapsed,
            self._keys_refused,
            asked_before or (context.stop.is_asked and self._keys_refused is None),
        )

    async def _audience(self, audience_id: int) -> AudienceReport:
        context = self._context
        async with self._turns:
            worker = AudienceWorker(context, await context.ledger.aread(audience, audience_id))
            note = await self.turn(worker)
        worker.counts = msgspec.structs.replace(worker.counts, note=note)
        await context.ledger.awrite(
            runs.record_audience, context.run_id, audience_id, worker.counts, context.timing.now()
        )
        known = await context.ledger.aread(audience, audience_id)
        left = await context.ledger.aread(outstanding, known)
        if not note and left.uncertain and self._job.kind is not RunKind.COMPARE:
            note = uncertain_text(left.uncertain, left.certain_at)
            worker.counts = msgspec.structs.replace(worker.counts, note=note)
            await context.ledger.awrite(
                runs.record_audience,
                context.run_id,
                audience_id,
                worker.counts,
                context.timing.now(),
            )
        context.progress.over(audience_id, note or "done")
        return AudienceReport(known, worker.counts, left, note, worker.held_until)

    @property
    def keys_refused(self) -> str | None:
        """What Amplitude said when it refused the keys, None where it did not."""
        return self._keys_refused

    async def turn(self, worker: AudienceWorker) -> str:
        """Do the work for one audience under its lease; return why it did not end, "" if it did."""
        context, of = self._context, worker.audience
        if note := await self._held(worker):
            return note
        try:
            with lease(context.ledger.path, of.id):
                await context.ledger.awrite(note_holder, of.id, context.timing.now())
                await context.ledger.awrite(_begin_turn, of.id, context.timing.now(), self._limits)
                worker.audience = await context.ledger.aread(audience, of.id)
                return await self._hold(worker, await self._explained(worker))
        except AudienceBusy:
            return await context.ledger.aread(busy_because, of.id)

    async def _held(self, worker: AudienceWorker) -> str:
        """Say until when Amplitude has asked for nothing for this audience; "" if it has not."""
        context, now = self._context, self._context.timing.now()
        worker.held_until = None
        if self._job.kind is not RunKind.COMPARE:  # the limits on downloads are limits apart
            worker.held_until = await context.ledger.aread(
                holds.held_until, worker.audience.id, now
            )
        return held_note(worker.held_until, now) if worker.held_until is not None else ""

    async def _hold(self, worker: AudienceWorker, note: str) -> str:
        """Keep for the next run what Amplitude has asked for last, unless it answered since."""
        context, asked, now = self._context, worker.asked_to_wait, self._context.timing.now()
        is_over = not note or asked is None or asked.until <= now
        if asked is None or is_over or self._job.kind is RunKind.COMPARE:
            return note
        of = worker.audience.id if asked.is_about_cohort else holds.ALL
        await context.ledger.awrite(holds.hold, of, asked.until)
        worker.held_until = asked.until
        if worker.counts.is_stuck:
            return note
        return held_note(asked.until, now, is_cut=asked.is_cut)

    async def _explained(self, worker: AudienceWorker) -> str:
        try:
            await self._job.work(worker)
        except RunStopped:
            if self._keys_refused is None:
                return "Stopped; the rest stays pending."
            why = self._keys_refused
        except KeysRefused as error:
            why = self._keys_refused = str(error)
            self._give_up()
        except CohortGone as error:
            why = _broken(worker, error)
            await self._context.ledger.awrite(break_link, worker.audience.id, why)
        except AudienceBlocked as error:
            why = str(error)
        except (RetriesExhausted, AmplitudeError) as error:
            return str(error)
        else:
            return ""
        worker.counts = msgspec.structs.replace(worker.counts, is_stuck=True)
        return why


def _begin_turn(db: Db, audience_id: int, now: int, limits: Limits) -> None:
    """Settle what earlier requests left behind; only for the holder of the lease."""
    deliveries.void_open(db, audience_id, now, limits.late_until(now))
    late_effects.make_due_pending(db, audience_id, now, limits.quiet)


async def deliver(
    plan: Plan,
    connection: Connection,
    ledger: Ledger,
    client: AmplitudeClient,
    *,
    tally: ReadCounts | None = None,
    timing: Timing | None = None,
    stop: Stop | None = None,
    observe: Observer = nobody,
) -> RunReport:
    """Carry out a plan.

    `tally` is what was read for this run, and goes into its history. Raises `ReadOnly` and
    `LedgerError`; Amplitude's trouble is in the report, with the users still pending.
    """
    guard(connection, "Nothing was sent.")
    audiences = tuple(
        AudienceProgress(item.audience_id, item.key, item.name, item.add + item.remove)
        for item in plan.audiences
    )
    job = Job(RunKind.SYNC, audiences, deliver_audience, _status)
    means = Means(connection, ledger, client, timing or Timing(), stop or Stop(), observe)
    return await carry_out(job, means, tally or ReadCounts())


@dataclass(frozen=True, slots=True)
class Means:
    """What a run works with, and who watches it."""

    connection: Connection
    ledger: Ledger
    client: AmplitudeClient
    timing: Timing = field(default_factory=Timing)
    stop: Stop = field(default_factory=Stop)
    observe: Observer = nobody


async def carry_out(job: Job, means: Means, tally: ReadCounts) -> RunReport:
    """Do a job as a run of the history; raises `LedgerError`."""
    ledger, timing = means.ledger, means.timing
    with hold_run(ledger.path) as lock:
        run_id = await ledger.awrite(begin, tally, timing.now(), lock, job.kind)
        progress = Progress(run_id, job.audiences, timing, means.observe)
        context = context_of(means, run_id, progress)
        return await Delivery(context, job).run(tally)


def context_of(means: Means, run_id: int, progress: Progress) -> RunContext:
    """Put the means of a run together."""
    return RunContext(
        run_id,
        means.connection,
        means.ledger,
        means.client,
        means.timing,
        progress,
        means.stop,
        RequestLimiter(means.connection.limits.parallel_cohorts),
    )


def begin(db: Db, tally: ReadCounts, now: int, lock: str, kind: RunKind) -> int:
    """Begin a run of the history; what dead processes left running is ended first."""
    end_dead_runs(db)
    return runs.begin_run(db, tally, now, lock, kind)


def _status(reports: Sequence[AudienceReport], tally: ReadCounts) -> RunStatus:
    if any(report.left.pending or report.note for report in reports):
        return RunStatus.STOPPED
    if tally.invalid or any(report.left.rejected for report in reports):
        return RunStatus.PARTIAL
    return RunStatus.DELIVERED


def _broken(worker: AudienceWorker, error: CohortGone) -> str:
    return (
        f"Amplitude has no cohort {worker.cohort_id} any more ({error.words or error.status}). "
        "The audience's users stay pending. Link another cohort, or unlink it so that the next "
        "sync makes a new one."
    )
