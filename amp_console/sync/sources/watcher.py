"""Watching files and folders: growing files are followed, new ones are read.

Files take turns: each reading takes one step after the other, and a look takes a limited number
of them, so no file holds up the others or the end of the session.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from amp_console.engage import UnreadableSource
from amp_console.ledger import LedgerError
from amp_console.sync.formatting import without_name
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.checkpoints import FileCheckpoints, UnreadFiles
from amp_console.sync.sources.files import CUT, FileReader, Reading, ends_complete, grows
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.sync.sources.rotation import is_rotation

TEMPORARY = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", "~")
"""How the names of files end that are renamed when they are whole."""
MAX_SHOWN = 100  # files
COST_OF_FILE = 4096  # bytes; opening a file costs as much as reading so many

_MISSING = "It does not exist yet. It will be read as soon as it does."


class WatchOptions(msgspec.Struct, frozen=True):
    """Limits of watching; times in seconds.

    An incomplete file gets `patience` seconds to grow; then it is read as far as it is
    complete, and shown as waiting. A file that was moved away may be written to for `late`; the
    offset of one that is gone is kept for `remembered`. A look reads about `turn` bytes, from
    at most `opened` files at once.
    """

    patience: float = 60.0
    late: float = 3_600.0
    remembered: float = 86_400.0
    turn: int = 16 * 1024 * 1024
    opened: int = 64


class Stamp(NamedTuple):
    """The status of a file; as long as it stays the same, the file has nothing new."""

    device: int
    inode: int
    size: int
    time: int

    @classmethod
    def read(cls, path: Path) -> "Stamp | None":
        """Look at a file; None where there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(slots=True)
class _Watched:
    """What is known of one file since this process has watched it."""

    stamp: Stamp  # as it is now
    changed: float  # when that was first seen
    seen: Stamp | None = None  # as it was when it was read last
    is_settling: bool = False  # it has to look the same twice before it is read
    events: int = 0
    updated: int = 0
    last: float | None = None
    trouble: str = ""


class _Turn(NamedTuple):
    """A file that is being read, as it was when its reading began."""

    path: Path
    reading: Reading
    stamp: Stamp | None


