"""One audience that is followed: what has arrived for it, and its deliveries one by one.

The first change opens a window, and when it closes everything pending is delivered. While Amplitude
is slow or rate-limits, more gathers meanwhile, so windows grow by themselves, and a flip within one
costs nothing. The lease is held for a delivery only, so that others may sync, compare or change
the audience in between.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace

import msgspec

from amp_console.ledger import LedgerError, late_effects, runs
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.standing import Outstanding, outstanding
from amp_console.sync.delivery.backoff import RetryBudget
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.run import Delivery, Means
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.live.progress import Lags, LiveAudience, LivePhase, Minutes
from amp_console.sync.timing import Stop
from amp_console.sync.words import uncertain_text

NO_COHORT = "waiting: no cohort"
OFF = "waiting: disabled"
PAUSED = "paused: nothing is sent"
LONGEST_HELD = 60.0  # seconds until an audience that Amplitude asks to wait is looked at again
LOOK_AGAIN = 5.0  # seconds until an audience that could not be delivered is tried again
MOST_ARRIVALS = 500  # of which the times are kept; more are put together


class LiveOptions(msgspec.Struct, frozen=True):
    """How to follow: a window closes after `flush_seconds`, or `flush_changes` changes.

    `create` allows to make cohorts for audiences that have none. The last deliveries have `grace`
    seconds when the session is to end, and then as long again for the request in flight.
    """

    flush_seconds: float = 5.0
    flush_changes: int = 20_000
    create: bool = False
    grace: float = 30.0


@dataclass(slots=True)
class Common:
    """What the followers of a session share."""

    means: Means
    wish: LiveOptions
    delivery: Delivery
    lags: Lags = field(default_factory=Lags)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False  # the source has ended: nothing more arrives


class Follower:
    """Follows one audience; all methods are called in the event loop's thread."""

    def __init__(self, context: RunContext, known: Audience, common: Common) -> None:
        self.stop = Stop()
        self._worker = AudienceWorker(replace(context, stop=self.stop), known)
        self._common = common
        self._may_create = common.wish.create
        self._state = ""
        self._arrivals: deque[tuple[float, int]] = deque()
        self._came = asyncio.Event()
        self._full = asyncio.Event()
        self._minutes = Minutes()
        self._done_before = 0  # users that were answered for before the delivery under way
        self._is_over = False

    @property
    def name(self) -> str:
        """What the audience is called."""
        return self._worker.audience.name

    @property
    def queue(self) -> int:
        """How many changes are not delivered yet; those of a delivery under way count down."""
        done = self._worker.context.progress.of(self._worker.audience.id).done - self._done_before
        return max(0, sum(count for _, count in self._arrivals) - done)

    def arrived(self, entered: int, left: int) -> None:
        """So many changes are in the ledger."""
        now = self._common.means.timing.monotonic()
        self._minutes.add(now, entered, left)
        self.pend(entered + left)

    def pend(self, count: int) -> None:
        """So many users are to be delivered."""
        self._arrivals.append((self._common.means.timing.monotonic(), count))
        self._came.set()
        if self.queue >= self._common.wish.flush_changes:
            self._full.set()

    def hurry(self) -> None:
        """Close the window, or end the wait, now."""
        self._full.set()
        self._came.set()

    def go_live(self) -> None:
        """Allow to make the audience's cohort, if it has none."""
        self._may_create = True
        self.hurry()

    def pause(self) -> None:
        """Go on taking changes in, and send nothing more until `resume`."""
        self.stop.pause()
        self.hurry()

    def resume(self) -> None:
        """Send again."""
        self.stop.resume()
        if self._state == PAUSED:
            self._state = ""
        self.hurry()

    async def follow(self) -> None:
        """Deliver what arrives, until the session is over."""
        common = self._common
        while True:
            await self._came_or_due()
            self._came.clear()
            if self._arrivals or self._state:
                await self._window()
                try:
                    await self._deliver()
                except LedgerError as error:  # a full disk, say: it is tried again
                    self._state = str(error)
                if self._state and not common.ending.is_set():
                    self._thin_out()
                    self._full.clear()
                    await self._full_or_later(self._rest())
                    self._came.set()
            if common.is_over and not self._came.is_set():
                return

    async def close(self) -> Outstanding:
        """Count what is left after the session, and keep it with the run; raises `LedgerError`."""
        ledger, worker = self._common.means.ledger, self._worker
        worker.audience = await ledger.aread(audience, worker.audience.id)
        left = await ledger.aread(outstanding, worker.audience)
        self._set_queue(left.pending, len(self._arrivals))
        why = self._why_not(worker.audience)
        self._state = (why or self._state) if left.pending else ""
        if left.uncertain and not self._state:
            self._state = uncertain_text(left.uncertain, left.certain_at)
        self._is_over = True
        await self._record(self._state)
        return left

    def wake(self) -> None:
        """See whether users have to be confirmed again, and when."""
        self._came.set()

    async def _came_or_due(self) -> None:
        """Wait for a change, or until users are to be confirmed again."""
        common = self._common
        while not self._came.is_set() and not common.ending.is_set():
            seconds = await self._until_due()
            if seconds is None:
                break
            if seconds <= 0:
                self.pend(1)
                return
            await self._either(self._came, seconds)
        await self._came.wait()

    async def _until_due(self) -> float | None:
        """In how many seconds the next users are to be confirmed again; None if there are none."""
        ledger, of = self._common.means.ledger, self._worker.audience.id
        try:
            found = (await ledger.aread(late_effects.uncertain, of)).get(of)
        except LedgerError:
            return None  # the session looks again, too
        if found is None:
            return None
        return (found.first_until - self._common.means.timing.now()) / 1_000_000

    def shown(self, now: float) -> LiveAudience:
        """The audience at a moment, in monotonic seconds."""
        worker, (entered, left) = self._worker, self._minutes.last(now)
        known, queue = worker.audience, self.queue
        state = PAUSED if self.stop.is_paused else self._state
        doing = worker.context.progress.of(known.id)
        if not (state or self._is_over) and doing.wait_until is not None:
            state = doing.state
        return LiveAudience(
            known.id,
            known.handle,
            known.name,
            queue,
            now - self._arrivals[0][0] if queue else 0.0,
            worker.counts,
            state,
            self._phase(state),
            is_paused=self.stop.is_paused,
            entered=entered,
            left=left,
        )

    def _phase(self, state: str) -> LivePhase:
        if state in {NO_COHORT, OFF}:
            return LivePhase.WAITING
        if self._is_over:
            return LivePhase.ENDED
        if state == PAUSED or (state and self._worker.counts.is_stuck):
            return LivePhase.WAITING
        return LivePhase.DELAYED if state else LivePhase.LIVE

    async def _window(self) -> None:
        """Let the window stay open, until it is full or the session ends."""
        common = self._common
        if self._arrivals and not common.ending.is_set():
            left = common.wish.flush_seconds - (
                common.means.timing.monotonic() - self._arrivals[0][0]
            )
            if left > 0:
                await self._full_or_later(left)
        self._full.clear()

    def _rest(self) -> float:
        """Seconds until an audience that could not be delivered is looked at again.

        The ledger says whether it is still held, so Amplitude is not asked: an operator may have
        released it.
        """
        until = self._worker.held_until
        if until is None:
            return LOOK_AGAIN
        left = (until - self._common.means.timing.now()) / 1_000_000
        return min(max(left, LOOK_AGAIN), LONGEST_HELD)

    async def _full_or_later(self, seconds: float) -> None:
        await self._either(self._full, seconds)

    async def _either(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, and no longer than that."""
        full = asyncio.ensure_future(event.wait())
        later = asyncio.ensure_future(self._common.means.timing.sleep(seconds))
        try:
            await asyncio.wait({full, later}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (full, later):
                task.cancel()
            await asyncio.gather(full, later, return_exceptions=True)

    async def _deliver(self) -> None:
        common, worker = self._common, self._worker
        means = common.means
        worker.audience = await means.ledger.aread(audience, worker.audience.id)
        await self._recount()
        if why := self._why_not(worker.audience):
            if why != self._state:
                self._state = why
                await self._record(why)
            return
        carried = len(self._arrivals)
        worker.counts = msgspec.structs.replace(worker.counts, is_stuck=False)
        worker.patience = RetryBudget(means.connection.limits, means.timing)
        worker.asked_to_wait = None
        worker.was_taken = False  # the cohort may have been deleted since the last turn
        self._state = note = await common.delivery.turn(worker)
        self._done_before = worker.context.progress.of(worker.audience.id).done
        if not note:
            self._delivered(carried)
        await self._record(note)

    async def _record(self, note: str) -> None:
        """Keep with the run what was done for the audience, and why users are pending."""
        worker, means = self._worker, self._common.means
        worker.counts = msgspec.structs.replace(worker.counts, note=note)
        await means.ledger.awrite(
            runs.record_audience,
            worker.context.run_id,
            worker.audience.id,
            worker.counts,
            means.timing.now(),
        )

    async def _recount(self) -> None:
        """Ask the ledger how many users are pending.

        Events repeat what is delivered already, and a person may enter and leave in one window.
        """
        carried = len(self._arrivals)
        known = self._worker.audience
        left = await self._common.means.ledger.aread(outstanding, known)
        self._set_queue(left.pending, carried)

    def _set_queue(self, pending: int, carried: int) -> None:
        """Let the first `carried` arrivals be `pending` users, the oldest of them first."""
        later = list(self._arrivals)[carried:]
        kept = []
        for at, count in list(self._arrivals)[:carried]:
            if pending > 0:
                kept.append((at, min(count, pending)))
            pending -= count
        if pending > 0:  # others were pending before
            at, count = kept.pop() if kept else (self._common.means.timing.monotonic(), 0)
            kept.append((at, count + pending))
        self._arrivals = deque([*kept, *later])
        self._done_before = self._worker.context.progress.of(self._worker.audience.id).done

    def _why_not(self, known: Audience) -> str:
        if self.stop.is_paused:
            return PAUSED
        if not known.enabled:
            return OFF
        if known.cohort_id is None and not self._may_create:
            return NO_COHORT
        return ""

    def _delivered(self, carried: int) -> None:
        """Everything that had arrived before the delivery began is delivered."""
        now = self._common.means.timing.monotonic()
        for _ in range(carried):
            at, count = self._arrivals.popleft()
            self._common.lags.add(now - at, count)

    def _thin_out(self) -> None:
        """Put neighbours together, as of the older one: an audience may wait for days."""
        while len(self._arrivals) > MOST_ARRIVALS:
            found = list(self._arrivals)
            pairs = zip(found[::2], [*found[1::2], (0.0, 0)], strict=False)
            self._arrivals = deque((at, count + more) for (at, count), (_, more) in pairs)
