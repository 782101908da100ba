"""The counts of the main screens, for the place bar."""

from collections.abc import Collection
from typing import Any, NamedTuple

from textual.app import App
from textual.signal import Signal

from amp_console.console.failures import expected_failures
from amp_console.console.lifecycle import deferred
from amp_console.console.session import Session, Sessions
from amp_console.ledger import Db
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedFilter, count_rejected
from amp_console.ledger.runs import RunKind, runs_under_way


class PlaceCounts(NamedTuple):
    """The counts of the open connection's main screens; `is_live`: in this process or another.

    The `rejected` include the `unidentified`, who have no identifier to send.
    """

    audiences: int
    rejected: int
    is_live: bool
    unidentified: int = 0


class PlaceCounter:
    """Counts again after each change: in the background, and from indexes only."""

    def __init__(self, app: App[Any], sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions
        self._is_counting = False
        self._is_outdated = False
        self.counts: PlaceCounts | None = None
        """The last counts; None without a connection, and before its ledger was read."""
        self.changed: Signal[None] = Signal(app, "place counts")
        """Published when the counts have changed."""

    def refresh(self) -> None:
        """Count again, or after the count under way, if any."""
        self._is_outdated = True
        if not self._is_counting:
            self._is_counting = True
            self._app.run_worker(deferred(self._count), group="counts")

    async def _count(self) -> None:
        try:
            while self._is_outdated:
                self._is_outdated = False
                session = self._sessions.current
                counts = None if session is None else await self._read(session)
                if session is self._sessions.current and counts != self.counts:
                    self.counts = counts
                    self.changed.publish(None)
        finally:
            self._is_counting = False

    async def _read(self, session: Session) -> PlaceCounts | None:
        try:
            return await session.read(place_counts, await session.dead_runs())
        except expected_failures():
            return None  # the next screen that reads reports it
        except Exception:
            if self._sessions.current is session:
                raise  # otherwise the ledger was closed in the meantime
            return None


def place_counts(db: Db, dead: Collection[int] = ()) -> PlaceCounts:
    """Count what the main screens list; `dead` are the IDs of runs whose process is gone."""
    return PlaceCounts(
        audiences=len(all_audiences(db)),
        rejected=count_rejected(db),
        is_live=bool(runs_under_way(db, RunKind.LIVE, dead)),
        unidentified=count_unidentified(db),
    )


def count_unidentified(db: Db) -> int:
    """Count the members without an identifier to send: events alone bring them, and no request."""
    return count_rejected(db, RejectedFilter(code=Reason.NO_IDENTIFIER))
