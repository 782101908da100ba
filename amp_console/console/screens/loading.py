"""Reading a screen's data while keys still work; the newest read of a kind wins."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from textual.screen import Screen

from amp_console.console.context import services_of
from amp_console.console.lifecycle import NoSession
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid.widget import RowsState
from amp_console.ledger.errors import LedgerClosed

Read = Callable[[], Awaitable[None]]
"""Reads something and shows it."""


class Loader:
    """Runs the reads of one screen, and reports failures."""

    def __init__(self, screen: Screen[Any], loaded: Callable[[], None]) -> None:
        """`loaded` is called after each read in a worker."""
        self._screen = screen
        self._loaded = loaded
        self._wanted: dict[str, Read | None] = {}
        self._has_read = False
        self._is_outdated = False
        self._to_come = 0  # reads from elsewhere than the ledger

    @property
    def is_reading(self) -> bool:
        """Whether the screen's rows are still being read."""
        return not self._has_read or self._to_come > 0

    def outdate(self) -> None:
        """Something has changed, and another screen is in front: on the way back, keys wait."""
        self._is_outdated = True

    @property
    def is_outdated(self) -> bool:
        """Whether the rows are those of the time before another screen was in front."""
        return self._is_outdated

    def rows_shown(self) -> None:
        """The rows are those of now: keys act, even if more about them is still being read."""
        self._has_read = True
        self._end_wait()

    def _end_wait(self) -> None:
        self._is_outdated = False
        services_of(self._screen).held_keys.release()

    def forget(self) -> None:
        """Forget the last read, because the next one is about something else."""
        self._has_read = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Mark rows as being read from elsewhere than the ledger."""
        self._to_come += 1
        try:
            yield
        finally:
            self._to_come -= 1
            services_of(self._screen).held_keys.release()

    def follow(self, group: str, read: Read) -> None:
        """Read the row under a cursor, after a running read of the same group.

        While the cursor moves on, only its newest position waits: however fast a key repeats, at
        most one read is under way and one is waiting. `read` shows its result only if the cursor is
        still there.
        """
        is_under_way = group in self._wanted
        self._wanted[group] = read
        if is_under_way:
            return

        async def read_the_newest() -> None:
            try:
                while (wanted := self._wanted.get(group)) is not None:
                    self._wanted[group] = None
                    await self.run(wanted)
            finally:
                del self._wanted[group]
            self._loaded()

        work: Any = read_the_newest
        self._screen.run_worker(work, group=group)

    def start(self, group: str, read: Read) -> None:
        """Read in a worker, which replaces a running one of the same group.

        Keys do not wait long for outdated rows: a server may be slow, and a job may have them read
        again and again.
        """
        if self._is_outdated:
            seconds = services_of(self._screen).environment.keys_wait
            self._screen.set_timer(seconds, self._end_wait)

        async def read_and_report() -> None:
            await self.run(read)
            self._loaded()
            self.rows_shown()

        work: Any = read_and_report  # mypy can't handle its type together with `Screen[Any]`
        self._screen.run_worker(work, group=group, exclusive=True)

    async def run(self, read: Read) -> None:
        """Read; post a failure, unless it no longer matters."""
        services = services_of(self._screen)
        session = services.session
        try:
            await read()
        except (NoSession, LedgerClosed):
            return
        except Exception as error:
            if services.session is not session:
                return  # the ledger was closed: the console is quitting, or another one is open
            services.report(error)
            for grid in self._screen.query(Grid):
                if grid.state is RowsState.LOADING:
                    grid.show_notice(RowsState.FAILED, str(error))

    def failed(self, error: Exception) -> None:
        """Report why a page of rows could not be fetched."""
        services_of(self._screen).report(error)
