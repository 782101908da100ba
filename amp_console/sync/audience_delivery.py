"""Bringing one audience's cohort to what is wanted."""

from amp_console.amplitude import BadRequest, CohortGone, ServerTrouble
from amp_console.ledger import deliveries
from amp_console.sync.creation import ensure_cohort
from amp_console.sync.culprits import Hunt
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane
from amp_console.values import IdType, Operation


async def deliver_audience(lane: Lane) -> None:
    """Bring the cohort to what is wanted, until nothing is pending."""
    await _deliver(lane, is_one_window=False)


async def deliver_window(lane: Lane) -> None:
    """Bring the cohort to what was wanted when it began; what comes meanwhile is for the next time.

    Where changes come all the time there is always something pending, and each request would carry
    only what came during the one before.
    """
    await _deliver(lane, is_one_window=True)


async def _deliver(lane: Lane, *, is_one_window: bool) -> None:
    """Deliver the cohort itself, then leavers, then the rest.

    People delivered under the ID type not in use go first and wholly: the same person may be in
    by the other identifier, and is added again after.
    """
    if lane.audience.broken:
        raise GaveUp(lane.audience.broken)
    if lane.audience.cohort_id is None:
        await ensure_cohort(lane)
    if lane.audience.cohort_id is None:
        return
    old, new = lane.audience.id_type.other, lane.audience.id_type
    await deliver_pending(lane, old, Operation.REMOVE)
    await deliver_pending(lane, new, Operation.REMOVE, is_one_window=is_one_window)
    await deliver_pending(lane, new, Operation.ADD, is_one_window=is_one_window)


async def deliver_pending(
    lane: Lane, id_type: IdType, operation: Operation, *, is_one_window: bool = False
) -> None:
    """Send until nothing of this kind is pending; in one window, until all was that once was."""
    # The differences of a comparison tell who is in by one identifier alone.
    is_first = lane.comparison_id is None
    asked = lane.size.size
    while batch := await lane.take(id_type, operation):
        is_all = batch.size < asked
        if is_first and id_type is not lane.audience.id_type:
            await lane.desk.ledger.awrite(deliveries.make_room, lane.audience.id, id_type)
        is_first = False
        try:
            was_taken = await lane.send(batch)
            if is_one_window and is_all and was_taken:
                return
        except BadRequest as refusal:
            await _check_cohort(lane, refusal)
            await Hunt(lane, batch).run(refusal)
        except CohortGone as error:
            if not await is_listed(lane):
                raise
            # A cohort that is in the list is not gone, whatever one answer said.
            await lane.wait_out(ServerTrouble(error.status, error.words, error.text))
        asked = lane.size.size


async def _check_cohort(lane: Lane, refusal: BadRequest) -> None:
    """Before looking for culprits: a refusal may be Amplitude's way to say there is no cohort."""
    if not lane.was_taken and not refusal.culprits and not await is_listed(lane):
        raise CohortGone(refusal.status, refusal.words, refusal.text)


async def is_listed(lane: Lane) -> bool:
    """Whether Amplitude lists the cohort of the lane's audience."""
    cohorts = await lane.ask(lane.desk.client.list_cohorts)
    return any(each.id == lane.cohort_id for each in cohorts)
