"""Figures from Amplitude: cohort sizes, and downloads used this month."""

from collections.abc import Awaitable, Callable, Coroutine

from amp_console.amplitude.errors import KeysRefused
from amp_console.console.clock import ConnectionClock
from amp_console.console.failures import expected_failures
from amp_console.console.notifications import Notifications
from amp_console.console.session import Session, Sessions
from amp_console.ledger.audiences import Audience
from amp_console.ledger.errors import LedgerClosed
from amp_console.ledger.runs import audiences_sent_to
from amp_console.sync.queries.status import keys_refused_at
from amp_console.sync.reconcile.quota import Quota, ask_quota
from amp_console.text import plural


class Figures:
    """The latest figures of the open connection. `changed` is called when there are newer ones."""

    def __init__(
        self,
        sessions: Sessions,
        clock: ConnectionClock,
        notifications: Notifications,
        changed: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._notifications = notifications
        self._changed = changed
        self.quota: Quota | None = None
        """The month's cohort downloads; None before Amplitude was asked, and during downloads."""
        self._downloading = 0  # jobs that may use downloads
        self.sizes: dict[str, int | None] = {}
        """The size of each cohort, by cohort ID."""
        self.sizes_at = 0
        """When the sizes were requested, in microseconds since 1970."""
        self._keys_refused_at: int | None = None
        self._refused_outside_runs: int | None = None
        self._keys_accepted_at = 0
        self._changed_since: frozenset[int] = frozenset()  # audience IDs, since `sizes_at`
        self._loaded_at = 0

    def forget(self) -> None:
        """Forget all figures, because another connection is open."""
        self.sizes, self.quota = {}, None
        self._keys_refused_at = self._refused_outside_runs = None

    @property
    def are_keys_refused(self) -> bool:
        """Whether Amplitude refused the keys, and has not accepted them since."""
        refused_at = self._keys_refused_at
        return refused_at is not None and refused_at > self._keys_accepted_at

    async def load(self, session: Session) -> None:
        """Read whether the keys were refused, and which sizes are out of date, from the ledger.

        Raises `LedgerError`.
        """
        now, sizes_at = self._clock.now, self.sizes_at
        changed_since = await session.read(audiences_sent_to, sizes_at)
        if sizes_at == self.sizes_at:  # otherwise there are newer sizes by now
            self._changed_since, self._loaded_at = changed_since, now
        self._keys_refused_at = await session.read(keys_refused_at, self._refused_outside_runs)

    def note_failure(self, error: Exception, asked_at: int) -> None:
        """Record a failure of a request sent at `asked_at`, if Amplitude refused the keys."""
        if isinstance(error, KeysRefused):
            self._refused_outside_runs = asked_at
            self._changed()

    def note_accepted(self, at: int) -> None:
        """Record that Amplitude accepted the keys `at` this time, in microseconds since 1970."""
        self._keys_accepted_at = at

    def size_of(self, audience: Audience) -> int | None:
        """The size of an audience's cohort in Amplitude.

        None if it is unknown, or if a run has sent a request for the cohort since it was read.
        """
        last = audience.last_sync_at or 0
        is_changed = last > self._loaded_at or audience.id in self._changed_since
        if last > self.sizes_at and is_changed:
            return None
        return self.sizes.get(audience.cohort_id or "")

    async def update_sizes(self) -> str:
        """Ask Amplitude for the sizes of its cohorts: one list call, and no download.

        Return what was counted, e.g. "11 cohorts in Amplitude"; "" if the call failed.
        """
        session = self._sessions.current
        if session is None:
            return ""
        asked_at = self._clock.now
        try:
            async with await session.client() as client:
                found = {cohort.id: cohort.size for cohort in await client.list_cohorts()}
        except expected_failures() as error:
            self._notifications.post(str(error), "error")
            self.note_failure(error, asked_at)
            return ""
        if self._sessions.current is not session:
            return ""  # by now another connection is open, or none
        self.note_sizes(found, asked_at)
        return f"{plural(len(found), 'cohort')} in Amplitude"

    def note_sizes(self, found: dict[str, int | None], asked_at: int) -> None:
        """Store sizes that were requested at `asked_at`, in microseconds since 1970."""
        self.sizes, self.sizes_at = found, asked_at
        self._changed_since, self._loaded_at = frozenset(), 0
        self.note_accepted(asked_at)
        self._changed()

    async def update_quota(self) -> None:
        """Ask how many of the month's downloads are used, which uses none."""
        session = self._sessions.current
        if session is None or self._downloading:
            return
        try:
            async with await session.client() as client:
                quota = await ask_quota(client, session.ledger, self._clock.now)
        except LedgerClosed:
            return  # by now another connection is open, or none
        except expected_failures() as error:
            self._notifications.post(str(error), "error")
        else:
            if self._sessions.current is not session:
                return
            if not self._downloading:  # no new download has started since the call
                self.quota = quota
                self._changed()

    def hide_quota_until(self, ends: Awaitable[None]) -> Coroutine[None, None, None]:
        """Hide the quota while downloads change it; the coroutine reads it again after `ends`."""
        self._downloading += 1
        self.quota = None
        return self._ask_after(ends)

    async def _ask_after(self, ends: Awaitable[None]) -> None:
        try:
            await ends
        finally:
            self._downloading -= 1
        await self.update_quota()
