"""One audience in a live session: it waits for changes, then delivers them window by window.

The first change opens a window, and when it closes everything pending is delivered. While Amplitude
is slow or rate-limits, more changes gather, so windows grow by themselves, and a flip within one
costs nothing. The lease is held for a delivery only, so that others may sync, compare or change
the audience in between.
"""

import asyncio
from typing import NamedTuple

import msgspec

from amp_console.ledger import LedgerError, late_effects
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.counts import Outstanding, outstanding
from amp_console.ledger.leases import busy_because
from amp_console.ledger.outcomes import (
    GOES_LIVE,
    LARGE_REMOVAL,
    NO_COHORT,
    OFF,
    PAUSED,
    audience_outcome,
    keep_outcome,
)
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.delivery.context import ActiveRun
from amp_console.sync.delivery.run import take_turn
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.formatting import uncertain_text
from amp_console.sync.live.backlog import Backlog, Lags, Minutes
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience, LivePhase, WaitReason
from amp_console.sync.live.removal_guard import RemovalGuard
from amp_console.sync.timing import Stop
from amp_console.text import first_sentence

LATE = "imported after the last delivery"
UNANSWERED = "ended before Amplitude answered"
_WAITS = {
    NO_COHORT: WaitReason.NO_COHORT,
    LARGE_REMOVAL: WaitReason.REMOVAL,
    OFF: WaitReason.OFF,
    PAUSED: WaitReason.PAUSED,
}


class FollowerEnd(NamedTuple):
    """What is left to do for an audience after a session, and how the session ended for it."""

    left: Outstanding
    status: RunStatus


