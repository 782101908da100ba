"""Lines out of blocks of bytes, without ever holding more than a block and one line."""

from collections.abc import Iterator

import msgspec

from amp_console.engage.intake import Intake

LINE_LIMIT = 32 * 1024 * 1024
BOM = b"\xef\xbb\xbf"  # how some programs begin a file in UTF-8; it is no part of its first line

# Stands for a line that was skipped for its length. It is broken as JSON and as CSV, so whoever
# reads lines needs no check for it until one of them turns out to be broken.
TOO_LONG = b'"longer than 32 MiB"!'


class LineSplitter:
    """Cuts blocks into lines; the line that the last block ended in is kept for the next.

    Past the limit a line is measured, and no longer kept: it becomes `TOO_LONG`.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self.left = 0
        """How many bytes the unfinished line has so far."""

    def push(self, block: bytes) -> list[bytes]:
        """Return the lines that the block completes, without their newlines."""
        lines = block.split(b"\n")
        self._add(lines[0])
        if len(lines) == 1:
            return []
        lines[0] = self.take()
        self._add(lines.pop())
        return lines

    def take(self) -> bytes:
        """Return the unfinished line, as if it ended here."""
        line = b"".join(self._pieces) if self.left <= self._limit else TOO_LONG
        self._pieces.clear()
        self.left = 0
        return line

    def _add(self, piece: bytes) -> None:
        self.left += len(piece)
        if self.left <= self._limit:
            self._pieces.append(piece)
        else:
            self._pieces.clear()


def lines_of(intake: Intake, limit: int = LINE_LIMIT) -> Iterator[list[bytes]]:
    """Yield the lines that each block completes, without their newlines.

    Where the input broke off, the line it broke in is left out: a cut identifier would be
    another identifier. Only a whole JSON text can't have been cut.
    """
    splitter = LineSplitter(limit)
    for block in intake:
        if lines := splitter.push(block):
            yield lines
    last = splitter.take()
    if last and (intake.trouble is None or is_whole_json(last)):
        yield [last]


def is_whole_json(line: bytes) -> bool:
    """Tell whether the line is a JSON object or array from its beginning to its end."""
    line = line.removeprefix(BOM)
    if not line.lstrip().startswith((b"{", b"[")):
        return False
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
