"""Opening a file or a stream, and reading it batch by batch."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, assert_never

import msgspec

from amp_console.engage.actions_csv import COLUMNS, read_actions
from amp_console.engage.audience_csv import AMPLITUDE_ID, USER_ID, MemberColumns, read_members
from amp_console.engage.batch import EventBatch, EventCounts, larger_batches
from amp_console.engage.byte_stream import (
    UTF16,
    ByteStream,
    ReadTrouble,
    from_lone_returns,
    from_utf16,
)
from amp_console.engage.documents import elements_of, read_document
from amp_console.engage.formats import (
    MEMBERS,
    Format,
    SourceKind,
    UnreadableSource,
    format_of,
    grows,
    has_lone_returns,
    is_enough,
)
from amp_console.engage.identifier_list import read_identifiers
from amp_console.engage.lines import BOM, lines_of
from amp_console.engage.mapping import FieldMapping
from amp_console.engage.pieces import (
    Judging,
    PieceOptions,
    read_in_pieces,
    read_unpacked_in_pieces,
)
from amp_console.engage.reader import EventReader
from amp_console.engage.tables import TableRow, rows_of
from amp_console.values import AudienceRef, IdType, Refusal

BLOCK_BYTES = 1024 * 1024
SETTLED_NS = 3_000_000_000  # after its last change; the times of FAT are even seconds
SNIFFED = 2 * 1024 * 1024  # bytes that are enough to detect the format


class Start(NamedTuple):
    """Where reading begins: after so many unpacked bytes, with the line of this number."""

    skipped: int
    line: int


BEGINNING = Start(0, 1)


class ReadOptions(msgspec.Struct, frozen=True):
    """How a source is to be read.

    `audience` is a key: only this audience is read from event files; a CSV download of members
    needs it. `ref` says which one is meant if several have this key. `taken_at` is when such a
    download was made, in microseconds since 1970 (UTC); None means the file's own time. The two
    columns are those with the identifiers. `lists`: only a list of members is accepted, by
    identifiers of this type: such a CSV, or one identifier per line.
    """

    mapping: FieldMapping = FieldMapping.parse()
    audience: str | None = None
    ref: AudienceRef | None = None
    taken_at: int | None = None
    user_id_column: str | None = None
    amplitude_id_column: str | None = None
    lists: IdType | None = None


class Source:
    """Iterates once over the batches of one file or stream.

    As a context manager it closes the file; a stream stays open. `key` is the file's absolute path;
    None for a stream, which can't be read again.
    Nothing wrong with the content raises: it becomes a refusal, with line 0 where the whole
    source is meant.
    """

    def __init__(
        self,
        name: str,
        stream: BinaryIO,
        options: ReadOptions,
        size: int | None,
        taken_at: int,
        block_bytes: int = BLOCK_BYTES,
        *,
        key: str | None = None,
        start: Start = BEGINNING,
        may_grow: bool = False,
        is_live: bool = False,
        pieces: PieceOptions | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        """Detect the format. Raises UnreadableSource.

        `now` gives nanoseconds since 1970 (UTC), for the `version` of a file alone.
        """
        self._now = now
        self.name = name
        self.key = key
        self.size = size
        self.taken_at = taken_at
        self._stream = stream
        self._options = options
        self._first_line = start.line
        self._block_bytes = block_bytes
        self._is_live = is_live
        self._pieces = None if may_grow else pieces
        self._bytes = ByteStream(stream, block_bytes, may_grow=may_grow, is_live=is_live)
        if start.skipped:
            self._bytes.skip(start.skipped)
        try:
            self._format = self._sniffed()
            self._members = self._member_columns()
        except UnreadableSource as error:
            self._close()
            raise error.with_name(name) from None

    @property
    def kind(self) -> SourceKind:
        """What the source holds."""
        return self._format.kind

    def position(self) -> int:
        """Return how many bytes were taken so far, before unpacking; `size` is their total."""
        return self._bytes.position

    @property
    def id_types(self) -> tuple[IdType, ...]:
        """The ID types by which a CSV of an audience's members lists them."""
        found = zip((IdType.USER_ID, IdType.AMPLITUDE_ID), self._members, strict=True)
        return tuple(id_type for id_type, columns in found if columns)

    @property
    def trouble(self) -> str | None:
        """Why the source broke off before its end; None if it did not, or not yet."""
        return self._bytes.trouble.reason if self._bytes.trouble else None

    @property
    def version(self) -> str | None:
        """What distinguishes the file's content from any it had or will have; None: nothing does.

        Two changes in the same tick of the clock would look alike, so a file that was changed just
        now has none.
        """
        if self._now is None or self.size is None or sys.platform == "win32":  # which has no ctime
            return None
        status = os.fstat(self._stream.fileno())
        if self._now() - max(status.st_ctime_ns, status.st_mtime_ns) < SETTLED_NS:
            return None
        return version_of(status)

    @property
    def unfinished(self) -> int:
        """How many bytes the line has so far that is not complete."""
        return self._bytes.unfinished

    @property
    def is_cut(self) -> bool:
        """Whether its last row or element was left out because the source may still grow."""
        return self._bytes.is_cut

    def __iter__(self) -> Iterator[EventBatch]:
        options = self._options
        reader = EventReader(options.mapping, options.audience, options.ref)
        match self.kind:
            case SourceKind.NDJSON:
                batches = self._in_pieces() or self._lines(reader)
                return batches if self._is_live else larger_batches(batches)
            case SourceKind.JSON_ARRAY:
                return read_document(self._bytes, reader)
            case SourceKind.IDENTIFIERS:
                id_type = options.lists or IdType.USER_ID
                return read_identifiers(self._bytes, options.audience or "", id_type, self.taken_at)
            case SourceKind.ACTIONS_CSV:
                return read_actions(self._rows(), reader)
            case SourceKind.AUDIENCE_CSV:
                audience = options.audience or ""
                return read_members(self._rows(), self._members, audience, self.taken_at)

    def _lines(self, reader: EventReader) -> Iterator[EventBatch]:
        stream, number = self._bytes, self._first_line
        for lines in lines_of(stream, is_json=True):
            yield from reader.batches(lines, number)
            number += len(lines)
            stream.block_bytes = min(self._block_bytes, reader.block_bytes)
        if stream.trouble is not None:
            closing = EventCounts()
            closing.refusals.append(stream.trouble.refusal(number))
            yield closing.batch()

    def _in_pieces(self) -> Iterator[EventBatch] | None:
        """Read a large file in pieces; None if it is not large."""
        pieces, size, options = self._pieces, self.size, self._options
        if pieces is None or size is None:
            return None
        judging = Judging(options.mapping, options.audience, options.ref)
        if self._bytes.is_unpacked and pieces.apply_to_packed(size):
            return read_unpacked_in_pieces(self._bytes, judging, pieces)
        if not (self._bytes.is_plain and pieces.apply_to(size)):
            return None

        def note(position: int, trouble: ReadTrouble | None) -> None:
            self._bytes.position, self._bytes.trouble = position, trouble

        return read_in_pieces(self._stream, size, self._block_bytes, judging, pieces, note)

    def text_at(self, number: int) -> bytes | None:
        """Return the line or the element with this number as it is; None if there is none.

        Call it instead of iterating: a source is read once. Rows of a CSV are not events by
        themselves.
        """
        match self.kind:
            case SourceKind.NDJSON:
                pieces = lines_of(self._bytes, is_json=True)
            case SourceKind.JSON_ARRAY:
                pieces = elements_of(self._bytes)
            case SourceKind.ACTIONS_CSV | SourceKind.AUDIENCE_CSV | SourceKind.IDENTIFIERS:
                return None
            case unknown:
                assert_never(unknown)
        for found in pieces:
            if number <= len(found):
                return found[number - 1]
            number -= len(found)
        return None

    def _rows(self) -> Iterator[TableRow | Refusal]:
        chosen = filter(None, (self._options.user_id_column, self._options.amplitude_id_column))
        return rows_of(self._bytes, self._format.header, COLUMNS | MEMBERS | frozenset(chosen))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.key is not None:
            self._stream.close()

    def _sniffed(self) -> Format:
        first = next(self._bytes, b"")
        self._bytes.put_back(first)
        if first.startswith(UTF16):
            self._bytes.convert(from_utf16)
        head = b""
        for block in self._bytes:
            head += block
            if is_enough(head) or len(head) > SNIFFED or _begins_event(head):
                break
        trouble = self._bytes.trouble
        if not head and trouble is not None and not trouble.has_line:
            raise UnreadableSource(trouble.reason)
        head = head.removeprefix(BOM)
        self._bytes.put_back(head)
        if has_lone_returns(head):
            self._bytes.convert(from_lone_returns)
            head = head.replace(b"\r", b"\n")
        chosen = (self._options.user_id_column, self._options.amplitude_id_column)
        is_list = self._options.lists is not None
        try:
            return format_of(head, frozenset(filter(None, chosen)), is_list=is_list)
        except UnreadableSource:
            if self._is_live:  # a program may say something before its first event
                return Format(SourceKind.NDJSON)
            raise

    def _member_columns(self) -> tuple[MemberColumns | None, MemberColumns | None]:
        """Find the identifiers of an audience CSV. Raises UnreadableSource."""
        if self.kind is not SourceKind.AUDIENCE_CSV:
            return None, None
        options, columns = self._options, self._format.header.columns
        if not options.audience:
            raise UnreadableSource(
                "It is a CSV of an audience's members, but does not say which audience."
                " Nothing was read. Import it with the key of its audience.",
                missing=("audience",),
            )
        only_amplitude = options.amplitude_id_column and not options.user_id_column
        user_id = MemberColumns(columns, options.user_id_column or USER_ID)
        amplitude_id = MemberColumns(columns, options.amplitude_id_column or AMPLITUDE_ID)
        kinds = (
            None if only_amplitude and not user_id.exist else user_id,
            amplitude_id if options.amplitude_id_column else None,
        )
        for kind in kinds:
            if kind and not kind.exist:
                raise UnreadableSource(
                    f"It has no column {kind.name}. Nothing was read."
                    f" Choose one of its columns: {', '.join(columns)}.",
                    missing=("user_id_column", "amplitude_id_column"),
                )
        return kinds


