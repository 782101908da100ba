"""Dated copies of a ledger, in a folder beside it.

One is made before each migration, and one a day while a live session runs. Event files can be
imported again, but events from webhooks and from the standard input are in the ledger alone.

A copy is one consistent state: a read transaction is held while SQLite's backup API copies it page
by page on a separate connection, so that others can keep reading and writing. The copy gets its
name once it is complete and SQLite has checked it, so a crash leaves no partial backup, and a
damaged ledger never replaces a good copy.
"""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from amp_console.ledger.locks import lock_folder, make_folder
from amp_console.ledger.sqlite_files import create_private, delete_files, write_through
from amp_console.text import local_time

DAILY = "daily"
SUFFIX = ".backups"
DAY = 86_400_000_000  # microseconds
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)\.([a-z0-9-]+)\.db")
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_MIB = 1024 * 1024


class BackupOptions(msgspec.Struct, frozen=True):
    """How many backups are kept, how far apart daily ones are, and what must stay free on the disk.

    `every` is in microseconds, `spare` in bytes beyond the backup itself. `pages` are copied at a
    time: between two such steps a backup can be stopped. `patience` is how many seconds a backup
    waits for one that another process is making.
    """

    keep: int = 7
    every: int = DAY
    spare: int = 128 * _MIB
    pages: int = 512
    patience: float = 30.0


class Backup(NamedTuple):
    """One copy: its time in microseconds since 1970, why it was made, and its size in bytes."""

    path: Path
    at: int
    reason: str
    size: int

    @property
    def when(self) -> str:
        """Its time for people, local and with its zone."""
        return local_time(self.at)


class BackupSkipped(Exception):
    """No backup was made; the text says why, in a sentence. The older ones are kept."""


class _BackupStopped(Exception):
    pass


def backup_folder(ledger: Path) -> Path:
    """Return the folder of a ledger's backups, which may not exist yet."""
    return ledger.resolve().with_suffix(SUFFIX)


def list_backups(ledger: Path) -> list[Backup]:
    """Return a ledger's backups, the newest first; none where the folder can't be read."""
    found = []
    with suppress(OSError):
        for path in backup_folder(ledger).iterdir():
            if name := _NAME.fullmatch(path.name):
                at = datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC)
                found.append(
                    Backup(path, int(at.timestamp()) * 1_000_000, name[2], path.stat().st_size)
                )
    return sorted(found, key=lambda item: (item.at, item.path.name), reverse=True)


def remains_of(ledger: Path) -> list[str]:
    """The paths of all files of a ledger in a file: itself, its backups, those set aside."""
    found = (ledger, backup_folder(ledger), *_set_aside(ledger))
    return [str(path) for path in found if path.exists()]


def _set_aside(ledger: Path) -> list[Path]:
    ledger = ledger.resolve()
    return sorted(ledger.parent.glob(f"{ledger.name}.damaged-*"))


def is_due(ledger: Path, now: int, options: BackupOptions) -> bool:
    """Whether no backup was made in the last `options.every`; `now` in microseconds.

    One that is dated in the future, before the clock was set back, doesn't count.
    """
    return not any(now - options.every < backup.at <= now for backup in list_backups(ledger))


def back_up(
    ledger: Path,
    reason: str,
    now: int,
    options: BackupOptions,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Backup | None:
    """Copy a ledger and delete the oldest copies beyond `options.keep`. It may block for long.

    `now` is in microseconds since 1970. Returns None if `is_stopped` said so in the middle. Raises
    `BackupSkipped`.
    """
    try:
        with _backing_up(ledger, options):
            backup = _make(ledger, reason, now, options, is_stopped)
            # The new one stays, also where the clock was set back and others are dated later.
            others = [other for other in list_backups(ledger) if other.path != backup.path]
            for old in others[options.keep - 1 :]:
                old.path.unlink()
            return backup
    except _BackupStopped:
        return None


def replace_all(ledger: Path, reason: str, now: int, options: BackupOptions) -> int:
    """Make one new backup and delete all the others; return how many. It may block for long.

    They contain people who were erased since. Restoring one would bring those people back, and a
    copy of an older version can't be changed without migrating it. If there is no space for a new
    copy, the old ones are deleted first. If there was no backup, none is made. Raises
    `BackupSkipped`.
    """
    with _backing_up(ledger, options):
        folder = backup_folder(ledger)
        if folder.exists():
            delete_files(folder / "unfinished")
        old = list_backups(ledger)
        if not old:
            return 0
        try:
            made = _make(ledger, reason, now, options)
        except BackupSkipped:
            _delete(old)
            made = _make(ledger, reason, now, options)
        _delete([backup for backup in old if backup.path != made.path])
        return len(old)


def delete_before(ledger: Path, before: int, options: BackupOptions) -> int:
    """Delete the backups from before a time, in microseconds since 1970; return how many.

    The newest one is kept. Raises `BackupSkipped`.
    """
    if not list_backups(ledger):
        return 0
    with _backing_up(ledger, options):
        old = [backup for backup in list_backups(ledger)[1:] if backup.at < before]
        _delete(old)
        return len(old)


def _delete(backups: Iterable[Backup]) -> None:
    for backup in backups:
        backup.path.unlink(missing_ok=True)


@contextmanager
def _backing_up(ledger: Path, options: BackupOptions) -> Iterator[None]:
    """Keep other processes from backing up meanwhile; a failure becomes a `BackupSkipped`."""
    # Not at the top: most ledgers are opened and closed without a backup.
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock_folder(ledger) / "backup.lock", mode=0o600, timeout=options.patience):
            yield
    except Timeout:
        raise BackupSkipped(
            f"The ledger {ledger} was not backed up: another amp-console is backing it up."
        ) from None
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BackupSkipped(
            f"The ledger {ledger} was not backed up ({why}). Older backups are kept. Check the "
            f"disk and the folder {backup_folder(ledger)}."
        ) from error


