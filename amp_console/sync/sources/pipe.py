"""A stream that one thread reads and another one can end, such as the standard input."""

import io
import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

MAX_REST = 1024 * 1024  # bytes of a line under way that are still read when it is to end


class EndableStream(io.RawIOBase):
    """Reads what is there, and waits where nothing is, until `end` is called.

    It reads the file descriptor directly: a thread that waits in a buffered reader holds its lock,
    and the interpreter then aborts on exit. On `end`, the current line is read to its end, as far
    as that has arrived; the rest stays in the pipe.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Raises OSError."""
        self._read_some: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._handle: int | None = None
        with suppress(OSError):  # it is not a file of the system's
            self._handle = stream.fileno()
        self._waker, self._wake = os.pipe()
        self._is_ending = False
        self._is_within_line = False
        self._rest = MAX_REST

    @property
    def can_end(self) -> bool:
        """Whether `end` ends a read that waits; on Windows pipes can't be waited for."""
        return self._handle is None or os.name == "posix"

    def end(self) -> None:
        """Make the next read, or the one that waits, the last one."""
        if not self._is_ending:
            self._is_ending = True
            os.write(self._wake, b"\0")

    def close(self) -> None:
        """Close what is its own; the stream stays open."""
        if not self.closed:
            os.close(self._waker)
            os.close(self._wake)
        super().close()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, b"" at the end."""
        if self._is_ending:
            return self._rest_of_line()
        if self._handle is None:
            block = self._read_some(size)
        elif self._is_ready(None):
            block = os.read(self._handle, size)
        else:
            return self._rest_of_line()
        self._is_within_line = bool(block) and not block.endswith(b"\n")
        return block

    def _rest_of_line(self) -> bytes:
        line = bytearray()
        while self._is_within_line and self._rest > 0 and self._is_ready(0.0):
            byte = self._read_some(1) if self._handle is None else os.read(self._handle, 1)
            self._is_within_line = byte not in {b"", b"\n"}
            self._rest -= 1
            line += byte
        return bytes(line)

    def _is_ready(self, seconds: float | None) -> bool:
        """Wait until there is something to read; False if there is nothing, or it is to end."""
        if self._handle is None or os.name != "posix":
            return seconds is None or self._handle is None
        watched = [self._handle, self._waker] if seconds is None else [self._handle]
        ready, _, _ = select.select(watched, [], [], seconds)
        return self._handle in ready and (seconds is not None or not self._is_ending)
