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
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.sync.delivery.plan import cohort_name, owner_email
from amp_console.sync.delivery.worker import AudienceWorker, words_of

LATER_LOOKS = (2.0, 5.0, 15.0)  # seconds; a call takes 2 to 4 when nothing is wrong


async def begin(worker: AudienceWorker) -> Creation | None:
    """Return the intent to make a cohort; None where the one made before a crash was adopted."""
    ledger, of = worker.context.ledger, worker.audience
    begun = await ledger.aread(cohorts.creation, of.id)
    if begun is not None and await _adopt(worker, begun):
        return None
    name = cohort_name(of, worker.context.connection)
    if begun is not None and begun.name == name:
        known = begun.known_ids
    else:
        known = frozenset(c.id for c in await _list(worker) if _same(c.name, name))
    owner = owner_email(of, worker.context.connection)
    return await ledger.awrite(
        cohorts.begin_creation, of.id, name, owner, known, worker.context.timing.now()
    )


async def _look_for(worker: AudienceWorker, intent: Creation, error: Transient) -> bool:
    """Adopt the cohort if it was made; one whose request timed out may still be in the making."""
    is_slow = isinstance(error, TimedOut) or error.status == 504
    for seconds in (0.0, *LATER_LOOKS) if is_slow else (0.0,):
        if seconds:
            worker.says("looking whether the cohort was made", seconds)
            await worker.context.stop.or_sleep(worker.context.timing, seconds)
        if await _adopt(worker, intent):
            return True
    return False


async def _adopt(worker: AudienceWorker, intent: Creation) -> bool:
    """Link the cohort that an upload made although its answer was lost."""
    taken = {item.cohort_id for item in await worker.context.ledger.aread(all_audiences)}
    app_id = worker.context.connection.app_id
    listed = [item for item in await _list(worker) if item.id not in taken]
    ours = [item for item in listed if _is_ours(item, intent, app_id)]
    if not ours:
        return False
    await _link(worker, min(ours, key=lambda c: (c.created_at or 0, c.id)).id, intent.name)
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


async def _list(worker: AudienceWorker) -> tuple[Cohort, ...]:
    return await worker.ask(worker.context.client.list_cohorts)


async def _link(worker: AudienceWorker, cohort_id: str, name: str) -> None:
    ledger = worker.context.ledger
    await ledger.awrite(cohorts.link_created, worker.audience.id, cohort_id, name)
    worker.audience = await ledger.aread(audience, worker.audience.id)


class UploadOutcome(enum.Enum):
    """What came of an upload."""

    MADE = enum.auto()
    UNKNOWN = enum.auto()  # Amplitude knows nobody of those it carried
    REFUSED = enum.auto()
    LOST = enum.auto()  # no answer, and no cohort either


async def upload(worker: AudienceWorker, intent: Creation, batch: DeliveryBatch) -> UploadOutcome:
    """Upload a batch as a new cohort, and link it. Raises `BadRequest`, with it settled."""
    context = worker.context
    worker.tell(requests=1)
    request = Upload(
        name=intent.name,
        app_id=context.connection.app_id,
        id_type=batch.id_type,
        ids=batch.ids,
        owner=intent.owner_email,
    )
    try:
        async with context.slots:
            answer = await context.client.upload(request)
        await _check_is_new(worker, intent, answer)
    except Transient as error:
        await _close(worker, batch, error)
        await worker.wait_out(error)
        is_made = error.may_be_applied and await _look_for(worker, intent, error)
        return UploadOutcome.MADE if is_made else UploadOutcome.LOST
    except AmplitudeError as error:
        await _close(worker, batch, error)
        raise
    settled = worker.answer(200, answer.text)
    await context.ledger.awrite(uploads.close, batch, settled, is_confirmed=True)
    if answer.cohort_id is None:
        return UploadOutcome.UNKNOWN
    worker.patience.clean()
    await _link(worker, answer.cohort_id, intent.name)
    return UploadOutcome.MADE


async def _check_is_new(worker: AudienceWorker, intent: Creation, answer: Uploaded) -> None:
    """Raise `Unconfirmed` for a cohort that was there before the upload."""
    taken = {item.cohort_id for item in await worker.context.ledger.aread(all_audiences)}
    if answer.cohort_id is not None and answer.cohort_id in taken | intent.known_ids:
        raise Unconfirmed(
            200, "it names a cohort that existed before", answer.text, may_be_applied=True
        )


async def _close(worker: AudienceWorker, batch: DeliveryBatch, error: AmplitudeError) -> None:
    await worker.context.ledger.awrite(
        uploads.close,
        batch,
        worker.answer(error.status, str(error)),
        is_confirmed=False,
        late_until=worker.late_until(error),
    )


def refused_text(refusal: BadRequest) -> str:
    """Say that no cohort could be made, and what to look at."""
    return (
        f"Amplitude refused to create the cohort: {words_of(refusal)}. All users stay pending. "
        "Check the cohort owner's email and the App ID."
    )
