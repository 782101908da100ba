"""A ledger's file: created completely or not at all, and refused if something has emptied it."""

import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from amp_console.ledger.backups import list_backups
from amp_console.ledger.errors import LedgerDamaged, damaged, explained
from amp_console.ledger.locks import lock_folder
from amp_console.ledger.schema import migrate
from amp_console.ledger.sqlite_files import create_private, delete_files, write_through

PAGE_BYTES = 16384  # 1,000,000 random ids go in 1.3 times as fast as with 4,096
_PATIENCE = 30.0  # seconds; making a ledger takes milliseconds


def prepare(path: Path) -> str | None:
    """Make sure that there is a ledger file; return a notice if it is new although backups exist.

    An empty file is never one of ours. If it were opened anyway, it would look like a new ledger,
    and SQLite would delete the -wal file beside it. Raises `LedgerError`.
    """
    with explained(path):
        if path.exists():
            refuse_empty(path)
            return None
        _create(path.resolve())
    backups = list_backups(path)
    if not backups:
        return None
    return (
        f"The ledger {path} was missing, so a new one was created. There are backups of an older "
        "one: `amp-console doctor` lists them and explains how to restore one."
    )


def refuse_empty(path: Path) -> None:
    """Refuse an empty file. Raises `LedgerDamaged`, and `OSError` if there is none."""
    if path.stat().st_size == 0:
        raise damaged(path, "is empty (0 bytes), as a full disk or a crash may leave it")


def _create(path: Path) -> None:
    """Create an empty ledger under another name, then rename it: a crash leaves all or nothing."""
    from filelock import FileLock

    file = lock_folder(path) / "create.lock"
    with FileLock(file, mode=0o600, timeout=_PATIENCE):
        if not path.exists():  # else another process was quicker
            _refuse_leftover(path)
            new = path.with_name(f"{path.name}.new")
            delete_files(new)  # of a process that died in the middle
            make_empty(new)
            _finish(new)
            new.rename(path)
        with suppress(OSError):  # it has no use once there is a ledger
            file.unlink()


def make_empty(new: Path) -> None:
    """Create an empty ledger of the newest version, readable by its owner only. Raises OSError."""
    create_private(new)
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
    write_through(new)


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
