"""Reading a large file of lines in pieces, most of them in a second process.

Decoding and judging hold Python's lock, so threads would take turns. A file of many megabytes is
cut at line ends instead. A second process reads two out of three pieces and sends its results over
a pipe; this process reads the others and handles everything in the order of the file. A gzipped
file is unpacked here, and its pieces are sent to the second process. Whatever happens to the second
process, nothing is lost: a piece without a result from it is read here.
"""

import dataclasses
import io
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain, repeat
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from amp_console.engage.batch import EventBatch, EventCounts, larger_batches
from amp_console.engage.byte_stream import ByteStream, ReadTrouble
from amp_console.engage.lines import lines_of
from amp_console.engage.mapping import FieldMapping
from amp_console.engage.packed_batch import PackedBatch
from amp_console.engage.reader import EventReader
from amp_console.values import AudienceHints, AudienceRef

if TYPE_CHECKING:
    import subprocess

OWN_PIECES = 3  # every third piece is read here, where all are merged as well
OWN_UNPACKED = 4  # of a gzipped file every fourth, as it is unpacked here, too
AHEAD = 4  # results that may wait; each takes about a tenth of the size of its piece
_LARGEST_PIECE = 16 * 1024 * 1024  # a line so long is read here, as is what follows it
_SEARCHED = 64 * 1024  # bytes that are searched for a line end at once
_LENGTH_BYTES = 8
_PROGRAM = "from amp_console.engage.piece_process import main; main()"
_OUR_VARIABLES = "AMP_CONSOLE_"  # which may hold keys


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class PieceOptions(msgspec.Struct, frozen=True):
    """When a file is read in pieces, and how large they are (bytes).

    With fewer than two `processors`, a second process would only take turns with this one. A file
    smaller than `least`, or `least_packed` if it is gzipped, is read before starting the process
    has paid off. Unpacked pieces are kept in memory, so they are smaller.
    """

    least: int = 64 * 1024 * 1024
    least_packed: int = 4 * 1024 * 1024
    size: int = 8 * 1024 * 1024
    size_unpacked: int = 4 * 1024 * 1024
    processors: int = msgspec.field(default_factory=_processors)

    def apply_to(self, size: int | None) -> bool:
        """Whether a file of so many bytes is read in pieces."""
        return self._are_worth(size, self.least)

    def apply_to_packed(self, size: int | None) -> bool:
        """Whether a gzipped file of so many bytes is read in pieces."""
        return self._are_worth(size, self.least_packed)

    def _are_worth(self, size: int | None, least: int) -> bool:
        return (
            sys.platform != "win32"  # which can't read at an offset, nor hand a file on
            and size is not None
            and size >= least
            and self.processors > 1
            and bool(sys.executable)
        )


class Piece(NamedTuple):
    """The bytes of a file from one line end to another; the last piece has no `end`."""

    begin: int
    end: int | None


class Judging(msgspec.Struct, frozen=True):
    """The arguments of an `EventReader`."""

    mapping: FieldMapping
    audience: str | None
    ref: AudienceRef | None

    def reader(self) -> EventReader:
        """Return a new reader."""
        return EventReader(self.mapping, self.audience, self.ref)


class PieceTask(msgspec.Struct, frozen=True):
    """What the second process is to read: some pieces of the open file `descriptor`.

    If that is None, the pieces themselves follow.
    """

    descriptor: int | None
    block_bytes: int
    judging: Judging
    pieces: list[Piece]


class PieceResult(msgspec.Struct, frozen=True, array_like=True):
    """What the second process found in a piece, and its number of lines; None: it is incomplete."""

    batches: list[PackedBatch]
    lines: int | None


class PieceReader:
    """Reads pieces of one source with one `EventReader`; those of no file are their bytes."""

    def __init__(self, descriptor: int | None, block_bytes: int, judging: Judging) -> None:
        self._descriptor = descriptor
        self._block_bytes = block_bytes
        self._events = judging.reader()
        self.position = 0
        """How far in the file it has read."""
        self.line = 1
        """The number of the line that comes next."""
        self.trouble: ReadTrouble | None = None
        self.has_shrunk = False
        """Whether the file ended before the end of the piece that was read last."""

    def read(self, piece: Piece | bytes, line: int) -> Iterator[EventBatch]:
        """Read a piece, whose first line has this number, as if nothing was read before it."""
        if isinstance(piece, bytes):
            source: BinaryIO = io.BytesIO(piece)
            piece = Piece(0, len(piece))
        else:
            assert self._descriptor is not None
            source = _Range(self._descriptor, piece)  # type: ignore[assignment]
        stream = ByteStream(source, self._block_bytes, is_packed=False)
        yield from self.read_stream(stream, line, piece.begin)
        self.has_shrunk = piece.end is not None and self.position < piece.end

    def read_stream(self, stream: ByteStream, line: int, begin: int = 0) -> Iterator[EventBatch]:
        """Read a stream likewise, which begins so many bytes after the beginning of the source."""
        self._events.forget_hints()
        self.line = line
        stream.block_bytes = min(self._block_bytes, self._events.block_bytes)
        for lines in lines_of(stream, is_json=True):
            self.position = begin + stream.position
            yield from self._events.batches(lines, self.line)
            self.line += len(lines)
            stream.block_bytes = min(self._block_bytes, self._events.block_bytes)
        self.trouble = stream.trouble

    def result(self, piece: Piece | bytes) -> PieceResult:
        """Read a piece for another process."""
        batches = [PackedBatch.of_batch(batch) for batch in larger_batches(self.read(piece, 1))]
        is_whole = not (self.trouble or self.has_shrunk)
        return PieceResult(batches, self.line - 1 if is_whole else None)


