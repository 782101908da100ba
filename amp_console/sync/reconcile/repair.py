"""Repairing differences: a run that sends the chosen changes and then checks the result."""

from collections.abc import Sequence

import msgspec

from amp_console.amplitude import AmplitudeError, BadRequest, Transient, Upload
from amp_console.connections.read_only import guard
from amp_console.ledger import repairs
from amp_console.ledger.comparisons import Comparison, SizeCheck, keep_size
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.ledger.runs import AudienceCounts, RunKind
from amp_console.sync.delivery.context import AudienceBlocked, RunContext
from amp_console.sync.delivery.pending import deliver_pending
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import RunReport, carry_out
from amp_console.sync.delivery.worker import AudienceWorker, message_of
from amp_console.sync.reconcile.compare import compare
from amp_console.sync.reconcile.download import CohortDownloader
from amp_console.sync.reconcile.plan import LARGEST_UPLOAD, RepairPlan
from amp_console.values import Operation


class RepairResult(msgspec.Struct, frozen=True):
    """The result of one plan.

    `pending` counts the chosen people who are not sent yet; `left` counts all differences that the
    ledger still knows. `size` is the check against Amplitude's list of cohorts, `after` the second
    comparison; None if there was none.
    """

    plan: RepairPlan
    counts: AudienceCounts
    pending: int
    left: int
    size: SizeCheck | None
    after: Comparison | None

    @property
    def verified(self) -> bool | None:
        """Whether cohort and audience are equal: a comparison proves it, a size disproves it.

        None is unproven: with equal sizes, as many people may be missing as are extra.
        """
        if self.after is not None:
            return self.after.is_equal
        return False if self.size is not None and self.size.agrees is False else None

    @property
    def is_equal(self) -> bool:
        """Whether no difference is left, as far as is known."""
        if self.after is not None:
            return self.after.is_equal
        return self.left == 0 and self.verified is None


class RepairReport(msgspec.Struct, frozen=True):
    """The result of a repair run, by audience ID."""

    run: RunReport
    results: dict[int, RepairResult]


async def repair(
    plans: Sequence[RepairPlan], context: RunContext, *, verify: bool = False
) -> RepairReport:
    """Carry out the plans, then check the sizes, and compare again if `verify`.

    Comparing again costs one download per plan. Raises `ReadOnly` and `LedgerError`.
    """
    guard(context.connection, "Nothing was sent.")
    downloader = CohortDownloader() if verify else None
    plan_by_audience = {item.comparison.audience_id: item for item in plans}
    results: dict[int, RepairResult] = {}

    async def work(worker: AudienceWorker) -> None:
        plan, started_at = plan_by_audience[worker.audience.id], worker.now()
        try:
            await _send(worker, plan)
        finally:
            results[worker.audience.id] = await _unchecked(worker, plan)
        results[worker.audience.id] = await _checked(worker, plan, downloader, started_at)

    def differs(audience_id: int) -> bool:
        return audience_id in results and not results[audience_id].is_equal

    goals = tuple(
        AudienceProgress(item.comparison.audience_id, item.key, item.name, item.add + item.remove)
        for item in plans
    )
    run = await carry_out(RunKind.REPAIR, goals, work, context, differs=differs)
    return RepairReport(run, results)


async def _send(worker: AudienceWorker, plan: RepairPlan) -> None:
    audience, comparison = worker.audience, plan.comparison
    compared = comparison.cohort_id, comparison.id_type
    if (audience.cohort_id, audience.id_type) != compared:
        raise AudienceBlocked(
            "Its cohort or its ID type has changed since it was compared. Nothing was sent. "
            "Compare it again."
        )
    await worker.write(repairs.make_chosen_pending, comparison, plan.choice, worker.now())
    if plan.replace:
        await _replace(worker, plan)
        return
    worker.comparison_id = comparison.id
    try:
        await deliver_pending(worker, comparison.id_type.other, Operation.REMOVE)
        await deliver_pending(worker, comparison.id_type, Operation.REMOVE)
        await deliver_pending(worker, comparison.id_type, Operation.ADD)
    finally:
        worker.comparison_id = None


