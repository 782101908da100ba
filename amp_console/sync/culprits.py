"""Finding the users because of whom Amplitude refuses a whole batch, and delivering the rest."""

from collections.abc import Sequence

from amp_console.amplitude import BadRequest
from amp_console.ledger import deliveries
from amp_console.ledger.deliveries import Batch
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane, words_of

MOST_SUSPECTS = 20
"""So many users refused one by one, and none taken: it is not about the users."""


class Hunt:
    """Halves a refused batch until the users stand alone whom Amplitude refuses.

    Until Amplitude takes anything, a refused user is a suspect only: a request that is refused for
    its form would otherwise make everybody a culprit.
    """

    def __init__(self, lane: Lane, batch: Batch) -> None:
        self._lane = lane
        self._batch = batch
        self._suspects: list[tuple[Batch, BadRequest]] = []

    async def run(self, refusal: BadRequest) -> None:
        """Deliver all but the culprits, who are rejected with Amplitude's words.

        Raises `GaveUp` where Amplitude refuses everybody, and what `Lane.send` raises.
        """
        ids = self._batch.identifiers()
        named = set(refusal.culprits) & set(ids)
        await self._reject_named(named, refusal)
        rest = [id_ for id_ in ids if id_ not in named]
        parts = [rest] if named or len(rest) == 1 else _halves(rest)
        while parts:
            parts += await self._deliver(parts.pop())
        for batch, error in self._suspects:
            await self._reject(batch, error)

    async def _deliver(self, ids: list[str]) -> list[list[str]]:
        """Send these users; return the parts in which they are to be sent again."""
        batch = await self._take(ids) if ids else None
        if batch is None:
            return []
        try:
            if await self._lane.send(batch):
                return []
            return _halves(ids) if len(ids) > self._lane.size.size else [ids]
        except BadRequest as refusal:
            if batch.size > 1:
                return _halves(batch.identifiers())
            await self._suspect(batch, refusal)
            return []

    async def _take(self, ids: Sequence[str]) -> Batch | None:
        await self._lane.checkpoint()
        desk = self._lane.desk
        return await desk.ledger.awrite(
            deliveries.take_these, desk.run_id, self._batch, ids, desk.timing.now()
        )

    async def _suspect(self, batch: Batch, refusal: BadRequest) -> None:
        if self._lane.was_taken:
            await self._reject(batch, refusal)
            return
        self._suspects.append((batch, refusal))
        if len(self._suspects) >= MOST_SUSPECTS:
            raise GaveUp(
                f"Amplitude refuses every request for this cohort: {words_of(refusal)}. "
                "All users stay pending. Check the cohort and the connection's settings."
            )

    async def _reject(self, batch: Batch, refusal: BadRequest) -> None:
        lane = self._lane
        rejected = await lane.desk.ledger.awrite(
            deliveries.refuse,
            batch,
            batch.identifiers()[0],
            lane.answer(refusal.status, words_of(refusal)),
        )
        lane.count(batch, rejected)

    async def _reject_named(self, named: set[str], refusal: BadRequest) -> None:
        if not named:
            return
        lane = self._lane
        rejected = await lane.desk.ledger.awrite(
            deliveries.refuse_named,
            self._batch,
            sorted(named),
            lane.answer(refusal.status, words_of(refusal)),
        )
        lane.tell(rejected=rejected, done=rejected)


def _halves(ids: list[str]) -> list[list[str]]:
    middle = len(ids) // 2
    return [ids[middle:], ids[:middle]]
