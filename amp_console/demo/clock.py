"""The clock of the demo: set to the past while the ledger is seeded, then to the present."""

import asyncio
from collections.abc import Callable

SECOND = 1_000_000  # microseconds, the unit of all times here
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
DAY = 24 * HOUR
STEP = 370_000  # microseconds that pass with every reading of a clock in the past


class Clock:
    """Times in microseconds since 1970, for the ledger and for the simulated Amplitude."""

    def __init__(self, present: Callable[[], int]) -> None:
        """`present` returns the time while the clock is not in the past."""
        self._present = present
        self.begun = present()
        self._past: int | None = None

    def ago(self, microseconds: int) -> int:
        """The time so many microseconds before the demo began."""
        return self.begun - microseconds

    def set(self, moment: int) -> None:
        """Set the clock to this time in the past."""
        self._past = moment

    def release(self) -> None:
        """Return to the present."""
        self._past = None

    def now(self) -> int:
        """The time in microseconds; a clock in the past advances by `STEP` with every reading."""
        if self._past is None:
            return self._present()
        self._past += STEP
        return self._past

    def seconds(self) -> float:
        """The time in seconds, for the simulated Amplitude. Reading it does not advance it."""
        moment = self._present() if self._past is None else self._past
        return moment / SECOND

    async def sleep(self, seconds: float) -> None:
        """Advance a clock in the past, and return at once."""
        if self._past is not None:
            self._past += round(seconds * SECOND)
        await asyncio.sleep(0)
