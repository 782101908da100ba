"""Following audiences: what arrives is in the ledger at once, and in the cohorts seconds later.

A session is one run of the history, however long it lasts. Each audience has its own pace: the
first change opens a window, and when it closes everything pending is delivered, one request at a
time. While Amplitude is slow or rate-limits, more gathers meanwhile, so windows grow by themselves
and a flip within one costs nothing. The lease is held for a delivery only, so that others may
sync, compare or change the audience in between.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from amp_console.ledger import LedgerError, runs
from amp_console.ledger.audiences import all_audiences, audience
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.ledger.sources import Tally
from amp_console.ledger.standing import outstanding
from amp_console.sync.audience_delivery import deliver_audience
from amp_console.sync.delivery import Delivery, Job, Means, begin
from amp_console.sync.desk import Desk
from amp_console.sync.feed import Taken
from amp_console.sync.lane import Lane
from amp_console.sync.live_errors import CannotBind
from amp_console.sync.live_progress import Lags, LiveAudience, LiveSnapshot
from amp_console.sync.pace import Patience
from amp_console.sync.progress import AudienceProgress, Progress
from amp_console.sync.read_only import guard
from amp_console.sync.timing import Stop

NO_COHORT = "waits: no cohort yet"
OFF = "waits: switched off"
LOOK_AGAIN = 5.0  # seconds until an audience that could not be delivered is tried again
GRACE = 30.0  # seconds that the last deliveries have when the session is to end
SHOWN = 1.0  # seconds between two snapshots


class LiveWish(msgspec.Struct, frozen=True):
    """How to follow: a window closes after `flush_seconds`, or `flush_changes` changes.

    `create` allows to make cohorts for audiences that have none.
    """

    flush_seconds: float = 5.0
    flush_changes: int = 20_000
    create: bool = False


class LiveReport(msgspec.Struct, frozen=True):
    """How a session ended; so many users are `pending` in audiences that may be delivered."""

    run_id: int
    last: LiveSnapshot
    pending: int
    keys_refused: str | None


@dataclass(slots=True)
class _Follower:
    """One audience: its lane, and what has arrived for it and is not delivered yet."""

    lane: Lane
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    full: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = ""

    @property
    def queue(self) -> int:
        """How many changes are not delivered yet."""
        return sum(count for _, count in self.arrivals)


Watch = Callable[[LiveSnapshot], None]
Source = Callable[["Live"], Awaitable[None]]
"""Brings events until it is told to end: it calls `Live.arrived` for what is in the ledger."""


class Live:
    """One session. `arrived` may be called as soon as `run` has called the source."""

    def __init__(self, means: Means, wish: LiveWish, watch: Watch = lambda _: None) -> None:
        self._means = means
        self._wish = wish
        self._watch = watch
        self._followers: dict[int, _Follower] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._tally = Tally()
        self._lags = Lags()
        self.ending = asyncio.Event()
        self._is_over = False  # the source has ended: nothing more arrives
        self._defect: Exception | None = None
        self._desk: Desk | None = None
        self._delivery: Delivery | None = None

    def end(self) -> None:
        """Take no more in, deliver what is pending, and end; in the event loop's thread."""
        self.ending.set()
        self.resume()
        for each in self._followers.values():
            each.full.set()

    @property
    def is_paused(self) -> bool:
        """Whether events are taken in, and nothing is sent."""
        return self._desk is not None and self._desk.stop.is_paused

    def pause(self) -> None:
        """Go on taking events in, and send nothing until `resume`; in the event loop's thread."""
        if self._desk is not None and not self.ending.is_set():
            self._desk.stop.pause()

    def resume(self) -> None:
        """Send again."""
        if self._desk is not None:
            self._desk.stop.resume()

    async def run(self, source: Source) -> LiveReport:
        """Follow until the source ends or `end` is called. Raises `ReadOnly`, `LedgerError`."""
        means, timing = self._means, self._means.timing
        guard(means.connection, "Nothing was read or sent.")
        with hold_run(means.ledger.path) as lock:
            run_id = await means.ledger.awrite(begin, Tally(), timing.now(), lock, RunKind.LIVE)
            progress = Progress(run_id, (), timing, means.observe)
            self._desk = Desk(
                run_id, means.connection, means.ledger, means.client, timing, progress, Stop()
            )
            job = Job(RunKind.LIVE, (), deliver_audience, lambda *_: RunStatus.DELIVERED)
            self._delivery = Delivery(self._desk, job)
            ticker = asyncio.create_task(self._tick())
            try:
                await self._follow_what_is_pending()
                await source(self)
            except BaseException as error:
                await self._break_off(run_id, ticker, error)
                raise
            await self._finish(ticker)
            if self._defect is not None:
                await self._break_off(run_id, ticker, self._defect)
                raise self._defect
            return await self._close(run_id)

    async def arrived(self, taken: Taken) -> None:
        """Events are in the ledger; their audiences follow."""
        self._tally += taken.tally
        now = self._means.timing.monotonic()
        for audience_id, count in taken.changes.items():
            follower = await self._follower(audience_id)
            follower.arrivals.append((now, count))
            follower.came.set()
            if follower.queue >= self._wish.flush_changes:
                follower.full.set()

    def snapshot(self) -> LiveSnapshot:
        """The session as it is now."""
        assert self._desk is not None
        now = self._means.timing.monotonic()
        return LiveSnapshot(
            self._desk.run_id,
            self._desk.progress.elapsed,
            self._tally,
            self._lags.percentile(0.95),
            tuple(self._shown(each, now) for each in self._followers.values()),
        )

    @staticmethod
    def _shown(of: _Follower, now: float) -> LiveAudience:
        known = of.lane.audience
        lag = now - of.arrivals[0][0] if of.arrivals else 0.0
        counts = of.lane.counts
        waits = of.state in {NO_COHORT, OFF}
        return LiveAudience(known.id, known.key, known.name, of.queue, lag, counts, of.state, waits)

    # One audience.

    async def _follower(self, audience_id: int) -> _Follower:
        if audience_id not in self._followers:
            assert self._desk is not None
            known = await self._means.ledger.aread(audience, audience_id)
            self._desk.progress.add(AudienceProgress(known.id, known.key, known.name, 0))
            follower = _Follower(Lane(self._desk, known))
            self._followers[audience_id] = follower
            task = asyncio.create_task(self._follow(audience_id, follower))
            task.add_done_callback(self._look_at)
            self._tasks[audience_id] = task
        return self._followers[audience_id]

    def _look_at(self, task: "asyncio.Task[None]") -> None:
        """A defect of ours ends the session, and not one audience in silence."""
        if not task.cancelled() and task.exception() is not None:
            self.end()

    async def _follow_what_is_pending(self) -> None:
        """Begin with what an earlier session, or an import, left pending."""
        ledger = self._means.ledger
        for each in await ledger.aread(all_audiences):
            left = await ledger.aread(outstanding, each)
            if left.pending:
                await self.arrived(Taken(Tally(), {each.id: left.pending}))

    async def _follow(self, audience_id: int, of: _Follower) -> None:
        while True:
            await of.came.wait()
            of.came.clear()
            if of.arrivals:
                await self._window(of)
                try:
                    await self._deliver(audience_id, of)
                except LedgerError as error:  # a full disk, say: it is tried again
                    of.state = str(error)
                if of.state and not self.ending.is_set():
                    await self._full_or_later(of, LOOK_AGAIN)
                    of.came.set()
            if self._is_over and not of.came.is_set():
                return

    async def _window(self, of: _Follower) -> None:
        """Let the window stay open, until it is full or the session ends."""
        if self.ending.is_set():
            return
        left = self._wish.flush_seconds - (self._means.timing.monotonic() - of.arrivals[0][0])
        if left > 0:
            await self._full_or_later(of, left)
        of.full.clear()

    async def _full_or_later(self, of: _Follower, seconds: float) -> None:
        full = asyncio.ensure_future(of.full.wait())
        later = asyncio.ensure_future(self._means.timing.sleep(seconds))
        try:
            await asyncio.wait({full, later}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (full, later):
                task.cancel()
            await asyncio.gather(full, later, return_exceptions=True)

    async def _deliver(self, audience_id: int, of: _Follower) -> None:
        assert self._delivery is not None
        ledger, lane, timing = self._means.ledger, of.lane, self._means.timing
        lane.audience = await ledger.aread(audience, audience_id)
        of.state = self._why_not(lane)
        if not of.state:
            carried = len(of.arrivals)
            lane.patience = Patience(self._means.connection.limits, timing)
            note = await self._delivery.turn(lane)
            of.state = note
            if not note:
                self._delivered(of, carried)
            lane.counts = msgspec.structs.replace(lane.counts, note=note)
            await ledger.awrite(
                runs.record_audience, lane.desk.run_id, audience_id, lane.counts, timing.now()
            )
            if self._delivery.keys_refused:
                self.end()

    def _why_not(self, lane: Lane) -> str:
        if not lane.audience.enabled:
            return OFF
        if lane.audience.cohort_id is None and not self._wish.create:
            return NO_COHORT
        return ""

    def _delivered(self, of: _Follower, carried: int) -> None:
        """Everything that had arrived before the delivery began is delivered."""
        now = self._means.timing.monotonic()
        for _ in range(carried):
            at, count = of.arrivals.popleft()
            self._lags.add(now - at, count)

    # The session.

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(SHOWN)
            self._watch(self.snapshot())

    async def _finish(self, ticker: "asyncio.Task[None]") -> None:
        """Deliver what is pending, while there is grace; then only the requests in flight end."""
        assert self._desk is not None
        self.end()
        self._is_over = True
        for each in self._followers.values():
            each.came.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=GRACE)
            if late:
                self._desk.stop.ask()
                await asyncio.wait(late, timeout=GRACE)
        ticker.cancel()
        ended = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._defect = next((each for each in ended if isinstance(each, Exception)), None)

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
            now = self._means.timing.now()
            await self._means.ledger.awrite(runs.end_run, run_id, RunStatus.STOPPED, words, now)

    async def _close(self, run_id: int) -> LiveReport:
        assert self._delivery is not None
        ledger, last = self._means.ledger, self.snapshot()
        pending = 0
        for each in self._followers.values():
            known = await ledger.aread(audience, each.lane.audience.id)
            if not self._why_not(Lane(each.lane.desk, known)):
                pending += (await ledger.aread(outstanding, known)).pending
        refused = self._delivery.keys_refused
        status = RunStatus.STOPPED if pending or refused else RunStatus.DELIVERED
        now = self._means.timing.now()
        await ledger.awrite(runs.keep_tally, run_id, self._tally)
        await ledger.awrite(runs.end_run, run_id, status, refused or "", now)
        self._watch(last)
        return LiveReport(run_id, last, pending, refused)
