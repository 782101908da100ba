"""What the console says: notifications, the event log, alarms, and what is copied."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from textual.app import App
from textual.driver import Driver
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.signal import Signal

from amp_console.connections import read_preferences
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.notices import Notices
from amp_console.console.resilient_driver import lasting
from amp_console.console.terminal_text import TerminalText
from amp_console.sync.live.alerts import Alert
from amp_console.text import clean, escaped

MOST_HAPPENINGS = 1_000


class Happening(NamedTuple):
    """One line of the event log; `at` in microseconds since 1970."""

    at: int
    severity: SeverityLevel
    text: str


class SpeakingApp(App[None]):
    """An application that keeps what it says."""

    def __init__(self, premises: Environment, opening: LaunchOptions) -> None:
        self._terminal_text = TerminalText(premises.encoding)  # Textual asks for it at once
        super().__init__()
        self.premises = replace(premises, read_only=premises.read_only or opening.read_only)
        self.opening = opening
        self.preferences = read_preferences(premises.folders.config_file)
        self.happenings: deque[Happening] = deque(maxlen=MOST_HAPPENINGS)
        self.said_count = 0
        """How many notifications there were ever: the log keeps the last ones only."""
        self.noticed: Signal[None] = Signal(self, "noticed")
        self.notices = Notices(self.set_timer, lambda: self.noticed.publish(None))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, and the one that keeps the terminal from harm."""
        return [*super().get_line_filters(), self._terminal_text]

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver of this platform, which outlasts its terminal."""
        return lasting(super().get_driver_class())

    @property
    def now(self) -> int:
        """The time of day in microseconds since 1970."""
        return self.premises.timing.now()

    def say(self, text: str, severity: SeverityLevel = "information") -> None:
        """Keep it in the event log, and show it above the footer for a while."""
        text = escaped(text)
        self.keep(text, severity)
        self._show_notice(text, severity)

    def keep(self, text: str, severity: SeverityLevel = "information") -> None:
        """Keep it in the event log alone."""
        self.happenings.append(Happening(self.now, severity, text))
        self.said_count += 1

    def notify(
        self,
        message: str,
        *,
        title: str = "",  # noqa: ARG002  # a line has no room for it
        severity: SeverityLevel = "information",
        timeout: float | None = None,  # noqa: ARG002  # each severity has its own
        markup: bool = True,  # noqa: ARG002  # nothing here is markup
    ) -> None:
        """Show Textual's own notifications above the footer too: a toast would cover something."""
        self.say(message, severity)

    def _show_notice(self, text: str, severity: SeverityLevel) -> None:
        if not self._disable_notifications:
            self.notices.post(text, severity)

    def alarm(self, alert: Alert) -> None:
        """Tell of something in a live session, with the terminal's bell where it is bad."""
        self.say(alert.text, "information" if alert.is_over else "warning")
        if alert.is_over:
            return
        self.bell()
        if self.preferences.notify and self._driver is not None:
            # OSC 9, which iTerm2, kitty, WezTerm, Windows Terminal and others show on the desktop;
            # Textual has no call for it.
            self._driver.write(f"\x1b]9;{clean(alert.text, 300)}\x07")

    def tell_of_settings(self, told: Sequence[str]) -> None:
        """Put what is wrong in the settings into the event log; show one notification at most."""
        if len(told) == 1:
            self.say(told[0], "warning")
        elif told:
            for item in told:
                self.keep(item, "warning")
            self._show_notice(f"{len(told)} settings are invalid. Press 5 for details.", "warning")

    def copy(self, text: str) -> None:
        """Copy by OSC 52, and into a file: no terminal says whether it took it."""
        self.copy_to_clipboard(text)
        file = self.premises.folders.data / "copied.txt"
        try:
            _write_private(file, text)
        except OSError:
            self.say("Copied, if your terminal allows it.")
        else:
            self.say(f"Copied. If your terminal did not take it: {file}")


def _write_private(file: Path, text: str) -> None:
    import os

    handle = os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
