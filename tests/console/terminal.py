"""A real terminal around the installed program: keys go in, the picture comes out."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import pyte

LEAVE_THE_SECOND_SCREEN = b"\x1b[?1049l"
PATIENCE = 60.0  # seconds; what has not appeared by then never will


class Terminal:
    """Runs a command in a pseudo-terminal and keeps the picture it paints."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (120, 36),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`size` in columns and lines."""
        columns, lines = size
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lines = [""] * lines
        self.transcript = bytearray()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        given = dict(os.environ if environment is None else environment)
        for name in ("COLUMNS", "LINES"):  # the tests' own size, which readline leaves there
            given.pop(name, None)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=given | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(theirs)
        self._terminal = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)

    @property
    def picture(self) -> str:
        """The whole screen as text; only changed lines are rebuilt."""
        for row in self._screen.dirty:
            line = self._screen.buffer[row]
            cells = (line[column].data for column in range(self._screen.columns))
            self._lines[row] = "".join(cells).rstrip()
        self._screen.dirty.clear()
        return "\n".join(self._lines)

    def type(self, *keys: str) -> None:
        """Press keys; a text is typed as it is."""
        for key in keys:
            os.write(self._terminal, _KEYS.get(key, key).encode())

    def click(self, text: str) -> None:
        """Click on the first occurrence of this text, once nothing moves anymore."""
        self.until_shown(text)
        while self.read(0.05):
            pass
        rows = self.picture.splitlines()
        row = next(number for number, line in enumerate(rows) if text in line)
        at = f"{rows[row].index(text) + 1};{row + 1}"
        os.write(self._terminal, f"\x1b[<0;{at}M\x1b[<0;{at}m".encode())

    def hang_up(self) -> None:
        """Take the terminal away without telling the program."""
        os.close(self._terminal)
        self._terminal = os.open(os.devnull, os.O_RDWR)

    def read(self, seconds: float) -> bool:
        """Read everything painted within `seconds`; False if nothing is."""
        painted = bytearray()
        while select.select([self._terminal], [], [], 0.0 if painted else seconds)[0]:
            try:
                more = os.read(self._terminal, 1 << 16)
            except OSError:  # the program has ended
                more = b""
            if not more:
                break
            painted += more
        self.transcript += painted
        self._stream.feed(bytes(painted))
        return bool(painted)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the picture holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"never came about on:\n{self.picture}"
            if not self.read(0.05) and self.process.poll() is not None:
                assert condition(), f"it ended with {self.process.returncode}:\n{self.picture}"

    def is_gone(self, text: str) -> bool:
        """Whether a text is not on the screen."""
        return text not in self.picture

    def until_shown(self, *texts: str) -> None:
        """Wait until all these texts are visible."""
        self.until(lambda: all(text in self.picture for text in texts))

    def type_until_shown(self, keys: str, *texts: str) -> None:
        """Type keys until these texts are visible: a question ignores keys while it opens."""

        def is_shown() -> bool:
            if all(text in self.picture for text in texts):
                return True
            self.type(keys)
            end = time.monotonic() + 0.5
            while time.monotonic() < end and self.read(0.05):
                pass
            return all(text in self.picture for text in texts)

        self.until(is_shown)

    def ended(self) -> int:
        """Wait until the program has ended, and return its status."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.picture}"
            self.read(0.05)
        while self.read(0.0):
            pass
        return self.process.returncode


_KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "space": " ",
    "f2": "\x1bOQ",
    "ctrl+c": "\x03",
    "ctrl+p": "\x10",
    "ctrl+q": "\x11",
    "backspace": "\x7f",
}
