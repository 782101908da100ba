"""What the deliveries of one run share."""

import asyncio
from dataclasses import dataclass

from amp_console.amplitude import AmplitudeClient
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.sync.progress import Progress
from amp_console.sync.timing import Stop, Timing


class Stopped(Exception):
    """Somebody asked the run to end; what was not sent stays pending."""


class GaveUp(Exception):
    """An audience can't be delivered for now; its users stay pending, the text says why."""


@dataclass(frozen=True, slots=True)
class Desk:
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
    slots: asyncio.Semaphore
