"""What Textual does when a screen comes to the front for the first time, without doing it twice."""

from typing import Any

from textual.events import ScreenResume
from textual.screen import Screen

from amp_console.console.context import services_of


class FirstResume:
    """Spares a new screen being styled a second time, which takes as long as the first.

    Textual styles all widgets of a screen that comes to the front, since something may have changed
    meanwhile. Those of a new one are styled already, each when it was mounted. Only the screen
    itself is not: Textual styles it before it loads the style sheet of its class.
    """

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._is_styled = False
        self._is_over = False

    def handle(self, event: ScreenResume) -> None:
        """Style what is not styled yet; later events keep what Textual does."""
        if not self._is_styled:
            self._is_styled = True
            event.refresh_styles = False
            self._screen.app.stylesheet.apply(self._screen)
            self._screen.call_later(self._end)  # after Textual has moved the focus

    def holds_all(self) -> bool:
        """Whether the screen has not come to the front yet, so that keys would not reach it."""
        return not self._is_over

    def holds(self, key: str) -> bool:  # noqa: ARG002
        """No single key waits for anything else."""
        return False

    def _end(self) -> None:
        self._is_over = True
        services_of(self._screen).held_keys.release()
