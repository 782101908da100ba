"""Watching files and folders: what grows is followed, what appears is read."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from amp_console.engage import Batch, UnreadableSource, open_source
from amp_console.engage.reader import EventReader
from amp_console.engage.tail import (
    Identity,
    Place,
    beginning_of,
    identity_of,
    is_same,
    moved_to,
    read_on,
)
from amp_console.ledger import Db
from amp_console.ledger.sources import Tally
from amp_console.ledger.tails import Tail, keep_tail, tails
from amp_console.sync.feed import Feed, Taken

GROWING = {".ndjson", ".jsonl", ".log", ".txt", ""}
"""How the names of files end that grow by whole lines; others are read once they are whole."""
WHOLE = {".json", ".gz", ".csv"}


class Stamp(NamedTuple):
    """What a file looks like from outside; as long as it stays so, nothing is new in it."""

    device: int
    inode: int
    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """Look at a file; None where there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class WatchedFile(msgspec.Struct, frozen=True):
    """One watched file as one sees it: how far it was read, and what is wrong with it, if it is."""

    path: str
    position: int
    size: int
    trouble: str | None = None


class Watching:
    """Looks at paths again and again; `scan` takes in what is new. It may block."""

    def __init__(self, feed: Feed, paths: Sequence[Path]) -> None:
        """The places where reading goes on come from the ledger."""
        self._feed = feed
        self.paths = [path.absolute() for path in paths]
        self._tails = {each.path: each for each in feed.ledger.read(tails)}
        self._by_inode: dict[tuple[int, int], list[str]] = {}
        for each in self._tails.values():
            self._by_inode.setdefault((each.device, each.inode), []).append(each.path)
        self._seen: dict[Path, Stamp] = {}
        self._settled: dict[Path, Stamp] = {}
        self._reader = EventReader(feed.options.mapping, feed.options.audience)
        self.files: dict[str, WatchedFile] = {}

    def scan(self) -> Taken:
        """Take in what is new since the last look. Raises `LedgerError`."""
        total = Taken(Tally(), {})
        for path in self._found():
            stamp = Stamp.of(path)
            if stamp is None or self._seen.get(path) == stamp:
                continue
            if self._is_whole(path) and self._settled.get(path) != stamp:
                self._settled[path] = stamp  # it may still be written to
                continue
            total = _sum(total, self._take(path, stamp))
            self._seen[path] = stamp
        return total

    @property
    def is_settling(self) -> bool:
        """Whether a file waits for its second look, to be sure that it is whole."""
        return any(self._seen.get(path) != stamp for path, stamp in self._settled.items())

    def _found(self) -> Iterator[Path]:
        for path in self.paths:
            if path.is_dir():
                yield from sorted(
                    each
                    for each in path.rglob("*")
                    if each.suffix.lower() in GROWING | WHOLE
                    and not each.name.startswith(".")
                    and each.is_file()
                )
            else:
                yield path

    def _is_whole(self, path: Path) -> bool:
        return path.suffix.lower() in WHOLE

    def _take(self, path: Path, stamp: Stamp) -> Taken:
        try:
            taken = self._take_whole(path) if self._is_whole(path) else self._follow(path)
        except (OSError, UnreadableSource) as error:
            self.files[str(path)] = WatchedFile(str(path), 0, stamp.size, str(error))
            return Taken(Tally(), {})
        known = self._tails.get(str(path))
        position = known.position if known else 0
        self.files[str(path)] = WatchedFile(str(path), position, stamp.size)
        return taken

    # Files that are read as a whole.

    def _take_whole(self, path: Path) -> Taken:
        stamp, identity = Stamp.of(path), identity_of(path)
        known = self._tails.get(str(path))
        if stamp is None or identity is None:
            return Taken(Tally(), {})
        if known and known.is_whole and (known.position, known.line) == (stamp.size, stamp.time):
            return Taken(Tally(), {})
        source_id = self._feed.begin(str(path))
        tail = self._tail(path, source_id, Place(identity, stamp.size, stamp.time), is_whole=True)
        with open_source(str(path), self._feed.options) as source:
            taken = self._feed.take(source_id, source, lambda db: keep_tail(db, tail))
            if source.trouble:
                raise UnreadableSource(source.trouble)
        return taken

    # Files that grow.

    def _follow(self, path: Path) -> Taken:
        known = self._known_at(path)
        taken = Taken(Tally(), {})
        if known is not None and not is_same(path, _identity(known)):
            moved = moved_to(path, _identity(known))
            if moved is not None:
                taken = self._read(moved, known)
                self._keep(self._tails[str(moved)])
            known = None
        if known is not None and path.stat().st_size < known.position:
            known = None  # cut short, to be written anew
        if known is None:
            identity = identity_of(path)
            if identity is None:
                return taken
            place = beginning_of(identity)
            known = self._tail(path, self._feed.begin(str(path)), place)
        return _sum(taken, self._read(path, known))

    def _known_at(self, path: Path) -> Tail | None:
        """How far the file at a path was read; it may have been read under another name."""
        known = self._tails.get(str(path))
        if known is not None and is_same(path, _identity(known)):
            return known
        stamp = Stamp.of(path)
        names = self._by_inode.get((stamp.device, stamp.inode), []) if stamp else []
        for name in names:
            other = self._tails[name]
            if not other.is_whole and is_same(path, _identity(other)):
                return msgspec.structs.replace(other, path=str(path))
        return known

    def _read(self, path: Path, known: Tail) -> Taken:
        total = Taken(Tally(), {})
        place = Place(_identity(known), known.position, known.line)
        for part in read_on(path, place):
            tail = self._tail(path, known.source_id, part.after)
            batch = self._reader.read(part.lines, part.first)
            total = _sum(total, self._take_lines(known.source_id, batch, tail))
        if str(path) not in self._tails:
            self._keep(msgspec.structs.replace(known, path=str(path)))
        return total

    def _take_lines(self, source_id: int, batch: Batch, tail: Tail) -> Taken:
        def keep(db: Db) -> None:
            keep_tail(db, tail)

        taken = self._feed.take(source_id, [batch], keep)
        self._remember(tail)
        return taken

    def _keep(self, tail: Tail) -> None:
        self._feed.ledger.write(keep_tail, tail)
        self._remember(tail)

    def _remember(self, tail: Tail) -> None:
        self._tails[tail.path] = tail
        names = self._by_inode.setdefault((tail.device, tail.inode), [])
        if tail.path not in names:
            names.append(tail.path)

    def _tail(self, path: Path, source_id: int, place: Place, *, is_whole: bool = False) -> Tail:
        tail = Tail(str(path), source_id, *place.identity, place.position, place.line, is_whole)
        if is_whole:
            self._remember(tail)
        return tail


def _identity(of: Tail) -> Identity:
    return Identity(of.device, of.inode, of.head_size, of.head)


def _sum(one: Taken, other: Taken) -> Taken:
    changes = dict(one.changes)
    for audience_id, count in other.changes.items():
        changes[audience_id] = changes.get(audience_id, 0) + count
    return Taken(one.tally + other.tally, changes)


def readable(paths: Sequence[str]) -> list[Path]:
    """Return the paths to watch; raises `UnreadableSource` where nothing ever will be there.

    A file may still be missing, as a log does until it is first written; its folder may not.
    """
    found = []
    for text in paths:
        path = Path(text).expanduser().absolute()
        if not path.exists() and not path.parent.is_dir():
            raise UnreadableSource(f"{path} does not exist, nor does its folder. Check the name.")
        if path.exists() and not os.access(path, os.R_OK):
            raise UnreadableSource(f"{path} may not be read by you. Ask its owner for access.")
        found.append(path)
    return found
