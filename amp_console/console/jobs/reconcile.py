"""Comparing and putting right while the console goes on: runs of their own."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from amp_console.console.background import aside
from amp_console.console.jobs.runs import RunJob, Tell
from amp_console.console.session import Session
from amp_console.ledger.audiences import Audience
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import RunReport
from amp_console.sync.reconcile.compare import CompareReport, compare_audiences
from amp_console.sync.reconcile.member_list import IncompleteList, read_member_list
from amp_console.sync.reconcile.plan import RepairPlan
from amp_console.sync.reconcile.repair import RepairReport, repair
from amp_console.sync.timing import Timing


class ReconcileJob(RunJob):
    """What both have in common: the audiences, and how far each of them is."""

    VERB: ClassVar[str] = ""
    """What it does, as one says while it goes on."""

    def __init__(
        self, session: Session, timing: Timing, tell: Tell, audience_ids: Sequence[int]
    ) -> None:
        super().__init__(session, timing, tell, len(audience_ids))
        self.audience_ids = tuple(audience_ids)

    @property
    @abstractmethod
    def run_report(self) -> RunReport | None:
        """What the run reports of itself, None before it is over."""

    def note_of(self, audience_id: int) -> str:
        """Why it did not come to its end for an audience, "" where it did, or is not over yet."""
        if self.failure:
            return self.failure
        reports = self.run_report.audiences if self.run_report else ()
        return next((report.note for report in reports if report.audience.id == audience_id), "")

    def progress_of(self, audience_id: int) -> AudienceProgress | None:
        """How far it is with an audience; None before it has begun, or where it is another's."""
        found = self.snapshot.audiences if self.snapshot else ()
        return next((item for item in found if item.audience_id == audience_id), None)

    def is_at(self, audience_id: int) -> bool:
        """Whether it goes on, and is for this audience."""
        return not self.is_over and audience_id in self.audience_ids


class CompareJob(ReconcileJob):
    """Comparing audiences with their cohorts; `against` is a list's path, for one audience."""

    VERB, WHAT = "Comparing", "A comparison"

    def __init__(
        self,
        session: Session,
        audiences: Sequence[Audience],
        timing: Timing,
        tell: Tell,
        against: str | None = None,
        *,
        allow_incomplete: bool = False,
    ) -> None:
        super().__init__(session, timing, tell, [audience.id for audience in audiences])
        self.against = against
        self.is_incomplete = False
        """Whether it ended because the list is incomplete: the operator can insist on it."""
        self._allow_incomplete = allow_incomplete
        self.report: CompareReport | None = None
        self._audiences = audiences

    @property
    def planned(self) -> int:
        """No one is sent for."""
        return 0

    @property
    def run_report(self) -> RunReport | None:
        """What the run reports of itself."""
        return self.report.run if self.report else None

    async def carry_out(self, context: RunContext) -> None:
        """Read the list, if there is one, then the cohorts, and compare."""
        listing = None
        if self.against is not None:
            try:
                listing = await aside(
                    read_member_list,
                    context.ledger,
                    self._audiences[0],
                    self.against,
                    allow_incomplete=self._allow_incomplete,
                )
            except IncompleteList:
                self.is_incomplete = True
                raise
        self.report = await compare_audiences(self._audiences, context, listing)


class RepairJob(ReconcileJob):
    """Putting differences right; `verify` compares again afterwards."""

    VERB, WHAT = "Repairing", "A repair"

    def __init__(
        self,
        session: Session,
        plans: Sequence[RepairPlan],
        timing: Timing,
        tell: Tell,
        *,
        verify: bool,
    ) -> None:
        ids = [plan.comparison.audience_id for plan in plans]
        super().__init__(session, timing, tell, ids)
        self.report: RepairReport | None = None
        self.plans = tuple(plans)
        self._verify = verify

    @property
    def planned(self) -> int:
        """How many users the plans are for."""
        return sum(plan.add + plan.remove for plan in self.plans)

    @property
    def run_report(self) -> RunReport | None:
        """What the run reports of itself."""
        return self.report.run if self.report else None

    async def carry_out(self, context: RunContext) -> None:
        """Send what was chosen, and look again."""
        self.report = await repair(self.plans, context, verify=self._verify)
