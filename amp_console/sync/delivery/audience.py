"""Bringing one audience's cohort to what is wanted."""

from amp_console.amplitude import BadRequest, CohortGone, ServerTrouble
from amp_console.ledger import deliveries
from amp_console.sync.delivery.bisect import BatchBisector
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.create_cohort import ensure_cohort
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType, Operation


async def deliver_audience(worker: AudienceWorker) -> None:
    """Bring the cohort to what is wanted, until nothing is pending."""
    await _deliver(worker, is_one_window=False)


async def deliver_window(worker: AudienceWorker) -> None:
    """Bring the cohort to what was wanted when it began; what comes meanwhile is for the next time.

    Where changes come all the time there is always something pending, and each request would carry
    only what came during the one before.
    """
    await _deliver(worker, is_one_window=True)


async def _deliver(worker: AudienceWorker, *, is_one_window: bool) -> None:
    """Deliver the cohort itself, then leavers, then the rest.

    People delivered under the ID type not in use go first and wholly: the same person may be in
    by the other identifier, and is added again after.
    """
    if worker.audience.broken:
        raise AudienceBlocked(worker.audience.broken)
    if worker.audience.cohort_id is None:
        await ensure_cohort(worker)
    if worker.audience.cohort_id is None:
        return
    old, new = worker.audience.id_type.other, worker.audience.id_type
    await deliver_pending(worker, old, Operation.REMOVE)
    await deliver_pending(worker, new, Operation.REMOVE, is_one_window=is_one_window)
    await deliver_pending(worker, new, Operation.ADD, is_one_window=is_one_window)


async def deliver_pending(
    worker: AudienceWorker, id_type: IdType, operation: Operation, *, is_one_window: bool = False
) -> None:
    """Send until nothing of this kind is pending; in one window, until all was that once was."""
    # The differences of a comparison tell who is in by one identifier alone.
    is_first = worker.comparison_id is None
    asked = worker.size.size
    while batch := await worker.take(id_type, operation):
        is_all = batch.size < asked
        if is_first and id_type is not worker.audience.id_type:
            await worker.context.ledger.awrite(deliveries.make_room, worker.audience.id, id_type)
        is_first = False
        try:
            was_taken = await worker.send(batch)
            if is_one_window and is_all and was_taken:
                return
        except BadRequest as refusal:
            await _check_cohort(worker, refusal)
            await BatchBisector(worker, batch).run(refusal)
        except CohortGone as error:
            if not await is_listed(worker):
                raise
            # A cohort that is in the list is not gone, whatever one answer said.
            await worker.wait_out(ServerTrouble(error.status, error.words, error.text))
        asked = worker.size.size


async def _check_cohort(worker: AudienceWorker, refusal: BadRequest) -> None:
    """Before looking for culprits: a refusal may be Amplitude's way to say there is no cohort."""
    if not worker.was_taken and not refusal.culprits and not await is_listed(worker):
        raise CohortGone(refusal.status, refusal.words, refusal.text)


async def is_listed(worker: AudienceWorker) -> bool:
    """Whether Amplitude lists the cohort of the lane's audience."""
    cohorts = await worker.ask(worker.context.client.list_cohorts)
    return any(cohort.id == worker.cohort_id for cohort in cohorts)
