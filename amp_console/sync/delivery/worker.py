"""One audience on its way to its cohort: one request at a time, until nothing is pending."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    ForeignAnswer,
    RateLimited,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
    Unconfirmed,
)
from amp_console.ledger import deliveries
from amp_console.ledger.audiences import Audience
from amp_console.ledger.deliveries import BatchAnswer, DeliveryBatch
from amp_console.ledger.runs import AudienceCounts
from amp_console.sync.delivery.backoff import BatchSize, RetryBudget
from amp_console.sync.delivery.context import RunContext, RunStopped
from amp_console.sync.delivery.holds import AskedToWait, asked_to_wait
from amp_console.values import IdType, Operation

T = TypeVar("T")

# A smaller request may pass where this one did not.
TOO_MUCH = (TimedOut, TooLarge, ServerTrouble, ForeignAnswer, Unconfirmed)


class AudienceWorker:
    """Sends an audience's requests, one after the other, and keeps count of what came back."""

    def __init__(self, context: RunContext, audience: Audience) -> None:
        """`comparison_id`, once set, limits what is taken to its chosen differences."""
        self.context = context
        self.audience = audience
        self.counts = AudienceCounts()
        self.patience = RetryBudget(context.connection.limits, context.timing)
        self.size = BatchSize(context.connection.limits)
        self.comparison_id: int | None = None
        self.held_until: int | None = None  # what an earlier run, or this one, was asked for
        self.asked_to_wait: AskedToWait | None = None
        self.was_taken = False  # Amplitude has accepted a request for this cohort in this run

    @property
    def cohort_id(self) -> str:
        """The cohort's id; the lane is asked only once the audience is linked."""
        assert self.audience.cohort_id is not None
        return self.audience.cohort_id

    async def take(self, id_type: IdType, operation: Operation) -> DeliveryBatch | None:
        """Take the next batch of what is pending; raises `RunStopped`."""
        await self.checkpoint()
        return await self.context.ledger.awrite(
            deliveries.take,
            self.context.run_id,
            self.audience.id,
            id_type,
            operation,
            self.size.size,
            self.context.timing.now(),
            self.comparison_id,
        )

    async def send(self, batch: DeliveryBatch, *, is_control: bool = False) -> bool:
        """Send a batch and settle it; False where it is pending again after a wait or a pause.

        A control request changes nothing: its users count neither as added nor as removed.

        Raises `BadRequest`, `KeysRefused` and `CohortGone` with the batch pending again, and
        `OutOfPatience` or `RunStopped` while waiting.
        """
        try:
            async with self.context.slots:
                if self.context.slots.are_closed or not self.context.stop.goes_on:
                    return await self._put_back(batch)  # it has changed while this one waited
                self.says(f"{_DOING[batch.operation]} {batch.size:,}")
                self.tell(requests=1)
                answer = await self.context.client.change_members(
                    self.cohort_id, batch.id_type, batch.operation, batch.ids
                )
        except AmplitudeError as error:
            await self.context.ledger.awrite(
                deliveries.void,
                batch.request_id,
                self.answer(error.status, str(error)),
                self.late_until(error),
            )
            if not isinstance(error, Transient):
                raise
            await self.wait_out(error, batch.size)
            return False
        if is_control and batch.operation is Operation.REMOVE:
            answer = msgspec.structs.replace(answer, skipped=())  # unknown users are out anyway
        rejected = await self._confirm(batch, answer.skipped, answer.text)
        if not is_control:
            self.count(batch, rejected)
        return True

    async def _put_back(self, batch: DeliveryBatch) -> bool:
        await self.context.ledger.awrite(deliveries.withdraw, batch)
        if self.context.slots.are_closed:
            raise RunStopped
        return False

    async def _confirm(self, batch: DeliveryBatch, skipped: tuple[str, ...], text: str) -> int:
        rejected = await self.context.ledger.awrite(
            deliveries.confirm,
            batch,
            self.answer(200, text),
            skipped,
            f"Amplitude does not know this {batch.id_type.label}",
        )
        self.was_taken = True
        self.asked_to_wait = None
        self.patience.clean()
        self.size.grow()
        return rejected

    def count(self, batch: DeliveryBatch, rejected: int) -> None:
        """Count a batch that is settled for good, `rejected` of it as rejected."""
        taken = batch.size - rejected
        if batch.operation is Operation.ADD:
            self.tell(added=taken, rejected=rejected, done=batch.size)
        else:
            self.tell(removed=taken, rejected=rejected, done=batch.size)

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask Amplitude something that changes nothing, as often as it takes.

        It does not count as a request: those are the calls that change a cohort or create one.
        A clean answer to a question does not renew the patience with changes that fail.
        Raises what the call raises, but for transient trouble; `OutOfPatience` and `RunStopped`.
        """
        while True:
            await self.checkpoint()
            try:
                async with self.context.slots:
                    if self.context.slots.are_closed:
                        raise RunStopped
                    return await call()
            except Transient as error:
                await self.wait_out(error)

    async def wait_out(self, error: Transient, users: int = 0) -> None:
        """Wait as long as this trouble asks for; raises `OutOfPatience` and `RunStopped`.

        `users` is how many it concerns: they are pending again.
        """
        if isinstance(error, TOO_MUCH):
            self.size.shrink(error)
        self.asked_to_wait = asked_to_wait(error, self.context.timing.now()) or self.asked_to_wait
        seconds = self.patience.wait_after(error)
        self.tell(retries=1)
        what = "rate limited" if isinstance(error, RateLimited) else str(error).partition(". ")[0]
        self.context.progress.retries(self.audience.id, users, self.patience.failures + 1)
        self.says(f"{what}, trying again (try {self.patience.failures + 1})", seconds)
        await self.context.stop.or_sleep(self.context.timing, seconds)
        await self.checkpoint()

    async def checkpoint(self) -> None:
        """Wait while the run is paused; raise `RunStopped` once it was asked to end."""
        if self.context.stop.is_paused:
            self.says("paused")
        if not await self.context.stop.may_go_on():
            raise RunStopped

    def late_until(self, error: AmplitudeError) -> int | None:
        """Until when a failed request may take effect, in microseconds; None if it can't."""
        limits = self.context.connection.limits
        return limits.late_until(self.context.timing.now()) if error.may_be_applied else None

    def answer(self, status: int | None, words: str) -> BatchAnswer:
        """What came back just now."""
        return BatchAnswer(self.context.timing.now(), status, words)

    def says(self, state: str, wait: float | None = None) -> None:
        """Show what the audience is doing, and for how many seconds it waits."""
        self.context.progress.says(self.audience.id, state, wait)

    def tell(self, *, done: int = 0, **more: int) -> None:
        """Count: `done` users answered for, and `more` of any of the run's counts."""
        sums = {name: getattr(self.counts, name) + extra for name, extra in more.items()}
        self.counts = msgspec.structs.replace(self.counts, **sums)
        self.context.progress.counts(self.audience.id, self.counts, done)


_DOING = {Operation.ADD: "adding", Operation.REMOVE: "removing"}


def words_of(refusal: BadRequest) -> str:
    """Amplitude's own words for a refusal, else its status."""
    return refusal.words or f"Amplitude answered with status {refusal.status}"
