"""Copying text out of the console."""

import os
from pathlib import Path
from typing import Any

from textual.app import App

from amp_console.console.notifications import Notifications
from amp_console.text import clean

MAX_BEGIN = 24  # characters of a text that the notification quotes


class Clipboard:
    """Copies with OSC 52 and into a file: a terminal never says whether it accepted the text."""

    def __init__(self, app: App[Any], file: Path, notifications: Notifications) -> None:
        self._app = app
        self._file = file
        self._notifications = notifications

    def copy(self, text: str) -> None:
        """Copy a text; post its beginning, and where it is."""
        begin = text.partition("\n")[0].partition("\t")[0].strip()
        what = f"Copied “{clean(begin, MAX_BEGIN)}”" if begin else "Copied"
        self._app.copy_to_clipboard(text)
        try:
            _write_private(self._file, text)
        except OSError:
            self._notifications.post(f"{what}, if your terminal allows it.", is_kept=False)
        else:
            self._notifications.post(f"{what} (also in {self._file})", is_kept=False)


def _write_private(file: Path, text: str) -> None:
    handle = os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
