"""Creating the cohort of an audience that has none: once, even after a crash.

It is created from the audience's own members. An audience without members uses a seed user, who is
removed again.
"""

from functools import partial

from amp_console.amplitude import BadRequest
from amp_console.ledger import uploads
from amp_console.ledger.cohorts import Creation
from amp_console.ledger.counts import has_members, outstanding
from amp_console.ledger.deliveries import DeliveryBatch, unknown_to_amplitude
from amp_console.sync.delivery.cohort_upload import (
    UploadOutcome,
    begin_creation,
    refused_text,
    upload,
)
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.worker import AudienceWorker, message_of
from amp_console.values import IdType

FIRST_UPLOAD = 100  # members; more only where Amplitude knows none of them
LARGEST_UPLOAD = 100_000
MAX_REFUSALS = 4  # of different members; then it is not about the members
MAX_SINGLES = 20  # members tried one by one
MAX_NAMED = 3  # refusals in a row that name users: they may be a sample of very many
SEARCHES = "abcdefghijklmnopqrstuvwxyz0123456789"
MAX_SEEDS = 4


async def ensure_cohort(worker: AudienceWorker) -> None:
    """Create or adopt the audience's cohort, and link it.

    If Amplitude knows none of its members, they are rejected, and the audience gets no cohort.
    Raises `AudienceBlocked`, and what `AudienceWorker.ask` raises.
    """
    worker.show("creating the cohort")
    intent = await begin_creation(worker)
    if intent is None:
        return
    if await worker.read(has_members, worker.audience):
        await _create_from_members(worker, intent)
    elif (await worker.read(outstanding, worker.audience)).unidentified == 0:
        await _create_from_seed(worker, intent)


