"""Putting differences right: a run that sends what was chosen, and then looks again."""

from collections.abc import Sequence

import msgspec

from amp_console.amplitude import AmplitudeError, BadRequest, Transient, Upload
from amp_console.ledger import reconciling
from amp_console.ledger.comparisons import Comparison, SizeCheck, keep_size
from amp_console.ledger.deliveries import DeliveryBatch, void
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus
from amp_console.sync.delivery.context import AudienceBlocked, RunContext
from amp_console.sync.delivery.pending import deliver_pending
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import AudienceReport, RunReport, carry_out
from amp_console.sync.delivery.worker import AudienceWorker, words_of
from amp_console.sync.read_only import guard
from amp_console.sync.reconcile.compare import compare
from amp_console.sync.reconcile.download import Exports
from amp_console.sync.reconcile.plan import REPLACED_AT_ONCE, ReconcilePlan
from amp_console.values import Operation


class Applied(msgspec.Struct, frozen=True):
    """What came of one plan: `pending` are those chosen who are still to be sent.

    So many of all differences are `left`, by what the ledger knows now. `size` is what Amplitude's
    list said afterwards, `after` the second comparison, None where there was none.
    """

    plan: ReconcilePlan
    counts: AudienceCounts
    pending: int
    left: int
    size: SizeCheck | None
    after: Comparison | None

    @property
    def verified(self) -> bool | None:
        """Whether the two are equal now: proven by a second comparison, or disproven by the size.

        None is unproven: sizes that agree may hide as many missing as extra.
        """
        if self.after is not None:
            return self.after.is_equal
        return False if self.size is not None and self.size.agrees is False else None

    @property
    def is_equal(self) -> bool:
        """Whether nothing is left to put right, as far as is known."""
        if self.after is not None:
            return self.after.is_equal
        return self.left == 0 and self.verified is None


class ReconcileReport(msgspec.Struct, frozen=True):
    """What a run that put differences right has done, by audience."""

    run: RunReport
    applied: dict[int, Applied]


async def reconcile(
    plans: Sequence[ReconcilePlan], context: RunContext, *, verify: bool = False
) -> ReconcileReport:
    """Send what the plans say, then look at the sizes, and compare again if `verify`.

    Comparing again costs a download each. Raises `ReadOnly` and `LedgerError`.
    """
    guard(context.connection, "Nothing was sent.")
    exports, of = Exports(), {item.comparison.audience_id: item for item in plans}
    applied: dict[int, Applied] = {}

    async def work(worker: AudienceWorker) -> None:
        plan, begun = of[worker.audience.id], worker.now()
        try:
            await _apply(worker, plan)
        finally:
            applied[worker.audience.id] = await _so_far(worker, plan)
        applied[worker.audience.id] = await _verify(
            worker, plan, exports if verify else None, begun
        )

    def status_of(reports: Sequence[AudienceReport]) -> RunStatus:
        if any(report.note for report in reports):
            return RunStatus.STOPPED
        is_equal = all(item.is_equal for item in applied.values())
        return RunStatus.DELIVERED if is_equal else RunStatus.PARTIAL

    goals = tuple(
        AudienceProgress(item.comparison.audience_id, item.key, item.name, item.add + item.remove)
        for item in plans
    )
    run = await carry_out(RunKind.RECONCILE, goals, work, status_of, context)
    return ReconcileReport(run, applied)


async def _apply(worker: AudienceWorker, plan: ReconcilePlan) -> None:
    of = plan.comparison
    if worker.audience.cohort_id != of.cohort_id or worker.audience.id_type is not of.id_type:
        raise AudienceBlocked(
            "Its cohort or its ID type is another one since it was compared. Nothing was sent. "
            "Compare it again."
        )
    await worker.write(reconciling.make_chosen_pending, of, plan.choice, worker.now())
    if plan.replace:
        await _replace(worker, plan)
        return
    worker.comparison_id = of.id
    try:
        await deliver_pending(worker, of.id_type.other, Operation.REMOVE)
        await deliver_pending(worker, of.id_type, Operation.REMOVE)
        await deliver_pending(worker, of.id_type, Operation.ADD)
    finally:
        worker.comparison_id = None


async def _so_far(worker: AudienceWorker, plan: ReconcilePlan) -> Applied:
    pending = await worker.read(reconciling.chosen_left, plan.comparison)
    left = await worker.write(reconciling.note_put_right, plan.comparison)
    return Applied(plan, worker.counts, pending, left, None, None)


async def _replace(worker: AudienceWorker, plan: ReconcilePlan) -> None:
    """Upload the whole content; whom Amplitude skipped, only /membership names."""
    of = worker.audience
    while True:
        await worker.checkpoint()
        batch = await worker.write(
            reconciling.take_content,
            worker.run.id,
            of.id,
            of.id_type,
            REPLACED_AT_ONCE,
            worker.now(),
        )
        if batch is None:
            raise AudienceBlocked(
                f"It has no members now, or more than {REPLACED_AT_ONCE:,}: its cohort can't be "
                "replaced in one request. Nothing was sent. Apply the differences instead."
            )
        try:
            matched_all = await _upload(worker, plan, batch)
        except Transient as error:
            await worker.wait_out(error)
            continue
        if not matched_all:
            await deliver_pending(worker, of.id_type, Operation.ADD)
        # Everybody was sent; what changed are the differences.
        added = max(0, plan.add - worker.counts.rejected)
        worker.counts = msgspec.structs.replace(worker.counts, added=added)
        worker.count(removed=plan.taken_out, done=plan.remove)
        return


async def _upload(worker: AudienceWorker, plan: ReconcilePlan, batch: DeliveryBatch) -> bool:
    """Send the upload; say whether Amplitude knew everybody in it."""
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
        answer = await worker.upload(request)
    except AmplitudeError as error:
        settled = worker.answer(error.status, str(error))
        await worker.write(void, batch.request_id, settled, worker.late_until(error))
        if isinstance(error, BadRequest):
            raise AudienceBlocked(
                f"Amplitude refused to replace the cohort's content: {words_of(error)}. Its "
                "members stay pending. Apply the differences one by one instead."
            ) from None
        raise
    matched_all = answer.matched is not None and answer.matched == answer.total == batch.size
    await worker.write(
        reconciling.replaced,
        batch,
        worker.answer(200, answer.text),
        all_matched=matched_all,
    )
    return matched_all


async def _verify(
    worker: AudienceWorker, plan: ReconcilePlan, exports: Exports | None, begun: int
) -> Applied:
    so_far = await _so_far(worker, plan)
    size = await _size(worker, plan, begun)
    after = None
    if exports is not None:
        after = await compare(worker, exports, applies=plan.comparison.id)
    return msgspec.structs.replace(so_far, size=size, after=after)


async def _size(worker: AudienceWorker, plan: ReconcilePlan, begun: int) -> SizeCheck | None:
    """Look what Amplitude's list says, which costs nothing; a size of before says nothing."""
    counts, of = worker.counts, plan.comparison
    worker.show("looking at the cohort's size")
    listed = await worker.ask(worker.client.list_cohorts)
    cohort = next((item for item in listed if item.id == worker.cohort_id), None)
    if cohort is None:
        return None
    is_new = cohort.last_computed is not None and cohort.last_computed >= begun // 1_000_000
    expected = of.in_cohort + counts.added - counts.removed
    if plan.replace:
        expected = of.in_audience - counts.rejected
    check = SizeCheck(expected, cohort.size if is_new else None)
    await worker.write(keep_size, worker.run.id, worker.audience.id, check, worker.now())
    return check
