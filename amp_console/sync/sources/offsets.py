"""How far each watched file was read, and which of the known files an open one is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from amp_console.engage.tail import (
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
from amp_console.ledger import Db, Ledger
from amp_console.ledger.tails import Tail, forget_tail, keep_tail, tails


class Offsets:
    """The offsets of all files, as the ledger has them."""

    def __init__(self, ledger: Ledger) -> None:
        """Raises `LedgerError`."""
        self._ledger = ledger
        self._tails = {tail.path: tail for tail in ledger.read(tails)}
        self._by_inode: dict[tuple[int, int], dict[str, Tail]] = {}
        self._by_head: dict[int, dict[str, dict[str, Tail]]] = {}
        for tail in list(self._tails.values()):
            self.remember(tail)

    def of(self, path: Path) -> Tail | None:
        """How far the file of a name was read last."""
        return self._tails.get(str(path))

    def paths(self) -> list[str]:
        """The names of all files that are known."""
        return list(self._tails)

    def keep(self, tail: Tail) -> None:
        """Keep how far a file was read. Raises `LedgerError`."""
        self._ledger.write(keep_tail, tail)
        self.remember(tail)

    def remember(self, tail: Tail) -> None:
        """Take note of what is in the ledger already.

        What was known by another inode or head stays: the file may turn up under another name.
        """
        self._tails[tail.path] = tail
        self._by_inode.setdefault((tail.device, tail.inode), {})[tail.path] = tail
        if _is_followed(tail):
            heads = self._by_head.setdefault(tail.head_size, {})
            heads.setdefault(tail.head, {})[tail.path] = tail

    def forget(self, path: Path) -> None:
        """Forget a file that is gone. Raises `LedgerError`."""
        known = self._tails.pop(str(path), None)
        if known is not None:
            self._by_inode[known.device, known.inode].pop(known.path, None)
            self._by_head.get(known.head_size, {}).get(known.head, {}).pop(known.path, None)
            self._ledger.write(forget_tail, known.path)

    def of_file(self, path: Path, file: BinaryIO) -> Tail | None:
        """How far an open file was read, under this name or another, or as what it is a copy of.

        An inode is used again, and a program may begin all its logs alike, so the one counts that
        was read furthest.
        """
        found = os.fstat(file.fileno())
        known = self._by_inode.get((found.st_dev, found.st_ino), {}).values()
        same = [tail for tail in known if _is_followed(tail) and continues(file, place(tail))]
        if not same:
            alike = self._alike(read_at(file, HEAD, 0))
            same = [tail for tail in alike if is_copy(file, place(tail))]
        other = max(same, key=lambda tail: tail.position, default=None)
        if other is None:
            return None
        return msgspec.structs.replace(
            other, path=str(path), device=found.st_dev, inode=found.st_ino
        )

    def of_packed(self, path: Path) -> Tail | None:
        """How far the file was read that was compressed into this one."""
        head = head_of_packed(path)
        found = [tail for tail in self._alike(head) if is_packed_copy(path, head, place(tail))]
        return max(found, key=lambda tail: tail.position, default=None)

    def _alike(self, head: bytes) -> list[Tail]:
        """The files that begin with these bytes."""
        sizes = [size for size in self._by_head if size <= len(head)]
        found = [self._by_head[size].get(digest(head[:size]), {}) for size in sizes]
        return [tail for alike in found for tail in alike.values()]

    def whole(self, path: Path, file: BinaryIO) -> Tail | None:
        """What is known of an open file that is read as a whole, under this name or another."""
        found = os.fstat(file.fileno())
        known = list(self._by_inode.get((found.st_dev, found.st_ino), {}).values())
        before = self._tails.get(str(path))
        for tail in ([before] if before else []) + known:
            if tail.is_whole and identity_of(file, tail.head_size) == place(tail).identity:
                return tail
        return None


def _is_followed(tail: Tail) -> bool:
    return not tail.is_whole and tail.head_size > 0


def keeper(tail: Tail) -> Callable[[Db], None]:
    """Return what keeps an offset in the transaction of what was read up to there."""
    return lambda db: keep_tail(db, tail)


def place(tail: Tail) -> FileOffset:
    """The offset of a tail, as `engage.tail` has it."""
    identity = FileIdentity(tail.device, tail.inode, tail.head_size, tail.head)
    return FileOffset(identity, tail.position, tail.line, tail.before)
