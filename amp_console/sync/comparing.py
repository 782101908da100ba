"""Comparing cohorts with their audiences: a run that reads, and sends nothing."""

from collections.abc import Sequence

import msgspec

from amp_console.ledger import Db, comparing, found
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparing import Occasion
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.downloads import close_download
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.ledger.sources import Tally
from amp_console.sync.cohort_download import Exports
from amp_console.sync.delivery import AudienceReport, Job, Means, RunReport, carry_out
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane
from amp_console.sync.listing import Listing
from amp_console.sync.progress import AudienceProgress


class CompareReport(msgspec.Struct, frozen=True):
    """What a run that compared has found; an audience that could not be compared has no entry."""

    run: RunReport
    comparisons: dict[int, Comparison]


async def compare_audiences(
    audiences: Sequence[Audience], means: Means, against: Listing | None = None
) -> CompareReport:
    """Compare audiences with their cohorts; each costs one of the month's downloads.

    `against` is a list for the only audience. What the ledger takes for delivered is corrected to
    what was found; nothing is sent. Raises `LedgerError`.
    """
    exports = Exports()
    made: dict[int, Comparison] = {}

    async def work(lane: Lane) -> None:
        made[lane.audience.id] = await compare(lane, exports, against)

    def status_of(reports: Sequence[AudienceReport], tally: Tally) -> RunStatus:  # noqa: ARG001
        if any(each.note for each in reports):
            return RunStatus.STOPPED
        is_equal = all(each.is_equal for each in made.values())
        return RunStatus.DELIVERED if is_equal else RunStatus.PARTIAL

    goals = tuple(AudienceProgress(each.id, each.key, each.name, 0) for each in audiences)
    job = Job(RunKind.COMPARE, goals, work, status_of)
    return CompareReport(await carry_out(job, means, Tally()), made)


async def compare(
    lane: Lane, exports: Exports, against: Listing | None = None, applies: int | None = None
) -> Comparison:
    """Read the cohort of the lane's audience and compare it; what `Exports.read` raises, it does.

    `applies` is the comparison whose differences have just been put right.
    """
    of, desk = lane.audience, lane.desk
    if of.cohort_id is None:
        raise GaveUp("It has no cohort yet, so there is nothing to compare. A sync makes one.")
    try:
        download = await exports.read(lane)
        lane.says("comparing")
        occasion = Occasion(
            run_id=desk.run_id,
            audience_id=of.id,
            at=download.started_at,
            against=against.name if against else None,
            against_at=against.at if against else None,
            applies=applies,
            list_known=against.known if against else 0,
        )
        return await desk.ledger.awrite(_compare, occasion, download.id)
    finally:
        await desk.ledger.aread(found.forget_found, of.id)


def _compare(db: Db, occasion: Occasion, download_id: int) -> Comparison:
    close_download(db, download_id)
    return comparing.compare(db, occasion)
