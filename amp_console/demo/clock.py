"""The clock of the demo: it is set back while the past is played, and then tells the present."""

import asyncio
from collections.abc import Callable

SECOND = 1_000_000  # microseconds, the unit of every moment here
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
DAY = 24 * HOUR
STEP = 370_000  # that pass with every look at a clock that was set back


class Clock:
    """Moments in microseconds since 1970, for the ledger and for the simulated Amplitude."""

    def __init__(self, present: Callable[[], int]) -> None:
        """`present` tells the time when the clock is not set back."""
        self._present = present
        self.begun = present()
        self._past: int | None = None

    def ago(self, microseconds: int) -> int:
        """The moment so long before the demo began."""
        return self.begun - microseconds

    def set(self, moment: int) -> None:
        """Go on from this moment."""
        self._past = moment

    def release(self) -> None:
        """Tell the present from now on."""
        self._past = None

    def now(self) -> int:
        """The moment; a clock that was set back goes on a little with every look."""
        if self._past is None:
            return self._present()
        self._past += STEP
        return self._past

    def seconds(self) -> float:
        """The moment in seconds, as Amplitude's side counts; looking does not move it."""
        moment = self._present() if self._past is None else self._past
        return moment / SECOND

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds of the past go by, in no time."""
        if self._past is not None:
            self._past += round(seconds * SECOND)
        await asyncio.sleep(0)
