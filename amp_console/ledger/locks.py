"""Lock files: which process delivers an audience, and which one carries out a run.

The operating system releases a lock the moment its process dies, however it dies: nothing times out
and nothing has to be recovered. Only the lock decides. Process and host are in the tables for
people to read, so a reused process number or a machine that went down can't make a dead run look
alive.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from filelock import FileLock


class AudienceBusy(Exception):
    """Another worker, here or in another process, holds the lease of the audience."""


class SourceBusy(Exception):
    """Another session or import, here or in another process, reads from the source."""


class Holds(NamedTuple):
    """What processes hold of a ledger: leases of audiences, runs, and how many sources."""

    audiences: frozenset[int]
    runs: frozenset[int]
    sources: int


class Fence(NamedTuple):
    """Identifies one acquisition of an audience's lease: each one has a greater `number`."""

    audience_id: int
    number: int


class Locks(Protocol):
    """The locks of one ledger; each is released when its process dies, however it dies.

    A lease that can be lost while its process lives comes with a fence; see `leases.fenced`.
    """

    def lease(self, audience_id: int) -> AbstractContextManager[Fence | None]: ...
    def hold_source(self, key: str) -> AbstractContextManager[None]: ...
    def hold_run(self) -> AbstractContextManager[str]: ...
    def dead(self, running: Mapping[int, str | None]) -> frozenset[int]: ...
    def holds(self, audiences: Collection[int], running: Mapping[int, str | None]) -> Holds: ...
    def check_lease(self, fence: Fence) -> None: ...


class FileLocks:
    """The locks of one ledger, as files in a folder beside it."""

    def __init__(self, ledger: Path, explain: Callable[[Path, OSError], Exception]) -> None:
        """`explain` turns the system's errors into those that taking a lock raises."""
        self._ledger = ledger
        self._explain = explain

    @contextmanager
    def lease(self, audience_id: int) -> Iterator[None]:
        """Hold an audience's lease; raises `AudienceBusy` at once if another process holds it.

        It has no fence: a process does not lose the lock of a file.
        """
        with self._hold(str(audience_id), AudienceBusy):
            yield

    def check_lease(self, fence: Fence) -> None:
        """Do nothing: a process does not lose the lock of a file."""

    def hold_source(self, key: str) -> AbstractContextManager[None]:
        """Hold a source while it is read; raises `SourceBusy` at once if someone else holds it."""
        return self._hold(f"source-{hashlib.sha256(key.encode()).hexdigest()[:16]}", SourceBusy)

    @contextmanager
    def _hold(self, name: str, busy: type[Exception]) -> Iterator[None]:
        lock = self._acquired(name)
        if lock is None:
            raise busy
        try:
            yield
        finally:
            lock.release()

    def _acquired(self, name: str) -> "FileLock | None":
        """Acquire a lock at once; None where another process or thread holds it."""
        try:
            lock = self._lock(name)
            return lock if _is_acquired(lock) else None
        except OSError as error:  # the disk is full, say, or there are too many open files
            raise self._explain(self._ledger, error) from error

    @contextmanager
    def hold_run(self) -> Iterator[str]:
        """Hold a new lock during a run, and yield its name, for `begin_run` to write down.

        Acquire it before the run is in the ledger, so that no process sees the run without it.
        """
        name = f"run-{os.urandom(8).hex()}"
        lock = self._acquired(name)
        assert lock is not None  # no one else knows its name
        try:
            yield name
        finally:
            lock.release()
            with suppress(OSError):  # another process is probing it: the file stays, unused
                self._path(name).unlink()

    def dead(self, running: Mapping[int, str | None]) -> frozenset[int]:
        """Those of the runs marked running, each with its lock, that no process holds anymore."""
        return frozenset(
            run_id for run_id, lock in running.items() if lock is None or not self.is_held(lock)
        )

    def holds(self, audiences: Collection[int], running: Mapping[int, str | None]) -> Holds:
        """What is held: of these audiences, of the runs marked running, and of all sources."""
        sources = [file.stem for file in lock_folder(self._ledger).glob("source-*.lock")]
        return Holds(
            frozenset(audience for audience in audiences if self.is_held(str(audience))),
            frozenset(running) - self.dead(running),
            sum(self.is_held(source) for source in sources),
        )

    def is_held(self, name: str) -> bool:
        """Whether the process that holds this lock lives; True if the lock can't be tried."""
        if not self._path(name).exists():
            return False
        lock = self._lock(name)
        try:
            if not _is_acquired(lock):
                return True
        except OSError:
            return True
        lock.release()
        return False

    def _lock(self, name: str) -> "FileLock":
        from filelock import FileLock

        return FileLock(self._path(name), mode=0o600, thread_local=False)

    def _path(self, name: str) -> Path:
        return lock_folder(self._ledger) / f"{name}.lock"


def _is_acquired(lock: "FileLock") -> bool:
    """Acquire a lock at once; False where another process or thread holds it. Raises OSError."""
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def lock_folder(ledger: Path) -> Path:
    """Return the folder of a ledger's lock files: the same one for every path to the ledger."""
    folder = ledger.resolve().with_suffix(".leases")
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone (0700), whatever the umask is. Raises OSError."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)
