"""Notifications: which are shown now, and the log of all of them."""

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
"""Textual's names of severities, and how urgent each is."""
TONES = {Severity.INFORMATION: "", Severity.WARNING: "warn", Severity.ERROR: "bad"}
"""The tone of each severity, when it is shown and in the log; its sign says the same."""

Keep = Callable[[str, Severity, int], None]
"""Keeps a text of a severity and a time in microseconds since 1970."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""


def severity_sign(severity: Severity, glyphs: Glyphs) -> str:
    """How urgent something is, also without colour."""
    signs = {Severity.INFORMATION: glyphs.dot, Severity.WARNING: "!", Severity.ERROR: glyphs.bad}
    return signs[severity]


class Notice(NamedTuple):
    """A notification as it is shown; `more` counts the others that are shown after it.

    `about` says now what it is about: the name of its connection, unless that is in front.
    """

    text: str
    severity: SeverityLevel
    more: int = 0
    about: Callable[[], str] = str

    @property
    def sentence(self) -> str:
        """What is shown now."""
        return f"{self.about()}{self.text}"


class Notices:
    """The notifications that are shown; `changed` is called when there are others."""

    def __init__(self, later: Later, changed: Callable[[], None]) -> None:
        self._later = later
        self._changed = changed
        self._shown: list[Notice] = []
        self._settled: list[Notice] = []  # those that were shown for a moment already

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
        """Show a notification for a while, unless the same one is shown already.

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
        """Whether the same notification is shown already."""
        return Notice(text, severity, about=about) in self._shown

    def withdraw(self, text: str) -> None:
        """Show no notification with this text any more: it is not true now."""
        kept = [notice for notice in self._shown if notice.text != text]
        if len(kept) != len(self._shown):
            self._shown = kept
            self._changed()

    def leave_screen(self) -> None:
        """Show those no more that were seen on the screen that was left.

        One that was posted a moment ago goes along: it says what the way to the next screen did.
        """
        kept = [one for one in self._shown if not any(one is seen for seen in self._settled)]
        self._settled.clear()
        if len(kept) != len(self._shown):
            self._shown = kept
            self._changed()

    def clear(self) -> None:
        """Show none of them any more."""
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
        """`keep` writes a notification into the log, which outlasts this console.

        What is shown begins with `about`. One line shows these and those of `beside`.
        """
        self._app = app
        self._now = now
        self._keep = keep
        self._about = about
        self.entries: deque[NotificationEntry] = deque(maxlen=MAX_ENTRIES)
        self.count = 0
        """How many there were ever: `entries` keeps the last ones only."""
        self.changed: Signal[None] = (
            beside.changed if beside is not None else Signal(app, "notifications")
        )
        """Published when other notifications are shown."""
        self.shown: Notices = (
            beside.shown
            if beside is not None
            else Notices(app.set_timer, lambda: self.changed.publish(None))
        )

    def post(
        self, text: str, severity: SeverityLevel = "information", *, is_kept: bool = True
    ) -> None:
        """Show a notification above the footer for a while, and log it.

        With `is_kept` False the log does not keep it: what it says is there already, or passes.
        """
        text = escaped(text)
        if is_kept:
            self.log(text, severity)
        else:
            self._remember(text, severity)
        self._show(text, severity)

    def post_hint(self, text: str) -> None:
        """Show what holds until it is withdrawn, such as which keys do what now; it is no news."""
        self._show(escaped(text), "information", is_lasting=True)

    def withdraw(self, text: str) -> None:
        """Show a notification no more, which the log keeps."""
        self.shown.withdraw(escaped(text))

    def log(self, text: str, severity: SeverityLevel = "information") -> None:
        """Log it without showing it. What is shown already is not logged again."""
        if not self.shown.is_shown(text, severity, self._about):
            self._keep(text, SEVERITIES[severity], self._now())
        self._remember(text, severity)

    def _remember(self, text: str, severity: SeverityLevel) -> None:
        self.entries.append(NotificationEntry(self._now(), severity, text))
        self.count += 1

    def post_problems(self, problems: Sequence[str]) -> None:
        """Log what is wrong in the settings; show one notification at most."""
        if len(problems) == 1:
            self.post(problems[0], "warning")
        elif problems:
            for problem in problems:
                self.log(problem, "warning")
            self._show(f"{len(problems)} settings are invalid. Press 6 for details.", "warning")

    def _show(self, text: str, severity: SeverityLevel, *, is_lasting: bool = False) -> None:
        if not self._app._disable_notifications:
            self.shown.post(text, severity, self._about, is_lasting=is_lasting)
