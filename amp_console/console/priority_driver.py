"""A Textual driver that reports when a key was read, and when its effect is on the screen."""

from collections.abc import Callable
from typing import Any, TextIO

from textual import events
from textual.driver import Driver
from textual.message import Message

from amp_console.console.key_priority import KeyPriority


class _TerminalFile:
    """The file of a terminal; each flush shows what was painted."""

    def __init__(self, file: TextIO, on_flush: Callable[[], None]) -> None:
        self._file = file
        self._on_flush = on_flush
        self.write = file.write
        self.fileno = file.fileno

    def flush(self) -> None:
        self._file.flush()
        self._on_flush()


def with_priority(driver: type[Driver], keys: KeyPriority) -> type[Driver]:
    """Return a driver that reports to `keys` what was read and what is shown."""

    class PriorityDriver(driver):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            file: TextIO | None = getattr(self, "_file", None)
            if file is not None:  # otherwise the driver has no terminal
                self._file: object = _TerminalFile(file, keys.end)

        def send_message(self, message: Message) -> None:
            """Send a message to the application."""
            if isinstance(message, events.Key):
                keys.begin()
            super().send_message(message)

    return PriorityDriver
