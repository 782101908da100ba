"""Following audiences while the console is open."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

from amp_console.console.background import aside
from amp_console.console.session import Session
from amp_console.console.work import KNOWN, Tell, unexpected
from amp_console.sync.delivery import Means
from amp_console.sync.feed import Feed
from amp_console.sync.live import Live, LiveReport, LiveWish
from amp_console.sync.live_alerts import Alert, Alerts
from amp_console.sync.live_progress import LiveSnapshot
from amp_console.sync.timing import Timing
from amp_console.sync.watching import WatchedFile, Watching, readable

REMEMBERED = 60  # snapshots, a second each, of which the lines are drawn


Alarm = Callable[[Alert], None]
"""Called when there is something that the operator should hear of."""


class LiveWork:
    """One live session, from its start to its report; it follows files and folders."""

    WHAT: ClassVar[str] = "A live session"

    def __init__(
        self,
        session: Session,
        paths: Sequence[str],
        wish: LiveWish,
        timing: Timing,
        tell: Tell,
        alarm: Alarm = lambda _: None,
    ) -> None:
        self.session = session
        self.paths = tuple(paths)
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
        self._live: Live | None = None
        self._watching: Watching | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def files(self) -> list[WatchedFile]:
        """What is followed, by name."""
        found = dict(self._watching.files) if self._watching else {}
        return [found[name] for name in sorted(found)]

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._go())

    def cancel(self) -> None:
        """Take no more in, deliver what is pending, and end."""
        self.is_ending = True
        if self._live is not None:
            self._live.end()
        else:
            self.session.stop_waiting()
        self._tell()

    @property
    def is_paused(self) -> bool:
        """Whether events are taken in, and nothing is sent."""
        return self._live is not None and self._live.is_paused

    def pause(self) -> None:
        """Go on taking events in, and send nothing until `resume`."""
        if self._live is not None:
            self._live.pause()
            self._tell()

    def resume(self) -> None:
        """Send again."""
        if self._live is not None:
            self._live.resume()
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
        except KNOWN as error:
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
            means = Means(session.connection, session.ledger, client, self._timing)
            self._live = Live(means, self.wish, self._see)
            if self.is_ending:
                return
            self._watching = await aside(self._watch)
            self.report = await self._live.run(self._source)

    def _watch(self) -> Watching:
        feed = Feed(self.session.ledger, self.session.place.read_options())
        return Watching(feed, readable(self.paths))

    async def _source(self, live: Live) -> None:
        from amp_console.sync.live_sources import follow_paths

        assert self._watching is not None
        await follow_paths(live, self._watching)

    def _see(self, snapshot: LiveSnapshot) -> None:
        self.snapshot = snapshot
        self.history.append(snapshot)
        for alert in self._alerts.look(snapshot):
            self._alarm(alert)
        self._tell()
