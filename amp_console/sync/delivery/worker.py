"""One audience on its way to its cohort: one request at a time, until nothing is pending."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import msgspec

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    ForeignResponse,
    RateLimited,
    ResponseTooLong,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
    Unconfirmed,
    Upload,
    Uploaded,
)
from amp_console.ledger import Db, deliveries, runs
from amp_console.ledger.audiences import Audience
from amp_console.ledger.deliveries import DeliveryBatch, NotApplied, ResponseRecord
from amp_console.ledger.leases import fenced
from amp_console.ledger.locks import Fence
from amp_console.ledger.runs import AudienceCounts
from amp_console.sync.delivery.backoff import BatchSize, RequestedWait, RetryBudget, asked_to_wait
from amp_console.sync.delivery.context import ActiveRun, RunStopped
from amp_console.sync.timing import Stop
from amp_console.values import Operation

P = ParamSpec("P")
T = TypeVar("T")

# A smaller request may pass where this one did not.
TOO_MUCH = (TimedOut, TooLarge, ServerTrouble, ResponseTooLong, ForeignResponse, Unconfirmed)


class UpcomingBatches(Protocol):
    """The batches after one that is being sent."""

    def open_ahead(self, sending: DeliveryBatch, /) -> None:
        """Start opening the next batch while this one is on its way."""

    async def put_back(self) -> None:
        """Let the users of the next batch be pending as before."""


class AudienceWorker:
    """Sends an audience's requests, one after the other, and counts what came back.

    `comparison_id`, once set, limits what is sent to the chosen differences of that comparison, and
    `only` to some identifiers. `limited_until` is the time before which Amplitude wants no request
    for this audience, in microseconds since 1970. `was_accepted`: Amplitude has accepted a request
    for this cohort in this turn; `was_busy`: another worker held the lease.
    """

    def __init__(self, run: ActiveRun, audience: Audience, stop: Stop | None = None) -> None:
        """`stop` pauses or ends this audience alone; by default the run's stop does."""
        context = run.context
        self.run = run
        self.connection = context.connection
        self.client = context.client
        self.audience = audience
        self.counts = AudienceCounts()
        self.retry_budget = RetryBudget(self.connection.limits, context.timing)
        self.batch_size = BatchSize(self.connection.limits)
        self.comparison_id: int | None = None
        self.only: frozenset[str] | None = None
        self.limited_until: int | None = None
        self.asked_to_wait: RequestedWait | None = None
        self.was_accepted = False
        self.was_busy = False
        self._is_retry = False  # the last request that changes something failed
        self._ledger = context.ledger
        self._writes = context.ledger.writes_of(audience.id)
        self._sent_at: int | None = None  # when the last request was sent
        self._fence: Fence | None = None  # of the lease that is held
        self._timing = context.timing
        self._stop = stop or context.stop

    def reset(self) -> None:
        """Begin another turn: the trouble of an earlier one may be over."""
        self.counts = msgspec.structs.replace(self.counts, is_stuck=False)
        self.retry_budget = RetryBudget(self.connection.limits, self._timing)
        self.asked_to_wait = None
        self._is_retry = False
        self.was_busy = False
        self.was_accepted = False  # the cohort may have been deleted since the last turn

    @property
    def cohort_id(self) -> str:
        """The id of the audience's cohort; only for an audience that is linked."""
        assert self.audience.cohort_id is not None
        return self.audience.cohort_id

    async def read(
        self, query: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read from the ledger. Raises `LedgerError`."""
        return await self._ledger.aread(query, *args, **kwargs)

    async def write(
        self, change: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Change the ledger's record of the audience and the run, in one transaction.

        Raises `LedgerError`, and `LeaseLost` with nothing changed if another process has taken the
        lease.
        """
        return await self._writes.awrite(fenced, self._fence, change, *args, **kwargs)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[None]:
        """Hold the audience's lease; raises `AudienceBusy` if another process does."""
        async with self._ledger.ahold(self._ledger.lease(self.audience.id)) as fence:
            self._fence = fence
            try:
                yield
            finally:
                self._fence = None

    def now(self) -> int:
        """The time by the clock of the ledger, in microseconds since 1970."""
        return self.run.context.now()

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.run.progress.elapsed

    async def send(
        self,
        batch: DeliveryBatch,
        *,
        is_control: bool = False,
        upcoming: UpcomingBatches | None = None,
    ) -> bool:
        """Send a batch and settle it; False if it is pending again after a wait or a pause.

        A control request changes nothing: its users count neither as added nor as removed.
        Meanwhile the next of the `upcoming` batches is opened.

        Raises `BadRequest`, `KeysRefused` and `CohortGone` with the batch pending again,
        `RetriesExhausted` or `RunStopped` while waiting, and `LeaseLost` with nothing sent.
        """
        limiter = self.run.limiter
        try:
            async with limiter:
                # Both may have changed while this request waited for its turn.
                if limiter.is_closed or not self._stop.may_send:
                    return await self._put_back(batch)
                await self._ledger.acheck_lease(self._fence)
                if upcoming is not None:
                    upcoming.open_ahead(batch)
                self.show(f"{_DOING[batch.operation]} {batch.size:,}")
                with self._counted_request():
                    response = await self.client.change_members(
                        self.cohort_id, batch.id_type, batch.operation, batch.ids
                    )
        except AmplitudeError as error:
            await self.settle_failed(batch, error)
            if upcoming is not None:
                await upcoming.put_back()
            if not isinstance(error, Transient):
                raise
            await self.wait_out(error, batch.size)
            return False
        if is_control and batch.operation is Operation.REMOVE:
            response = msgspec.structs.replace(response, skipped=())  # unknown users are out anyway
        left = await self._confirm(batch, response.skipped, response.text)
        if not is_control:
            self._count_batch(batch, left)
        return True

    async def upload(self, request: Upload) -> Uploaded:
        """Upload members as a cohort, once there is room for a request; raises `AmplitudeError`."""
        with self._counted_request():
            async with self.run.limiter:
                await self._ledger.acheck_lease(self._fence)
                return await self.client.upload(request)

    @contextmanager
    def _counted_request(self) -> Iterator[None]:
        """Count a request that changes a cohort or creates one, and the class of its answer."""
        self.count(requests=1, retries=int(self._is_retry))
        self._is_retry = False
        self._sent_at = self.now()
        status = None
        try:
            yield
            status = 200
        except AmplitudeError as error:
            status = error.status
            raise
        finally:
            self.run.statuses.add(status)

    async def settle_failed(self, batch: DeliveryBatch, error: AmplitudeError) -> None:
        """Record a failed request: its members are unknown only if it may have been applied."""
        response = self.response(error.status, error.account)
        if error.may_be_applied:
            late_until = self.connection.limits.late_until(self.now())
            await self.write(deliveries.void, batch.request_id, response, late_until)
        else:
            await self.write(deliveries.undo, batch, response)

    async def _put_back(self, batch: DeliveryBatch) -> bool:
        await self.write(deliveries.withdraw, batch)
        if self.run.limiter.is_closed:
            raise RunStopped
        return False

    async def _confirm(
        self, batch: DeliveryBatch, skipped: tuple[str, ...], text: str
    ) -> NotApplied:
        left = await self.write(
            deliveries.confirm,
            batch,
            self.response(200, text),
            skipped,
            deliveries.unknown_to_amplitude(batch.id_type),
        )
        self.was_accepted = True
        self.asked_to_wait = None
        self.retry_budget.renew()
        self.batch_size.grow(batch.size)
        return left

    def _count_batch(self, batch: DeliveryBatch, left: NotApplied) -> None:
        applied = batch.size - left.users
        if batch.operation is Operation.ADD:
            self.count(added=applied, rejected=left.rejected, done=batch.size)
        else:
            self.count(removed=applied, rejected=left.rejected, done=batch.size)

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask Amplitude something that changes nothing, as often as necessary.

        It does not count as a request: those are the calls that change a cohort or create one.
        A clean answer to a question does not renew the retry budget of changes that fail.
        Raises what the call raises, except `Transient`, and `RetriesExhausted` or `RunStopped`.
        """
        while True:
            await self.checkpoint()
            try:
                async with self.run.limiter:
                    if self.run.limiter.is_closed:
                        raise RunStopped
                    return await call()
            except Transient as error:
                await self.wait_out(error, is_question=True)

    async def wait_out(
        self, error: Transient, users: int = 0, *, is_question: bool = False
    ) -> None:
        """Wait as long as this error asks for; raises `RetriesExhausted` and `RunStopped`.

        `users` is how many it concerns: they are pending again, and fewer are sent at once. A call
        that `is_question` changes nothing, so asking again is not a retry of a request.
        """
        if users and isinstance(error, TOO_MUCH):
            self.batch_size.shrink(error, users)
        self.asked_to_wait = asked_to_wait(error, self.now()) or self.asked_to_wait
        seconds = self.retry_budget.wait_after(error)
        self._is_retry = self._is_retry or not is_question
        what = "rate limited" if isinstance(error, RateLimited) else str(error).partition(". ")[0]
        self.run.progress.retry(self.audience.id, users, self.retry_budget.failures + 1)
        self.show(f"{what}, trying again (try {self.retry_budget.failures + 1})", seconds)
        await self.sleep(seconds)
        await self.checkpoint()

    async def sleep(self, seconds: float) -> None:
        """Wait, or until the run is asked to end."""
        await self._stop.wait(self._timing, seconds)

    async def checkpoint(self) -> None:
        """Wait while the run is paused; raise `RunStopped` once it was asked to end."""
        if self._stop.is_paused:
            self.show("paused")
        if not await self._stop.wait_while_paused():
            raise RunStopped

    def response(self, status: int | None, message: str) -> ResponseRecord:
        """An answer to the last request, which has just come back."""
        return ResponseRecord(self.now(), status, message, self._sent_at)

    def show(self, state: str, wait: float | None = None) -> None:
        """Show what the audience is doing, and for how many seconds it waits."""
        self.run.progress.show(self.audience.id, state, wait)

    def count(self, *, done: int = 0, **more: int) -> None:
        """Count `done` users as answered for, and `more` in any of the run's counts."""
        sums = {name: getattr(self.counts, name) + extra for name, extra in more.items()}
        self.counts = msgspec.structs.replace(self.counts, **sums)
        self.run.progress.count(self.audience.id, self.counts, done)

    async def record(self, note: str) -> None:
        """Record with the run what was done for the audience, and why users are pending."""
        self.counts = msgspec.structs.replace(self.counts, note=note)
        await self.write(
            runs.record_audience, self.run.id, self.audience.id, self.counts, self.now()
        )


_DOING = {Operation.ADD: "adding", Operation.REMOVE: "removing"}


def message_of(refusal: BadRequest) -> str:
    """Amplitude's own words for a refusal, or its status if there are none."""
    return refusal.message or f"Amplitude answered with status {refusal.status}"
