"""Watching files and folders: what grows is followed, what appears is read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple

import msgspec

from amp_console.engage import UnreadableSource, open_source
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
from amp_console.ledger.tails import Tail, forget_tail, keep_tail, tails
from amp_console.sync.feed import Feed, Taken
from amp_console.sync.live_progress import LiveSource

GROWING = {".ndjson", ".jsonl", ".log", ".txt", ""}
"""How the names of files end that grow by whole lines; others are read once they are whole."""
WHOLE = {".json", ".gz", ".csv"}
REMEMBERED = 86_400.0  # seconds that the place in a file is kept which is gone
LATE = 3_600.0  # seconds for which a file that was moved away may still be written to
MOST_SHOWN = 100  # files


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


@dataclass(slots=True)
class _Watched:
    """What is known of one file since this process has watched it."""

    seen: Stamp | None = None  # as it was when it was read last
    settled: Stamp | None = None  # as it was at the last look, where it has to be whole
    events: int = 0
    last: float | None = None
    trouble: str = ""


class Watching:
    """Looks at paths again and again; `scan` takes in what is new. It may block."""

    def __init__(
        self, feed: Feed, paths: Sequence[Path], now: Callable[[], float] = monotonic
    ) -> None:
        """The places where reading goes on come from the ledger. `now` is in seconds."""
        self._feed = feed
        self.paths = {path.absolute() for path in paths}
        self._now = now
        self._tails = {each.path: each for each in feed.ledger.read(tails)}
        self._by_inode: dict[tuple[int, int], dict[str, Tail]] = {}
        for each in self._tails.values():
            self._by_inode.setdefault((each.device, each.inode), {})[each.path] = each
        self._files: dict[Path, _Watched] = {}
        self._gone: dict[Path, float] = {}
        self._moved: dict[Path, float] = {}
        self._displaced: list[Tail] = []
        self._taken = Taken()
        self._reader = EventReader(feed.options.mapping, feed.options.audience)

    def scan(self) -> Taken:
        """Take in what is new since the last look. Raises `LedgerError`.

        What was taken in before a look failed is returned by the next one.
        """
        there = set()
        for path in self._found():
            stamp = Stamp.of(path)
            if stamp is None:
                continue
            there.add(path)
            self._gone.pop(path, None)
            of = self._files.setdefault(path, _Watched())
            if of.seen == stamp:
                continue
            if is_whole(path) and of.settled != stamp:
                of.settled = stamp  # it may still be written to
                continue
            self._take(path, of, stamp)
        self._let_go(there)
        self._finish_displaced()
        taken, self._taken = self._taken, Taken()
        return taken

    @property
    def is_settling(self) -> bool:
        """Whether a file waits for its second look, to be sure that it is whole."""
        return any(of.settled != of.seen for path, of in self._files.items() if is_whole(path))

    def has_news(self) -> bool:
        """Whether one of the single files has changed since it was read; folders are not asked."""
        files = self._files
        return any(
            path in self.paths and Stamp.of(path) != of.seen for path, of in list(files.items())
        ) or any(path not in files and path.is_file() for path in self.paths)

    def sources(self) -> tuple[LiveSource, ...]:
        """How far the files were read: those in trouble, and those that brought events last."""
        found = list(self._files.items())  # at once: another thread may be looking at files
        found.sort(key=lambda item: (not item[1].trouble, -(item[1].last or 0.0)))
        return tuple(self._shown(path, of) for path, of in found[:MOST_SHOWN])

    def _shown(self, path: Path, of: _Watched) -> LiveSource:
        size = of.seen.size if of.seen else 0
        tail = self._tails.get(str(path))
        position = 0 if tail is None else size if tail.is_whole else tail.position
        name = os.fsencode(path).decode(errors="replace")
        return LiveSource(name, of.events, of.last, position, size, of.trouble)

    def _found(self) -> Iterator[Path]:
        for path in self.paths:
            if path.is_dir():
                yield from sorted(_files_in(path))
            else:
                yield path
        yield from [path for path, since in self._moved.items() if self._now() - since < LATE]

    def _take(self, path: Path, of: _Watched, stamp: Stamp) -> None:
        before = self._taken.tally.read
        try:
            if is_whole(path):
                of.trouble = self._take_whole(path)
            else:
                self._follow(path)
                of.trouble = ""
            of.seen = stamp
        except UnreadableSource as error:  # its content: it is looked at again when it changes
            of.seen, of.trouble = stamp, str(error)
        except UnicodeEncodeError:
            of.seen, of.trouble = stamp, "Its name is not in UTF-8. Rename it to have it read."
        except OSError as error:  # it is tried again
            of.trouble = f"It can't be read ({error.strerror}). It is tried again."
            of.settled = None
        if events := self._taken.tally.read - before:
            of.events += events
            of.last = self._now()

    def _let_go(self, there: set[Path]) -> None:
        """Read the rest of what was moved away; forget what is gone, or days would fill memory."""
        now = self._now()
        for path in self._files.keys() - there:
            known = self._tails.get(str(path))
            if known is not None:
                self._finish(path, known)
            del self._files[path]
            self._gone[path] = now
        for path in [path for path, since in self._gone.items() if now - since > REMEMBERED]:
            del self._gone[path]
            self._moved.pop(path, None)
            known = self._tails.pop(str(path), None)
            if known is not None:
                self._by_inode[known.device, known.inode].pop(known.path, None)
                self._feed.ledger.write(forget_tail, known.path)

    # Files that are read as a whole.

    def _take_whole(self, path: Path) -> str:
        """Read a file; return why it broke off, "" if it did not."""
        with path.open("rb") as file:
            found, identity = os.fstat(file.fileno()), identity_of(file)
        known, size, time = self._tails.get(str(path)), found.st_size, found.st_mtime_ns
        if known and known.is_whole and (known.position, known.line) == (size, time):
            return ""
        with open_source(str(path), self._feed.options) as source:
            source_id = self._feed.begin(str(path))
            tail = _tail(path, source_id, Place(identity, size, time), is_whole=True)
            taken = self._feed.take(source_id, source, lambda db: keep_tail(db, tail))
            self._taken = self._taken.plus(taken)
            self._remember(tail)
            return source.trouble or ""

    # Files that grow.

    def _follow(self, path: Path) -> None:
        with path.open("rb") as file:
            known = self._tails.get(str(path))
            if known is not None and not self._goes_on(file, known):
                self._finish(path, known)
                known = None
            known = known or self._elsewhere(path, file)
            if known is None:
                place = beginning_of(identity_of(file))
                known = _tail(path, self._feed.begin(str(path)), place)
                self._remember(known)
            self._read(file, known)

    @staticmethod
    def _goes_on(file: BinaryIO, known: Tail) -> bool:
        """Whether it is the file that was read before, and was not cut short since."""
        is_long_enough = os.fstat(file.fileno()).st_size >= known.position
        return not known.is_whole and is_long_enough and is_same(file, _identity(known))

    def _finish(self, path: Path, known: Tail) -> None:
        """Read the rest of a file that was moved away, or copied before it was cut short."""
        moved = None if known.is_whole else moved_to(path, _identity(known))
        if moved is None:
            return
        with suppress(OSError), moved.open("rb") as file:  # it may be gone again by now
            device, inode, _, _ = identity_of(file)
            there = msgspec.structs.replace(known, path=str(moved), device=device, inode=inode)
            already = self._furthest(file)
            if already is not None:
                there = msgspec.structs.replace(already, path=str(moved))
            self._keep(there)
            self._moved[moved] = self._now()
            self._read(file, there)

    def _finish_displaced(self) -> None:
        """Read the rest of files whose names others took."""
        while self._displaced:
            tail = self._displaced.pop()
            self._finish(Path(tail.path), tail)

    def _elsewhere(self, path: Path, file: BinaryIO) -> Tail | None:
        """How far a file was read under another name."""
        other = self._furthest(file)
        if other is None:
            return None
        known = msgspec.structs.replace(other, path=str(path))
        self._keep(known)
        return known

    def _furthest(self, file: BinaryIO) -> Tail | None:
        """How far a file was read at most, under whichever name.

        An inode is used again, so several files may be known by it, most of them gone.
        """
        found = os.fstat(file.fileno())
        known = self._by_inode.get((found.st_dev, found.st_ino), {}).values()
        it = [each for each in known if each.head_size and self._goes_on(file, each)]
        return max(it, key=lambda each: each.position, default=None)

    def _read(self, file: BinaryIO, known: Tail) -> None:
        for part in read_on(file, Place(_identity(known), known.position, known.line)):
            tail = _tail(Path(known.path), known.source_id, part.after)
            if not part.lines:
                self._keep(tail)
                continue
            batch = self._reader.read(part.lines, part.first)
            keep = self._keeper(tail)
            self._taken = self._taken.plus(self._feed.take(known.source_id, [batch], keep))
            self._remember(tail)

    @staticmethod
    def _keeper(tail: Tail) -> Callable[[Db], None]:
        return lambda db: keep_tail(db, tail)

    def _keep(self, tail: Tail) -> None:
        self._feed.ledger.write(keep_tail, tail)
        self._remember(tail)

    def _remember(self, tail: Tail) -> None:
        before = self._tails.get(tail.path)
        if before is not None and before.inode != tail.inode:
            self._displaced.append(before)
        self._tails[tail.path] = tail
        self._by_inode.setdefault((tail.device, tail.inode), {})[tail.path] = tail


def _files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it; folders that vanish or are closed are passed by."""
    for parent, _, names in os.walk(folder):
        for name in names:
            each = Path(parent, name)
            is_wanted = each.suffix.lower() in GROWING | WHOLE and not name.startswith(".")
            if is_wanted and os.path.isfile(each):  # noqa: PTH113  # it never raises
                yield each


def is_whole(path: Path) -> bool:
    """Whether a file is read once it is whole; others grow by whole lines."""
    return path.suffix.lower() in WHOLE


def _tail(path: Path, source_id: int, place: Place, *, is_whole: bool = False) -> Tail:
    return Tail(str(path), source_id, *place.identity, place.position, place.line, is_whole)


def _identity(of: Tail) -> Identity:
    return Identity(of.device, of.inode, of.head_size, of.head)


def readable(paths: Sequence[str]) -> list[Path]:
    """Return the paths to watch; raises `UnreadableSource` where nothing ever will be there.

    A file may still be missing, as a log does until it is first written; its folder may not.
    """
    found = []
    for text in paths:
        path = Path(text).expanduser().absolute()
        if not path.exists() and not path.parent.is_dir():
            raise UnreadableSource(f"{path} does not exist, nor does its folder. Check the name.")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UnreadableSource(f"{path} is neither a file nor a folder. Pipe it in instead: -")
        if path.exists() and not os.access(path, os.R_OK):
            raise UnreadableSource(f"{path} may not be read by you. Ask its owner for access.")
        found.append(path)
    return found
