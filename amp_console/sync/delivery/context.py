"""What the deliveries of one run share."""

import asyncio
from dataclasses import dataclass

from amp_console.amplitude import AmplitudeClient, KeysRefused
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.sync.delivery.progress import Progress
from amp_console.sync.timing import Stop, Timing


class RunStopped(Exception):
    """Somebody asked the run to end; what was not sent stays pending."""


class AudienceBlocked(Exception):
    """An audience can't be delivered for now; its users stay pending, the text says why."""


class RequestLimiter:
    """How many may ask Amplitude at once; nobody may any more once it has refused the keys."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.are_closed = False

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.are_closed = self.are_closed or isinstance(error, KeysRefused)
        self._free.release()


@dataclass(frozen=True, slots=True)
class RunContext:
    """The means of one run: where to read and write, whom to ask, how to tell.

    Whoever asks Amplitude takes one of the `slots`, as many as the connection's `parallel_cohorts`.
    """

    run_id: int
    connection: Connection
    ledger: Ledger
    client: AmplitudeClient
    timing: Timing
    progress: Progress
    stop: Stop
    slots: RequestLimiter
