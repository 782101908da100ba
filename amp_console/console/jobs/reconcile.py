"""The operations of runs that compare audiences with their cohorts, or repair differences."""

from collections.abc import Sequence

from amp_console.console.background import in_thread
from amp_console.console.jobs.runs import RunJob, RunOperation
from amp_console.ledger.audiences import Audience
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.run import RunReport
from amp_console.sync.reconcile.compare import CompareReport, compare_audiences
from amp_console.sync.reconcile.member_list import IncompleteList, read_member_list
from amp_console.sync.reconcile.plan import RepairPlan
from amp_console.sync.reconcile.repair import RepairReport, repair
from amp_console.sync.sources.registry import open_reader


class CompareOperation(RunOperation):
    """Comparing audiences with their cohorts; `against` is the path of a list for one audience."""

    VERB, WHAT = "Comparing", "A comparison"

    def __init__(
        self,
        audiences: Sequence[Audience],
        against: str | None = None,
        *,
        allow_incomplete: bool = False,
    ) -> None:
        super().__init__(tuple(audience.id for audience in audiences))
        self.against = against
        self.is_incomplete = False
        """Whether it ended because the list is incomplete; the operator can allow that."""
        self.report: CompareReport | None = None
        self._allow_incomplete = allow_incomplete
        self._audiences = audiences

    @property
    def planned(self) -> int:
        return 0

    @property
    def run_report(self) -> RunReport | None:
        return self.report.run if self.report else None

    def including_incomplete(self) -> "CompareOperation":
        """Return the same comparison, but allow an incomplete list."""
        return CompareOperation(self._audiences, self.against, allow_incomplete=True)

    async def carry_out(self, context: RunContext) -> None:
        """Read the list, if any, then the cohorts, and compare."""
        listing = None
        if self.against is not None:
            try:
                listing = await in_thread(
                    read_member_list,
                    context.ledger,
                    open_reader,
                    self._audiences[0],
                    self.against,
                    allow_incomplete=self._allow_incomplete,
                )
            except IncompleteList:
                self.is_incomplete = True
                raise
        self.report = await compare_audiences(self._audiences, context, listing)


class RepairOperation(RunOperation):
    """Repairing differences; with `verify`, it compares again afterwards."""

    VERB, WHAT = "Repairing", "A repair"

    def __init__(self, plans: Sequence[RepairPlan], *, verify: bool) -> None:
        super().__init__(tuple(plan.comparison.audience_id for plan in plans))
        self.report: RepairReport | None = None
        self.plans = tuple(plans)
        self.verify = verify

    @property
    def planned(self) -> int:
        return sum(plan.add + plan.remove for plan in self.plans)

    @property
    def run_report(self) -> RunReport | None:
        return self.report.run if self.report else None

    async def carry_out(self, context: RunContext) -> None:
        self.report = await repair(self.plans, context, verify=self.verify)


ReconcileOperation = CompareOperation | RepairOperation
ReconcileJob = RunJob[ReconcileOperation]
