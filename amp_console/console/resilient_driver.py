"""Letting the console shut down properly when its terminal disappears.

Textual paints in a separate thread, behind a queue of thirty writes. If that thread dies because
the terminal is gone, the queue fills up, and the next paint waits forever.
"""

from typing import Any, TextIO

from textual.driver import Driver


class ResilientFile:
    """A file that accepts all writes, and drops them once its terminal is gone."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_gone = False

    def write(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._file.write(text)
        except OSError:
            self._is_gone = True

    def flush(self) -> None:
        if self._is_gone:
            return
        try:
            self._file.flush()
        except OSError:
            self._is_gone = True

    def fileno(self) -> int:
        return self._file.fileno()


def resilient(driver: type[Driver]) -> type[Driver]:
    """Return a driver that keeps painting when its terminal is gone."""

    class ResilientDriver(driver):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            file: TextIO | None = getattr(self, "_file", None)
            if file is not None:  # otherwise the driver has no terminal
                self._file: object = ResilientFile(file)

    return ResilientDriver
