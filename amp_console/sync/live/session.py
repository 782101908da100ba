"""Following audiences: what arrives is in the ledger at once, and in the cohorts seconds later.

A session is one run of the history, however long it lasts; each audience has a pace of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from amp_console.ledger import LedgerError, runs
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.refused_requests import keep_refused
from amp_console.ledger.requests import forget_requests
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.ledger.standing import outstanding
from amp_console.sync.delivery.audience import deliver_window
from amp_console.sync.delivery.progress import AudienceProgress, Progress
from amp_console.sync.delivery.run import Delivery, Job, Means, begin, context_of
from amp_console.sync.ingest.stream import LATEST, IngestResult
from amp_console.sync.live.backups import DailyBackups
from amp_console.sync.live.follower import Common, Follower, LiveOptions
from amp_console.sync.live.progress import LiveChange, LiveReport, LiveSnapshot, LiveSource
from amp_console.sync.read_only import guard
from amp_console.sync.sources.errors import CannotBind

SHOWN = 1.0  # seconds between two snapshots
KEPT = 10  # snapshots after which what was read is in the history, too
ANEW = 60  # snapshots after which the ledger is asked what is pending, whatever was told
BACKUPS = 3_600  # snapshots between two checks whether a backup is due; the first is early
FIRST_BACKUP = 10
TIDIED = 3_600  # snapshots after which requests that explain nobody any more are forgotten
HOUR = 3_600_000_000  # microseconds for which they are kept in any case

Watch = Callable[[LiveSnapshot], None]


class EventStream(Protocol):
    """Brings events."""

    async def follow(self, live: "LiveSession") -> None:
        """Call `LiveSession.arrived` for what is in the ledger.

        Returns when the source ends or `live.ending` is set.
        """

    def sources(self) -> tuple[LiveSource, ...]:
        """Where they come from, and how that goes."""


class LiveSession:
    """One session. `arrived` may be called as soon as `run` has called the source."""

    def __init__(self, means: Means, wish: LiveOptions, watch: Watch = lambda _: None) -> None:
        self._means = means
        self._wish = wish
        self._watch = watch
        self._followers: dict[int, Follower] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._tally = ReadCounts()
        self._latest: deque[LiveChange] = deque(maxlen=LATEST)
        self._defect: Exception | None = None
        self._is_paused = False
        self._is_behind = False
        self._is_over = False
        self._source: EventStream | None = None
        self._backups = DailyBackups(means.ledger, means.timing.now)
        self.ending = asyncio.Event()

    def end(self) -> None:
        """Take no more in, deliver what is pending and not paused, and end."""
        self.ending.set()
        for follower in self._followers.values():
            if follower.stop.is_paused:
                follower.stop.ask()
            follower.hurry()

    def _give_up(self) -> None:
        """End, and send nothing more: the keys are refused."""
        for follower in self._followers.values():
            follower.stop.ask()
        self.end()

    @property
    def is_paused(self) -> bool:
        """Whether events are taken in, and nothing is sent for any audience."""
        return self._is_paused

    def pause(self, audience_id: int | None = None) -> None:
        """Go on taking events in, and send nothing until `resume`, for one audience or for all."""
        if self.ending.is_set():
            return
        self._is_paused = self._is_paused or audience_id is None
        for item in self._chosen(audience_id):
            item.pause()

    def resume(self, audience_id: int | None = None) -> None:
        """Send again for one audience, or for all."""
        self._is_paused = self._is_paused and audience_id is not None
        for item in self._chosen(audience_id):
            item.resume()

    def go_live(self, audience_id: int) -> None:
        """Allow to make the cohort of an audience that waits for that; look at it now."""
        for item in self._chosen(audience_id):
            item.go_live()

    def hurry(self, audience_id: int) -> None:
        """Look at an audience now: what is set for it has changed."""
        self.look_anew()
        for item in self._chosen(audience_id):
            item.hurry()

    def look_anew(self) -> None:
        """Look soon at what is pending in the ledger: something may have been missed."""
        self._is_behind = True

    def _chosen(self, audience_id: int | None) -> list[Follower]:
        if audience_id is None:
            return list(self._followers.values())
        return [self._followers[audience_id]] if audience_id in self._followers else []

    async def run(self, source: EventStream) -> LiveReport:
        """Follow until the source ends or `end` is called. Raises `ReadOnly`, `LedgerError`."""
        means, timing = self._means, self._means.timing
        guard(means.connection, "Nothing was read or sent.")
        with hold_run(means.ledger.path) as lock:
            run_id = await means.ledger.awrite(
                begin, ReadCounts(), timing.now(), lock, RunKind.LIVE
            )
            progress = Progress(run_id, (), timing, means.observe)
            self._context = context_of(means, run_id, progress)
            job = Job(RunKind.LIVE, (), deliver_window, lambda *_: RunStatus.DELIVERED)
            delivery = Delivery(self._context, job, self._give_up)
            self._common = Common(means, self._wish, delivery, ending=self.ending)
            self._source = source
            ticker = asyncio.create_task(self._tick())
            try:
                await self._catch_up()
                await source.follow(self)
                await self._catch_up()
            except BaseException as error:
                await self._break_off(run_id, ticker, error)
                raise
            await self._finish(ticker)
            if self._defect is not None:
                await self._break_off(run_id, ticker, self._defect)
                raise self._defect
            return await self._close(run_id)

    async def arrived(self, taken: IngestResult) -> None:
        """Events are in the ledger; their audiences follow."""
        self._tally += taken.tally
        for audience_id in taken.entered | taken.left:
            follower = await self._follower(audience_id)
            follower.arrived(taken.entered[audience_id], taken.left[audience_id])
        at = self._means.timing.now()
        for item in taken.latest:
            name = self._followers[item.audience_id].name
            self._latest.appendleft(LiveChange(at, name, item.id, item.is_member))

    def snapshot(self) -> LiveSnapshot:
        """The session as it is now."""
        now = self._means.timing.monotonic()
        return LiveSnapshot(
            self._context.run_id,
            self._context.progress.elapsed,
            self._tally,
            self._common.lags.percentile(0.95),
            tuple(follower.shown(now) for follower in self._followers.values()),
            self._source.sources() if self._source else (),
            tuple(self._latest),
            now,
            self._backups.trouble,
            self._is_over,
        )

    async def _follower(self, audience_id: int) -> Follower:
        if audience_id not in self._followers:
            known = await self._means.ledger.aread(audience, audience_id)
            if audience_id not in self._followers:  # another source may have met it meanwhile
                self._begin_to_follow(known)
        return self._followers[audience_id]

    def _begin_to_follow(self, known: Audience) -> None:
        self._context.progress.add(AudienceProgress(known.id, known.handle, known.name, 0))
        follower = Follower(self._context, known, self._common)
        if self._is_paused:
            follower.pause()
        self._followers[known.id] = follower
        task = asyncio.create_task(follower.follow())
        task.add_done_callback(self._look_at)
        self._tasks[known.id] = task

    def _look_at(self, task: "asyncio.Task[None]") -> None:
        """A defect of ours ends the session, and not one audience in silence."""
        if not task.cancelled() and task.exception() is not None:
            self.end()

    async def _catch_up(self) -> None:
        """Follow what is pending, and was not told of.

        So it is with what an earlier session, another process or an import has left, with what was
        read when the ledger or the disk failed in the middle, and with an audience whose ID type
        or cohort was changed.
        """
        ledger = self._means.ledger
        for item in await ledger.aread(all_audiences):
            left, known = await ledger.aread(outstanding, item), self._followers.get(item.id)
            missed = left.pending - (known.queue if known else 0)
            if missed > 0:
                (await self._follower(item.id)).pend(missed)
            elif left.uncertain:
                (await self._follower(item.id)).wake()

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(SHOWN)
            self._watch(self.snapshot())
            ticks += 1
            with suppress(LedgerError):  # it is done the next time
                await self._keep(ticks)

    async def _keep(self, ticks: int) -> None:
        """Let the history know how it goes, and not grow for ever."""
        ledger, run_id = self._means.ledger, self._context.run_id
        if self._is_behind or ticks % ANEW == 0:
            await self._catch_up()
            self._is_behind = False
        if ticks % KEPT == 0:
            await self._keep_counts(run_id)
        if ticks % BACKUPS == FIRST_BACKUP:
            self._backups.check()
        if ticks % TIDIED == 0:
            before = self._means.timing.now() - HOUR
            await ledger.awrite(forget_requests, run_id, before)

    async def _keep_counts(self, run_id: int) -> None:
        """Keep with the run what was read so far, and which requests were refused."""
        await self._means.ledger.awrite(runs.keep_tally, run_id, self._tally)
        refused = self.snapshot().refused
        if refused:
            await self._means.ledger.awrite(keep_refused, run_id, refused)

    async def _finish(self, ticker: "asyncio.Task[None]") -> None:
        """Deliver what is pending, while there is grace; then only the requests in flight end."""
        self.end()
        self._common.is_over = True
        for follower in self._followers.values():
            follower.hurry()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=self._wish.grace)
            if late:
                for follower in self._followers.values():
                    follower.stop.ask()
                _, late = await asyncio.wait(late, timeout=self._wish.grace)
            for task in late:
                task.cancel()
        ticker.cancel()
        await self._backups.end()
        ended = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._defect = next((item for item in ended if isinstance(item, Exception)), None)

    async def _break_off(
        self, run_id: int, ticker: "asyncio.Task[None]", error: BaseException
    ) -> None:
        """End the run in the history, with why; who gives up waits for nobody."""
        if isinstance(error, asyncio.CancelledError):
            for task in self._tasks.values():
                task.cancel()
        await self._finish(ticker)
        words = str(error) if isinstance(error, LedgerError | CannotBind) else type(error).__name__
        with suppress(LedgerError):
            await self._keep_counts(run_id)
            now = self._means.timing.now()
            await self._means.ledger.awrite(runs.end_run, run_id, RunStatus.STOPPED, words, now)

    async def _close(self, run_id: int) -> LiveReport:
        ledger = self._means.ledger
        left = [await follower.close() for follower in self._followers.values()]
        self._is_over = True
        last, refused = self.snapshot(), self._common.delivery.keys_refused
        rejected = sum(item.rejected for item in left)
        uncertain = sum(item.uncertain for item in left)
        status = _status(last, rejected, uncertain, keys_refused=refused is not None)
        now = self._means.timing.now()
        await self._keep_counts(run_id)
        await ledger.awrite(runs.end_run, run_id, status, refused or "", now)
        self._watch(last)
        return LiveReport(run_id, last, last.queue, refused, uncertain)


def _status(last: LiveSnapshot, rejected: int, uncertain: int, *, keys_refused: bool) -> RunStatus:
    """How a session ended, as a sync would say; users who wait for a cohort are not delivered."""
    if last.queue or uncertain or keys_refused:
        return RunStatus.STOPPED
    if last.waiting or last.tally.invalid or rejected:
        return RunStatus.PARTIAL
    return RunStatus.DELIVERED
