"""Which notifications are shown now: each for a while, the most severe first."""

from collections.abc import Callable
from typing import NamedTuple

from textual.notifications import SeverityLevel

SECONDS: dict[SeverityLevel, float] = {"information": 6.0, "warning": 9.0, "error": 15.0}
"""How long a notification is shown."""
_SEVERITY: dict[SeverityLevel, int] = {"information": 0, "warning": 1, "error": 2}

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""


class Notice(NamedTuple):
    """A notification as it is shown; `more` counts the others that are shown after it."""

    text: str
    severity: SeverityLevel
    more: int = 0


class Notices:
    """Holds the notifications that are shown; `changed` is called when there are others."""

    def __init__(self, later: Later, changed: Callable[[], None]) -> None:
        self._later = later
        self._changed = changed
        self._shown: list[Notice] = []

    @property
    def current(self) -> Notice | None:
        """The most severe notification, of several the newest."""
        if not self._shown:
            return None
        worst = max(reversed(self._shown), key=lambda item: _SEVERITY[item.severity])
        return worst._replace(more=len(self._shown) - 1)

    def post(self, text: str, severity: SeverityLevel) -> None:
        """Show a notification for a while, unless the same one is shown already."""
        notice = Notice(text, severity)
        if notice in self._shown:
            return
        self._shown.append(notice)
        self._later(SECONDS[severity], lambda: self._expire(notice))
        self._changed()

    def clear(self) -> None:
        """Show none of them any more."""
        if self._shown:
            self._shown.clear()
            self._changed()

    def _expire(self, notice: Notice) -> None:
        if any(item is notice for item in self._shown):
            self._shown = [item for item in self._shown if item is not notice]
            self._changed()
