"""The context of a run, and what its workers share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from amp_console.amplitude import KeysRefused
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.ledger.runs import RunKind
from amp_console.sync.delivery.progress import Observer, Progress, StatusCounter, ignore
from amp_console.sync.timing import Stop, Timing

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient


class RunStopped(Exception):
    """The operator asked the run to end; what was not sent stays pending."""


class AudienceBlocked(Exception):
    """An audience can't be delivered for now. Its users stay pending; the text says why."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a run. A front end creates it once and passes it to the use case.

    `observe` gets snapshots, at most ten a second, in the event loop's thread. `lease_wait` is how
    many seconds a run waits for an audience that another process holds.
    """

    connection: Connection
    ledger: Ledger
    client: "AmplitudeClient"
    timing: Timing = field(default_factory=Timing)
    stop: Stop = field(default_factory=Stop)
    observe: Observer = ignore
    lease_wait: float = 0.0

    def now(self) -> int:
        """The time by the clock of the ledger, in microseconds since 1970."""
        return self.ledger.clock(self.timing.now)()


class RequestLimiter:
    """Limits concurrent requests to Amplitude; closes once Amplitude refuses the keys."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.is_closed = False

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.is_closed = self.is_closed or isinstance(error, KeysRefused)
        self._free.release()


class ActiveRun:
    """A run of the history while this process carries it out.

    `limiter` allows as many requests at once as the connection's `parallel_cohorts`. `statuses`
    counts the requests by the HTTP status of their answers. `keys_refused` is Amplitude's sentence
    once it has refused the keys.
    """

    def __init__(
        self,
        context: RunContext,
        run_id: int,
        kind: RunKind,
        progress: Progress,
        started_at: int,
        on_keys_refused: Callable[[], None] | None = None,
    ) -> None:
        """`on_keys_refused` ends the run; by default it asks the context's stop.

        `started_at` in microseconds since 1970.
        """
        self.context = context
        self.id = run_id
        self.kind = kind
        self.progress = progress
        self.started_at = started_at
        self.limiter = RequestLimiter(context.connection.limits.parallel_cohorts)
        self.statuses = StatusCounter()
        self.keys_refused: str | None = None
        self._on_keys_refused = on_keys_refused or context.stop.ask

    def refuse_keys(self, text: str) -> None:
        """Keep Amplitude's sentence and end the run: no other request can succeed."""
        self.keys_refused = text
        self._on_keys_refused()
