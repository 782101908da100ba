"""Which keys come too early: while a screen opens, or while it reads rows or a question."""

from collections.abc import Awaitable, Hashable
from typing import Any

from textual.screen import Screen
from textual.worker import Worker

from amp_console.console.context import services_of
from amp_console.console.first_resume import FirstResume
from amp_console.console.screens.actions import ActionKeys
from amp_console.console.screens.loading import Loader
from amp_console.console.widgets.grid import Grid

GONE = "Nothing was done: the row under the cursor is not in the list anymore."


class ScreenKeys:
    """Decides which keys of a screen have to wait, and runs questions that they wait for."""

    def __init__(
        self, screen: Screen[Any], opening: FirstResume, loader: Loader, actions: ActionKeys
    ) -> None:
        self._screen = screen
        self._opening = opening
        self._loader = loader
        self._actions = actions
        self._asking: list[Worker[Any]] = []

    def ask_soon(self, work: Awaitable[object], group: str = "asking") -> None:
        """Run a worker that asks the operator something, once it has read what to ask.

        It replaces a running one of the same group. Keys typed before the question are held for it,
        and keys typed before the worker has ended, for what it opens.
        """
        screen = self._screen

        async def ask() -> None:
            try:
                await work
            finally:
                screen.app.call_later(services_of(screen).held_keys.release)

        self._asking = [worker for worker in self._asking if not worker.is_finished]
        self._asking.append(screen.run_worker(ask, group=group, exclusive=True))

    def holds_all(self) -> bool:
        """Whether keys are meant for what is about to appear: the screen, or a question.

        They also wait for the connection, except in a demo, which prepares for seconds.
        """
        services = services_of(self._screen)
        if services.sessions.is_opening and services.environment.demo is None:
            return True
        is_asking = any(not worker.is_finished for worker in self._asking)
        is_question_near = is_asking and not services.held_keys.is_service_asked
        return is_question_near or self._opening.holds_all()

    def holds(self, key: str) -> bool:
        """Whether a key is meant for rows of the list that are still being read."""
        if services_of(self._screen).session is None or not isinstance(self._screen.focused, Grid):
            return False
        if self._loader.is_outdated:
            return self._actions.acts_here(key)
        return self._loader.is_reading and self._actions.needs_rows(key)

    def subject(self) -> Hashable | None:
        """The row under the cursor of the focused list."""
        return self._grid.key if self._grid is not None else None

    def has(self, subject: Hashable | None) -> bool:
        """Whether the focused list has this row, as far as it is in memory."""
        grid = self._grid
        if grid is None or not grid.rows.can_sort or grid.rows.shown.find(subject) is not None:
            return True
        services_of(self._screen).notifications.post(GONE, "warning", is_kept=False)
        return False

    @property
    def _grid(self) -> Grid | None:
        focused = self._screen.focused
        return focused if isinstance(focused, Grid) else None
