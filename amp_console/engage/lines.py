"""Lines out of blocks of bytes, without ever holding more than a block and one line."""

from collections.abc import Iterator

import msgspec

from amp_console.engage.intake import Intake

LINE_LIMIT = 32 * 1024 * 1024

# Stands for a line that was skipped for its length. It is broken as JSON and as CSV, so whoever
# reads lines needs no check for it until one of them turns out to be broken.
TOO_LONG = b'"longer than 32 MiB"!'


class _Unfinished:
    """The line that a block ended in. Past the limit it is measured, and no longer kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def take(self) -> bytes:
        line = b"".join(self._pieces) if self._size <= self._limit else TOO_LONG
        self._pieces.clear()
        self._size = 0
        return line


def lines_of(intake: Intake, limit: int = LINE_LIMIT) -> Iterator[list[bytes]]:
    """Yield the lines that each block completes, without their newlines.

    Where the input broke off, the line it broke in is left out: a cut identifier would be
    another identifier. Only a whole JSON text can't have been cut.
    """
    unfinished = _Unfinished(limit)
    for block in intake:
        lines = block.split(b"\n")
        unfinished.add(lines[0])
        if len(lines) > 1:
            lines[0] = unfinished.take()
            unfinished.add(lines.pop())
            yield lines
    last = unfinished.take()
    if last and (intake.trouble is None or is_whole_json(last)):
        yield [last]


def is_whole_json(line: bytes) -> bool:
    """Tell whether the line is a JSON object or array from its beginning to its end."""
    if not line.lstrip().startswith((b"{", b"[")):
        return False
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
