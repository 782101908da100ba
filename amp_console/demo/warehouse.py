"""The warehouse of the demo: a SQLite file with a table of newsletter subscribers."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

SOURCE = "warehouse"
FILE = "warehouse.db"
QUERY = """\
SELECT user_id
  FROM subscribers
 WHERE status = 'active'"""


def write_subscribers(file: Path, user_ids: Iterable[str]) -> None:
    """Create the file, with these subscribers."""
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE subscribers (user_id TEXT PRIMARY KEY, status TEXT NOT NULL)")
        _subscribe(db, user_ids)


def change_subscribers(file: Path, entering: Iterable[str], leaving: Iterable[str]) -> None:
    """Make some people subscribe, and others unsubscribe."""
    with closing(sqlite3.connect(file)) as db, db:
        _subscribe(db, entering)
        left = [(user_id,) for user_id in leaving]
        db.executemany("UPDATE subscribers SET status = 'unsubscribed' WHERE user_id = ?", left)


def _subscribe(db: sqlite3.Connection, user_ids: Iterable[str]) -> None:
    rows = [(user_id,) for user_id in user_ids]
    db.executemany("INSERT INTO subscribers VALUES (?, 'active')", rows)
