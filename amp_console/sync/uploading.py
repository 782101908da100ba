"""One upload that makes a cohort, and finding the cohort again when its answer was lost.

The intent is written down first. Whenever an answer is lost, and after a crash, Amplitude's list
is looked through for a cohort of that name which was not there before: that one is adopted.
"""

import enum

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    Cohort,
    TimedOut,
    Transient,
    Unconfirmed,
    Upload,
    Uploaded,
)
from amp_console.ledger import cohorts, uploads
from amp_console.ledger.audiences import all_audiences, audience
from amp_console.ledger.cohorts import Creation
from amp_console.ledger.deliveries import Batch
from amp_console.sync.lane import Lane, words_of
from amp_console.sync.plan import cohort_name, owner_email

LATER_LOOKS = (2.0, 5.0, 15.0)  # seconds; a call takes 2 to 4 when nothing is wrong


async def begin(lane: Lane) -> Creation | None:
    """Return the intent to make a cohort; None where the one made before a crash was adopted."""
    ledger, of = lane.desk.ledger, lane.audience
    begun = await ledger.aread(cohorts.creation, of.id)
    if begun is not None and await _adopt(lane, begun):
        return None
    name = cohort_name(of, lane.desk.connection)
    if begun is not None and begun.name == name:
        known = begun.known_ids
    else:
        known = frozenset(c.id for c in await _list(lane) if _same(c.name, name))
    owner = owner_email(of, lane.desk.connection)
    return await ledger.awrite(
        cohorts.begin_creation, of.id, name, owner, known, lane.desk.timing.now()
    )


async def _look_for(lane: Lane, intent: Creation, error: Transient) -> bool:
    """Adopt the cohort if it was made; one whose request timed out may still be in the making."""
    is_slow = isinstance(error, TimedOut) or error.status == 504
    for seconds in (0.0, *LATER_LOOKS) if is_slow else (0.0,):
        if seconds:
            lane.says("looking whether the cohort was made", seconds)
            await lane.desk.stop.or_sleep(lane.desk.timing, seconds)
        if await _adopt(lane, intent):
            return True
    return False


async def _adopt(lane: Lane, intent: Creation) -> bool:
    """Link the cohort that an upload made although its answer was lost."""
    taken = {each.cohort_id for each in await lane.desk.ledger.aread(all_audiences)}
    app_id = lane.desk.connection.app_id
    listed = [each for each in await _list(lane) if each.id not in taken]
    ours = [each for each in listed if _is_ours(each, intent, app_id)]
    if not ours:
        return False
    await _link(lane, min(ours, key=lambda c: (c.created_at or 0, c.id)).id, intent.name)
    return True


def _is_ours(cohort: Cohort, intent: Creation, app_id: int) -> bool:
    owners = {owner.casefold() for owner in cohort.owners}
    return (
        _same(cohort.name, intent.name)
        and cohort.id not in intent.known_ids
        and (cohort.is_static or not cohort.type)
        and cohort.app_id in {None, app_id}
        and (not owners or intent.owner_email.casefold() in owners)
    )


def _same(name: str, other: str) -> bool:
    return name.strip() == other.strip()


async def _list(lane: Lane) -> tuple[Cohort, ...]:
    return await lane.ask(lane.desk.client.list_cohorts)


async def _link(lane: Lane, cohort_id: str, name: str) -> None:
    ledger = lane.desk.ledger
    await ledger.awrite(cohorts.link_created, lane.audience.id, cohort_id, name)
    lane.audience = await ledger.aread(audience, lane.audience.id)


class Outcome(enum.Enum):
    """What came of an upload."""

    MADE = enum.auto()
    UNKNOWN = enum.auto()  # Amplitude knows nobody of those it carried
    REFUSED = enum.auto()
    LOST = enum.auto()  # no answer, and no cohort either


async def upload(lane: Lane, intent: Creation, batch: Batch) -> Outcome:
    """Upload a batch as a new cohort, and link it. Raises `BadRequest`, with it settled."""
    desk = lane.desk
    lane.tell(requests=1)
    request = Upload(
        name=intent.name,
        app_id=desk.connection.app_id,
        id_type=batch.id_type,
        ids=batch.ids,
        owner=intent.owner_email,
    )
    try:
        async with desk.slots:
            answer = await desk.client.upload(request)
        await _check_is_new(lane, intent, answer)
    except Transient as error:
        await _close(lane, batch, error)
        await lane.wait_out(error)
        is_made = error.may_be_applied and await _look_for(lane, intent, error)
        return Outcome.MADE if is_made else Outcome.LOST
    except AmplitudeError as error:
        await _close(lane, batch, error)
        raise
    settled = lane.answer(200, answer.text)
    await desk.ledger.awrite(uploads.close, batch, settled, is_confirmed=True)
    if answer.cohort_id is None:
        return Outcome.UNKNOWN
    lane.patience.clean()
    await _link(lane, answer.cohort_id, intent.name)
    return Outcome.MADE


async def _check_is_new(lane: Lane, intent: Creation, answer: Uploaded) -> None:
    """Raise `Unconfirmed` for a cohort that was there before the upload."""
    taken = {each.cohort_id for each in await lane.desk.ledger.aread(all_audiences)}
    if answer.cohort_id is not None and answer.cohort_id in taken | intent.known_ids:
        raise Unconfirmed(
            200, "it names a cohort that existed before", answer.text, may_be_applied=True
        )


async def _close(lane: Lane, batch: Batch, error: AmplitudeError) -> None:
    await lane.desk.ledger.awrite(
        uploads.close,
        batch,
        lane.answer(error.status, str(error)),
        is_confirmed=False,
        late_until=lane.late_until(error),
    )


def refused_text(refusal: BadRequest) -> str:
    """Say that no cohort could be made, and what to look at."""
    return (
        f"Amplitude refused to create the cohort: {words_of(refusal)}. All users stay pending. "
        "Check the cohort owner's email and the App ID."
    )
