"""Making the cohort of an audience that has none: from its own members, once, crash or no crash."""

from functools import partial

from amp_console.amplitude import BadRequest
from amp_console.ledger import uploads
from amp_console.ledger.cohorts import Creation
from amp_console.ledger.deliveries import Batch
from amp_console.ledger.standing import members, outstanding
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane
from amp_console.sync.seeding import make_from_seed
from amp_console.sync.tries import Tries
from amp_console.sync.uploading import begin, refused_text, upload
from amp_console.values import IdType


async def ensure_cohort(lane: Lane) -> None:
    """Make or adopt the cohort of the lane's audience, and link it.

    Leaves the audience without one where Amplitude knows none of its members: they are rejected.
    Raises `GaveUp`, and what `Lane.ask` raises.
    """
    lane.says("making the cohort")
    intent = await begin(lane)
    if intent is None:
        return
    ledger, of = lane.desk.ledger, lane.audience
    if await ledger.aread(members, of):
        await _from_members(lane, intent)
    elif (await ledger.aread(outstanding, of)).unidentified == 0:
        await make_from_seed(lane, intent)


async def _from_members(lane: Lane, intent: Creation) -> None:
    tries = await _try_members(lane, intent, lane.audience.id_type)
    if tries.refusal and tries.id_type is IdType.AMPLITUDE_ID:
        # One public client says that only user IDs can make a cohort.
        await _try_members(lane, intent, IdType.USER_ID)
    if lane.audience.cohort_id:
        return
    if tries.refusal is not None:
        raise GaveUp(refused_text(tries.refusal))
    if tries.last is not None:
        await _reject_everybody(lane, tries.last, tries.words)


async def _try_members(lane: Lane, intent: Creation, id_type: IdType) -> Tries:
    """Upload some members, then others, until one of them makes the cohort."""
    tries = Tries(id_type)
    while not (lane.audience.cohort_id or tries.is_over):
        taken = await _take(lane, tries)
        if taken is None:
            if not tries.starts_over():
                break
            continue
        tries.last, row = taken
        try:
            tries.went(await upload(lane, intent, tries.last), row)
        except BadRequest as refusal:
            tries.refused(refusal, row)
    return tries


async def _take(lane: Lane, tries: Tries) -> tuple[Batch, int] | None:
    await lane.checkpoint()
    desk = lane.desk
    return await desk.ledger.awrite(
        uploads.take_members,
        desk.run_id,
        lane.audience.id,
        tries.id_type,
        tries.after,
        tries.size,
        tries.avoid,
        desk.timing.now(),
    )


async def _reject_everybody(lane: Lane, last: Batch, words: str) -> None:
    """Amplitude knows no member: none can be delivered, and there is no cohort to make.

    If it refused them by name, search for one of them first: a user it finds is known to it.
    """
    if words and await _is_known(lane, last.identifiers()[0]):
        raise GaveUp(
            f"Amplitude refused to create the cohort from any member: {words}. It knows at least "
            "one of them, so all users stay pending. Check the cohort owner's email and the App ID."
        )
    rejected = await lane.desk.ledger.awrite(
        uploads.reject_everybody,
        last,
        words or f"Amplitude does not know this {last.id_type.label}",
        lane.desk.timing.now(),
    )
    lane.tell(rejected=rejected, done=rejected)


async def _is_known(lane: Lane, id_: str) -> bool:
    found = await lane.ask(partial(lane.desk.client.find_users, id_))
    return any(id_ in {match.user_id, match.amplitude_id} for match in found)
