"""How far each watched file was read, and which known file an open file is."""

import os
import socket
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from amp_console.ledger import Db, Ledger
from amp_console.ledger.checkpoints import (
    Checkpoint,
    checkpoints,
    find_checkpoint,
    forget_checkpoint,
    keep_checkpoint,
)
from amp_console.ledger.unread_sources import (
    UnreadSource,
    forget_unread,
    keep_unread,
    unread_below,
)
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.tail import (
    HEAD,
    FileIdentity,
    FileOffset,
    continues,
    digest,
    head_of_packed,
    identity_of,
    is_copy,
    is_packed_copy,
    read_at,
)

SCHEME = "file"
UNREAD = "unread-file:"
"""Where the ledger keeps the files that could not be read; a checkpoint does not end that yet."""
UNFINISHED = -1
"""The position in a file that is read as a whole, and was not read to its end yet."""


class FileCheckpoint(msgspec.Struct, frozen=True):
    """One followed file: which file it is, and the offset from where to read on.

    `position` in bytes, `line` the number of the next line; `before` is the digest of the bytes
    before it. A file that is only read as a whole (`is_whole`) has its size and its time
    (nanoseconds since 1970) there instead, or `UNFINISHED` while it is read. `modified` is the time
    of the file when it was read last (nanoseconds since 1970).
    """

    path: str
    source_id: int
    device: int
    inode: int
    head_size: int
    head: str
    position: int
    line: int
    is_whole: bool = False
    before: str = ""
    modified: int = 0

    @classmethod
    def at(cls, path: Path, source_id: int, offset: FileOffset, modified: int) -> Self:
        """Return the checkpoint at an offset of a file that is followed line by line."""
        return cls(
            str(path),
            source_id,
            *offset.identity,
            offset.position,
            offset.line,
            before=offset.before,
            modified=modified,
        )

    @classmethod
    def decode(cls, checkpoint: Checkpoint) -> Self:
        """Read what `encode` wrote."""
        fields = msgspec.json.decode(checkpoint.value)
        path = _host_and_path(checkpoint)[1]
        return msgspec.convert({"path": path, **fields}, cls)

    def encode(self, host: str) -> Checkpoint:
        """Return it as the ledger keeps it, under the file's path and the `host` that it is on.

        In a ledger that one host alone can use, that is "".
        """
        fields = msgspec.structs.asdict(self)
        del fields["path"]
        where = f"@{host}:" if host else ""
        return Checkpoint(f"{SCHEME}:{where}{self.path}", msgspec.json.encode(fields).decode())

    @property
    def offset(self) -> FileOffset:
        """The offset from where to read on."""
        identity = FileIdentity(self.device, self.inode, self.head_size, self.head)
        return FileOffset(identity, self.position, self.line, self.before)

    @property
    def is_followed(self) -> bool:
        """Whether the file is followed line by line and was read in part."""
        return not self.is_whole and self.head_size > 0


def _host_and_path(checkpoint: Checkpoint) -> tuple[str, str]:
    rest = checkpoint.key.removeprefix(f"{SCHEME}:")
    if not rest.startswith("@"):  # as an absolute path never does
        return "", rest
    host, _, path = rest[1:].partition(":")
    return host, path


def followed_folders(db: Db) -> list[str]:
    """The folders of the files that were followed, the one with the newest file first."""
    found = [FileCheckpoint.decode(item) for item in checkpoints(db, SCHEME)]
    found.sort(key=lambda file: file.modified, reverse=True)
    return list(dict.fromkeys(str(Path(file.path).parent) for file in found))


class UnreadFiles:
    """The files that could not be read, as the ledger keeps them until they are."""

    def __init__(self, ingestor: StreamIngestor) -> None:
        """Raises `LedgerError`, as every method."""
        self._ledger = ingestor.ledger
        self._now = ingestor.now
        known = self._ledger.read(unread_below, UNREAD)
        self._reasons = dict.fromkeys((Path(key.removeprefix(UNREAD)) for key in known), "")

    def note(self, path: Path, reason: str) -> None:
        """Note why a file could not be read; "": it was."""
        if reason and self._reasons.get(path) != reason:
            name = os.fsencode(path).decode(errors="backslashreplace")
            unread = UnreadSource(f"{UNREAD}{name}", name, reason, self._now())
            self._ledger.write(keep_unread, unread)
            self._reasons[path] = reason
        elif not reason and path in self._reasons:
            self._forget(path)

    def forget_gone(self, watched: AbstractSet[Path], there: AbstractSet[Path]) -> None:
        """Forget the files below the watched paths that are gone."""
        for path in [path for path in self._reasons if path not in there]:
            if not watched.isdisjoint((path, *path.parents)):
                self._forget(path)

    def _forget(self, path: Path) -> None:
        name = os.fsencode(path).decode(errors="backslashreplace")
        self._ledger.write(forget_unread, f"{UNREAD}{name}")
        del self._reasons[path]


