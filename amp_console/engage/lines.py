"""Lines from blocks of bytes, with never more than a block and one line in memory."""

from collections.abc import Iterator

from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.json_text import BOM, TOO_LONG, documents_in

LINE_LIMIT = 32 * 1024 * 1024
LONG_LINE = 64 * 1024  # bytes without a newline, after which a line may be many JSON documents

__all__ = ["BOM", "LINE_LIMIT", "TOO_LONG", "LineSplitter", "is_whole_json", "lines_of"]


class LineSplitter:
    """Splits blocks into lines; an unfinished line at the end of a block is kept for the next one.

    Past the limit, a line is only measured, not kept: it becomes `TOO_LONG`. Delivery streams write
    JSON documents one after another without a newline. In a long line, a splitter for JSON treats
    each document as a separate line; in a short line, the reader finds them.
    """

    def __init__(self, limit: int = LINE_LIMIT, *, is_json: bool = False) -> None:
        self._limit = limit
        self._is_json = is_json
        self._next_cut = LONG_LINE
        self._pieces: list[bytes] = []
        self.left = 0
        """How many bytes the unfinished line has so far."""

    def push(self, block: bytes) -> list[bytes]:
        """Return the lines that the block completes, without their newlines."""
        lines = block.split(b"\n")
        self._add(lines[0])
        if len(lines) > 1:
            lines[0] = self.take()
            self._add(lines.pop())
        else:
            lines = []
        if self.left > self._next_cut and self._is_json:
            lines += self.documents()
            self._next_cut = max(LONG_LINE, 8 * self.left)  # or one long document takes for ever
        return lines

    def documents(self) -> list[bytes]:
        """Return the JSON documents that are whole in the unfinished line, and keep the rest.

        Nothing can be added to them: whatever follows, even a newline, is a separate line.
        """
        if self.left > self._limit:
            return []
        documents, rest = documents_in(b"".join(self._pieces))
        self._pieces, self.left = [rest], len(rest)
        return documents

    def take(self) -> bytes:
        """Return the unfinished line, as if it ended here."""
        line = b"".join(self._pieces) if self.left <= self._limit else TOO_LONG
        self._pieces.clear()
        self.left = 0
        self._next_cut = LONG_LINE
        return line

    def _add(self, piece: bytes) -> None:
        self.left += len(piece)
        if self.left <= self._limit:
            self._pieces.append(piece)
        else:
            self._pieces.clear()


def lines_of(
    stream: ByteStream, limit: int = LINE_LIMIT, *, is_json: bool = False
) -> Iterator[list[bytes]]:
    """Yield the lines that each block completes, without their newlines.

    If the input broke off, its last line is left out: a cut identifier would be another identifier.
    Only a complete JSON document can't have been cut.
    """
    splitter = LineSplitter(limit, is_json=is_json)
    for block in stream:
        lines = splitter.push(block)
        if is_json and stream.is_live and splitter.left <= LONG_LINE:
            lines += splitter.documents()  # a newline may not come for long
        stream.unfinished = splitter.left
        if lines:
            yield lines
    last = splitter.documents() if is_json else []
    if stream.trouble is None and splitter.left:
        if stream.may_grow:
            stream.is_cut, stream.cut_line = True, splitter.take()
        else:
            last.append(splitter.take())
    if last:
        yield last


def is_whole_json(line: bytes) -> bool:
    """Whether the line is a JSON object or array from its beginning to its end."""
    documents, rest = documents_in(line)
    return len(documents) == 1 and not rest.strip()
