"""Files that have not changed since an import read them to their end: they are not read again.

Reading a file again would merge the same lines of the same source, which changes nothing. Whether
it is the same is known from its file system, as in Git's index: a program can set a file's
modification time, but not the time of its last status change. If reading it again could give a
different result, because that depends on more than the file, it is not remembered.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import msgspec

from amp_console import __version__
from amp_console.engage import ReadOptions
from amp_console.ledger import Db, Ledger
from amp_console.ledger.checkpoints import Checkpoint, find_checkpoint, forget_checkpoint
from amp_console.ledger.file_systems import network_file_system
from amp_console.ledger.forgotten import Forgotten
from amp_console.ledger.sources import (
    ReadCounts,
    as_text,
    begin_source,
    counts_of_source,
    filtered_of_source,
    is_known_path,
)
from amp_console.sync.ingest.batch_reader import BatchReader
from amp_console.sync.ingest.buffer import ChangeBuffer

SCHEME = "import"
"""Of the keys of checkpoints that say how files were read."""


class KnownReading(NamedTuple):
    """What was found in a file that has not changed, and the audiences of its events."""

    source_id: int
    counts: ReadCounts
    filtered: Counter[str]
    audience_ids: Collection[int]


class FileReading(msgspec.Struct, frozen=True):
    """A file as it was when it was read to its end, and how its events were judged.

    `times` are those of its oldest and its newest change, in microseconds since 1970 (UTC); None
    where there is none, or where members may have changes of its path that it no longer holds.
    """

    source_id: int
    version: str
    judged_by: str
    forgotten: int
    audience_ids: list[int]
    times: tuple[int, int] | None = None

    def checkpoint(self, path: str | None) -> Checkpoint:
        """What to keep of a file of this path."""
        return Checkpoint(key_of(path), msgspec.json.encode(self).decode())


class UnchangedFiles:
    """Remembers what an import has read, and finds what need not be read. Raises `LedgerError`."""

    def __init__(self, ledger: Ledger, options: ReadOptions) -> None:
        self._ledger = ledger
        judged = (__version__, options.mapping, options.audience, options.ref)
        self._judged_by = msgspec.json.encode(judged).decode()
        # The newest pair of identifiers is kept that was read, not that of the newest event.
        self._has_pairs = options.mapping.amplitude_id is not None

    def version_of(self, source: BatchReader) -> str | None:
        """What distinguishes a file's content from any it had or will have; None: nothing."""
        is_list = source.kind.lists_members
        is_of_events = source.key is not None and not (is_list or self._has_pairs)
        version = source.version if is_of_events else None
        if version is None or network_file_system(Path(source.key or "").parent) is not None:
            return None  # another machine may have changed it, or tell the time
        return version

    def find(self, source: BatchReader, forgotten: Forgotten) -> KnownReading | None:
        """Return what an earlier import found in a file that is the same; None: read it."""
        version = self.version_of(source)
        found = self._ledger.read(_reading, source.key) if version is not None else None
        if found is None:
            return None
        reading = found[0]
        if reading.version != version or not self.is_judged_alike(reading, forgotten):
            return None
        return KnownReading(reading.source_id, *found[1:], reading.audience_ids)

    def is_judged_alike(self, reading: FileReading, forgotten: Forgotten) -> bool:
        """Whether the events of a reading would be judged today as they were then."""
        return (reading.judged_by, reading.forgotten) == (self._judged_by, forgotten.revision)

    def reading(
        self,
        source: BatchReader,
        version: str | None,
        buffer: ChangeBuffer,
        forgotten: Forgotten,
        *,
        is_first: bool,
    ) -> Checkpoint | None:
        """What to keep in the transaction that merges the last events of a file.

        `version` is what it had before it was read: if it changed meanwhile, it never has that
        again. `is_first`: its path was never read before. None: reading it again may give
        something else.
        """
        if version is None or source.trouble is not None:
            return None
        audience_ids = buffer.lasting_audiences()
        if audience_ids is None:
            return None
        reading = FileReading(
            buffer.source_id,
            version,
            self._judged_by,
            forgotten.revision,
            sorted(audience_ids),
            buffer.times if is_first else None,
        )
        return reading.checkpoint(source.key)


def begin_reading(db: Db, name: str, path: str | None, now: int) -> tuple[int, bool]:
    """Begin a source as `begin_source` does; its earlier reading no longer counts.

    Returns its id, and whether its path was never read before.
    """
    is_first = not is_known_path(db, path)
    if path is not None:
        forget_checkpoint(db, key_of(path))
    return begin_source(db, name, path, now), is_first


def key_of(path: str | None) -> str:
    """The key of the checkpoint of a file."""
    return f"{SCHEME}:{as_text(path or '')}"


def reading_in(value: str) -> FileReading:
    """The reading in a checkpoint."""
    return msgspec.json.decode(value, type=FileReading)


def _reading(db: Db, path: str | None) -> tuple[FileReading, ReadCounts, Counter[str]] | None:
    value = find_checkpoint(db, key_of(path))
    if value is None:
        return None
    reading = reading_in(value)
    counts = counts_of_source(db, reading.source_id)
    return reading, counts, filtered_of_source(db, reading.source_id)
