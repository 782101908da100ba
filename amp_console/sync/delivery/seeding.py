"""Making the cohort of an audience that has no member: from a user who is taken out again."""

from functools import partial

from amp_console.amplitude import BadRequest
from amp_console.ledger import uploads
from amp_console.ledger.cohorts import Creation
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.uploading import UploadOutcome, refused_text, upload
from amp_console.sync.delivery.worker import AudienceWorker

SEARCHES = "abcdefghijklmnopqrstuvwxyz0123456789"
MOST_SEEDS = 4


async def make_from_seed(worker: AudienceWorker, intent: Creation) -> None:
    """Make the cohort of an empty audience from a user who is taken out again.

    Their removal is pending in the ledger before they are put in.
    """
    context, refusal = worker.context, None
    for seed in await _seeds(worker):
        while not worker.audience.cohort_id:
            await worker.checkpoint()
            batch = await context.ledger.awrite(
                uploads.take_seed, context.run_id, worker.audience.id, seed, context.timing.now()
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
        "The audience is empty, and Amplitude knows no user to make its cohort from. "
        "Set a seed user for it: a user ID that Amplitude knows."
    )


async def _seeds(worker: AudienceWorker) -> list[str]:
    """The users to try: the audience's seed user, else the first one a search finds."""
    if worker.audience.seed_user:
        return [worker.audience.seed_user]
    for prefix in SEARCHES:
        matches = await worker.ask(partial(worker.context.client.find_users, prefix))
        found = [match.user_id for match in matches if match.user_id]
        if found:
            return found[:MOST_SEEDS]
    return []
