"""Comparing cohorts with their audiences: a run that only reads."""

from collections.abc import Sequence
from contextlib import closing

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience
from amp_console.ledger.cohort_export import CohortExport
from amp_console.ledger.compare import ComparisonSpec, compare_cohort
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.downloads import close_download
from amp_console.ledger.runs import RunKind
from amp_console.sync.delivery.context import AudienceBlocked, RunContext
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import RunReport, carry_out
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.reconcile.download import CohortDownloader
from amp_console.sync.reconcile.member_list import MemberList


class CompareReport(msgspec.Struct, frozen=True):
    """The result of a comparison run, by audience ID; a failed comparison has no entry."""

    run: RunReport
    comparisons: dict[int, Comparison]


async def compare_audiences(
    audiences: Sequence[Audience], context: RunContext, against: MemberList | None = None
) -> CompareReport:
    """Compare audiences with their cohorts; each costs one of the month's downloads.

    `against` is a list, for one audience only. The ledger's `delivered` is corrected to the
    export; nothing is sent. Raises `LedgerError`.
    """
    downloader = CohortDownloader()
    comparisons: dict[int, Comparison] = {}

    async def work(worker: AudienceWorker) -> None:
        comparisons[worker.audience.id] = await compare(worker, downloader, against)

    def differs(audience_id: int) -> bool:
        made = comparisons.get(audience_id)
        return made is not None and made.differing > 0

    goals = tuple(
        AudienceProgress(audience.id, audience.key, audience.name, 0) for audience in audiences
    )
    run = await carry_out(RunKind.COMPARE, goals, work, context, differs=differs)
    return CompareReport(run, comparisons)


async def compare(
    worker: AudienceWorker,
    downloader: CohortDownloader,
    against: MemberList | None = None,
    applies: int | None = None,
) -> Comparison:
    """Download the cohort of the worker's audience and compare it.

    `applies` is the ID of the comparison whose differences were just repaired. Raises what
    `CohortDownloader.download` raises.
    """
    audience = worker.audience
    if audience.cohort_id is None:
        raise AudienceBlocked(
            "It has no cohort, so there is nothing to compare. The next sync creates one."
        )
    with closing(CohortExport(audience.id_type)) as export:
        download = await downloader.download(worker, export)
        worker.show("comparing")
        spec = ComparisonSpec(
            run_id=worker.run.id,
            audience_id=audience.id,
            at=download.started_at,
            against=against.name if against else None,
            against_at=against.at if against else None,
            applies=applies,
            list_known=against.known if against else 0,
        )
        return await worker.write(_compare, spec, export, download.id)


def _compare(db: Db, spec: ComparisonSpec, export: CohortExport, download_id: int) -> Comparison:
    close_download(db, download_id)
    return compare_cohort(db, spec, export)
