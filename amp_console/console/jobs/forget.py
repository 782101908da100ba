"""Answering a deletion request: its progress, then its result."""

import asyncio
from collections.abc import Sequence
from functools import partial

from amp_console.console.jobs.base import Job, Publish
from amp_console.console.jobs.runs import GRACE
from amp_console.console.session import Session
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.forget import ForgetPlan, ForgetReport, forget, report_sentences
from amp_console.sync.timing import Stop, Timing
from amp_console.text import plural


class ForgetJob(Job):
    """Removing people from every cohort, then erasing them."""

    GIVEN_UP = (
        "Stopped before the last answer arrived. Nothing is half erased: the next deletion request "
        "for this person does the rest."
    )

    def __init__(
        self,
        session: Session,
        plan: ForgetPlan,
        timing: Timing,
        publish: Publish,
        left_behind: Sequence[str] = (),
    ) -> None:
        """See `forget` for `left_behind`."""
        super().__init__(session, publish)
        self._left_behind = left_behind
        self.plan = plan
        self.report: ForgetReport | None = None
        self._stop = Stop()
        self._timing = timing
        self._snapshot: RunSnapshot | None = None

    @property
    def is_ending(self) -> bool:
        return self._stop.is_asked

    @property
    def end_notice(self) -> str:
        return " ".join(self.says)

    @property
    def says(self) -> list[str]:
        """Its progress or its result, in sentences."""
        if self.failure:
            return [self.failure]
        if self.report is not None:
            return report_sentences(self.report)
        cohorts = plural(self.plan.removals, "cohort")
        if self._snapshot is None and self.plan.removals:
            return [f"Removing from {cohorts}: starting."]
        if self._snapshot is not None and not self._snapshot.is_over:
            done = sum(item.is_over for item in self._snapshot.audiences)
            return [f"Removing from {cohorts}: {done:,} done."]
        return ["Erasing from the ledger, its files and its backups."]

    def cancel(self) -> None:
        """End it: the request in flight ends first, and only people who were removed are erased."""
        if self.is_over or self._stop.is_asked:
            return
        self._stop.ask()
        self.session.stop_waiting()
        asyncio.get_running_loop().call_later(GRACE, self.give_up)
        self.progressed()

    async def work(self) -> None:
        session = self.session
        connection, ledger, now = session.connection, session.ledger, self._timing.now
        forgetting = partial(
            forget, self.plan, connection, ledger, left_behind=self._left_behind, now=now
        )
        if not self.plan.removals:
            self.report = await forgetting(None)
            return
        async with await session.client() as client:
            context = RunContext(connection, ledger, client, self._timing, self._stop, self._see)
            self.report = await forgetting(context)

    def _see(self, snapshot: RunSnapshot) -> None:
        self._snapshot = snapshot
        self.progressed()
