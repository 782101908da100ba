"""Large removals in a live session: as in a sync, none is sent unconfirmed."""

from amp_console.ledger.outcomes import LARGE_REMOVAL
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.pending import deliver_window
from amp_console.sync.delivery.plan import large_removal
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.live.options import LiveOptions


class RemovalGuard:
    """Delivers an audience's windows, and lets it wait with a large removal.

    `LiveOptions` defines which ones. `would_remove` describes the members of the waiting removal.
    """

    def __init__(self, options: LiveOptions) -> None:
        self._options = options
        self._is_allowed = options.remove
        self._is_first = False  # what was pending before the session is not delivered yet
        self.would_remove = ""

    def expect_backlog(self) -> None:
        """Users were pending before the session."""
        self._is_first = True

    def confirm(self) -> None:
        """Send the large removal, and what else is pending."""
        self._is_allowed = True

    async def deliver(self, worker: AudienceWorker) -> None:
        """Deliver what is pending; raises `AudienceBlocked` if that has to be confirmed."""
        if await self.must_wait(worker):
            raise AudienceBlocked(LARGE_REMOVAL)
        await deliver_window(worker)
        self._is_allowed = self._options.remove
        self._is_first = False

    async def must_wait(self, worker: AudienceWorker) -> bool:
        """Whether there is a large removal that is not part of the ordinary flow of events."""
        if self._is_allowed:
            return False
        known, now = worker.audience, worker.now()
        plan = await worker.read(large_removal, worker.connection, known, now)
        self.would_remove = plan.removed_members if plan is not None else ""
        return plan is not None and (
            self._is_first
            or plan.remove >= self._options.large_removal
            or plan.remove_by_other_id > 0
        )
