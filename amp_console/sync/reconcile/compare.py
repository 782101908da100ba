"""Comparing cohorts with their audiences: a run that reads, and sends nothing."""

from collections.abc import Sequence

import msgspec

from amp_console.ledger import Db, comparing, export_staging
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparing import ComparisonSpec
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.downloads import close_download
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.delivery.context import AudienceBlocked, RunContext
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import AudienceReport, RunReport, carry_out
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.reconcile.download import Exports
from amp_console.sync.reconcile.member_list import MemberList


class CompareReport(msgspec.Struct, frozen=True):
    """What a run that compared has found; an audience that could not be compared has no entry."""

    run: RunReport
    comparisons: dict[int, Comparison]


async def compare_audiences(
    audiences: Sequence[Audience], context: RunContext, against: MemberList | None = None
) -> CompareReport:
    """Compare audiences with their cohorts; each costs one of the month's downloads.

    `against` is a list for the only audience. What the ledger takes for delivered is corrected to
    what was found; nothing is sent. Raises `LedgerError`.
    """
    exports = Exports()
    made: dict[int, Comparison] = {}

    async def work(worker: AudienceWorker) -> None:
        made[worker.audience.id] = await compare(worker, exports, against)

    def status_of(reports: Sequence[AudienceReport]) -> RunStatus:
        if any(report.note for report in reports):
            return RunStatus.STOPPED
        is_equal = all(item.is_equal for item in made.values())
        return RunStatus.DELIVERED if is_equal else RunStatus.PARTIAL

    goals = tuple(
        AudienceProgress(audience.id, audience.key, audience.name, 0) for audience in audiences
    )
    run = await carry_out(RunKind.COMPARE, goals, work, status_of, context)
    return CompareReport(run, made)


async def compare(
    worker: AudienceWorker,
    exports: Exports,
    against: MemberList | None = None,
    applies: int | None = None,
) -> Comparison:
    """Read the cohort of the lane's audience and compare it; what `Exports.read` raises, it does.

    `applies` is the comparison whose differences have just been put right.
    """
    of = worker.audience
    if of.cohort_id is None:
        raise AudienceBlocked(
            "It has no cohort yet, so there is nothing to compare. A sync makes one."
        )
    try:
        download = await exports.read(worker)
        worker.show("comparing")
        occasion = ComparisonSpec(
            run_id=worker.run.id,
            audience_id=of.id,
            at=download.started_at,
            against=against.name if against else None,
            against_at=against.at if against else None,
            applies=applies,
            list_known=against.known if against else 0,
        )
        return await worker.write(_compare, occasion, download.id)
    finally:
        await worker.read(export_staging.forget_found, of.id)


def _compare(db: Db, occasion: ComparisonSpec, download_id: int) -> Comparison:
    close_download(db, download_id)
    return comparing.compare(db, occasion)
