"""A terminal may go away in the middle; the console has to come to its end all the same.

Textual paints from a thread of its own, behind a queue of thirty. Where that thread dies of a
terminal that is gone, the queue fills, and whoever paints next waits for ever.
"""

from typing import Any, TextIO

from textual.driver import Driver


class LastingFile:
    """A file that takes everything, and drops it once it can't be written any more."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_gone = False

    def write(self, text: str) -> None:
        """Write; nothing, once it is gone."""
        if self._is_gone:
            return
        try:
            self._file.write(text)
        except OSError:
            self._is_gone = True

    def flush(self) -> None:
        """Send what was written."""
        if self._is_gone:
            return
        try:
            self._file.flush()
        except OSError:
            self._is_gone = True

    def fileno(self) -> int:
        """The number of its handle."""
        return self._file.fileno()


def lasting(driver: type[Driver]) -> type[Driver]:
    """Return a driver that paints on when its terminal is gone."""

    class LastingDriver(driver):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            file: TextIO | None = getattr(self, "_file", None)
            if file is not None:  # else it is a driver without a terminal
                self._file: object = LastingFile(file)

    return LastingDriver
