"""Making the cohort of an audience that has none: from its own members, once, crash or no crash."""

from functools import partial

from amp_console.amplitude import BadRequest
from amp_console.ledger import uploads
from amp_console.ledger.cohorts import Creation
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.ledger.standing import members, outstanding
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.seed_strategy import SeedStrategy
from amp_console.sync.delivery.seeding import make_from_seed
from amp_console.sync.delivery.uploading import begin, refused_text, upload
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.values import IdType


async def ensure_cohort(worker: AudienceWorker) -> None:
    """Make or adopt the cohort of the lane's audience, and link it.

    Leaves the audience without one where Amplitude knows none of its members: they are rejected.
    Raises `AudienceBlocked`, and what `AudienceWorker.ask` raises.
    """
    worker.says("making the cohort")
    intent = await begin(worker)
    if intent is None:
        return
    ledger, of = worker.context.ledger, worker.audience
    if await ledger.aread(members, of):
        await _from_members(worker, intent)
    elif (await ledger.aread(outstanding, of)).unidentified == 0:
        await make_from_seed(worker, intent)


async def _from_members(worker: AudienceWorker, intent: Creation) -> None:
    tries = await _try_members(worker, intent, worker.audience.id_type)
    if tries.refusal and tries.id_type is IdType.AMPLITUDE_ID:
        # One public client says that only user IDs can make a cohort.
        await _try_members(worker, intent, IdType.USER_ID)
    if worker.audience.cohort_id:
        return
    if tries.refusal is not None:
        raise AudienceBlocked(refused_text(tries.refusal))
    if tries.last is not None:
        await _reject_everybody(worker, tries.last, tries.words)


async def _try_members(worker: AudienceWorker, intent: Creation, id_type: IdType) -> SeedStrategy:
    """Upload some members, then others, until one of them makes the cohort."""
    tries = SeedStrategy(id_type)
    while not (worker.audience.cohort_id or tries.is_over):
        taken = await _take(worker, tries)
        if taken is None:
            if not tries.starts_over():
                break
            continue
        tries.last, row = taken
        try:
            tries.went(await upload(worker, intent, tries.last), row)
        except BadRequest as refusal:
            tries.refused(refusal, row)
    return tries


async def _take(worker: AudienceWorker, tries: SeedStrategy) -> tuple[DeliveryBatch, int] | None:
    await worker.checkpoint()
    context = worker.context
    return await context.ledger.awrite(
        uploads.take_members,
        context.run_id,
        worker.audience.id,
        tries.id_type,
        tries.after,
        tries.size,
        tries.avoid,
        context.timing.now(),
    )


async def _reject_everybody(worker: AudienceWorker, last: DeliveryBatch, words: str) -> None:
    """Amplitude knows no member: none can be delivered, and there is no cohort to make.

    If it refused them by name, search for one of them first: a user it finds is known to it.
    """
    if words and await _is_known(worker, last.identifiers()[0]):
        raise AudienceBlocked(
            f"Amplitude refused to create the cohort from any member: {words}. It knows at least "
            "one of them, so all users stay pending. Check the cohort owner's email and the App ID."
        )
    rejected = await worker.context.ledger.awrite(
        uploads.reject_everybody,
        last,
        words or f"Amplitude does not know this {last.id_type.label}",
        worker.context.timing.now(),
    )
    worker.tell(rejected=rejected, done=rejected)


async def _is_known(worker: AudienceWorker, id_: str) -> bool:
    found = await worker.ask(partial(worker.context.client.find_users, id_))
    return any(id_ in {match.user_id, match.amplitude_id} for match in found)
