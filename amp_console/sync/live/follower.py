"""One audience in a live session: it waits for changes, then delivers them window by window.

The first change opens a window, and when it closes everything pending is delivered. While Amplitude
is slow or rate-limits, more changes gather, so windows grow by themselves, and a flip within one
costs nothing. The lease is held for a delivery only, so that others may sync, compare or change
the audience in between.
"""

import asyncio

from amp_console.ledger import LedgerError, late_effects
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.counts import Outstanding, outstanding
from amp_console.sync.delivery.context import ActiveRun
from amp_console.sync.delivery.pending import deliver_window
from amp_console.sync.delivery.run import take_turn
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.formatting import uncertain_text
from amp_console.sync.live.backlog import Backlog, Lags, Minutes
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience, LivePhase
from amp_console.sync.timing import Stop

NO_COHORT = "waiting: no cohort"
OFF = "waiting: disabled"
PAUSED = "paused: nothing is sent"


class Follower:
    """Follows one audience; all methods are called in the event loop's thread."""

    def __init__(
        self,
        run: ActiveRun,
        known: Audience,
        options: LiveOptions,
        lags: Lags,
        ending: asyncio.Event,
    ) -> None:
        """`lags` and `ending` are the session's: `ending` is set once it is to end."""
        self._stop = Stop()
        self._worker = AudienceWorker(run, known, self._stop)
        self._timing = run.context.timing
        self._options = options
        self._lags = lags
        self._ending = ending
        self._may_create = options.create
        self._state = ""
        self._backlog = Backlog(self._timing.monotonic, lambda: run.progress.get(known.id).done)
        self._minutes = Minutes()
        self._came = asyncio.Event()
        self._full = asyncio.Event()
        self._is_last = False  # the source has ended: nothing more arrives
        self._is_over = False

    @property
    def name(self) -> str:
        """The audience's name."""
        return self._worker.audience.name

    @property
    def queue(self) -> int:
        """How many changes are not delivered yet; those of a delivery under way count down."""
        return self._backlog.size

    def arrived(self, entered: int, left: int) -> None:
        """Note changes that are in the ledger."""
        self._minutes.add(self._timing.monotonic(), entered, left)
        self.pend(entered + left)

    def pend(self, count: int) -> None:
        """Note users who are to be delivered."""
        self._backlog.add(count)
        self._came.set()
        if self.queue >= self._options.flush_changes:
            self._full.set()

    def hurry(self) -> None:
        """Close the window, or end the wait, now."""
        self._full.set()
        self._came.set()

    def wake(self) -> None:
        """Check whether users have to be confirmed again, and when."""
        self._came.set()

    def go_live(self) -> None:
        """Allow to create the audience's cohort, if it has none."""
        self._may_create = True
        self.hurry()

    def pause(self) -> None:
        """Keep receiving changes, and send nothing more until `resume`."""
        self._stop.pause()
        self.hurry()

    def resume(self) -> None:
        """Send again."""
        self._stop.resume()
        if self._state == PAUSED:
            self._state = ""
        self.hurry()

    def end(self) -> None:
        """Deliver what is pending now; send nothing where the audience is paused."""
        if self._stop.is_paused:
            self._stop.ask()
        self.hurry()

    def finish(self) -> None:
        """Let `follow` return once what has arrived is delivered: nothing more arrives."""
        self._is_last = True
        self.hurry()

    def give_up(self) -> None:
        """Send nothing more once the request in flight is answered."""
        self._stop.ask()

    async def follow(self) -> None:
        """Deliver what arrives, until the session is over."""
        while True:
            await self._wait_for_work()
            self._came.clear()
            if self._backlog or self._state:
                await self._wait_for_window()
                try:
                    await self._deliver()
                except LedgerError as error:  # a full disk, say: it is tried again
                    self._state = str(error)
                if self._state and not self._ending.is_set():
                    self._backlog.merge(self._options.most_arrivals)
                    self._full.clear()
                    await self._timing.wait_for(self._full, self._retry_after())
                    self._came.set()
            if self._is_last and not self._came.is_set():
                return

    async def close(self) -> Outstanding:
        """Count what is left after the session, and keep it with the run; raises `LedgerError`."""
        worker = self._worker
        worker.audience = await worker.read(audience, worker.audience.id)
        left = await worker.read(outstanding, worker.audience)
        self._backlog.recount(left.pending, len(self._backlog))
        why = self._why_not(worker.audience)
        self._state = (why or self._state) if left.pending else ""
        if left.uncertain and not self._state:
            self._state = uncertain_text(left.uncertain, left.certain_at)
        self._is_over = True
        await worker.record(self._state)
        return left

    def snapshot(self, now: float) -> LiveAudience:
        """The audience at a moment, in monotonic seconds."""
        worker, (entered, left) = self._worker, self._minutes.last(now)
        known = worker.audience
        state = PAUSED if self._stop.is_paused else self._state
        progress = worker.run.progress.get(known.id)
        if not (state or self._is_over) and progress.wait_until is not None:
            state = progress.state
        return LiveAudience(
            known.id,
            known.handle,
            known.name,
            self.queue,
            self._backlog.age(now),
            worker.counts,
            state,
            self._phase(state),
            is_paused=self._stop.is_paused,
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

    async def _wait_for_work(self) -> None:
        """Wait for a change, or until users are to be confirmed again."""
        while not self._came.is_set() and not self._ending.is_set():
            seconds = await self._seconds_until_due()
            if seconds is None:
                break
            if seconds <= 0:
                self.pend(1)
                return
            await self._timing.wait_for(self._came, seconds)
        await self._came.wait()

    async def _seconds_until_due(self) -> float | None:
        """Return when the next users are to be confirmed again; None if there are none."""
        worker = self._worker
        try:
            uncertain = await worker.read(late_effects.uncertain, worker.audience.id)
        except LedgerError:
            return None  # the session catches up, too
        found = uncertain.get(worker.audience.id)
        return None if found is None else (found.first_until - worker.now()) / 1_000_000

    async def _wait_for_window(self) -> None:
        """Keep the window open until it is full or the session ends."""
        if self._backlog and not self._ending.is_set():
            left = self._backlog.seconds_left(self._options.flush_seconds)
            if left > 0:
                await self._timing.wait_for(self._full, left)
        self._full.clear()

    def _retry_after(self) -> float:
        """Seconds until an audience that could not be delivered is tried again.

        The ledger says whether Amplitude still asks to wait, so Amplitude is not asked: an operator
        may have released it.
        """
        worker, options = self._worker, self._options
        if worker.limited_until is None:
            return options.retry_after
        left = (worker.limited_until - worker.now()) / 1_000_000
        return min(max(left, options.retry_after), options.rate_limit_recheck)

    async def _deliver(self) -> None:
        worker = self._worker
        worker.audience = await worker.read(audience, worker.audience.id)
        arrivals = len(self._backlog)
        left = await worker.read(outstanding, worker.audience)
        self._backlog.recount(left.pending, arrivals)
        if why := self._why_not(worker.audience):
            if why != self._state:
                self._state = why
                await worker.record(why)
            return
        arrivals = len(self._backlog)
        self._state = note = await take_turn(worker, deliver_window)
        self._backlog.begin_delivery()
        if not note:
            for seconds, count in self._backlog.remove(arrivals):
                self._lags.add(seconds, count)
        await worker.record(note)

    def _why_not(self, known: Audience) -> str:
        """Say why nothing can be delivered, "" where it can."""
        if self._stop.is_paused:
            return PAUSED
        if not known.enabled:
            return OFF
        if known.cohort_id is None and not self._may_create:
            return NO_COHORT
        return ""
