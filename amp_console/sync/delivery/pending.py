"""Sending what is pending for one audience, until its cohort is what is wanted."""

from amp_console.amplitude import BadRequest, CohortGone, ServerTrouble
from amp_console.ledger import deliveries
from amp_console.sync.delivery.bisect import BatchBisector
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.create_cohort import ensure_cohort
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType, Operation


async def deliver_audience(worker: AudienceWorker) -> None:
    """Bring the cohort to what is wanted, until nothing is pending."""
    await _deliver(worker, is_window=False)


async def deliver_window(worker: AudienceWorker) -> None:
    """Bring the cohort to what was wanted when it began; what arrives meanwhile waits.

    Where changes arrive all the time there is always something pending, and each request would
    carry only what arrived during the one before.
    """
    await _deliver(worker, is_window=True)


async def _deliver(worker: AudienceWorker, *, is_window: bool) -> None:
    """Create the cohort if there is none, remove those who left, then add the others.

    Users delivered under the ID type not in use are removed first, all of them: the same person
    may be in the cohort by the other identifier, and is added again after.
    """
    if worker.audience.broken:
        raise AudienceBlocked(worker.audience.broken)
    if worker.audience.cohort_id is None:
        await ensure_cohort(worker)
    if worker.audience.cohort_id is None:
        return
    old, new = worker.audience.id_type.other, worker.audience.id_type
    await deliver_pending(worker, old, Operation.REMOVE)
    await deliver_pending(worker, new, Operation.REMOVE, is_window=is_window)
    await deliver_pending(worker, new, Operation.ADD, is_window=is_window)


async def deliver_pending(
    worker: AudienceWorker, id_type: IdType, operation: Operation, *, is_window: bool = False
) -> None:
    """Send until nothing of this kind is pending.

    In a window, stop once the backlog present at the start has been sent.
    """
    # The differences of a comparison say who is in the cohort by one identifier alone.
    is_first = worker.comparison_id is None
    asked = worker.batch_size.current
    while batch := await worker.take(id_type, operation):
        is_all = batch.size < asked
        if is_first and id_type is not worker.audience.id_type:
            await worker.write(deliveries.forget_other_id_type, worker.audience.id, id_type)
        is_first = False
        try:
            was_sent = await worker.send(batch)
            if is_window and is_all and was_sent:
                return
        except BadRequest as refusal:
            await _check_cohort(worker, refusal)
            await BatchBisector(worker, batch).run(refusal)
        except CohortGone as error:
            if not await is_listed(worker):
                raise
            # A cohort in Amplitude's list exists, whatever one answer said.
            await worker.wait_out(ServerTrouble(error.status, error.words, error.text))
        asked = worker.batch_size.current


async def _check_cohort(worker: AudienceWorker, refusal: BadRequest) -> None:
    """Before bisecting: a refusal may be Amplitude's way to say that there is no cohort."""
    if not worker.was_accepted and not refusal.named_ids and not await is_listed(worker):
        raise CohortGone(refusal.status, refusal.words, refusal.text)


async def is_listed(worker: AudienceWorker) -> bool:
    """Whether Amplitude's list has the audience's cohort."""
    cohorts = await worker.ask(worker.client.list_cohorts)
    return any(cohort.id == worker.cohort_id for cohort in cohorts)
