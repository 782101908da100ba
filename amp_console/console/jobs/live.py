"""Following audiences while the console is open: what is under way, and where it comes from."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from amp_console.console.background import aside
from amp_console.console.failures import KNOWN, unexpected
from amp_console.console.jobs.runs import Tell
from amp_console.console.session import Session
from amp_console.sync.connection_options import read_options
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.alerts import Alert, Alerts
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveReport, LiveSnapshot
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.group import SourceGroup
from amp_console.sync.sources.protocols import CannotBind, EventStream
from amp_console.sync.timing import Timing
from amp_console.values import Secret

REMEMBERED = 60  # snapshots, a second each, of which the lines are drawn

Bring = Callable[[Session], EventStream]
"""Opens where the events come from; it may block. Raises what `KNOWN` says, or `CannotBind`."""

Alarm = Callable[[Alert], None]
"""Called when there is something that the operator should hear of."""


class LiveJob:
    """One live session, from its start to its report."""

    WHAT: ClassVar[str] = "A live session"

    def __init__(
        self,
        session: Session,
        bring: Bring,
        wish: LiveOptions,
        timing: Timing,
        tell: Tell,
        alarm: Alarm = lambda _: None,
    ) -> None:
        self.session = session
        self.wish = wish
        self.snapshot: LiveSnapshot | None = None
        self.history: deque[LiveSnapshot] = deque(maxlen=REMEMBERED)
        self.report: LiveReport | None = None
        self.failure: str | None = None
        self.is_over = False
        self.is_ending = False
        self._timing = timing
        self._tell = tell
        self._alarm = alarm
        self._alerts = Alerts()
        self._live: LiveSession | None = None
        self._bring = bring
        self._group = SourceGroup()
        self._seen_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._go())

    async def add(self, bring: Bring) -> None:
        """Take in events from one more place. Raises what `KNOWN` says, or `CannotBind`."""
        source = await aside(bring, self.session)
        if not (self.is_over or self.is_ending):
            self._group.add(source)
            self._load()

    def cancel(self) -> None:
        """Take no more in, deliver what is pending, and end."""
        self.is_ending = True
        if self._live is not None:
            self._live.end()
        else:
            self.session.stop_waiting()
        self._tell()

    @property
    def followed(self) -> frozenset[int]:
        """The ids of the audiences whose cohorts follow just now."""
        now = self.snapshot
        return frozenset() if self.is_over or now is None else now.live

    @property
    def summary(self) -> str:
        """The session in two words: how many audiences are live, or what else it does."""
        if self.is_ending:
            return "live: ending"
        if self.is_paused:
            return "live: paused"
        return f"{len(self.followed)} live" if self.followed else "live session"

    @property
    def now(self) -> float:
        """The moment on the clock of the snapshots' times; it advances between two of them."""
        if self.snapshot is None:
            return 0.0
        since = 0.0 if self._seen_at is None else self._timing.monotonic() - self._seen_at
        return self.snapshot.now + since

    @property
    def is_paused(self) -> bool:
        """Whether events are taken in, and nothing is sent."""
        return self._live is not None and self._live.is_paused

    def pause(self, audience_id: int | None = None) -> None:
        """Go on taking events in, and send nothing until `resume`, for one audience or all."""
        if self._live is not None:
            self._live.pause(audience_id)
            self._load()

    def resume(self, audience_id: int | None = None) -> None:
        """Send again for one audience, or for all."""
        if self._live is not None:
            self._live.resume(audience_id)
            self._load()

    def go_live(self, audience_id: int) -> None:
        """Allow to make the audience's cohort, and look at it now."""
        if self._live is not None:
            self._live.go_live(audience_id)
            self._load()

    def recheck(self, audience_id: int) -> None:
        """Look at an audience now: what is set for it has changed."""
        if self._live is not None:
            self._live.recheck(audience_id)
            self._load()

    def _load(self) -> None:
        """Show at once what was asked for, not with the next second."""
        if self._live is not None and self.snapshot is not None:
            self._keep(self._live.snapshot())
        self._tell()

    def give_up(self) -> None:
        """End now, whether or not the request in flight has been answered."""
        if self._task is not None and not self.is_over:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until it is over."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._task)

    async def _go(self) -> None:
        try:
            await self._follow()
        except (*KNOWN, CannotBind) as error:
            self.failure = str(error)
        except asyncio.CancelledError:
            self.failure = "Ended before the last answers came. Whoever they were about is pending."
        except Exception as error:
            self.failure = unexpected(error)
        finally:
            self.is_over = True
            self._tell()

    async def _follow(self) -> None:
        session = self.session
        async with await session.client() as client:
            context = RunContext(session.connection, session.ledger, client, self._timing)
            self._live = LiveSession(context, self.wish, self._see)
            if self.is_ending:
                return
            self._group.add(await aside(self._bring, session))
            self.report = await self._live.run(self._group)

    def _keep(self, snapshot: LiveSnapshot) -> None:
        self.snapshot = snapshot
        self._seen_at = self._timing.monotonic()

    def _see(self, snapshot: LiveSnapshot) -> None:
        self._keep(snapshot)
        self.history.append(snapshot)
        for alert in self._alerts.observe(snapshot):
            self._alarm(alert)
        self._tell()


def paths(*names: str) -> Bring:
    """Follow files that grow, and folders."""

    def bring(session: Session) -> EventStream:
        from amp_console.sync.sources.streams import PathSource
        from amp_console.sync.sources.watcher import Watching, readable

        return PathSource(Watching(_feed(session), readable(names)))

    return bring


def address(host: str, port: int, secret: Secret | None, *, single_events: bool = False) -> Bring:
    """Receive what Segment's webhooks send; `single_events` refuses arrays."""

    def bring(session: Session) -> EventStream:
        from amp_console.sync.sources.webhook import Receiver, ReceiverOptions, check_host

        check_host(host, secret)
        options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
        receiver = Receiver(_feed(session), options)
        receiver.open()
        return receiver

    return bring


def _feed(session: Session) -> StreamIngestor:
    return StreamIngestor(session.ledger, read_options(session.connection))