class PathWatcher:
    """Looks at paths again and again; `scan` ingests what is new. It may block."""

    def __init__(
        self,
        ingestor: StreamIngestor,
        paths: Sequence[Path],
        options: WatchOptions | None = None,
    ) -> None:
        """Where reading begins comes from the ledger."""
        self.paths = {path.absolute() for path in paths}
        self.clock = ingestor.timing.monotonic
        self._options = options or WatchOptions()
        self._checkpoints = FileCheckpoints(ingestor.ledger)
        self._reader = FileReader(ingestor, self._checkpoints)
        self._files: dict[Path, _Watched] = {}
        self._aliases: set[Path] = set()
        known = filter(self._is_watched, map(Path, self._checkpoints.paths()))
        self._gone = dict.fromkeys(known, self.clock())
        self._moved: dict[Path, float] = {}
        self._turns: deque[_Turn] = deque()
        self._unread = UnreadFiles(ingestor)
        self._missing = self._absent()
        self._lost = {path for path in self._gone if self._missing.get(path) == _MISSING}

    def scan(
        self, is_over: Callable[[], bool] = lambda: False, turn: int | None = None
    ) -> IngestResult:
        """Ingest some of what is new since the last look. Raises `LedgerError`.

        It returns early once `is_over`; `turn` as in `WatchOptions`. What was ingested before a
        look failed is returned by the next one; where `has_more`, the next one has more to read at
        once.
        """
        self._poll()
        left = self._options.turn if turn is None else turn
        while self._turns and left > 0 and not is_over():
            left -= self._advance()
        for path in self._reader.moved:
            self._moved.setdefault(path, self.clock())
        self._reader.moved.clear()
        return self._reader.pop_result()

    @property
    def has_more(self) -> bool:
        """Whether a file was not read to its end yet."""
        return bool(self._turns)

    @property
    def is_settling(self) -> bool:
        """Whether a file waits for its second look, to be sure that it is whole."""
        return any(watched.is_settling for watched in self._files.values())

    def has_news(self) -> bool:
        """Whether one of the single files has changed since the last look; folders aren't asked.

        It may block.
        """
        files = self._files
        known = [(path, watched) for path, watched in list(files.items()) if path in self.paths]
        return any(Stamp.read(path) != watched.stamp for path, watched in known) or any(
            path not in files and path not in self._aliases and _is_file(path)
            for path in self.paths
        )

    def folders(self) -> list[Path]:
        """The watched paths that are folders."""
        return [path for path in self.paths if _is_folder(path)]

    def status(self) -> tuple[SourceStatus, ...]:
        """How far the files were read: those in trouble, and those that brought events last.

        The file system is not asked. Of many files the last one listed says how many others there
        are.
        """
        found = list(self._files.items())  # at once: another thread may be looking at files
        missing = self._missing
        shown = [
            SourceStatus(_name(path), trouble=trouble, is_awaited=trouble == _MISSING)
            for path, trouble in missing.items()
        ]
        shown += [self._shown(path, watched) for path, watched in found if path not in missing]
        shown.sort(key=lambda source: (not source.trouble, -(source.last or 0.0)))
        if unlisted := shown[MAX_SHOWN:]:
            shown[MAX_SHOWN - 1] = msgspec.structs.replace(
                shown[MAX_SHOWN - 1],
                unlisted=len(unlisted),
                unlisted_position=sum(source.position or 0 for source in unlisted),
                unlisted_size=sum(source.size or 0 for source in unlisted),
            )
        return tuple(shown[:MAX_SHOWN])

    def _shown(self, path: Path, watched: _Watched) -> SourceStatus:
        known, size = self._checkpoints.get(path), watched.stamp.size
        position = 0 if known is None else size if known.is_whole else known.position
        position = self._reader.positions.get(path, position)
        is_quiet = self._is_quiet(watched)
        trouble = "" if watched.trouble == CUT and not is_quiet else watched.trouble
        if not trouble and is_quiet and watched.seen == watched.stamp and position < size and known:
            trouble = (
                f"Line {known.line:,} is not complete: its last {size - position:,} bytes wait for"
                " the rest."
            )
        return SourceStatus(
            *(_name(path), watched.events, watched.last, position, size, trouble),
            updated=watched.updated,
        )

    def _is_quiet(self, watched: _Watched) -> bool:
        return self.clock() - watched.changed >= self._options.patience

    # Looking.

    def _poll(self) -> None:
        """Begin to read what is new or has grown."""
        there: set[Path] = set()
        self._missing = self._absent()
        reading = {turn.path for turn in self._turns}
        for path, stamp in self._found():
            there.add(path)
            self._gone.pop(path, None)
            watched = self._files.get(path)
            if watched is None or watched.stamp != stamp:
                watched = watched or _Watched(stamp, self.clock())
                watched.stamp, watched.changed, watched.is_settling = stamp, self.clock(), True
                self._files[path] = watched
            else:
                watched.is_settling = False
            if watched.seen == stamp:
                watched.is_settling = False
            elif path not in reading:
                self._begin(path, watched)
        self._let_go(there)
        for path in self._lost - reading:
            self._lost.discard(path)
            rest = self._reader.catch_up(path, is_alone=self._is_alone(path))
            self._turns.append(_Turn(path, rest, None))

    def _begin(self, path: Path, watched: _Watched) -> None:
        try:
            with path.open("rb") as file:
                if grows(file, self._checkpoints.get(path)):
                    reading = self._reader.follow(path, is_alone=self._is_alone(path))
                elif watched.is_settling:
                    return
                elif (
                    ends_complete(file) or self.clock() - watched.changed >= self._options.patience
                ):
                    reading = self._reader.read_whole(path)
                else:
                    return
        except OSError as error:
            watched.trouble, watched.is_settling = _unreadable(error), False
            self._unread.note(path, watched.trouble)
            return
        watched.is_settling = False
        self._turns.append(_Turn(path, reading, watched.stamp))

    def _found(self) -> list[tuple[Path, Stamp]]:
        """The files, the oldest first, each under one of its names."""
        named: dict[tuple[int, int], tuple[Path, Stamp]] = {}
        aliases = set()
        for path in self._candidates():
            stamp = Stamp.read(path)
            if stamp is None:
                continue
            other = named.setdefault((stamp.device, stamp.inode), (path, stamp))[0]
            if other != path:
                is_better = path in self._files and other not in self._files
                aliases.add(other if is_better else path)
                if is_better:
                    named[stamp.device, stamp.inode] = path, stamp
        self._aliases = aliases
        return sorted(named.values(), key=lambda found: (found[1].time, found[0]))

    def _absent(self) -> dict[Path, str]:
        """Why there is nothing at some of the watched paths: no file, or the system's error."""
        found = {}
        for path in sorted(self.paths):
            try:
                path.stat()
            except OSError as error:
                is_missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
                found[path] = _MISSING if is_missing else _unreadable(error)
        return found

    def _candidates(self) -> Iterator[Path]:
        for path in sorted(self.paths - self._missing.keys()):
            if _is_folder(path):
                yield from sorted(_files_in(path))
            elif _is_file(path):
                yield path
        late, now = self._options.late, self.clock()
        yield from [path for path, since in self._moved.items() if now - since < late]

    def _is_watched(self, path: Path) -> bool:
        """Whether a path is watched here: another session may follow files elsewhere."""
        if not self.paths.isdisjoint((path, *path.parents)):
            return True
        return any(is_rotation(log, path) for log in self.paths)

    def _is_alone(self, path: Path) -> bool:
        """Whether a file is watched by its name, so that its folder is not looked at."""
        return not any(folder in path.parents for folder in self.paths)

    def _let_go(self, there: set[Path]) -> None:
        """Read the rest of what was moved away; forget what is gone, or days would fill memory."""
        now = self.clock()
        for path in self._files.keys() - there:
            if path not in self._aliases:
                self._lost.add(path)
            del self._files[path]
            self._gone[path] = now
        self._unread.forget_gone(self.paths, there)
        remembered = self._options.remembered
        for path in [path for path, since in self._gone.items() if now - since > remembered]:
            del self._gone[path]
            self._moved.pop(path, None)
            self._checkpoints.forget(path)

    # Reading, in turns.

    def _advance(self) -> int:
        """Let the reading whose turn it is take a step; return its cost, in bytes."""
        turn = self._turns.popleft()
        read, updated = self._reader.read, self._reader.updated
        cost, watched = 0, self._files.get(turn.path)
        try:
            cost = next(turn.reading)
        except StopIteration as over:
            self._end(turn, str(over.value or ""))
        except UnreadableSource as error:  # its content: it is looked at again when it changes
            self._end(turn, without_name(error, str(turn.path)))
        except UnicodeEncodeError:
            self._end(turn, "Its name is not valid UTF-8. Rename it so that it can be read.")
        except LedgerError:
            if turn.stamp is None:  # nothing else would begin it again
                self._lost.add(turn.path)
            raise
        except OSError as error:
            if watched is not None:
                watched.trouble = _unreadable(error)
                self._unread.note(turn.path, watched.trouble)
        else:
            self._turns.insert(min(len(self._turns), self._options.opened - 1), turn)
        if watched is not None and (events := self._reader.read - read):
            watched.events += events
            watched.updated += self._reader.updated - updated
            watched.last = self.clock()
        return COST_OF_FILE + cost

    def _end(self, turn: _Turn, trouble: str) -> None:
        watched = self._files.get(turn.path)
        if watched is not None:
            # First: if the ledger fails, the file is looked at again.
            self._unread.note(turn.path, "" if trouble == CUT else trouble)
            watched.seen, watched.trouble = turn.stamp, trouble


