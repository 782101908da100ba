"""One upload that creates a cohort, and finding the cohort again when its answer is lost.

The ledger records the intent first. If an answer is lost, or after a crash, a new cohort with that
name in Amplitude's list must be the one, and is adopted.
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
from amp_console.ledger import Db, cohorts, deliveries, uploads
from amp_console.ledger.audiences import Audience, all_audiences, audience
from amp_console.ledger.cohorts import Creation
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry
from amp_console.sync.delivery.plan import cohort_name, owner_email
from amp_console.sync.delivery.worker import AudienceWorker, message_of
from amp_console.text import clean

MAX_NAME_LENGTH = 200  # characters of a name in the log
LATER_CHECKS = (2.0, 5.0, 15.0)  # seconds; a call takes 2 to 4 when nothing is wrong


class UploadOutcome(enum.Enum):
    """The result of an upload."""

    CREATED = enum.auto()
    UNKNOWN = enum.auto()  # Amplitude knows none of the users in it
    REFUSED = enum.auto()
    LOST = enum.auto()  # no answer, and no cohort either


async def begin_creation(worker: AudienceWorker) -> Creation | None:
    """Record the intent to create a cohort and return it; None if an earlier one was adopted."""
    known = worker.audience
    begun = await worker.read(cohorts.creation, known.id)
    if begun is not None and await _find_begun(worker, begun):
        return None
    name = cohort_name(known, worker.connection)
    if begun is not None and begun.name == name:
        existing = begun.known_ids
    else:
        existing = frozenset(c.id for c in await _list(worker) if _is_same_name(c.name, name))
    owner = owner_email(known, worker.connection)
    return await worker.write(cohorts.begin_creation, known.id, name, owner, existing, worker.now())


async def _find_begun(worker: AudienceWorker, begun: Creation) -> bool:
    """Adopt the cohort that an earlier run began to create, if there is one.

    If its process died a moment ago, Amplitude may still be creating the cohort, so the list is
    requested again until such a call must have ended.
    """
    sent_at = await worker.read(uploads.unanswered_at, worker.audience.id)
    latest = None if sent_at is None else sent_at + round(sum(LATER_CHECKS) * 1_000_000)
    for seconds in LATER_CHECKS:
        if await _adopt(worker, begun):
            return True
        if latest is None or worker.now() >= latest:
            return False
        worker.show("checking whether the cohort was created", seconds)
        await worker.sleep(seconds)
        await worker.checkpoint()
    return await _adopt(worker, begun)


async def upload(worker: AudienceWorker, intent: Creation, batch: DeliveryBatch) -> UploadOutcome:
    """Upload a batch as a new cohort, and link it. Raises `BadRequest`, with it settled."""
    request = Upload(
        name=intent.name,
        app_id=worker.connection.app_id,
        id_type=batch.id_type,
        ids=batch.ids,
        owner=intent.owner_email,
    )
    try:
        response = await worker.upload(request)
        await _check_is_new(worker, intent, response)
    except Transient as error:
        await worker.settle_failed(batch, error)
        await worker.wait_out(error)
        is_created = error.may_be_applied and await _search(worker, intent, error)
        return UploadOutcome.CREATED if is_created else UploadOutcome.LOST
    except AmplitudeError as error:
        await worker.settle_failed(batch, error)
        raise
    settled = worker.response(200, response.text)
    await worker.write(deliveries.settle, batch.request_id, "confirmed", settled)
    if response.cohort_id is None:
        return UploadOutcome.UNKNOWN
    worker.retry_budget.renew()
    await _link(worker, response.cohort_id, intent.name)
    return UploadOutcome.CREATED


async def _search(worker: AudienceWorker, intent: Creation, error: Transient) -> bool:
    """Adopt the cohort if it was created; after a time-out, Amplitude may still be creating it."""
    is_slow = isinstance(error, TimedOut) or error.status == 504
    for seconds in (0.0, *LATER_CHECKS) if is_slow else (0.0,):
        if seconds:
            worker.show("checking whether the cohort was created", seconds)
            await worker.sleep(seconds)
        if await _adopt(worker, intent):
            return True
    return False


async def _adopt(worker: AudienceWorker, intent: Creation) -> bool:
    """Link the cohort that an upload created although its answer was lost."""
    linked = {known.cohort_id for known in await worker.read(all_audiences)}
    app_id = worker.connection.app_id
    candidates = [cohort for cohort in await _list(worker) if cohort.id not in linked]
    ours = [cohort for cohort in candidates if _is_ours(cohort, intent, app_id)]
    if not ours:
        return False
    await _link(worker, min(ours, key=lambda c: (c.created_at or 0, c.id)).id, intent.name)
    return True


def _is_ours(cohort: Cohort, intent: Creation, app_id: int) -> bool:
    owners = {owner.casefold() for owner in cohort.owners}
    return (
        _is_same_name(cohort.name, intent.name)
        and cohort.id not in intent.known_ids
        and (cohort.is_static or not cohort.type)
        and cohort.app_id in {None, app_id}
        and (not owners or intent.owner_email.casefold() in owners)
    )


def _is_same_name(name: str, other: str) -> bool:
    return name.strip() == other.strip()


async def _list(worker: AudienceWorker) -> tuple[Cohort, ...]:
    return await worker.ask(worker.client.list_cohorts)


async def _link(worker: AudienceWorker, cohort_id: str, name: str) -> None:
    await worker.write(_link_created, worker.audience, cohort_id, name, worker.run.id, worker.now())
    worker.audience = await worker.read(audience, worker.audience.id)


def _link_created(
    db: Db, known: Audience, cohort_id: str, name: str, run_id: int, now: int
) -> None:
    cohorts.link_created(db, known.id, cohort_id, name)
    audience_name = clean(known.name, MAX_NAME_LENGTH)
    text = f"Cohort “{clean(name, MAX_NAME_LENGTH)}” ({cohort_id}) created for “{audience_name}”."
    add_log_entry(db, LogEntry(now, LogKind.LINK, text, run_id=run_id, audience_id=known.id))


async def _check_is_new(worker: AudienceWorker, intent: Creation, response: Uploaded) -> None:
    """Raise `Unconfirmed` for a cohort that existed before the upload."""
    linked = {known.cohort_id for known in await worker.read(all_audiences)}
    if response.cohort_id is not None and response.cohort_id in linked | intent.known_ids:
        raise Unconfirmed(
            200, "it names a cohort that existed before", response.text, may_be_applied=True
        )


def refused_text(refusal: BadRequest) -> str:
    """The text for a cohort that Amplitude refused to create, and what to check."""
    return (
        f"Amplitude refused to create the cohort: {message_of(refusal)}. All users stay pending. "
        "Check the cohort owner's email and the App ID."
    )