class FileCheckpoints:
    """The checkpoints of all files of this host, as the ledger has them."""

    def __init__(self, ledger: Ledger) -> None:
        """Raises `LedgerError`."""
        self._ledger = ledger
        is_shared = ledger.backups is None  # the same path is another file on another host
        self._host = socket.gethostname() if is_shared else ""
        found = ledger.read(checkpoints, SCHEME)  # those of no host first: they are older
        kept = [item for item in found if _host_and_path(item)[0] in {"", self._host}]
        known = [FileCheckpoint.decode(item) for item in sorted(kept, key=_host_and_path)]
        self._by_path = {item.path: item for item in known}
        self._by_inode: dict[tuple[int, int], dict[str, FileCheckpoint]] = {}
        self._by_head: dict[int, dict[str, dict[str, FileCheckpoint]]] = {}
        for item in known:
            self.remember(item)

    def get(self, path: Path) -> FileCheckpoint | None:
        """How far the file with this name was last read."""
        return self._by_path.get(str(path))

    def encoded(self, checkpoint: FileCheckpoint) -> Checkpoint:
        """Return a checkpoint as the ledger keeps it."""
        return checkpoint.encode(self._host)

    def has(self, checkpoint: FileCheckpoint) -> bool:
        """Whether the ledger has a checkpoint; it is remembered then. Raises `LedgerError`."""
        key, value = self.encoded(checkpoint)
        # As a write, which waits for the end of a commit that may still be under way.
        is_kept = self._ledger.write(find_checkpoint, key) == value
        if is_kept:
            self.remember(checkpoint)
        return is_kept

    def paths(self) -> list[str]:
        """The names of all files that are known."""
        return list(self._by_path)

    def keep(self, checkpoint: FileCheckpoint) -> None:
        """Keep how far a file was read. Raises `LedgerError`."""
        self._ledger.write(keep_checkpoint, self.encoded(checkpoint))
        self.remember(checkpoint)

    def remember(self, checkpoint: FileCheckpoint) -> None:
        """Note a checkpoint that the ledger has already.

        What was known by another inode or head stays: the file may turn up under another name.
        """
        path, inode = checkpoint.path, (checkpoint.device, checkpoint.inode)
        self._by_path[path] = checkpoint
        self._by_inode.setdefault(inode, {})[path] = checkpoint
        if checkpoint.is_followed:
            heads = self._by_head.setdefault(checkpoint.head_size, {})
            heads.setdefault(checkpoint.head, {})[path] = checkpoint

    def forget(self, path: Path) -> None:
        """Forget a file that is gone. Raises `LedgerError`."""
        known = self._by_path.pop(str(path), None)
        if known is not None:
            self._by_inode[known.device, known.inode].pop(known.path, None)
            self._by_head.get(known.head_size, {}).get(known.head, {}).pop(known.path, None)
            self._ledger.write(forget_checkpoint, self.encoded(known).key)

    def find(self, path: Path, file: BinaryIO) -> FileCheckpoint | None:
        """How far an open file was read, under this name or another, or as what it is a copy of.

        An inode is used again, and a program may begin all its logs alike, so the one counts that
        was read furthest.
        """
        status = os.fstat(file.fileno())
        known = self._by_inode.get((status.st_dev, status.st_ino), {}).values()
        same = [item for item in known if item.is_followed and continues(file, item.offset)]
        if not same:
            alike = self._alike(read_at(file, 0, HEAD))
            same = [item for item in alike if is_copy(file, item.offset)]
        furthest = max(same, key=lambda item: item.position, default=None)
        if furthest is None:
            return None
        return msgspec.structs.replace(
            furthest, path=str(path), device=status.st_dev, inode=status.st_ino
        )

    def find_packed(self, path: Path) -> FileCheckpoint | None:
        """How far the file was read that was compressed into this one."""
        head = head_of_packed(path)
        same = [item for item in self._alike(head) if is_packed_copy(path, head, item.offset)]
        return max(same, key=lambda item: item.position, default=None)

    def find_whole(self, path: Path, file: BinaryIO) -> FileCheckpoint | None:
        """What is known of an open file that is read as a whole, under this name or another."""
        status = os.fstat(file.fileno())
        known = list(self._by_inode.get((status.st_dev, status.st_ino), {}).values())
        before = self._by_path.get(str(path))
        for item in ([before] if before else []) + known:
            if item.is_whole and identity_of(file, item.head_size) == item.offset.identity:
                return item
        return None

    def _alike(self, head: bytes) -> list[FileCheckpoint]:
        """The files that begin with these bytes."""
        sizes = [size for size in self._by_head if size <= len(head)]
        groups = [self._by_head[size].get(digest(head[:size]), {}) for size in sizes]
        return [item for group in groups for item in group.values()]
