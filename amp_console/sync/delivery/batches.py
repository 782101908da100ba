"""Batches of what is pending: the next one is opened while a request is under way."""

import asyncio
from typing import Self

from amp_console.ledger import deliveries
from amp_console.ledger.counts import to_send
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.ledger.runs import RunKind
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType, Operation

COUNTED_EACH_TIME = 100_000  # users left, which a file counts in 10 ms
COUNT_SECONDS = 5.0  # between two counts of more


class PendingBatches:
    """An audience's pending users of one kind, batch by batch; an async context manager.

    In a file, opening a batch of 100,000 takes as long as Amplitude takes to answer, so the next
    batch is opened while a request is under way. It is one more open request, which a dying process
    leaves behind. If the first request fails, the next batch is withdrawn: after trouble, batches
    may be smaller.

    `sent` counts the users sent; no batch follows once they are `most`.
    """

    def __init__(
        self, worker: AudienceWorker, id_type: IdType, operation: Operation, most: int | None = None
    ) -> None:
        self.sent = 0
        self._worker = worker
        self._id_type = id_type
        self._operation = operation
        self._most = most
        self._ahead: asyncio.Task[DeliveryBatch | None] | None = None
        self._counted_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.put_back()

    async def next(self) -> DeliveryBatch | None:
        """Return the next batch, None at the end; raises `RunStopped`."""
        if self._is_enough(self.sent):
            return None
        batch = await self._taken_ahead()
        if batch is None:
            await self._worker.checkpoint()
            batch = await self._open(self._worker.batch_size.current)
        if batch is not None and self._worker.run.kind is RunKind.SYNC:
            await self._expect()
        return batch

    def open_ahead(self, sending: DeliveryBatch) -> None:
        """Start opening the batch after the one that is being sent, unless that is a retry."""
        is_retry = self._worker.retry_budget.failures > 0
        if not (is_retry or self._is_enough(self.sent + sending.size)):
            self._ahead = asyncio.create_task(
                self._open(self._worker.batch_size.after(sending.size))
            )

    async def put_back(self) -> None:
        """Withdraw the batch that was opened ahead: it is pending as before."""
        batch = await self._taken_ahead()
        if batch is not None:
            await self._worker.write(deliveries.withdraw, batch)

    def _is_enough(self, sent: int) -> bool:
        return self._most is not None and sent >= self._most

    async def _taken_ahead(self) -> DeliveryBatch | None:
        ahead, self._ahead = self._ahead, None
        return None if ahead is None else await ahead

    async def _open(self, limit: int) -> DeliveryBatch | None:
        worker = self._worker
        return await worker.write(
            deliveries.open_batch,
            worker.run.id,
            worker.audience.id,
            self._id_type,
            self._operation,
            limit,
            worker.now(),
            worker.comparison_id,
            only=worker.only,
        )

    async def _expect(self) -> None:
        """Show how many users are left: more may have arrived."""
        worker = self._worker
        shown, now = worker.run.progress.get(worker.audience.id), worker.elapsed()
        is_much = shown.total - shown.done > COUNTED_EACH_TIME
        if is_much and self._counted_at is not None and now < self._counted_at + COUNT_SECONDS:
            return
        self._counted_at = now
        left = await worker.read(to_send, worker.audience, worker.now())
        worker.run.progress.expect(worker.audience.id, left.users)
