"""Reading one file into the ledger step by step, so that files can take turns.

A log that was rotated since it was read last is first read on where it is now: renamed, copied or
compressed, and then the logs that were written after it.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from amp_console.engage import EventBatch, UnreadableSource, open_file
from amp_console.engage.reader import EventReader
from amp_console.engage.source import BEGINNING, Start, grows_by_lines
from amp_console.ledger import LedgerError
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.checkpoints import UNFINISHED, FileCheckpoint, FileCheckpoints
from amp_console.sync.sources.rotation import rotations_of
from amp_console.sync.sources.tail import (
    beginning_of,
    continues,
    identity_of,
    is_packed,
    read_at,
    read_on,
)

SNIFFED = 64 * 1024  # bytes from which the format is detected
COST_OF_EVENT = 100  # bytes; a file may unpack to a thousand times its size

Reading = Generator[int, None, str]
"""Yields what each step cost, in bytes; returns what is wrong with the file, "" if nothing is."""

CUT = "Its last row or element is incomplete and waits for the rest. Everything before it was read."


class _Candidate(NamedTuple):
    """A file beside a log: how far it was read, and its time in nanoseconds since 1970."""

    path: Path
    known: FileCheckpoint | None
    time: int


class _Uncertain(NamedTuple):
    """What was written when the ledger failed: a server's answer may be lost after a commit."""

    checkpoint: FileCheckpoint
    batches: list[EventBatch]


