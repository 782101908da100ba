"""The one clock that all ages on the screen come from."""

from textual.dom import DOMNode
from textual.signal import Signal

from amp_console.sync.timing import Timing


class AgeClock:
    """Time of day, and a moment that advances once a second, in microseconds since 1970.

    Ages are counted to `age_now`, and everything with an age is painted anew when it advances:
    one moment never has two ages on one screen.
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
