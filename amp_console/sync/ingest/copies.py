"""Files that are copies of one that was read: its results are taken over instead of read again.

A download that was made twice is such a copy. As a source it is newer, so where the original had
decided, the copy decides now: a member keeps the time and the line of its event and gets another
source. If reading the copy could give a different result, it is read.
"""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from amp_console.engage import version_of
from amp_console.ledger import Db, Ledger
from amp_console.ledger.checkpoints import checkpoints_with, find_checkpoint, keep_checkpoint
from amp_console.ledger.forgotten import Forgotten, forgotten_people
from amp_console.ledger.source_copies import SourceCopy, copy_source
from amp_console.ledger.sources import counts_of_source, filtered_of_source
from amp_console.sync.ingest.batch_reader import BatchReader
from amp_console.sync.ingest.unchanged import (
    SCHEME,
    FileReading,
    KnownReading,
    UnchangedFiles,
    key_of,
    reading_in,
)

LEAST_BYTES = 1024 * 1024
"""Reading a smaller file takes no time worth saving."""
_BLOCK_BYTES = 1024 * 1024


class Original(NamedTuple):
    """A file that was read to its end, and has not changed since."""

    path: str
    reading: FileReading


class CopiedFiles:
    """Finds the originals of copies, and takes over their results. Raises `LedgerError`."""

    def __init__(
        self, ledger: Ledger, files: UnchangedFiles, least_bytes: int = LEAST_BYTES
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._least_bytes = least_bytes

    def original_of(
        self, source: BatchReader, version: str, forgotten: Forgotten
    ) -> Original | None:
        """Return the newest file with the bytes of a source, which has this version; None: none."""
        size = source.size or 0
        if source.key is None or size < self._least_bytes:
            return None
        copy = Path(source.key), version
        for original in self._ledger.read(_originals, size):
            its_version = original.reading.version
            is_alike = self._files.is_judged_alike(original.reading, forgotten)
            if is_alike and _are_equal((Path(original.path), its_version), copy):
                return original
        return None

    def take_over(
        self, original: Original, source: BatchReader, version: str, now: int
    ) -> KnownReading | None:
        """Give a copy the results of its original, which are in the ledger; None: read the copy.

        `now` is in microseconds since 1970.
        """
        copy = original.reading, source.name, source.key or "", version
        return self._ledger.write(_take_over, original.path, *copy, now)


def _originals(db: Db, size: int) -> list[Original]:
    """The files of this size whose events a copy may take over, the newest source first."""
    found = [
        Original(checkpoint.key.removeprefix(f"{SCHEME}:"), reading_in(checkpoint.value))
        for checkpoint in checkpoints_with(db, SCHEME, f":{size}:")
    ]
    found = [original for original in found if original.reading.times is not None]
    return sorted(found, key=lambda original: original.reading.source_id, reverse=True)


def _take_over(
    db: Db, original: str, reading: FileReading, name: str, path: str, version: str, now: int
) -> KnownReading | None:
    is_same = find_checkpoint(db, key_of(original)) == reading.checkpoint(original).value
    if not is_same or reading.times is None:
        return None
    if forgotten_people(db).revision != reading.forgotten:
        return None
    copy = SourceCopy(reading.source_id, name, path, tuple(reading.audience_ids), reading.times)
    source_id = copy_source(db, copy, now)
    if source_id is None:
        return None
    copied = msgspec.structs.replace(reading, source_id=source_id, version=version)
    keep_checkpoint(db, copied.checkpoint(path))
    counts, filtered = counts_of_source(db, source_id), filtered_of_source(db, source_id)
    return KnownReading(source_id, counts, filtered, reading.audience_ids)


def _are_equal(*files: tuple[Path, str]) -> bool:
    """Whether two files contain the same bytes, and still have these versions afterwards."""
    with ExitStack() as stack, suppress(OSError, ValueError):
        one, other = (stack.enter_context(path.open("rb", buffering=0)) for path, _ in files)
        while block := one.read(_BLOCK_BYTES):
            if other.read(_BLOCK_BYTES) != block:
                return False
        versions = [version_of(os.fstat(stream.fileno())) for stream in (one, other)]
        return versions == [version for _, version in files]
    return False
