"""Cleaning a ledger's files, so that they hold no byte of what was deleted from it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from amp_console.ledger.backups import BackupOptions, replace_all
from amp_console.ledger.errors import LedgerBusy, explain


def clean_files(url: str, now: int, options: BackupOptions) -> int:
    """Rewrite the file of a ledger, and replace its backups; return how many were deleted.

    It may block; see `rewrite`. `now` is in microseconds since 1970. Raises `LedgerError` and
    `BackupSkipped`.
    """
    rewrite(url, options.patience)
    return replace_all(Path(url), "after-erasure", now, options)


def rewrite(url: str, patience: float) -> None:
    """Write the file of a ledger anew, without what was deleted.

    It may block for as long as copying the ledger takes, and before for `patience` seconds while
    other processes use it; they can't write meanwhile. Raises `LedgerError`.
    """
    path = Path(url)
    try:
        with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as db:
            # Pages keep copies of rows that moved to other pages, whatever `secure_delete` is.
            db.execute("VACUUM")
            (is_busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    if is_busy:
        raise LedgerBusy(f"Another program is reading the ledger {path}. Quit it, then try again.")
