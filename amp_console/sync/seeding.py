"""Making the cohort of an audience that has no member: from a user who is taken out again."""

from functools import partial

from amp_console.amplitude import BadRequest
from amp_console.ledger import uploads
from amp_console.ledger.cohorts import Creation
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane
from amp_console.sync.uploading import Outcome, refused_text, upload

SEARCHES = "abcdefghijklmnopqrstuvwxyz0123456789"
MOST_SEEDS = 4


async def make_from_seed(lane: Lane, intent: Creation) -> None:
    """Make the cohort of an empty audience from a user who is taken out again.

    Their removal is pending in the ledger before they are put in.
    """
    desk, refusal = lane.desk, None
    for seed in await _seeds(lane):
        while not lane.audience.cohort_id:
            await lane.checkpoint()
            batch = await desk.ledger.awrite(
                uploads.take_seed, desk.run_id, lane.audience.id, seed, desk.timing.now()
            )
            try:
                if await upload(lane, intent, batch) is not Outcome.LOST:
                    break
            except BadRequest as error:
                refusal = error
                break
        if lane.audience.cohort_id:
            return
    if refusal is not None:
        raise GaveUp(refused_text(refusal))
    raise GaveUp(
        "The audience is empty, and Amplitude knows no user to make its cohort from. "
        "Set a seed user for it: a user ID that Amplitude knows."
    )


async def _seeds(lane: Lane) -> list[str]:
    """The users to try: the audience's seed user, else the first one a search finds."""
    if lane.audience.seed_user:
        return [lane.audience.seed_user]
    for prefix in SEARCHES:
        matches = await lane.ask(partial(lane.desk.client.find_users, prefix))
        found = [match.user_id for match in matches if match.user_id]
        if found:
            return found[:MOST_SEEDS]
    return []
