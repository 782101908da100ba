"""Finding the users because of whom Amplitude refuses a whole batch, and delivering the rest."""

from collections.abc import Collection, Iterable, Sequence

from amp_console.amplitude import BadRequest
from amp_console.ledger import deliveries
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.worker import AudienceWorker, words_of
from amp_console.values import Operation

MOST_SUSPECTS = 20
"""So many users refused one by one, and nothing accepted in between: ask with a control request."""
MOST_OTHERS = 10  # users sent one by one where there is no user for a control request


class BatchBisector:
    """Halves a refused batch until the users stand alone whom Amplitude refuses.

    A refused user, alone or by name, is a suspect only: for a while everything may be refused.
    Users are rejected once the same cohort has accepted something else after they were refused, and
    they are refused again. If nothing else is left to send, a control request shows it: one that
    adds a user who is in the cohort, or removes one who is not. While no one is known to be either,
    other pending users are sent instead.
    """

    def __init__(self, worker: AudienceWorker, batch: DeliveryBatch) -> None:
        self._worker = worker
        self._batch = batch
        self._alone: list[str] = []  # refused one by one, since the cohort last accepted anything
        self._named: list[str] = []  # named by a refusal, likewise
        self._again: list[list[str]] = []  # suspects to be sent once more

    async def run(self, refusal: BadRequest) -> None:
        """Deliver all but the culprits, who are rejected with Amplitude's words.

        Raises `AudienceBlocked` if Amplitude refuses every user, and what
        `AudienceWorker.send` raises.
        """
        parts = await self._suspect(self._batch.identifiers(), refusal)
        while parts:
            parts += await self._deliver(parts.pop())
        if self._alone or self._named:
            await self._ask_control(refusal)
        while self._again:
            await self._send_again(self._again.pop())

    async def _suspect(self, ids: list[str], refusal: BadRequest) -> list[list[str]]:
        """Note who is suspect in a refused batch; return the parts in which to send the others."""
        named = set(refusal.culprits) & set(ids)
        if named:
            self._named += sorted(named)
            return [[id_ for id_ in ids if id_ not in named]]
        if len(ids) > 1:
            return _halves(ids)
        self._alone += ids
        if len(self._alone) >= MOST_SUSPECTS:
            await self._ask_control(refusal)
        return []

    def _accepted(self) -> None:
        """The cohort accepts requests: the suspects so far are sent once more at the end."""
        self._again += [[id_] for id_ in self._alone]
        if self._named:
            self._again.append(self._named)
        self._alone, self._named = [], []

    async def _deliver(self, ids: list[str]) -> list[list[str]]:
        """Send these users; return the parts in which they are to be sent again."""
        batch = await self._take(ids) if ids else None
        if batch is None:
            return []
        try:
            if not await self._worker.send(batch):
                return _halves(ids) if len(ids) > self._worker.size.size else [ids]
        except BadRequest as refusal:
            return await self._suspect(batch.identifiers(), refusal)
        self._accepted()
        return []

    async def _send_again(self, ids: list[str]) -> None:
        """Send suspects once more, now that the cohort accepts requests; reject the refused."""
        batch = await self._take(ids)
        if batch is None:
            return
        try:
            if not await self._worker.send(batch):
                self._again.append(ids)
        except BadRequest as refusal:
            ids = batch.identifiers()
            culprits = set(ids) if len(ids) == 1 else set(refusal.culprits) & set(ids)
            await self._reject(batch, culprits, refusal)
            rest = [id_ for id_ in ids if id_ not in culprits]
            self._again += [part for part in ([rest] if culprits else _halves(rest)) if part]

    async def _take(self, ids: Sequence[str]) -> DeliveryBatch | None:
        await self._worker.checkpoint()
        context = self._worker.context
        return await context.ledger.awrite(
            deliveries.take_these, context.run_id, self._batch, ids, context.timing.now()
        )

    async def _ask_control(self, refusal: BadRequest) -> None:
        """See whether the cohort accepts anything; raise `AudienceBlocked` where it does not."""
        worker, is_answered = self._worker, False
        try:
            while not is_answered:
                batch = await self._take_control()
                if batch is None:
                    await self._send_others(refusal)
                    return
                is_answered = await worker.send(batch, is_control=True)
        except BadRequest as error:
            raise AudienceBlocked(
                f"Amplitude refuses every request for this cohort: {words_of(error)}. "
                "All users stay pending. Check the cohort and the connection's settings."
            ) from None
        self._accepted()

    async def _send_others(self, refusal: BadRequest) -> None:
        """Send other pending users one by one, in place of a control request, until one passes."""
        avoid = {*self._alone, *self._named}
        refused = 0
        while refused < MOST_OTHERS:
            batch = await self._take_other(avoid)
            if batch is None:
                break
            try:
                if await self._worker.send(batch):
                    self._accepted()
                    return
            except BadRequest:
                avoid.update(batch.identifiers())
                refused += 1
        raise AudienceBlocked(_no_control(refusal))

    async def _take_other(self, avoid: Collection[str]) -> DeliveryBatch | None:
        """Take one pending user. Removals by the ID type not in use come before all others."""
        await self._worker.checkpoint()
        context, of, id_type = self._worker.context, self._worker.audience, self._batch.id_type
        for operation in Operation if id_type is of.id_type else (Operation.REMOVE,):
            batch = await context.ledger.awrite(
                deliveries.take,
                context.run_id,
                of.id,
                id_type,
                operation,
                1,
                context.timing.now(),
                self._worker.comparison_id,
                avoid,
            )
            if batch is not None:
                return batch
        return None

    async def _take_control(self) -> DeliveryBatch | None:
        """Take a user for a control request, if there is one.

        While users are removed by the ID type not in use, the others are added again after: then a
        user who was removed by it before serves, too. A comparison does not add the others again.
        """
        await self._worker.checkpoint()
        context, of = self._worker.context, self._worker.audience
        id_types = [of.id_type]
        if self._worker.comparison_id is None and self._batch.id_type is not of.id_type:
            id_types.append(self._batch.id_type)
        for id_type in id_types:
            batch = await context.ledger.awrite(
                deliveries.take_control, context.run_id, of.id, id_type, context.timing.now()
            )
            if batch is not None:
                return batch
        return None

    async def _reject(self, batch: DeliveryBatch, ids: Iterable[str], refusal: BadRequest) -> None:
        worker, ids = self._worker, sorted(ids)
        if not ids:
            return
        answer = worker.answer(refusal.status, words_of(refusal))
        rejected = await worker.context.ledger.awrite(deliveries.refuse, batch, ids, answer)
        worker.tell(rejected=rejected, done=rejected)


def _no_control(refusal: BadRequest) -> str:
    return (
        f"Amplitude refuses every request for this cohort: {words_of(refusal)}. No other user is "
        "delivered yet to check with whether it refuses these users alone. All users stay "
        "pending. Check the cohort and the connection's settings."
    )


def _halves(ids: list[str]) -> list[list[str]]:
    middle = len(ids) // 2
    return [ids[middle:], ids[:middle]]
