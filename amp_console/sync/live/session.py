"""Following audiences: events are in the ledger at once, and in the cohorts seconds later.

A session is one run of the history, however long it lasts. Each audience is delivered at its own
pace.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count

from amp_console.connections.read_only import guard
from amp_console.ledger import Db, LedgerError
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.counts import Outstanding, outstanding, pending_of
from amp_console.ledger.outcomes import worst
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.delivery.context import ActiveRun, RunContext
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import end_run, open_run
from amp_console.sync.ingest.stream import LATEST, IngestResult
from amp_console.sync.live.backlog import Lags
from amp_console.sync.live.follower import Follower
from amp_console.sync.live.housekeeping import DailyBackups, Housekeeping
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveChange, LiveReport, LiveSnapshot, WaitReason
from amp_console.sync.sources.protocols import CannotBind, EventStream

LiveObserver = Callable[[LiveSnapshot], None]


class LiveSession:
    """One session. `arrived` may be called as soon as `run` has called the source.

    `observe` gets a snapshot every second, and the last one. `ending` is set once the session is
    to end.
    """

    def __init__(
        self, context: RunContext, options: LiveOptions, observe: LiveObserver = lambda _: None
    ) -> None:
        self.ending = asyncio.Event()
        self._context = context
        self._options = options
        self._observe = observe
        self._run: ActiveRun | None = None
        self._source: EventStream | None = None
        self._housekeeping: Housekeeping | None = None
        self._backups = DailyBackups(context.ledger, context.timing.now)
        self._followers: dict[int, Follower] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._lags = Lags()
        self._tally = ReadCounts()
        self._earlier = self._updated = 0
        self._uncounted = IngestResult()  # what has arrived
        self._latest: deque[LiveChange] = deque(maxlen=LATEST)
        self._numbers = count(1)  # of the changes
        self._is_paused = False
        self._pending_before = 0
        self._is_finishing = False
        self._is_over = False

    def end(self) -> None:
        """Receive no more, deliver what is pending and not paused, and end."""
        self.ending.set()
        for follower in self._followers.values():
            follower.end()

    def _give_up(self) -> None:
        """End, and send nothing more: the keys are refused."""
        for follower in self._followers.values():
            follower.give_up()
        self.end()

    @property
    def run_id(self) -> int | None:
        """Its run in the history; None before it has begun."""
        return self._run.id if self._run is not None else None

    @property
    def keys_refused(self) -> str | None:
        """Amplitude's sentence once it has refused the keys."""
        return self._run.keys_refused if self._run is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether events are received, but nothing is sent for any audience."""
        return self._is_paused

    def pause(self, audience_id: int | None = None) -> None:
        """Keep receiving events, but send nothing until `resume`, for one audience or for all."""
        if self.ending.is_set():
            return
        self._is_paused = self._is_paused or audience_id is None
        for follower in self._chosen(audience_id):
            follower.pause()

    def resume(self, audience_id: int | None = None) -> None:
        """Send again for one audience, or for all."""
        self._is_paused = self._is_paused and audience_id is not None
        for follower in self._chosen(audience_id):
            follower.resume()

    def go_live(self, audience_id: int, reason: WaitReason) -> None:
        """Allow what an audience waits for, a cohort or a large removal, and deliver it now."""
        for follower in self._chosen(audience_id):
            follower.go_live(reason)
            self._begin_to_follow(audience_id)

    def recheck(self, audience_id: int) -> None:
        """Deliver an audience now: its settings have changed."""
        self.catch_up_soon()
        for follower in self._chosen(audience_id):
            follower.hurry()

    def catch_up_soon(self) -> None:
        """Ask the ledger soon what is pending: an arrival may have been missed."""
        if self._housekeeping is not None:
            self._housekeeping.catch_up_soon()

    def _chosen(self, audience_id: int | None) -> list[Follower]:
        if audience_id is None:
            return list(self._followers.values())
        return [self._followers[audience_id]] if audience_id in self._followers else []

    async def run(self, source: EventStream) -> LiveReport:
        """Follow until the source ends or `end` is called. Raises `ReadOnly`, `LedgerError`."""
        guard(self._context.connection, "Nothing was read or sent.")
        async with open_run(RunKind.LIVE, self._context, on_keys_refused=self._give_up) as run:
            self._run, self._source = run, source
            housekeeping = self._housekeeping = Housekeeping(
                run, self._options, self._backups, self.snapshot, self._catch_up, self._observe
            )
            housekeeping.start(self._end_on_defect)
            try:
                await self._catch_up(is_first=True)
                self._pending_before = sum(item.arrived for item in self.snapshot().audiences)
                await source.follow(self)
                await self._catch_up()
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    for task in self._tasks.values():
                        task.cancel()
                await self._finish(housekeeping)
                await self._break_off(run, housekeeping, error)
                raise
            defect = await self._finish(housekeeping)
            if defect is not None:
                await self._break_off(run, housekeeping, defect)
                raise defect
            return await self._close(run, housekeeping)

    async def arrived(self, result: IngestResult) -> None:
        """Deliver events that are in the ledger.

        They are counted as read together with the users they made pending. Where the ledger fails
        meanwhile, both wait until the session catches up.
        """
        self._uncounted = self._uncounted.plus(result)
        try:
            await self._take_in()
        except LedgerError:
            self.catch_up_soon()

    async def _take_in(self) -> None:
        """Count and deliver what has arrived. Raises `LedgerError`: then nothing is counted yet."""
        while new := self._uncounted.audience_ids - self._tasks.keys():  # more may arrive meanwhile
            for audience_id in new:
                await self._followed(audience_id)
        result, self._uncounted = self._uncounted, IngestResult()
        await self._recount(result.audience_ids)
        self._tally += result.tally
        self._earlier += result.earlier
        self._updated += result.updated
        for audience_id in result.audience_ids:
            moves = result.entered[audience_id], result.left[audience_id]
            self._followers[audience_id].count_moves(*moves)
        at = self._context.now()
        for change in result.latest:
            name = self._followers[change.audience_id].name
            self._latest.appendleft(
                LiveChange(next(self._numbers), at, name, change.id, change.is_member)
            )

    def snapshot(self) -> LiveSnapshot:
        """The session as it is now; only once it runs."""
        assert self._run is not None
        now = self._context.timing.monotonic()
        return LiveSnapshot(
            self._run.id,
            self._run.progress.elapsed,
            self._tally,
            self._lags.percentile(0.95),
            tuple(follower.snapshot(now) for follower in self._followers.values()),
            self._source.status() if self._source else (),
            tuple(self._latest),
            now,
            self._backups.trouble,
            self._is_over,
            self._earlier,
            self._pending_before,
            self._run.statuses.snapshot(),
            self._updated,
            self._lags.omits_waits,
        )

    async def _followed(self, audience_id: int) -> Follower:
        if audience_id not in self._followers:
            known = await self._context.ledger.aread(audience, audience_id)
            self._add(known)
        self._begin_to_follow(audience_id)
        return self._followers[audience_id]

    def _add(self, known: Audience) -> None:
        """Show an audience, of which no change was seen yet; another source may have added it."""
        assert self._run is not None
        if known.id in self._followers:
            return
        self._run.progress.add(AudienceProgress(known.id, known.handle, known.name, 0))
        follower = Follower(self._run, known, self._options, self._lags, self.ending)
        if self._is_paused:
            follower.pause()
        if self._is_finishing:
            follower.finish()
        self._followers[known.id] = follower

    def _begin_to_follow(self, audience_id: int) -> None:
        """Deliver an audience from its first change on."""
        if audience_id in self._tasks:
            return
        task = asyncio.create_task(self._followers[audience_id].follow())
        task.add_done_callback(self._end_on_defect)
        self._tasks[audience_id] = task

    def _end_on_defect(self, task: "asyncio.Task[None]") -> None:
        """End the session after a defect of ours, which must not silently stop an audience."""
        if not task.cancelled() and task.exception() is not None:
            self.end()

    async def _catch_up(self, *, is_first: bool = False) -> None:
        """Follow what is pending and was not announced, and show every audience.

        That is what an earlier session, another process or an import left, what was read when the
        ledger or the disk failed, and an audience whose ID type or cohort was changed. `is_first`:
        the session begins.
        """
        ledger = self._context.ledger
        known = await ledger.aread(all_audiences)
        for item in known:
            self._add(item)
            if item.id not in self._tasks and not self._is_finishing:
                self._followers[item.id].settings_read(item)
        await self._take_in()
        for audience_id, left in (await ledger.aread(_left, [item.id for item in known])).items():
            if left.pending or left.uncertain:
                (await self._followed(audience_id)).wake(is_first=is_first)
        await self._recount(list(self._tasks), is_first=is_first)

    async def _recount(self, audience_ids: Iterable[int], *, is_first: bool = False) -> None:
        """Tell followers how many users are pending, all at the same moment.

        `is_first`: they were pending before the session read anything.

        Every number is counted by the ledger. Adding up arrivals would count twice what had been
        counted between its arrival and its announcement.
        """
        try:
            pending = await self._context.ledger.aread(pending_of, audience_ids)
        except LedgerError:
            for audience_id in audience_ids:
                self._followers[audience_id].wake(is_due=True)
            return
        for audience_id in audience_ids:
            self._followers[audience_id].recount(pending[audience_id], is_first=is_first)

    async def _finish(self, housekeeping: Housekeeping) -> Exception | None:
        """Deliver what is pending within the grace period; then only requests in flight end.

        Returns a defect of ours that ended an audience, or the housekeeping.
        """
        self.end()
        self._is_finishing = True
        for follower in self._followers.values():
            follower.finish()
        timing, grace = self._context.timing, self._options.grace
        late = await timing.wait_for_all(self._tasks.values(), grace)
        if late:
            for follower in self._followers.values():
                follower.give_up()
            for task in await timing.wait_for_all(late, grace):
                task.cancel()
        ended = [await housekeeping.end()]
        ended += await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        return next((result for result in ended if isinstance(result, Exception)), None)

    async def _break_off(
        self, run: ActiveRun, housekeeping: Housekeeping, error: BaseException
    ) -> None:
        """End the run in the history, with the reason."""
        message = (
            str(error) if isinstance(error, LedgerError | CannotBind) else type(error).__name__
        )
        with suppress(LedgerError):
            await housekeeping.keep_counts()
            await end_run(run, RunStatus.STOPPED, message)

    async def _close(self, run: ActiveRun, housekeeping: Housekeeping) -> LiveReport:
        closed = {id_: await follower.close() for id_, follower in self._followers.items()}
        ends = [closed[audience_id] for audience_id in self._tasks]
        left = [end.left for end in ends]
        self._is_over = True
        last = self.snapshot()
        rejected = sum(audience.rejected for audience in left)
        unidentified = sum(audience.unidentified for audience in left)
        uncertain = sum(audience.uncertain for audience in left)
        status = worst((end.status for end in ends), invalid=last.tally.invalid)
        if run.keys_refused is not None:
            status = RunStatus.STOPPED
        await housekeeping.keep_counts()
        await end_run(run, status, run.keys_refused or "")
        self._observe(last)
        return LiveReport(
            run.id, last, status, last.queue, rejected, run.keys_refused, uncertain, unidentified
        )


def _left(db: Db, audience_ids: Iterable[int]) -> dict[int, Outstanding]:
    """What is left of these audiences, all at the same moment."""
    return {id_: outstanding(db, audience(db, id_)) for id_ in audience_ids}