class _Range:
    """A piece of an open file, whose own position stays where it is."""

    def __init__(self, descriptor: int, piece: Piece) -> None:
        self._descriptor = descriptor
        self._at, self._end = piece

    def read(self, size: int) -> bytes:
        """Read at most so many bytes. Raises OSError."""
        if self._end is not None:
            size = min(size, self._end - self._at)
        block = os.pread(self._descriptor, size, self._at)
        self._at += len(block)
        return block


def pieces_of(descriptor: int, size: int, piece_bytes: int) -> Iterator[Piece]:
    """Cut a file at line ends into pieces of at least so many bytes. Raises OSError."""
    begin, end = 0, piece_bytes
    while end < size:
        found = os.pread(descriptor, _SEARCHED, end)
        if not found:
            break
        at = found.find(b"\n")
        if at < 0:
            end += len(found)
            continue
        yield Piece(begin, end + at + 1)
        begin = end + at + 1
        end = begin + piece_bytes
    yield Piece(begin, None)


def _start(descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start the second process, which is handed these open files. Raises OSError."""
    # Not at the top: most imports and all other commands need none.
    import subprocess  # noqa: PLC0415

    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(_OUR_VARIABLES)
    }
    # -P: a module in the working folder is none of ours.
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        env=variables,
    )


class _SecondProcess:
    """The process that reads some of the pieces; where none can be started, it has ended."""

    _process: "subprocess.Popen[bytes] | None" = None
    _threads: Sequence[threading.Thread] = ()

    def __init__(self, task: PieceTask) -> None:
        self._results: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._messages: queue.Queue[bytes | None] = queue.Queue()
        self._messages.put(msgspec.msgpack.encode(task))
        if task.descriptor is not None:
            self._messages.put(None)
        try:
            self._process = _start([] if task.descriptor is None else [task.descriptor])
        except OSError:  # there are too many processes, or this Python was removed
            self._results.put(None)
            return
        self._threads = [
            threading.Thread(target=target, args=[self._process], daemon=True)
            for target in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, piece: bytes) -> None:
        """Give it another piece to read."""
        if self._process is not None:
            self._messages.put(piece)

    def next(self) -> PieceResult | None:
        """Wait for the result of its next piece; None once the process has ended.

        Also None for what another version sent: an upgrade can replace the program while this one
        runs.
        """
        body = self._results.get()
        if body is None:
            self._results.put(None)
            return None
        try:
            return msgspec.msgpack.decode(body, type=PieceResult)
        except msgspec.DecodeError:
            return None

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is None:
            return
        self._process.kill()
        self._messages.put(None)
        while self._results.get() is not None:
            pass
        for thread in self._threads:
            thread.join()
        self._process.wait()

    def _send(self, process: "subprocess.Popen[bytes]") -> None:
        """Send the task, and what else it is given, until the end."""
        stdin = process.stdin
        assert stdin is not None
        with suppress(OSError), stdin:
            for message in iter(self._messages.get, None):
                with suppress(OSError):  # it has ended
                    write_message(stdin, message)

    def _receive(self, process: "subprocess.Popen[bytes]") -> None:
        """Take the results until the process ends."""
        stdout = process.stdout
        assert stdout is not None
        with stdout:
            while (body := read_message(stdout)) is not None:
                self._results.put(body)
        self._results.put(None)


def write_message(output: IO[bytes], body: bytes) -> None:
    """Send a message to the other process. Raises OSError if that has ended."""
    output.write(len(body).to_bytes(_LENGTH_BYTES))
    output.write(body)
    output.flush()


def read_message(source: IO[bytes]) -> bytes | None:
    """Wait for a message of the other process; None once that has ended."""
    length = source.read(_LENGTH_BYTES)
    size = int.from_bytes(length)
    body = source.read(size) if len(length) == _LENGTH_BYTES else b""
    return body if len(length) == _LENGTH_BYTES and len(body) == size else None


def read_in_pieces(
    file: BinaryIO,
    size: int,
    block_bytes: int,
    judging: Judging,
    options: PieceOptions,
    on_position: Callable[[int, ReadTrouble | None], None],
) -> Iterator[EventBatch]:
    """Read an open NDJSON file of so many bytes, with the result and in the order of one process.

    `on_position` is called before each batch with the position, and at the end with what broke it
    off.
    """
    descriptor = file.fileno()
    pieces = list(pieces_of(descriptor, size, options.size))
    shared = [piece for n, piece in enumerate(pieces) if n % OWN_PIECES]
    own = PieceReader(descriptor, block_bytes, judging)
    reported: set[tuple[AudienceRef, AudienceHints]] = set()
    line = 1
    second = _SecondProcess(PieceTask(descriptor, block_bytes, judging, shared))
    try:
        for n, piece in enumerate(pieces):
            result = second.next() if n % OWN_PIECES else None
            if result is not None and result.lines is not None:
                on_position(piece.end or size, None)
                for packed in result.batches:
                    yield _without_known_hints(packed.batch(line - 1), reported)
                line += result.lines
                continue
            for batch in own.read(piece, line):
                on_position(own.position, None)
                yield _without_known_hints(batch, reported)
            line = own.line
            if own.trouble is not None:
                on_position(own.position, own.trouble)
                yield _last_batch(own.trouble, line)
            if own.trouble is not None or own.has_shrunk:
                return  # the other process may have read what came later, as if nothing was missing
    finally:
        second.close()


def read_unpacked_in_pieces(
    stream: ByteStream, judging: Judging, options: PieceOptions
) -> Iterator[EventBatch]:
    """Read a stream of lines, with the result and in the order of one process."""
    reported: set[tuple[AudienceRef, AudienceHints]] = set()
    own = PieceReader(None, stream.block_bytes, judging)
    line = 1
    with closing(_SecondProcess(PieceTask(None, stream.block_bytes, judging, []))) as second:
        for piece, result in _in_turns(_pieces_in(stream, options.size_unpacked), second):
            if result is not None and result.lines is not None:
                for packed in result.batches:
                    yield _without_known_hints(packed.batch(line - 1), reported)
                line += result.lines
                continue
            for batch in own.read(piece, line):
                yield _without_known_hints(batch, reported)
            line = own.line
    for batch in own.read_stream(stream, line):
        yield _without_known_hints(batch, reported)
    if stream.trouble is not None:
        yield _last_batch(stream.trouble, own.line)


def _in_turns(
    pieces: Iterator[bytes], second: _SecondProcess
) -> Iterator[tuple[bytes, PieceResult | None]]:
    """Yield pieces in their order, most of them with what the second process found.

    It is given some pieces before its results are awaited, so that both processes have work.
    """
    waiting: deque[tuple[bytes, bool]] = deque()
    for n, piece in enumerate(chain(pieces, repeat(b"", OWN_UNPACKED))):
        is_shared = bool(piece) and n % OWN_UNPACKED > 0
        if is_shared:
            second.give(piece)
        waiting.append((piece, is_shared))
        if len(waiting) > OWN_UNPACKED:
            first, is_shared = waiting.popleft()
            yield first, second.next() if is_shared else None


def _last_batch(trouble: ReadTrouble, line: int) -> EventBatch:
    """The last batch, with what broke the source off; `line` follows the last good one."""
    counts = EventCounts()
    counts.refusals.append(trouble.refusal(line))
    return counts.batch()


def _pieces_in(stream: ByteStream, piece_bytes: int) -> Iterator[bytes]:
    """Cut a stream at line ends into pieces of at least so many bytes; what is left is put back."""
    blocks: list[bytes] = []
    size = 0
    for block in stream:
        blocks.append(block)
        size += len(block)
        at = block.rfind(b"\n") + 1 if size >= piece_bytes else 0
        if at:
            yield b"".join([*blocks[:-1], block[:at]])
            blocks, size = [block[at:]], len(block) - at
        elif size > _LARGEST_PIECE:
            break
    stream.put_back(b"".join(blocks))


def _without_known_hints(
    batch: EventBatch, reported: set[tuple[AudienceRef, AudienceHints]]
) -> EventBatch:
    """Leave out the hints that were `reported` before: each piece begins without any."""
    if not batch.hints:
        return batch
    news = [hint for hint in batch.hints if hint not in reported]
    reported.update(news)
    return dataclasses.replace(batch, hints=news)
