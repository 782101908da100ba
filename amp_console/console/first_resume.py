"""Preventing Textual from styling a screen twice when it is first shown."""

from typing import Any

from textual.events import ScreenResume
from textual.screen import Screen

from amp_console.console.context import services_of


class FirstResume:
    """Saves styling a new screen a second time, which takes as long as the first.

    Textual styles all widgets of a screen that comes to the front, because something may have
    changed in the meantime. The widgets of a new screen were already styled when they were mounted.
    Only the screen itself was not: Textual styles it before it loads the style sheet of its class.
    """

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._is_styled = False
        self._is_over = False

    def handle(self, event: ScreenResume) -> None:
        """Style what is not styled yet; leave later events to Textual."""
        if not self._is_styled:
            self._is_styled = True
            event.refresh_styles = False
            self._screen.app.stylesheet.apply(self._screen)
            self._screen.call_later(self._end)  # after Textual has moved the focus

    def holds_all(self) -> bool:
        """Whether the screen is not in front yet, so that keys would not reach it."""
        return not self._is_over

    def holds(self, key: str) -> bool:  # noqa: ARG002
        """Always false: no single key waits for anything else."""
        return False

    def subject(self) -> None:
        """No key is about a row."""

    def has(self, subject: object) -> bool:  # noqa: ARG002
        """There is nothing that could go."""
        return True

    def _end(self) -> None:
        self._is_over = True
        services_of(self._screen).held_keys.release()