class FileReader:
    """Makes the readings of files; one step of one reading is taken at a time."""

    def __init__(self, ingestor: StreamIngestor, checkpoints: FileCheckpoints) -> None:
        self._ingestor = ingestor
        self._checkpoints = checkpoints
        self._events = EventReader(ingestor.options.mapping, ingestor.options.audience)
        self._open: set[Path] = set()
        self._followed: set[Path] = set()
        self._uncertain: dict[Path, _Uncertain] = {}
        self._result = IngestResult()
        self.read = 0
        """How many events were read."""
        self.updated = 0
        """How many members they updated."""
        self.positions: dict[Path, int] = {}
        """How far the files were read that are read as a whole, and are under way; in bytes."""
        self.moved: list[Path] = []
        """Where logs were found that had been moved away, since the list was cleared last."""

    def pop_result(self) -> IngestResult:
        """Return what was ingested since the last call."""
        result, self._result = self._result, IngestResult()
        return result

    def follow(self, path: Path, *, is_alone: bool) -> Reading:
        """Read what was added to a file. Raises `LedgerError`, OSError and UnreadableSource.

        `is_alone`: its folder is not watched, so rotated logs beside it are found only here.
        """
        while path in self._open:  # as what another log has become
            yield 0
        with self._opened(path) as file:
            known, notice = self._checkpoints.get(path), ""
            if known is not None and (known.is_whole or not continues(file, known.offset)):
                if not known.is_whole:
                    notice = yield from self.catch_up(path, is_alone=is_alone)
                known = None
            self._followed.add(path)
            yield from self._follow_on(path, file, known or self._known_elsewhere(path, file))
        return notice

    def read_whole(self, path: Path) -> Reading:
        """Read a file from its beginning to its end; raises as `follow`."""
        while path in self._open:
            yield 0
        with self._opened(path) as file:
            status, identity = os.fstat(file.fileno()), identity_of(file)
            known = self._checkpoints.find_whole(path, file)
            log = self._checkpoints.find_packed(path) if is_packed(file) else None
            done = FileCheckpoint(
                str(path),
                0,
                *identity,
                status.st_size,
                status.st_mtime_ns,
                is_whole=True,
                modified=status.st_mtime_ns,
            )
            if known and (known.position, known.line) == (done.position, done.line):
                if known.path != done.path:
                    self._checkpoints.keep(msgspec.structs.replace(known, path=done.path))
                return ""
            start = Start(log.position, log.line) if log else BEGINNING
            options = self._ingestor.options
            with open_file(str(path), options, start=start, may_grow=True) as source:
                if log is not None:
                    source_id = log.source_id
                elif known is not None:
                    source_id = known.source_id
                    self._ingestor.begin_again(source_id)
                else:
                    source_id = self._ingestor.begin(str(path))
                done = msgspec.structs.replace(done, source_id=source_id)
                self._checkpoints.keep(msgspec.structs.replace(done, position=UNFINISHED))
                try:
                    for batch in source:
                        before = self.positions.get(path, 0)
                        self._add(self._ingestor.ingest(source_id, [batch]))
                        self.positions[path] = source.position()
                        yield max(source.position() - before, _cost(batch))
                finally:
                    self.positions.pop(path, None)
                self._checkpoints.keep(done)
                return source.trouble or (CUT if source.is_cut else "")

    def catch_up(self, path: Path, *, is_alone: bool) -> Reading:
        """Read on in what has become of a log, and in what was written after it."""
        known = self._checkpoints.get(path)
        if known is None or known.is_whole:
            return ""
        candidates = self._candidates(path, known)
        source_ids = [other.known.source_id if other.known else None for other in candidates]
        begin = source_ids.index(known.source_id) if known.source_id in source_ids else -1
        for number, other in enumerate(candidates):
            is_newer = number > begin if begin >= 0 else other.time > known.modified
            if other.known is not None or (is_alone and is_newer):
                self.moved.append(other.path)
                # What it holds may be packed otherwise, or it may be gone. That must not end the
                # reading of the log: the watcher looks at the file by itself, and says what it is.
                with suppress(UnreadableSource, OSError, UnicodeEncodeError):
                    yield from self._catch_up_in(other.path)
        is_lost = begin < 0 and known.position > 0 and is_alone and path not in self._followed
        return _lost(known) if is_lost else ""

    def _candidates(self, path: Path, known: FileCheckpoint) -> list[_Candidate]:
        """The files beside a log in which it may be continued, oldest first."""
        paths = rotations_of(path)
        with suppress(OSError):
            for other in path.parent.iterdir():
                with suppress(OSError):  # a link that leads nowhere, or a file that is gone by now
                    if other.stat().st_ino == known.inode and other not in (path, *paths):
                        paths.append(other)
        found = []
        for other in paths:
            with suppress(OSError), other.open("rb") as file:
                if other in self._open:
                    continue
                is_gzip = is_packed(file)
                checkpoint = self._checkpoints.find_packed(other) if is_gzip else None
                checkpoint = checkpoint or self._checkpoints.find_whole(other, file)
                checkpoint = checkpoint or self._checkpoints.find(other, file)
                found.append(_Candidate(other, checkpoint, os.fstat(file.fileno()).st_mtime_ns))
        return found

    def _catch_up_in(self, path: Path) -> Reading:
        if path in self._open:
            return ""
        with path.open("rb") as file:
            is_followed = grows(file, self._checkpoints.find(path, file))
        if not is_followed:
            return (yield from self.read_whole(path))
        with self._opened(path) as file:
            yield from self._follow_on(path, file, self._known_elsewhere(path, file))
        return ""

    def _known_elsewhere(self, path: Path, file: BinaryIO) -> FileCheckpoint | None:
        """How far a file was read under another name."""
        known = self._checkpoints.find(path, file)
        if known is not None:
            self._checkpoints.keep(known)
        return known

    def _follow_on(
        self, path: Path, file: BinaryIO, known: FileCheckpoint | None
    ) -> Generator[int]:
        if known is None:
            begin = beginning_of(identity_of(file))
            known = FileCheckpoint.at(path, self._ingestor.begin(str(path)), begin, 0)
            self._checkpoints.remember(known)
        modified = os.fstat(file.fileno()).st_mtime_ns
        for appended in read_on(file, known.offset):
            checkpoint = FileCheckpoint.at(path, known.source_id, appended.after, modified)
            if not appended.lines:
                self._checkpoints.keep(checkpoint)
                continue
            batches: list[EventBatch] = []
            for batch in self._events.batches(appended.lines, appended.first):
                if batches:  # one line may hold events by the million
                    yield _cost(batches[-1])
                batches.append(batch)
            kept = self._checkpoints.encoded(checkpoint)
            try:
                self._add(self._ingestor.ingest(known.source_id, batches, kept))
            except LedgerError:
                self._events.forget_hints()  # those of the batches may not be kept
                self._uncertain[path] = _Uncertain(checkpoint, batches)
                raise
            self._checkpoints.remember(checkpoint)
            yield appended.after.position - known.position
            known = checkpoint

    def _settle(self, path: Path) -> None:
        """If a write failed, but the ledger has what it wrote, read on after that."""
        uncertain = self._uncertain.get(path)
        if uncertain is not None and self._checkpoints.has(uncertain.checkpoint):
            self._add(self._ingestor.count(uncertain.checkpoint.source_id, uncertain.batches))
        self._uncertain.pop(path, None)

    def _add(self, result: IngestResult) -> None:
        self._result = self._result.plus(result)
        self.read += result.tally.read
        self.updated += result.updated

    @contextmanager
    def _opened(self, path: Path) -> Iterator[BinaryIO]:
        str(path).encode()  # raises UnicodeEncodeError where no ledger can keep the name
        with path.open("rb") as file:
            self._open.add(path)
            try:
                self._settle(path)
                yield file
            finally:
                self._open.discard(path)


def grows(file: BinaryIO, known: FileCheckpoint | None) -> bool:
    """Whether an open file is followed line by line, by what it holds; raises OSError."""
    is_followed = known is not None and not known.is_whole and known.position > 0
    if is_followed and known is not None and continues(file, known.offset):
        return True
    head = read_at(file, 0, SNIFFED)
    return not head or grows_by_lines(head)


def ends_complete(file: BinaryIO) -> bool:
    """Whether a file that is read as a whole ends as complete ones do; raises OSError."""
    size = os.fstat(file.fileno()).st_size
    end = read_at(file, max(0, size - 64), 64).rstrip(b" \t\0")
    return is_packed(file) or not end or end.endswith((b"\n", b"\r", b"]", b"}", b'"'))


def _cost(batch: EventBatch) -> int:
    """What judging took, in bytes; also of a million empty lines, which are no events."""
    return COST_OF_EVENT * max(batch.lines, batch.read)


def _lost(known: FileCheckpoint) -> str:
    return (
        f"It was rotated while no session followed it, and the file that was read up to line"
        f" {known.line - 1:,} is gone: lines that were added to it later were not read."
    )
