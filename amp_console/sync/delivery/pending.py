"""Sending what is pending for one audience, until its cohort is what is wanted."""

from amp_console.amplitude import BadRequest, CohortGone, ServerTrouble
from amp_console.ledger import deliveries
from amp_console.ledger.counts import count_pending
from amp_console.sync.delivery.batches import PendingBatches
from amp_console.sync.delivery.bisect import BatchBisector
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.create_cohort import ensure_cohort
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType, Operation


async def deliver_audience(worker: AudienceWorker) -> None:
    """Bring the cohort to what is wanted, until nothing is pending."""
    while await deliver_window(worker):
        pass


async def deliver_window(worker: AudienceWorker) -> bool:
    """Bring the cohort to what was wanted when it began; what arrives meanwhile waits.

    If changes arrive all the time, something is always pending, and each request would carry only
    what arrived during the previous one. Removals that keep arriving would hold up the additions
    forever. Returns whether anything was sent.

    It creates the cohort if there is none, removes those who left, then adds the others. Users
    delivered under the ID type not in use are removed first, all of them: the same person may be in
    the cohort by the other identifier, and is added again after.
    """
    if worker.audience.broken:
        raise AudienceBlocked(worker.audience.broken)
    if worker.audience.cohort_id is None:
        await ensure_cohort(worker)
    if worker.audience.cohort_id is None:
        return False
    old, new = worker.audience.id_type.other, worker.audience.id_type
    sent = await deliver_pending(worker, old, Operation.REMOVE)
    sent += await _deliver_backlog(worker, new, Operation.REMOVE)
    sent += await _deliver_backlog(worker, new, Operation.ADD)
    return sent > 0


async def _deliver_backlog(worker: AudienceWorker, id_type: IdType, operation: Operation) -> int:
    """Send as many users as are pending now; return how many were sent."""
    audience_id = worker.audience.id
    backlog = await worker.read(count_pending, audience_id, id_type, operation)
    return await deliver_pending(worker, id_type, operation, backlog) if backlog else 0


async def deliver_pending(
    worker: AudienceWorker, id_type: IdType, operation: Operation, most: int | None = None
) -> int:
    """Send until nothing of this kind is pending or `most` users were sent; return how many."""
    # The differences of a comparison say who is in the cohort by one identifier alone; people who
    # are forgotten are no one else by the other one.
    is_first = worker.comparison_id is None and worker.only is None
    async with PendingBatches(worker, id_type, operation, most) as batches:
        while batch := await batches.next():
            in_use = worker.audience.id_type
            if is_first and id_type is not in_use:
                await worker.write(deliveries.doubt_delivered, worker.audience.id, in_use)
            is_first = False
            try:
                if await worker.send(batch, upcoming=batches):
                    batches.sent += batch.size
            except BadRequest as refusal:
                await _check_cohort(worker, refusal)
                await BatchBisector(worker, batch).run(refusal)
                batches.sent += batch.size
            except CohortGone as error:
                if not await is_listed(worker):
                    raise
                # A cohort in Amplitude's list exists, whatever one answer said.
                await worker.wait_out(ServerTrouble(error.status, error.message, error.text))
    return batches.sent


async def _check_cohort(worker: AudienceWorker, refusal: BadRequest) -> None:
    """Before bisecting: a refusal may be Amplitude's way to say that there is no cohort."""
    if not worker.was_accepted and not refusal.named_ids and not await is_listed(worker):
        raise CohortGone(refusal.status, refusal.message, refusal.text)


async def is_listed(worker: AudienceWorker) -> bool:
    """Whether Amplitude's list has the audience's cohort."""
    cohorts = await worker.ask(worker.client.list_cohorts)
    return any(cohort.id == worker.cohort_id for cohort in cohorts)