async def _unchecked(worker: AudienceWorker, plan: RepairPlan) -> RepairResult:
    pending = await worker.read(repairs.chosen_left, plan.comparison)
    left = await worker.write(repairs.note_repaired, plan.comparison)
    return RepairResult(plan, worker.counts, pending, left, None, None)


async def _replace(worker: AudienceWorker, plan: RepairPlan) -> None:
    """Upload the whole content. Only /membership names the users that Amplitude skipped."""
    audience = worker.audience
    while True:
        await worker.checkpoint()
        batch = await worker.write(
            repairs.open_replacement,
            worker.run.id,
            audience.id,
            audience.id_type,
            LARGEST_UPLOAD,
            worker.now(),
        )
        if batch is None:
            raise AudienceBlocked(
                f"It has no members now, or more than {LARGEST_UPLOAD:,}: its cohort can't be "
                "replaced in one request. Nothing was sent. Apply the differences instead."
            )
        try:
            matched_all = await _upload(worker, plan, batch)
        except Transient as error:
            await worker.wait_out(error)
            continue
        if not matched_all:
            await deliver_pending(worker, audience.id_type, Operation.ADD)
        # The upload contains every member, but it changed only those who differed.
        added = max(0, plan.add - worker.counts.rejected)
        worker.counts = msgspec.structs.replace(worker.counts, added=added)
        worker.count(removed=plan.removals, done=plan.remove)
        return


async def _upload(worker: AudienceWorker, plan: RepairPlan, batch: DeliveryBatch) -> bool:
    """Send the upload; return whether Amplitude knew every user in it."""
    worker.show(f"replacing the cohort's content with {batch.size:,}")
    request = Upload(
        name=plan.cohort_name,
        app_id=worker.connection.app_id,
        id_type=batch.id_type,
        ids=batch.ids,
        owner=plan.owner_email,
        existing_cohort_id=worker.cohort_id,
    )
    try:
        response = await worker.upload(request)
    except AmplitudeError as error:
        await worker.settle_failed(batch, error)
        if isinstance(error, BadRequest):
            raise AudienceBlocked(
                f"Amplitude refused to replace the cohort's content: {message_of(error)}. "
                "Nothing was changed. Apply the differences one by one instead."
            ) from None
        raise
    matched_all = response.matched is not None and response.matched == response.total == batch.size
    await worker.write(
        repairs.settle_replacement,
        batch,
        worker.response(200, response.text),
        all_matched=matched_all,
    )
    return matched_all


async def _checked(
    worker: AudienceWorker, plan: RepairPlan, downloader: CohortDownloader | None, started_at: int
) -> RepairResult:
    result = await _unchecked(worker, plan)
    size = await _check_size(worker, plan, started_at)
    after = None
    if downloader is not None:
        after = await compare(worker, downloader, applies=plan.comparison.id)
    return msgspec.structs.replace(result, size=size, after=after)


async def _check_size(
    worker: AudienceWorker, plan: RepairPlan, started_at: int
) -> SizeCheck | None:
    """Compare with the size in Amplitude's list, which costs no download.

    A size that Amplitude computed before the repair started proves nothing.
    """
    counts, comparison = worker.counts, plan.comparison
    worker.show("checking the cohort's size")
    listed = await worker.ask(worker.client.list_cohorts)
    cohort = next((item for item in listed if item.id == worker.cohort_id), None)
    if cohort is None:
        return None
    is_new = cohort.last_computed is not None and cohort.last_computed >= started_at // 1_000_000
    expected = comparison.in_cohort + counts.added - counts.removed
    if plan.replace:
        expected = comparison.in_audience - counts.rejected
    check = SizeCheck(expected, cohort.size if is_new else None)
    await worker.write(keep_size, worker.run.id, worker.audience.id, check, worker.now())
    return check
