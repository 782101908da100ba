"""Which keys come before a screen can take them: while it opens, or reads rows or a question."""

from collections.abc import Awaitable
from typing import Any

from textual.screen import Screen
from textual.worker import Worker

from amp_console.console.context import services_of
from amp_console.console.first_resume import FirstResume
from amp_console.console.screens.actions import ActionKeys
from amp_console.console.screens.loading import Loader
from amp_console.console.widgets.grid import Grid


class ScreenKeys:
    """Says which keys of a screen have to wait, and runs what they may have to wait for."""

    def __init__(
        self, screen: Screen[Any], opening: FirstResume, loader: Loader, actions: ActionKeys
    ) -> None:
        self._screen = screen
        self._opening = opening
        self._loader = loader
        self._actions = actions
        self._asking: list[Worker[Any]] = []

    def ask_soon(self, work: Awaitable[object], group: str = "asking") -> None:
        """Run a worker that asks the operator as soon as it has read what to ask.

        It replaces the one of this group that is under way. Keys that are typed before are held
        for the question, and those that are typed before the worker has ended for what it opens.
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
        """Whether keys are for what is about to be shown: the screen, or a question.

        They also wait for the connection. A demo prepares its own for seconds: there, keys work.
        """
        services = services_of(self._screen)
        if services.sessions.is_opening and services.environment.demo is None:
            return True
        is_asking = any(not worker.is_finished for worker in self._asking)
        is_question_near = is_asking and not services.held_keys.is_service_asked
        return is_question_near or self._opening.holds_all()

    def holds(self, key: str) -> bool:
        """Whether a key is for the rows of the list, which are being read."""
        if services_of(self._screen).session is None or not isinstance(self._screen.focused, Grid):
            return False
        return self._loader.is_reading and self._actions.needs_rows(key)