class SeedStrategy:
    """Which members to upload next: after a failure, other ones, and more or fewer depending on it.

    At the end of the members, some of those who were refused together are tried one by one.
    """

    def __init__(self, id_type: IdType) -> None:
        self.id_type = id_type
        self.after = 0
        self.size = FIRST_UPLOAD
        self.last: DeliveryBatch | None = None
        self.refusal: BadRequest | None = None  # the last one that names no user
        self.message = ""  # of the last one that names users
        self.avoid: set[str] = set()  # the users named
        self._named = 0
        self._refusals = 0
        self._singles: int | None = None

    def note(self, outcome: UploadOutcome, row: int) -> None:
        """Note the result of an upload; `row` is its last member's."""
        if outcome is UploadOutcome.LOST:
            self.size = max(1, self.size // 2)  # it may have been too much at once
            return
        self.after, self._named = row, 0
        if self._singles is not None:
            self._singles += 1
        elif outcome is UploadOutcome.UNKNOWN:
            self.size = min(LARGEST_UPLOAD, self.size * 10)

    def note_refusal(self, refusal: BadRequest, row: int) -> None:
        """Note a refusal."""
        if refusal.named_ids:
            self.message = message_of(refusal)
            self._leave_out(set(refusal.named_ids), row)
            return
        self.refusal = refusal
        self._refusals += 1
        self.size = max(1, self.size // 10)
        self.note(UploadOutcome.REFUSED, row)

    def _leave_out(self, named: set[str], row: int) -> None:
        """Try the same members without the refused ones; Amplitude may know the others."""
        is_news = not named <= self.avoid
        self.avoid |= named
        self._named += 1
        if not is_news or self._named > MAX_NAMED:
            self.note(UploadOutcome.UNKNOWN, row)

    @property
    def is_over(self) -> bool:
        """Whether the failure is not about the members, or enough of them were tried alone."""
        return self._refusals >= MAX_REFUSALS or (self._singles or 0) >= MAX_SINGLES

    def start_over(self) -> bool:
        """At the end of the members, try those who were refused together once more, one by one."""
        if self._singles is not None or not (self.refusal or self.message):
            return False
        self._singles, self.after, self.size = 0, 0, 1
        return True


async def _create_from_members(worker: AudienceWorker, intent: Creation) -> None:
    strategy = await _try_members(worker, intent, worker.audience.id_type)
    if strategy.refusal and strategy.id_type is IdType.AMPLITUDE_ID:
        # One public client says that only user IDs can create a cohort.
        await _try_members(worker, intent, IdType.USER_ID)
    if worker.audience.cohort_id:
        return
    if strategy.refusal is not None:
        raise AudienceBlocked(refused_text(strategy.refusal))
    if strategy.last is not None:
        await _reject_all(worker, strategy.last, strategy.message)


async def _try_members(worker: AudienceWorker, intent: Creation, id_type: IdType) -> SeedStrategy:
    """Upload some members, then others, until one upload creates the cohort."""
    strategy = SeedStrategy(id_type)
    while not (worker.audience.cohort_id or strategy.is_over):
        taken = await _take_members(worker, strategy)
        if taken is None:
            if not strategy.start_over():
                break
            continue
        strategy.last, row = taken
        try:
            strategy.note(await upload(worker, intent, strategy.last), row)
        except BadRequest as refusal:
            strategy.note_refusal(refusal, row)
    return strategy


async def _take_members(
    worker: AudienceWorker, strategy: SeedStrategy
) -> tuple[DeliveryBatch, int] | None:
    await worker.checkpoint()
    return await worker.write(
        uploads.open_upload,
        worker.run.id,
        worker.audience.id,
        strategy.id_type,
        strategy.after,
        strategy.size,
        strategy.avoid,
        worker.now(),
    )


async def _reject_all(worker: AudienceWorker, last: DeliveryBatch, message: str) -> None:
    """Reject every member: Amplitude knows none of them, so there is no cohort to create.

    If it refused them by name, search for one of them first: a user it finds is known to it.
    """
    if message and await _is_known(worker, last.identifiers()[0]):
        raise AudienceBlocked(
            f"Amplitude refused to create the cohort from any member: {message}. It knows at least "
            "one of them, so all users stay pending. Check the cohort owner's email and the App ID."
        )
    rejected = await worker.write(
        uploads.reject_all_pending,
        last,
        message or unknown_to_amplitude(last.id_type),
        worker.now(),
    )
    worker.count(rejected=rejected, done=rejected)


async def _is_known(worker: AudienceWorker, id_: str) -> bool:
    found = await worker.ask(partial(worker.client.find_users, id_))
    return any(id_ in {match.user_id, match.amplitude_id} for match in found)


async def _create_from_seed(worker: AudienceWorker, intent: Creation) -> None:
    """Create the cohort of an empty audience from a user who is removed again.

    The removal is pending in the ledger before the user is added.
    """
    refusal = None
    for seed in await _seeds(worker):
        while not worker.audience.cohort_id:
            await worker.checkpoint()
            batch = await worker.write(
                uploads.open_seed_upload, worker.run.id, worker.audience.id, seed, worker.now()
            )
            try:
                if await upload(worker, intent, batch) is not UploadOutcome.LOST:
                    break
            except BadRequest as error:
                refusal = error
                break
        if worker.audience.cohort_id:
            return
    if refusal is not None:
        raise AudienceBlocked(refused_text(refusal))
    raise AudienceBlocked(
        "The audience is empty, and no user was found in Amplitude with which to create its "
        "cohort. Set a seed user: a User ID that Amplitude knows."
    )


async def _seeds(worker: AudienceWorker) -> list[str]:
    """Return the users to try: the audience's seed user, else the first that a search finds."""
    if worker.audience.seed_user:
        return [worker.audience.seed_user]
    for prefix in SEARCHES:
        matches = await worker.ask(partial(worker.client.find_users, prefix))
        found = [match.user_id for match in matches if match.user_id]
        if found:
            return found[:MAX_SEEDS]
    return []
