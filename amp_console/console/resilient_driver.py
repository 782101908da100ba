"""A terminal may go away in the middle; the console has to come to its end all the same.

Textual paints from a thread of its own, behind a queue of thirty. Where that thread dies of a
terminal that is gone, the queue fills, and the next paint waits for ever.
"""

from typing import Any, TextIO

from textual.driver import Driver


class ResilientFile:
    """A file that accepts every write, and drops them once its terminal is gone."""

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
            if file is not None:  # else it is a driver without a terminal
                self._file: object = ResilientFile(file)

    return ResilientDriver
