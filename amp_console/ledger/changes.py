"""Telling that somebody else has written to the ledger."""

import sqlite3


def revision(db: sqlite3.Connection) -> int:
    """A number that moves whenever another connection, of any process, has committed."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
