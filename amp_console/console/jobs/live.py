"""Live sessions in the console, and the sources they follow."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from amp_console.console.background import in_thread
from amp_console.console.jobs.base import Job, Publish
from amp_console.console.place_counts import PlaceCounts, count_unidentified
from amp_console.console.session import Session
from amp_console.sync.connection_options import read_options
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.alerts import Alert, Alerts, limits_for
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience, LiveReport, LiveSnapshot, WaitReason
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import CannotBind, EventStream
from amp_console.sync.sources.streams import StreamGroup
from amp_console.sync.timing import Timing
from amp_console.text import plural
from amp_console.values import Secret

REMEMBERED = 60  # snapshots, one per second, for the sparklines


class OpenSource(NamedTuple):
    """A source to be opened, with its paths or its address as names.

    `open` may block. It raises `expected_failures` or `CannotBind`.
    """

    names: tuple[str, ...]
    open: Callable[[Session], EventStream]


Alarm = Callable[[Alert], None]
"""Called with alerts for the operator."""


class LiveJob(Job):
    """One live session, from its start to its report."""

    GIVEN_UP = "Ended before the last answers arrived. The users in those requests are pending."
    EXPECTED = (CannotBind,)

    def __init__(
        self,
        session: Session,
        open_source: OpenSource,
        options: LiveOptions,
        timing: Timing,
        publish: Publish,
        alarm: Alarm = lambda _: None,
    ) -> None:
        super().__init__(session, publish)
        self.options = options
        self.snapshot: LiveSnapshot | None = None
        self.history: deque[LiveSnapshot] = deque(maxlen=REMEMBERED)
        self.report: LiveReport | None = None
        self.ended_at: int | None = None
        """When its last snapshot was made, in microseconds since 1970."""
        self.unidentified = 0
        """How many members without an identifier to send there are more than at its start."""
        self._unidentified_before: int | None = None
        self._is_ending = False
        self._timing = timing
        self._alarm = alarm
        self._alerts = Alerts(limits_for(options))
        self._live: LiveSession | None = None
        self._open_source = open_source
        self.names = [*open_source.names]
        """The paths and addresses that it follows, as entered."""
        self._group = StreamGroup()
        self._seen_at: float | None = None

    @property
    def is_ending(self) -> bool:
        return self._is_ending

    @property
    def end_notice(self) -> str:
        return self.failure or "The live session has ended."

    async def add(self, open_source: OpenSource) -> None:
        """Follow one more source. Raises `expected_failures` or `CannotBind`."""
        source = await in_thread(open_source.open, self.session)
        if not (self.is_over or self.is_ending):
            self._group.add(source)
            self.names += open_source.names
            self._refresh()

    def follows(self, name: str) -> bool:
        """Whether it is under way and already follows a path."""
        given = {str(Path(known)) for known in self.names}
        return not self.is_over and bool(name) and str(Path(name)) in given

    def cancel(self) -> None:
        """Stop reading events, deliver pending changes, and end."""
        self._is_ending = True
        if self._live is not None:
            self._live.end()
        else:
            self.session.stop_waiting()
        self.progressed()

    @property
    def followed(self) -> frozenset[int]:
        """The ids of the audiences that are live now."""
        now = self.snapshot
        return frozenset() if self.is_over or now is None else now.live

    def audience(self, audience_id: int) -> LiveAudience | None:
        """The state of an audience in this session; None if the session does not follow it."""
        now = () if self.is_over or self.snapshot is None else self.snapshot.audiences
        return next((item for item in now if item.audience_id == audience_id), None)

    @property
    def run_id(self) -> int | None:
        """The ID of its run in the history; None before it has started."""
        return self._live.run_id if self._live is not None else None

    @property
    def summary(self) -> str:
        """A short label of the session: how many audiences are live, or its state."""
        if self.is_ending:
            return "live: ending"
        if self.is_paused:
            return "live: paused"
        followed = len(self.followed)
        return f"live: {plural(followed, 'audience')}" if followed else "live session"

    @property
    def now(self) -> float:
        """The current time on the snapshots' clock; it also advances between snapshots."""
        if self.snapshot is None:
            return 0.0
        since = 0.0 if self._seen_at is None else self._timing.monotonic() - self._seen_at
        return self.snapshot.now + since

    @property
    def is_paused(self) -> bool:
        """Whether events are read, but nothing is sent."""
        return self._live is not None and self._live.is_paused

    def pause(self, audience_id: int | None = None) -> None:
        """Keep reading events, but send nothing until `resume`, for one audience or all."""
        if self._live is not None:
            self._live.pause(audience_id)
            self._refresh()

    def resume(self, audience_id: int | None = None) -> None:
        """Resume sending for one audience, or for all."""
        if self._live is not None:
            self._live.resume(audience_id)
            self._refresh()

    def go_live(self, audience_id: int, reason: WaitReason) -> None:
        """Allow the new cohort or large removal that an audience is waiting for; deliver it now."""
        if self._live is not None:
            self._live.go_live(audience_id, reason)
            self._refresh()

    def recheck(self, audience_id: int) -> None:
        """Check an audience now, because its settings have changed."""
        if self._live is not None:
            self._live.recheck(audience_id)
            self._refresh()

    def _refresh(self) -> None:
        """Publish a change at once, not with the next snapshot."""
        if self._live is not None and self.snapshot is not None:
            self._keep(self._live.snapshot())
        self.progressed()

    async def work(self) -> None:
        session = self.session
        async with await session.client() as client:
            context = RunContext(session.connection, session.ledger, client, self._timing)
            self._unidentified_before = await session.read(count_unidentified)
            self._live = LiveSession(context, self.options, self._see)
            if self.is_ending:
                return
            self._group.add(await in_thread(self._open_source.open, session))
            self.report = await self._live.run(self._group)

    def counted(self, counts: PlaceCounts) -> None:
        """Agree with what was counted of the ledger just now: the main screens' names show that."""
        if self._live is None or self.snapshot is None or self.is_over:
            return
        if self._unidentified_before is not None:
            self.unidentified = max(0, counts.unidentified - self._unidentified_before)
        self._keep(self._live.snapshot())

    def _keep(self, snapshot: LiveSnapshot) -> None:
        self.snapshot = snapshot
        self._seen_at = self._timing.monotonic()

    def _see(self, snapshot: LiveSnapshot) -> None:
        self._keep(snapshot)
        self.history.append(snapshot)
        if snapshot.is_over:
            self.ended_at = self.session.ledger.clock(self._timing.now)()
        for alert in self._alerts.observe(snapshot):
            self._alarm(alert)
        self.progressed()


def paths(*names: str) -> OpenSource:
    """Follow growing files and folders."""

    def open_source(session: Session) -> EventStream:
        from amp_console.sync.sources.registry import open_stream

        return open_stream(names, _feed(session), aliases={})  # its standard input is the keyboard

    return OpenSource(names, open_source)


def address(
    host: str, port: int, secret: Secret | None, *, single_events: bool = False
) -> OpenSource:
    """Receive Segment's webhooks; `single_events` refuses arrays."""

    def open_source(session: Session) -> EventStream:
        from amp_console.sync.sources.webhook import Receiver, ReceiverOptions, check_host

        check_host(host, secret)
        options = ReceiverOptions(host=host, port=port, secret=secret, single_events=single_events)
        receiver = Receiver(_feed(session), options)
        receiver.open()
        return receiver

    return OpenSource((f"{host}:{port}",), open_source)


def _feed(session: Session) -> StreamIngestor:
    return StreamIngestor(session.ledger, read_options(session.connection))
