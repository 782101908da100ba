"""Comparing and repairing: the questions before, starting, and cancelling."""

from collections.abc import Awaitable, Sequence

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.reconcile import (
    CompareOperation,
    ReconcileJob,
    ReconcileOperation,
    RepairOperation,
)
from amp_console.console.jobs.runs import RunJob
from amp_console.console.screens.reconcile.choice import (
    ChoiceDialog,
    Offer,
    OfferParts,
    audience_numbers,
    confirm,
)
from amp_console.console.session import Session
from amp_console.ledger.comparisons import Comparison, Resolved, resolved_since
from amp_console.ledger.repairs import RepairChoice
from amp_console.sync.reconcile.plan import RepairPlan, plan_repair
from amp_console.sync.reconcile.quota import Quota
from amp_console.text import clean, plural

NOTHING_LEFT = "Every difference that can be repaired is repaired. Press r to compare again."


async def choose_repair(
    services: Services,
    session: Session,
    comparisons: Sequence[Comparison],
    only: frozenset[tuple[int, int, str]] | None = None,
    *,
    is_single: bool = False,
) -> RepairOperation | None:
    """Return the repair that the operator has chosen and confirmed, None if there is none.

    `only` are the keys of the differences to repair; None means everyone who differs. `is_single`
    names the audience, and offers to replace its cohort's members. Call this in a worker.
    """
    plans = await _plans(session, comparisons, RepairChoice(add=True, remove=True, only=only))
    if not plans:
        services.notifications.post(NOTHING_LEFT)
        return None
    since = [await session.read(resolved_since, comparison.id) for comparison in comparisons]
    offer = _offer(
        services, plans, _parts(comparisons, since), is_single=is_single, is_marked=only is not None
    )
    request = await services.ask(ChoiceDialog(offer))
    if request is None:
        return None
    choice = RepairChoice(add=request.choice.add, remove=request.choice.remove, only=only)
    plans = await _plans(session, comparisons, choice, replace=request.replace)
    if not plans or not await services.ask(confirm(plans, verify=request.verify)):
        return None
    return RepairOperation(plans, verify=request.verify)


async def _plans(
    session: Session,
    comparisons: Sequence[Comparison],
    choice: RepairChoice,
    *,
    replace: bool = False,
) -> list[RepairPlan]:
    plans = [
        await session.read(plan_repair, session.connection, comparison, choice, replace=replace)
        for comparison in comparisons
    ]
    return [plan for plan in plans if not plan.is_idle]


def _parts(comparisons: Sequence[Comparison], since: Sequence[Resolved]) -> OfferParts:
    """What a repair of everyone sends besides unexplained differences."""
    pairs = list(zip(comparisons, since, strict=True))
    return OfferParts(
        unsent=sum(comparison.pending - now.sent for comparison, now in pairs),
        rejected=sum(comparison.missing_rejected - now.accepted for comparison, now in pairs),
        due=sum(now.due for now in since),
        disagreeing=sum(item.disagreeing - now.following for item, now in pairs),
    )


def _offer(
    services: Services,
    plans: Sequence[RepairPlan],
    parts: OfferParts,
    *,
    is_single: bool,
    is_marked: bool,
) -> Offer:
    quota = services.figures.quota
    return Offer(
        clean(plans[0].name, 40) if is_single else plural(len(plans), "audience"),
        sum(plan.add for plan in plans),
        sum(plan.remove for plan in plans),
        is_marked=is_marked,
        can_replace=is_single and plans[0].can_replace,
        quota=str(quota) if quota else "the number left is unknown",
        parts=parts,
        cohorts=len(plans),
        audiences=() if is_single else tuple(map(audience_numbers, plans)),
    )


def start(services: Services, session: Session, operation: ReconcileOperation) -> None:
    """Start a comparison or a repair."""
    job = RunJob(session, operation, services.timing, services.publish)
    services.jobs.reconciling = job
    if isinstance(operation, CompareOperation) or operation.verify:
        services.run_in_background(services.figures.hide_quota_until(job.finished()))
    job.start()


def again_question(downloads: int, quota: Quota | None) -> Confirm:
    """Ask before downloading a cohort again while a comparison is shown."""
    left = f": {quota}" if quota else ""
    return Confirm(
        "Compare again?",
        [
            f"This uses {plural(downloads, 'more download')}{left}.",
            "It replaces the comparison shown, which stays under Runs.",
        ],
        yes="Compare",
    )


def cancel_question(job: ReconcileJob) -> Confirm:
    """Ask before a job is cancelled."""
    what = "comparison" if isinstance(job.operation, CompareOperation) else "repair"
    kept = "Everything sent so far stays sent, and the rest is still to be repaired."
    if what == "comparison":
        kept = "Nothing was sent. A download that Amplitude has begun counts towards the quota."
    return Confirm(f"Cancel this {what}?", [kept], f"Cancel the {what}", "Keep it running")


async def cancel_if(job: ReconcileJob, asked: Awaitable[bool | None]) -> None:
    """Cancel a job, after confirmation."""
    if await asked:
        job.cancel()