class DeliveryObstacle:
    """Why an audience's changes are not delivered, as noted when a delivery ended."""

    def __init__(self, worker: AudienceWorker) -> None:
        self.noted = ""
        self._worker = worker
        self._is_stuck = False
        self._done = 0  # users answered for by then

    def note(self, state: str, *, is_stuck: bool) -> None:
        """Note a state, "" if everything is delivered; `is_stuck`: it needs the operator."""
        self.noted, self._is_stuck, self._done = state, is_stuck, self._answered_for()

    @property
    def state(self) -> str:
        """The noted state; a trouble is over once Amplitude has answered for more users.

        The rest of that delivery may take long. A state that needs the operator lasts until its
        end.
        """
        is_over = self._answered_for() > self._done and not self.waits_for(self.noted)
        return "" if is_over else self.noted

    def waits_for(self, state: str) -> str:
        """What the operator has to do, in words; "" if nothing waits for the operator."""
        if state in _WAITS:
            return _WAITS[state]
        if not (state and self._is_stuck) or self._worker.run.keys_refused is not None:
            return ""  # refused keys are not about an audience: they end the session
        return WaitReason.BROKEN if self._worker.audience.broken else first_sentence(state)

    def _answered_for(self) -> int:
        return self._worker.run.progress.get(self._worker.audience.id).done


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
        self._guard = RemovalGuard(options)
        self._obstacle = DeliveryObstacle(self._worker)
        self._is_held = False  # it was paused when the session was to end
        self._backlog = Backlog(self._timing.monotonic, lambda: run.progress.get(known.id).done)
        self._note(self._why_not(known), is_stuck=bool(known.broken))
        self._minutes = Minutes(self._timing.monotonic() - run.progress.elapsed)
        self._woken = asyncio.Event()
        self._is_due = False  # to be delivered, whatever is known to be pending
        self._full = asyncio.Event()
        self._is_last = False  # the source has ended: nothing more arrives
        self._is_used = False  # `follow` was called
        self._is_done = False  # ... and has returned
        self._is_over = False

    @property
    def name(self) -> str:
        """The audience's name."""
        return self._worker.audience.name

    def count_moves(self, entered: int, left: int) -> None:
        """Count people who entered and left, for the figures by the minute."""
        self._minutes.add(self._timing.monotonic(), entered, left)

    def recount(self, pending: int, *, is_first: bool = False) -> None:
        """Set how many users are pending, as the ledger has just counted them.

        `is_first`: they were pending before the session read anything. The ledger answers in turn,
        so by now the run has counted exactly what was delivered before.
        """
        count = self._backlog.begin if is_first else self._backlog.recount
        if count(pending):
            self._woken.set()
        if self._backlog.size >= self._options.flush_changes:
            self._full.set()

    def hurry(self) -> None:
        """Close the window, or end the wait, now."""
        self._full.set()
        self._woken.set()

    def wake(self, *, is_due: bool = False, is_first: bool = False) -> None:
        """Check whether users are pending or have to be confirmed again, and when.

        `is_due`: deliver what there is, because it is not known how many are pending. `is_first`:
        they were pending before the session.
        """
        self._is_due = self._is_due or is_due
        if is_first:
            self._guard.expect_backlog()
        self._woken.set()

    def go_live(self, reason: WaitReason) -> None:
        """Allow what the audience waits for: to create its cohort, or to send a large removal."""
        if reason is WaitReason.REMOVAL:
            self._guard.confirm()
        else:
            self._may_create = True
        self.hurry()

    def pause(self) -> None:
        """Keep receiving changes, but send nothing more until `resume`."""
        self._stop.pause()
        self.hurry()

    def resume(self) -> None:
        """Send again."""
        self._stop.resume()
        if self._obstacle.noted == PAUSED:
            self.settings_read(self._worker.audience)
        self._omit_wait()
        self.hurry()

    def end(self) -> None:
        """Deliver what is pending now; send nothing if the audience is paused."""
        if self._stop.is_paused:
            self._is_held = True
            self._stop.ask()
        self.hurry()

    def finish(self) -> None:
        """Make `follow` return once everything that has arrived is delivered: nothing more arrives.

        An audience of which no change was seen is over now: the session did nothing for it.
        """
        self._is_last = True
        if not self._is_used:
            self._note("")
            self._is_over = True
        self.hurry()

    def give_up(self) -> None:
        """Send nothing more once the request in flight is answered."""
        self._stop.ask()

    def settings_read(self, known: Audience) -> None:
        """Use these settings from now on, and note why nothing can be delivered by them."""
        self._worker.audience = known
        self._note(self._why_not(known), is_stuck=bool(known.broken))

    async def follow(self) -> None:
        """Deliver what arrives, until the session is over."""
        self._is_used, self._is_over = True, False
        while True:
            await self._wait_for_work()
            self._woken.clear()
            if self._backlog or self._obstacle.noted or self._is_due:
                await self._wait_for_window()
                try:
                    await self._deliver()
                except LedgerError as error:  # a full disk, say: it is tried again
                    self._note(str(error))
                is_busy = (
                    self._worker.was_busy and not self._stop.is_asked
                )  # but will not be for long
                if self._obstacle.noted and (is_busy or not self._ending.is_set()):
                    self._backlog.merge(self._options.most_arrivals)
                    self._full.clear()
                    await self._timing.wait_for(self._full, self._retry_after())
                    self._woken.set()
            if self._is_last and not self._woken.is_set():
                self._is_done = True
                return

    async def close(self) -> FollowerEnd:
        """Count what is left after the session and record it with the run; raises `LedgerError`."""
        worker = self._worker
        worker.audience = await worker.read(audience, worker.audience.id)
        left = await worker.read(outstanding, worker.audience)
        if not self._is_used:  # the session had nothing to deliver
            await worker.record("")
            done = RunStatus.DELIVERED
            await worker.write(keep_outcome, worker.run.id, worker.audience.id, done)
            return FollowerEnd(left, done)
        self._backlog.recount(left.pending)
        if not left.pending:
            self._note("")
        elif why := self._why_not(worker.audience):
            self._note(why, is_stuck=why == worker.audience.broken)
        elif not self._obstacle.state:
            self._note(LATE if self._is_done else UNANSWERED)
        if left.uncertain and not self._obstacle.noted:
            self._note(uncertain_text(left.uncertain, left.certain_at))
        self._is_over = True
        await worker.record(self._obstacle.noted)
        status = audience_outcome(RunKind.LIVE, worker.counts)
        await worker.write(keep_outcome, worker.run.id, worker.audience.id, status)
        return FollowerEnd(left, status)

    def snapshot(self, now: float) -> LiveAudience:
        """The audience at a moment, in monotonic seconds."""
        worker, (entered, left) = self._worker, self._minutes.last(now)
        known = worker.audience
        state = PAUSED if self._stop.is_paused else self._obstacle.state
        progress = worker.run.progress.get(known.id)
        if not (state or self._is_over) and progress.wait_until is not None:
            state = progress.state
        return LiveAudience(
            known.id,
            known.handle,
            known.name,
            self._backlog.size,
            self._backlog.age(now),
            worker.counts,
            state,
            self._phase(state),
            is_paused=self._stop.is_paused,
            waits_for=self._obstacle.waits_for(state),
            would_remove=self._guard.would_remove if state == LARGE_REMOVAL else "",
            entered=entered,
            left=left,
            arrived=self._backlog.arrived,
            dropped=self._backlog.dropped,
        )

    def _phase(self, state: str) -> LivePhase:
        if self._obstacle.waits_for(state):
            return LivePhase.WAITING
        if self._is_over:
            return LivePhase.ENDED
        return LivePhase.DELAYED if state else LivePhase.LIVE

    def _omit_wait(self) -> None:
        """Do not count as lag how long the pending changes have waited for the operator."""
        self._lags.omits_waits |= self._backlog.size > 0
        self._backlog.restart()

    def _note(self, state: str, *, is_stuck: bool = False) -> None:
        """Note why nothing is delivered; what waits for the operator does not age meanwhile."""
        self._obstacle.note(state, is_stuck=is_stuck)
        if self._obstacle.waits_for(state):
            self._omit_wait()

    async def _wait_for_work(self) -> None:
        """Wait for a change, or until users are to be confirmed again."""
        while not self._woken.is_set() and not self._ending.is_set():
            seconds = await self._seconds_until_due()
            if seconds is None:
                break
            if seconds <= 0:
                self._is_due = True
                return
            await self._timing.wait_for(self._woken, seconds)
        await self._woken.wait()

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
        if worker.was_busy:
            return options.retry_busy
        if worker.limited_until is None:
            return options.retry_after
        left = (worker.limited_until - worker.now()) / 1_000_000
        return min(max(left, options.retry_after), options.rate_limit_recheck)

    async def _deliver(self) -> None:
        worker = self._worker
        worker.was_busy = False
        worker.audience = await worker.read(audience, worker.audience.id)
        if why := self._why_not(worker.audience):
            is_stuck = why == worker.audience.broken
            worker.counts = msgspec.structs.replace(worker.counts, is_stuck=is_stuck)
            self._note(why, is_stuck=is_stuck)
            if why != worker.counts.note:
                await worker.record(why)
            return
        if self._obstacle.noted == LARGE_REMOVAL and await self._guard.must_wait(worker):
            return  # without its lease, which the sync that sends it needs
        self._is_due = False
        note = await take_turn(worker, self._guard.deliver)
        if worker.was_busy:
            note = await worker.read(busy_because, worker.audience.id, GOES_LIVE)
        if not note:
            self._note("")
        worker.audience = await worker.read(audience, worker.audience.id)
        left = await worker.read(outstanding, worker.audience)
        for seconds, count in self._backlog.settle():
            self._lags.add(seconds, count)
        self.recount(left.pending)
        self._note(note, is_stuck=worker.counts.is_stuck)
        await worker.record(note)

    def _why_not(self, known: Audience) -> str:
        """Why nothing can be delivered, in words; "" if it can."""
        if self._stop.is_paused or self._is_held:
            return PAUSED
        if not known.enabled:
            return OFF
        if known.broken:
            return known.broken
        if known.cohort_id is None and not self._may_create:
            return NO_COHORT
        return ""
