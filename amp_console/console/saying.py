"""What the console says: toasts, the event log, alarms, and what is copied."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from textual.app import App
from textual.driver import Driver
from textual.notifications import SeverityLevel

from amp_console.connections import read_preferences
from amp_console.console.lasting_driver import lasting
from amp_console.console.premises import Opening, Premises
from amp_console.sync.live_alerts import Alert
from amp_console.sync.words import clean

MOST_HAPPENINGS = 1_000


class Happening(NamedTuple):
    """One line of the event log; `at` in microseconds since 1970."""

    at: int
    severity: SeverityLevel
    text: str


class SpeakingApp(App[None]):
    """An application that keeps what it says."""

    def __init__(self, premises: Premises, opening: Opening) -> None:
        super().__init__()
        self.premises = replace(premises, read_only=premises.read_only or opening.read_only)
        self.opening = opening
        self.preferences = read_preferences(premises.folders.config_file)
        self.happenings: deque[Happening] = deque(maxlen=MOST_HAPPENINGS)

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver of this platform, which outlasts its terminal."""
        return lasting(super().get_driver_class())

    @property
    def now(self) -> int:
        """The time of day in microseconds since 1970."""
        return self.premises.timing.now()

    def say(self, text: str, severity: SeverityLevel = "information") -> None:
        """Keep it in the event log, and show a toast, unless the same one is still to be seen."""
        self.happenings.append(Happening(self.now, severity, text))
        if not any(each.message == text for each in self._notifications):
            seconds = 6 if severity != "error" else 12
            self.notify(text, severity=severity, markup=False, timeout=seconds)

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
        """Put what is wrong in the settings into the event log; show one toast at most."""
        if len(told) == 1:
            self.say(told[0], "warning")
        elif told:
            self.happenings.extend(Happening(self.now, "warning", each) for each in told)
            self.notify(
                f"{len(told)} things in the settings can't be had. Press 5: the event log says "
                "which.",
                severity="warning",
                markup=False,
            )

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
