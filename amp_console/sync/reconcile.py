"""Putting differences right: a run that sends what was chosen, and then looks again."""

from collections.abc import Sequence

import msgspec

from amp_console.amplitude import AmplitudeError, BadRequest, Transient, Upload
from amp_console.ledger import reconciling
from amp_console.ledger.comparisons import Comparison, SizeCheck, keep_size
from amp_console.ledger.deliveries import Answer, Batch, void
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus
from amp_console.ledger.sources import Tally
from amp_console.sync.audience_delivery import deliver_pending
from amp_console.sync.cohort_download import Exports
from amp_console.sync.comparing import compare
from amp_console.sync.delivery import AudienceReport, Job, Means, RunReport, carry_out
from amp_console.sync.desk import GaveUp
from amp_console.sync.lane import Lane, words_of
from amp_console.sync.progress import AudienceProgress
from amp_console.sync.read_only import guard
from amp_console.sync.reconcile_plan import REPLACED_AT_ONCE, ReconcilePlan
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
    plans: Sequence[ReconcilePlan], means: Means, *, verify: bool = False
) -> ReconcileReport:
    """Send what the plans say, then look at the sizes, and compare again if `verify`.

    Comparing again costs a download each. Raises `ReadOnly` and `LedgerError`.
    """
    guard(means.connection, "Nothing was sent.")
    exports, of = Exports(), {each.comparison.audience_id: each for each in plans}
    applied: dict[int, Applied] = {}

    async def work(lane: Lane) -> None:
        plan, begun = of[lane.audience.id], lane.desk.timing.now()
        try:
            await _apply(lane, plan)
        finally:
            applied[lane.audience.id] = await _so_far(lane, plan)
        applied[lane.audience.id] = await _verify(lane, plan, exports if verify else None, begun)

    def status_of(reports: Sequence[AudienceReport], tally: Tally) -> RunStatus:  # noqa: ARG001
        if any(each.note for each in reports):
            return RunStatus.STOPPED
        is_equal = all(each.is_equal for each in applied.values())
        return RunStatus.DELIVERED if is_equal else RunStatus.PARTIAL

    goals = tuple(
        AudienceProgress(each.comparison.audience_id, each.key, each.name, each.add + each.remove)
        for each in plans
    )
    job = Job(RunKind.RECONCILE, goals, work, status_of)
    return ReconcileReport(await carry_out(job, means, Tally()), applied)


async def _apply(lane: Lane, plan: ReconcilePlan) -> None:
    desk, of = lane.desk, plan.comparison
    if lane.audience.cohort_id != of.cohort_id or lane.audience.id_type is not of.id_type:
        raise GaveUp(
            "Its cohort or its ID type is another one since it was compared. Nothing was sent. "
            "Compare it again."
        )
    await desk.ledger.awrite(reconciling.make_chosen_pending, of, plan.choice, desk.timing.now())
    if plan.replace:
        await _replace(lane, plan)
        return
    lane.comparison_id = of.id
    try:
        await deliver_pending(lane, of.id_type.other, Operation.REMOVE)
        await deliver_pending(lane, of.id_type, Operation.REMOVE)
        await deliver_pending(lane, of.id_type, Operation.ADD)
    finally:
        lane.comparison_id = None


async def _so_far(lane: Lane, plan: ReconcilePlan) -> Applied:
    pending = await lane.desk.ledger.aread(reconciling.chosen_left, plan.comparison)
    left = await lane.desk.ledger.awrite(reconciling.note_put_right, plan.comparison)
    return Applied(plan, lane.counts, pending, left, None, None)


async def _replace(lane: Lane, plan: ReconcilePlan) -> None:
    """Upload the whole content; whom Amplitude skipped, only /membership names."""
    desk, of = lane.desk, lane.audience
    while True:
        await lane.checkpoint()
        batch = await desk.ledger.awrite(
            reconciling.take_content,
            desk.run_id,
            of.id,
            of.id_type,
            REPLACED_AT_ONCE,
            desk.timing.now(),
        )
        if batch is None:
            raise GaveUp(
                f"It has no members now, or more than {REPLACED_AT_ONCE:,}: its cohort can't be "
                "replaced in one request. Nothing was sent. Apply the differences instead."
            )
        try:
            matched_all = await _upload(lane, plan, batch)
        except Transient as error:
            await lane.wait_out(error)
            continue
        if not matched_all:
            await deliver_pending(lane, of.id_type, Operation.ADD)
        # Everybody was sent; what changed are the differences.
        added = max(0, plan.add - lane.counts.rejected)
        lane.counts = msgspec.structs.replace(lane.counts, added=added)
        lane.tell(removed=plan.taken_out, done=plan.remove)
        return


async def _upload(lane: Lane, plan: ReconcilePlan, batch: Batch) -> bool:
    """Send the upload; say whether Amplitude knew everybody in it."""
    desk = lane.desk
    lane.says(f"replacing the cohort's content with {batch.size:,}")
    lane.tell(requests=1)
    request = Upload(
        name=plan.cohort_name,
        app_id=desk.connection.app_id,
        id_type=batch.id_type,
        ids=batch.ids,
        owner=plan.owner_email,
        existing_cohort_id=lane.cohort_id,
    )
    try:
        async with desk.slots:
            answer = await desk.client.upload(request)
    except AmplitudeError as error:
        settled = lane.answer(error.status, str(error))
        await desk.ledger.awrite(void, batch.request_id, settled, lane.late_until(error))
        if isinstance(error, BadRequest):
            raise GaveUp(
                f"Amplitude refused to replace the cohort's content: {words_of(error)}. Its "
                "members stay pending. Apply the differences one by one instead."
            ) from None
        raise
    matched_all = answer.matched is not None and answer.matched == answer.total == batch.size
    await desk.ledger.awrite(
        reconciling.replaced,
        batch,
        Answer(desk.timing.now(), 200, answer.text),
        all_matched=matched_all,
    )
    return matched_all


async def _verify(lane: Lane, plan: ReconcilePlan, exports: Exports | None, begun: int) -> Applied:
    so_far = await _so_far(lane, plan)
    size = await _size(lane, plan, begun)
    after = None
    if exports is not None:
        after = await compare(lane, exports, applies=plan.comparison.id)
    return msgspec.structs.replace(so_far, size=size, after=after)


async def _size(lane: Lane, plan: ReconcilePlan, begun: int) -> SizeCheck | None:
    """Look what Amplitude's list says, which costs nothing; a size of before says nothing."""
    desk, counts, of = lane.desk, lane.counts, plan.comparison
    lane.says("looking at the cohort's size")
    listed = await lane.ask(desk.client.list_cohorts)
    cohort = next((each for each in listed if each.id == lane.cohort_id), None)
    if cohort is None:
        return None
    is_new = cohort.last_computed is not None and cohort.last_computed >= begun // 1_000_000
    expected = of.in_cohort + counts.added - counts.removed
    if plan.replace:
        expected = of.in_audience - counts.rejected
    check = SizeCheck(expected, cohort.size if is_new else None)
    await desk.ledger.awrite(keep_size, desk.run_id, lane.audience.id, check, desk.timing.now())
    return check
