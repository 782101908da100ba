"""Cleaning a ledger's files, so that they contain no byte of what was deleted from it."""

import sqlite3
from contextlib import closing

from amp_console.ledger.backups import Backups
from amp_console.ledger.errors import LedgerBusy, explained


def clean_files(backups: Backups, now: int) -> int:
    """Rewrite the file of a ledger, and replace its backups; return how many were deleted.

    It may block; see `rewrite`. `now` is in microseconds since 1970. Raises `LedgerError` and
    `BackupSkipped`.
    """
    rewrite(backups)
    return backups.replace_all("after-erasure", now)


def rewrite(backups: Backups) -> None:
    """Rewrite the file that these are the backups of, without what was deleted.

    It may block for as long as copying the ledger takes, and before that, while other processes use
    the ledger, for the `patience` of a backup. Other processes can't write meanwhile. Raises
    `LedgerError`.
    """
    path, patience = backups.ledger, backups.options.patience
    with (
        explained(path),
        closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as db,
    ):
        # Pages keep copies of rows that moved to other pages, whatever `secure_delete` is.
        db.execute("VACUUM")
        (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise LedgerBusy(f"Another program is reading the ledger {path}. Quit it, then try again.")