def read_stream(
    stream: BinaryIO,
    name: str,
    options: ReadOptions,
    *,
    now: Callable[[], int] = time.time_ns,
    block_bytes: int = BLOCK_BYTES,
    is_live: bool = False,
) -> Source:
    """Read an open stream, such as the standard input. Raises UnreadableSource.

    A stream that `is_live` yields each event as soon as it is complete, and an unknown format is
    read line by line. `now` returns nanoseconds since 1970 (UTC).
    """
    taken_at = now() // 1000 if options.taken_at is None else options.taken_at
    return Source(name, stream, options, None, taken_at, block_bytes, is_live=is_live)


def open_file(
    path: str,
    options: ReadOptions,
    *,
    now: Callable[[], int] = time.time_ns,
    block_bytes: int = BLOCK_BYTES,
    start: Start = BEGINNING,
    may_grow: bool = False,
    pieces: PieceOptions | None = None,
) -> Source:
    """Open a file. Raises UnreadableSource.

    `start` skips the beginning of an NDJSON file. A file that `may_grow` is read without a row or
    element that its end may have cut: see `Source.is_cut`. `pieces` decides when a second process
    helps to read it; by default, when the file is large. `now` returns nanoseconds since 1970
    (UTC), for an audience download without a file's time, and for `Source.version`.
    """
    taken_at = options.taken_at
    file = Path(path).absolute()
    try:
        status = file.stat()
        is_file = stat.S_ISREG(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableSource(f"{file} is a folder. Nothing was read. Name the files in it.")
        stream = file.open("rb")
    except (OSError, ValueError) as error:
        raise UnreadableSource(_why_not(file, error)) from error
    if taken_at is None:
        taken_at = (status.st_mtime_ns if is_file else now()) // 1000
    size = status.st_size if is_file else None
    name = str(file)
    return Source(
        name,
        stream,
        options,
        size,
        taken_at,
        block_bytes,
        key=name,
        start=start,
        may_grow=may_grow,
        pieces=pieces or PieceOptions(),
        now=now,
    )


def version_of(status: os.stat_result) -> str:
    """What distinguishes the content of a file with this status from any it had or will have.

    A program can set a file's modification time, but not the time of its last status change.
    """
    times = f"{status.st_mtime_ns}:{status.st_ctime_ns}"
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{times}"


def grows_by_lines(head: bytes) -> bool:
    """Return, from its beginning, whether a file is NDJSON, which can be followed line by line.

    Other formats are read from beginning to end.
    """
    try:
        found = grows(head)
    except UnreadableSource:
        return False
    return found is True or (found is None and _begins_event(head))


def _begins_event(head: bytes) -> bool:
    """Whether a source with this beginning has one event per line, whatever follows."""
    first = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
    return first.startswith(b"{") and len(first.strip()) > 1


def _why_not(file: Path, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return f"{file} does not exist. Nothing was read. Check the name."
        case PermissionError():
            return (
                f"You don't have permission to read {file}. Nothing was read. Ask its owner for "
                "access."
            )
    reason = error.strerror if isinstance(error, OSError) else error
    return f"{file} can't be opened: {reason}. Nothing was read. Check the name and the disk."