def _unreadable(error: OSError) -> str:
    return f"It can't be read ({error.strerror}). The session keeps trying."


def _name(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")


def _files_in(folder: Path) -> Iterator[Path]:
    """The files in a folder and below it; folders that vanish or can't be opened are skipped."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            is_hidden = name.startswith(".") or name.lower().endswith(TEMPORARY)
            if not is_hidden and _is_file(path):
                yield path


def _is_file(path: Path) -> bool:
    """Whether there is a file; unlike a method of the path, it never raises."""
    return os.path.isfile(path)  # noqa: PTH113


def _is_folder(path: Path) -> bool:
    """Whether there is a folder, likewise."""
    return os.path.isdir(path)  # noqa: PTH112


def readable(paths: Sequence[str]) -> list[Path]:
    """Return the paths to watch; raises `UnreadableSource` if nothing can ever be there.

    A file may still be missing, as a log does until it is first written; its folder may not.
    """
    return [_readable(text) for text in paths]


def _readable(text: str) -> Path:
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:
        raise UnreadableSource(
            f"{text} is in the home folder of an unknown user. Check the name."
        ) from None
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not _is_folder(path.parent):
            raise UnreadableSource(
                f"{path} does not exist, nor does its folder. Check the name."
            ) from None
        return path
    except OSError as error:
        raise UnreadableSource(
            f"{path} can't be read ({error.strerror}). Check the name, and the folders above it."
        ) from None
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UnreadableSource(f"{path} is neither a file nor a folder. Pipe it in instead: -")
    if not os.access(path, os.R_OK):
        raise UnreadableSource(
            f"You don't have permission to read {path}. Ask its owner for access."
        )
    return path
