"""The single clock for all ages on the screen."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.dom import DOMNode
from textual.signal import Signal

from amp_console.sync.timing import Timing

if TYPE_CHECKING:
    from amp_console.ledger import Ledger


class AgeClock:
    """The current time, and one that advances once a second, in microseconds since 1970.

    Ages are relative to `age_now`, and everything with an age is repainted when it advances, so a
    time never has two ages on one screen.
    """

    def __init__(self, owner: DOMNode, timing: Timing) -> None:
        self._timing = timing
        self.age_now = self.now
        self.ticked: Signal[None] = Signal(owner, "ticked")

    @property
    def now(self) -> int:
        """The time of day in microseconds since 1970."""
        return self._timing.now()

    def tick(self) -> None:
        """Advance `age_now`, and publish `ticked`."""
        self.age_now = self.now
        self.ticked.publish(None)


class ConnectionClock:
    """`AgeClock` on the clock of a connection's ledger, once that is open; see `Ledger.clock`."""

    def __init__(self, ages: AgeClock, ledger: "Callable[[], Ledger | None]") -> None:
        self._ages = ages
        self._ledger = ledger
        self.ticked = ages.ticked

    @property
    def now(self) -> int:
        """The time of day in microseconds since 1970."""
        return self._by_ledger(self._ages.now)

    @property
    def age_now(self) -> int:
        """The time to which ages are relative, in microseconds since 1970."""
        return self._by_ledger(self._ages.age_now)

    def _by_ledger(self, moment: int) -> int:
        ledger = self._ledger()
        return moment if ledger is None else ledger.clock(lambda: moment)()
