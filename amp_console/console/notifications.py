"""Notifications: those shown now, and the log of all of them."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from textual.app import App
from textual.notifications import SeverityLevel
from textual.signal import Signal

from amp_console.console.glyphs import Glyphs
from amp_console.ledger.event_log import Severity
from amp_console.text import escaped

MAX_ENTRIES = 1_000
SECONDS: dict[SeverityLevel, float] = {"information": 6.0, "warning": 9.0, "error": 15.0}
"""How long a notification is shown."""
SETTLED_AFTER = 1.0  # seconds after which a notification belongs to the screen it is shown on

SEVERITIES: dict[SeverityLevel, Severity] = {
    "information": Severity.INFORMATION,
    "warning": Severity.WARNING,
    "error": Severity.ERROR,
}
"""Textual's names of severities, and their levels."""
TONES = {Severity.INFORMATION: "", Severity.WARNING: "warn", Severity.ERROR: "bad"}
"""The tone of each severity, on screen and in the log; its sign has the same meaning."""

Keep = Callable[[str, Severity, int], None]
"""Saves a text with its severity and a time in microseconds since 1970."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""


def severity_sign(severity: Severity, glyphs: Glyphs) -> str:
    """The sign of a severity, which is understood without color."""
    signs = {Severity.INFORMATION: glyphs.dot, Severity.WARNING: "!", Severity.ERROR: glyphs.bad}
    return signs[severity]


class Notice(NamedTuple):
    """A notification on screen; `more` counts the others that follow it.

    `about` returns what it is about now: the name of its connection, unless that is in front.
    """

    text: str
    severity: SeverityLevel
    more: int = 0
    about: Callable[[], str] = str

    @property
    def sentence(self) -> str:
        """The text to show now."""
        return f"{self.about()}{self.text}"


class Notices:
    """The notifications on screen; `changed` is called when they change."""

    def __init__(self, later: Later, changed: Callable[[], None]) -> None:
        self._later = later
        self._changed = changed
        self._shown: list[Notice] = []
        self._settled: list[Notice] = []  # those that have been shown for a moment

    @property
    def current(self) -> Notice | None:
        """The most severe notification, of several the newest."""
        if not self._shown:
            return None
        worst = max(reversed(self._shown), key=lambda notice: SEVERITIES[notice.severity])
        return worst._replace(more=len(self._shown) - 1)

    def post(
        self,
        text: str,
        severity: SeverityLevel,
        about: Callable[[], str] = str,
        *,
        is_lasting: bool = False,
    ) -> None:
        """Show a notification for a while, unless the same one is already shown.

        One that `is_lasting` is shown until it is withdrawn, or its screen is left.
        """
        notice = Notice(text, severity, about=about)
        if notice in self._shown:
            return
        self._shown.append(notice)
        if not is_lasting:
            self._later(SECONDS[severity], lambda: self._expire(notice))
        self._later(SETTLED_AFTER, lambda: self._settled.append(notice))
        self._changed()

    def is_shown(self, text: str, severity: SeverityLevel, about: Callable[[], str] = str) -> bool:
        """Whether the same notification is already shown."""
        return Notice(text, severity, about=about) in self._shown

    def withdraw(self, text: str) -> None:
        """Remove the notification with this text, which is no longer true."""
        kept = [notice for notice in self._shown if notice.text != text]
        if len(kept) != len(self._shown):
            self._shown = kept
            self._changed()

    def leave_screen(self) -> None:
        """Remove the notifications that were seen on the screen that was left.

        One that was posted a moment ago stays: it is about the step to the next screen.
        """
        kept = [one for one in self._shown if not any(one is seen for seen in self._settled)]
        self._settled.clear()
        if len(kept) != len(self._shown):
            self._shown = kept
            self._changed()

    def clear(self) -> None:
        """Remove all notifications."""
        if self._shown:
            self._shown.clear()
            self._changed()

    def _expire(self, expired: Notice) -> None:
        if any(notice is expired for notice in self._shown):
            self._shown = [notice for notice in self._shown if notice is not expired]
            self._changed()


class NotificationEntry(NamedTuple):
    """A notification in the log; `at` in microseconds since 1970."""

    at: int
    severity: SeverityLevel
    text: str


class Notifications:
    """Posts notifications, and logs them."""

    def __init__(
        self,
        app: App[Any],
        now: Callable[[], int],
        keep: Keep,
        about: Callable[[], str] = str,
        beside: "Notifications | None" = None,
    ) -> None:
        """`keep` saves a notification in the log, which outlives this console.

        The text on screen begins with `about`. One line shows these and those of `beside`.
        """
        self._app = app
        self._now = now
        self._keep = keep
        self._about = about
        self.entries: deque[NotificationEntry] = deque(maxlen=MAX_ENTRIES)
        self.count = 0
        """The total number so far: `entries` keeps only the last ones."""
        self.changed: Signal[None] = (
            beside.changed if beside is not None else Signal(app, "notifications")
        )
        """Published when the notifications on screen change."""
        self.shown: Notices = (
            beside.shown
            if beside is not None
            else Notices(app.set_timer, lambda: self.changed.publish(None))
        )

    def post(
        self, text: str, severity: SeverityLevel = "information", *, is_kept: bool = True
    ) -> None:
        """Show a notification above the footer for a while, and log it.

        With `is_kept` False, it is not saved in the log: its content is already there, or only
        temporary.
        """
        text = escaped(text)
        if is_kept:
            self.log(text, severity)
        else:
            self._remember(text, severity)
        self._show(text, severity)

    def post_hint(self, text: str) -> None:
        """Show a hint until it is withdrawn, e.g. what keys do now. It is not logged."""
        self._show(escaped(text), "information", is_lasting=True)

    def withdraw(self, text: str) -> None:
        """Stop showing a notification; it stays in the log."""
        self.shown.withdraw(escaped(text))

    def log(self, text: str, severity: SeverityLevel = "information") -> None:
        """Log a text without showing it, unless the same one is already shown."""
        if not self.shown.is_shown(text, severity, self._about):
            self._keep(text, SEVERITIES[severity], self._now())
        self._remember(text, severity)

    def _remember(self, text: str, severity: SeverityLevel) -> None:
        self.entries.append(NotificationEntry(self._now(), severity, text))
        self.count += 1

    def post_problems(self, problems: Sequence[str]) -> None:
        """Log what is wrong in the settings; show at most one notification."""
        if len(problems) == 1:
            self.post(problems[0], "warning")
        elif problems:
            for problem in problems:
                self.log(problem, "warning")
            self._show(f"{len(problems)} settings are invalid. Press 6 for details.", "warning")

    def _show(self, text: str, severity: SeverityLevel, *, is_lasting: bool = False) -> None:
        if not self._app._disable_notifications:
            self.shown.post(text, severity, self._about, is_lasting=is_lasting)