def _make(
    ledger: Path,
    reason: str,
    now: int,
    options: BackupOptions,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Backup:
    """Copy a ledger, under the lock."""

    def after_step() -> None:
        if is_stopped():
            raise _BackupStopped

    name = f"{datetime.fromtimestamp(now // 1_000_000, UTC).strftime(_STAMP)}.{reason}.db"
    folder = _prepared(ledger)
    copy_file(ledger, folder / "unfinished", options, after_step)
    (folder / "unfinished").replace(folder / name)
    return next(backup for backup in list_backups(ledger) if backup.path.name == name)


class Backups:
    """The backups of an open ledger in a file; `ledger` is its path."""

    def __init__(self, ledger: Path, options: BackupOptions) -> None:
        self.ledger = ledger
        self.options = options

    def is_due(self, now: int) -> bool:
        """Whether it is time for the daily backup; `now` in microseconds since 1970."""
        return is_due(self.ledger, now, self.options)

    def make(
        self, reason: str, now: int, is_stopped: Callable[[], bool] = lambda: False
    ) -> Backup | None:
        """Copy the ledger, in the calling thread; see `back_up`. Raises `BackupSkipped`."""
        return back_up(self.ledger, reason, now, self.options, is_stopped)

    def delete_before(self, before: int) -> int:
        """Delete those from before a time; see `delete_before`. Raises `BackupSkipped`."""
        return delete_before(self.ledger, before, self.options)

    def replace_all(self, reason: str, now: int) -> int:
        """Replace them by a new one; see `replace_all`. Raises `BackupSkipped`."""
        return replace_all(self.ledger, reason, now, self.options)

    def set_aside(self) -> list[str]:
        """The names of earlier ledgers that were set aside to restore a backup (`doctor`)."""
        return [path.name for path in _set_aside(self.ledger)]

    def all(self) -> list[Backup]:
        """Return the backups, the newest first."""
        return list_backups(self.ledger)


def _prepared(ledger: Path) -> Path:
    """Make the folder, and delete what a process that died has left there; under the lock."""
    folder = backup_folder(ledger)
    make_folder(folder)
    delete_files(folder / "unfinished")
    return folder


def copy_file(
    ledger: Path, target: Path, options: BackupOptions, after_step: Callable[[], None]
) -> None:
    """Copy a ledger into a new file (0600). What `after_step` raises ends and deletes the copy.

    Raises `BackupSkipped`, `OSError` and `sqlite3.Error`.
    """
    with closing(open_to_read(ledger)) as db:
        db.execute("BEGIN")
        pages, size = (db.execute(f"PRAGMA {size}").fetchone()[0] for size in _SIZES)
        _require_room(ledger, target.parent, pages * size, options)
        create_private(target)
        try:
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous = OFF")
                db.backup(copy, pages=options.pages, progress=lambda *_: after_step())
            finish_copy(ledger, target)
        except BaseException:
            with suppress(OSError):
                delete_files(target)
            raise


_SIZES = ("page_count", "page_size")


def open_to_read(ledger: Path) -> sqlite3.Connection:
    """Open a ledger so that nothing can be changed, not even to bring it up to date."""
    return sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _require_room(ledger: Path, folder: Path, needed: int, options: BackupOptions) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + options.spare:
        raise BackupSkipped(
            f"The ledger {ledger} was not backed up: that takes {needed / _MIB:,.0f} MiB, and "
            f"{options.spare / _MIB:,.0f} MiB must stay free, but only {free / _MIB:,.0f} MiB "
            "are. Older backups are kept. Free up disk space."
        )


def finish_copy(ledger: Path | str, copy: Path) -> None:
    """Make a copy one whole file on the disk; raise `BackupSkipped` if it is damaged."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # or it would need files beside it
        says = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if says != "ok":
        raise BackupSkipped(
            f"The ledger {ledger} was not backed up: it is damaged ({says}). Older backups are "
            "kept. `amp-console doctor` explains how to restore one."
        )
    write_through(copy)
