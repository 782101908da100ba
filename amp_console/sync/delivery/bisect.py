"""Finds the users that make Amplitude refuse a whole batch, and delivers the rest."""

from collections.abc import Collection, Iterable, Sequence

from amp_console.amplitude import BadRequest
from amp_console.ledger import deliveries
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.worker import AudienceWorker, message_of
from amp_console.values import Operation

MAX_SUSPECTS = 20
"""After this many single refusals with nothing accepted in between, send a control request."""
MAX_CONTROLS = 3  # refused control requests until the cohort counts as the one that refuses
MAX_OTHERS = 10  # users sent one by one if there is no user for a control request


class BatchBisector:
    """Halves a refused batch until each user that Amplitude refuses is alone in one.

    A user that was refused, alone or by name, is only a suspect: everything may be refused for a
    while. Users are rejected once the same cohort has accepted something else after they were
    refused, and they are refused again. If nothing else is left to send, a control request tests
    the cohort: it adds a user who is in the cohort, or removes one who is not. If no such user is
    known, other pending users that the run may send are sent instead.
    """

    def __init__(self, worker: AudienceWorker, batch: DeliveryBatch) -> None:
        self._worker = worker
        self._batch = batch
        self._alone: list[str] = []  # refused one by one, since the cohort last accepted anything
        self._named: list[str] = []  # named by a refusal, likewise
        self._again: list[list[str]] = []  # suspects to be sent once more

    async def run(self, refusal: BadRequest) -> None:
        """Deliver all users except those Amplitude refuses, who are rejected with its reason.

        Raises `AudienceBlocked` if Amplitude refuses every user, and what
        `AudienceWorker.send` raises.
        """
        groups = await self._suspect(self._batch.identifiers(), refusal)
        while groups:
            groups += await self._deliver(groups.pop())
        if self._alone or self._named:
            await self._send_control(refusal)
        while self._again:
            await self._send_again(self._again.pop())

    async def _suspect(self, ids: list[str], refusal: BadRequest) -> list[list[str]]:
        """Note the suspects in a refused batch; return the groups in which to send the others."""
        named = set(refusal.named_ids) & set(ids)
        if named:
            self._named += sorted(named)
            return [[id_ for id_ in ids if id_ not in named]]
        if len(ids) > 1:
            return _halves(ids)
        self._alone += ids
        if len(self._alone) >= MAX_SUSPECTS:
            await self._send_control(refusal)
        return []

    def _accepted(self) -> None:
        """The cohort accepts requests: the suspects so far are sent once more at the end."""
        self._again += [[id_] for id_ in self._alone]
        if self._named:
            self._again.append(self._named)
        self._alone, self._named = [], []

    async def _deliver(self, ids: list[str]) -> list[list[str]]:
        """Send these users; return the groups in which they are to be sent again."""
        batch = await self._take(ids) if ids else None
        if batch is None:
            return []
        try:
            if not await self._worker.send(batch):
                return _halves(ids) if len(ids) > self._worker.batch_size.current else [ids]
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
            named_ids = set(ids) if len(ids) == 1 else set(refusal.named_ids) & set(ids)
            await self._reject(batch, named_ids, refusal)
            rest = [id_ for id_ in ids if id_ not in named_ids]
            self._again += [group for group in ([rest] if named_ids else _halves(rest)) if group]

    async def _take(self, ids: Sequence[str]) -> DeliveryBatch | None:
        worker = self._worker
        await worker.checkpoint()
        return await worker.write(
            deliveries.open_sub_batch, worker.run.id, self._batch, ids, worker.now()
        )

    async def _send_control(self, refusal: BadRequest) -> None:
        """Test whether the cohort accepts anything; raise `AudienceBlocked` if it does not."""
        refused: set[str] = set()  # a control user may be one that Amplitude refuses
        is_answered = False
        while not is_answered:
            batch = await self._take_control(refused)
            if batch is None:
                await self._send_others(refusal, refused)
                return
            try:
                is_answered = await self._worker.send(batch, is_control=True)
            except BadRequest as error:
                refused.update(batch.identifiers())
                if len(refused) >= MAX_CONTROLS:
                    raise AudienceBlocked(_all_refused(error)) from None
        self._accepted()

    async def _send_others(self, refusal: BadRequest, controls: Collection[str]) -> None:
        """Send other pending users one by one, in place of a control request, until one passes."""
        avoid = {*self._alone, *self._named, *controls}
        refused = 0
        while refused < MAX_OTHERS:
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
        raise AudienceBlocked(_all_refused(refusal) if controls else _no_control(refusal))

    async def _take_other(self, avoid: Collection[str]) -> DeliveryBatch | None:
        """Take one pending user. Removals by the ID type not in use come before all others."""
        worker, id_type = self._worker, self._batch.id_type
        await worker.checkpoint()
        is_in_use = id_type is worker.audience.id_type
        for operation in Operation if is_in_use else (Operation.REMOVE,):
            batch = await worker.write(
                deliveries.open_batch,
                worker.run.id,
                worker.audience.id,
                id_type,
                operation,
                1,
                worker.now(),
                worker.comparison_id,
                avoid,
                worker.only,
            )
            if batch is not None:
                return batch
        return None

    async def _take_control(self, avoid: Collection[str]) -> DeliveryBatch | None:
        """Take a user for a control request, if there is one apart from those in `avoid`.

        While the batch removes users by the inactive ID type, a user already removed by that type
        works, too: the delivery afterwards adds those who belong in the cohort again. A comparison
        does not, so it uses the active ID type alone.
        """
        worker = self._worker
        await worker.checkpoint()
        known = worker.audience
        id_types = [known.id_type]
        if worker.comparison_id is None and self._batch.id_type is not known.id_type:
            id_types.append(self._batch.id_type)
        for id_type in id_types:
            batch = await worker.write(
                deliveries.open_control_batch,
                worker.run.id,
                known.id,
                id_type,
                worker.now(),
                avoid,
            )
            if batch is not None:
                return batch
        return None

    async def _reject(self, batch: DeliveryBatch, ids: Iterable[str], refusal: BadRequest) -> None:
        worker, ids = self._worker, sorted(ids)
        if not ids:
            return
        response = worker.response(refusal.status, message_of(refusal))
        left = await worker.write(deliveries.refuse, batch, ids, response)
        worker.count(rejected=left.rejected, done=left.users)


def _all_refused(refusal: BadRequest) -> str:
    return (
        f"Amplitude refuses every request for this cohort: {message_of(refusal)}. "
        "All users stay pending. Check the cohort and the connection's settings."
    )


def _no_control(refusal: BadRequest) -> str:
    return (
        f"Amplitude refuses every request for this cohort: {message_of(refusal)}. No other user "
        "has been delivered, so there is no way to tell whether it refuses only these users. All "
        "users stay pending. Check the cohort and the connection's settings."
    )


def _halves(ids: list[str]) -> list[list[str]]:
    middle = len(ids) // 2
    return [ids[middle:], ids[:middle]]
