"""A ledger's file: created completely or not at all, and refused if something has emptied it."""

import os
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from amp_console.ledger.backups import list_backups
from amp_console.ledger.errors import LedgerDamaged, damaged, explain_os
from amp_console.ledger.locks import lock_folder
from amp_console.ledger.schema import migrate

PAGE_BYTES = 16384  # 1,000,000 random ids go in 1.3 times as fast as with 4,096
EMPTY = "is empty (0 bytes), as a full disk or a crash may leave it"
_PATIENCE = 30.0  # seconds; making a ledger takes milliseconds


def prepare(path: Path) -> str | None:
    """Make sure that there is a ledger file; return a notice if it is new although backups exist.

    An empty file is never one of ours. If it were opened anyway, it would look like a new ledger,
    and SQLite would delete the -wal file beside it. Raises `LedgerError`.
    """
    try:
        if path.exists():
            if path.stat().st_size == 0:
                raise damaged(path, EMPTY)
            return None
        _create(path.resolve())
    except OSError as error:
        raise explain_os(error, path) from error
    backups = list_backups(path)
    if not backups:
        return None
    return (
        f"The ledger {path} was missing, so a new one was created. There are backups of an older "
        "one: `amp-console doctor` lists them and explains how to restore one."
    )


def _create(path: Path) -> None:
    """Create an empty ledger under another name, then rename it: a crash leaves all or nothing."""
    from filelock import FileLock

    file = lock_folder(path) / "create.lock"
    with FileLock(file, mode=0o600, timeout=_PATIENCE):
        if not path.exists():  # else another process was quicker
            _refuse_leftover(path)
            new = path.with_name(f"{path.name}.new")
            for end in ("", "-wal", "-shm"):  # of a process that died in the middle
                new.with_name(new.name + end).unlink(missing_ok=True)
            make_empty(new)
            _finish(new)
            new.rename(path)
        with suppress(OSError):  # it has no use once there is a ledger
            file.unlink()


def make_empty(new: Path) -> None:
    """Create an empty ledger of the newest version, readable by its owner only. Raises OSError."""
    # SQLite makes files 0644; -wal and -shm take the mode of the file itself.
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    new.chmod(0o600)  # whatever the umask is
    new.write_bytes(_empty_ledger())


@cache
def _empty_ledger() -> bytes:
    """The file of an empty ledger of the newest version; making it takes 15 ms."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        migrate(db)
        return db.serialize()


def _finish(new: Path) -> None:
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        # Here, where no one else has the file: two processes that both switch it at their start
        # are in each other's way, and SQLite lets one of them fail at once.
        db.execute("PRAGMA journal_mode = WAL")
    handle = os.open(new, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_leftover(path: Path) -> None:
    """Refuse another ledger's -wal file, which SQLite would apply to the new one."""
    for end in ("-wal", "-journal"):
        left = path.with_name(path.name + end)
        if left.exists() and left.stat().st_size:
            raise LedgerDamaged(
                f"The ledger {path} is missing, but {left.name} is there, which belongs to it. "
                "Nothing was changed. Put the ledger back beside it, or move that file away to "
                "start a new ledger."
            )
