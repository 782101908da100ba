"""A ledger is opened by a path or a URL, and stays usable after a failure."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from amp_console.ledger import Db, Ledger, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.errors import LedgerClosed
from amp_console.ledger.files import prepare
from tests.ledgers import sqlite_only


@pytest.mark.parametrize("scheme", ["", "sqlite:", "sqlite://", "SQLite:"])
def test_a_path_and_a_sqlite_url_open_the_same_ledger(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(f"{scheme}{path}") as ledger, open_ledger(path) as other:
        assert ledger.url == other.url == str(path)


def test_a_url_of_another_engine_is_refused_in_plain_words() -> None:
    with pytest.raises(LedgerError, match=r"can't be opened with mysql:.*sqlite:") as refused:
        open_ledger("mysql://user:secret@host/db")
    assert "secret" not in str(refused.value)


def test_a_ledger_that_is_thrown_away_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db", is_durable=False) as ledger:
        assert ledger.read(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (0,)


def test_a_new_ledger_is_written_by_several_from_the_first_moment(tmp_path: Path) -> None:
    """Switching it to WAL later fails if another process opens it at the same time."""
    path = tmp_path / "ledger.db"
    prepare(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        with open_ledger(path) as ledger:
            ledger.write(lambda db: db.execute("UPDATE run SET status = status"))


@sqlite_only
def test_a_failed_rollback_does_not_block_the_ledger(ledger: Ledger) -> None:
    fails = threading.Event()

    def fail_from_here(db: Db) -> None:
        assert isinstance(db, sqlite3.Connection)
        db.set_progress_handler(fails.is_set, 1)  # interrupts every statement once set
        fails.set()
        db.execute("SELECT count(*) FROM sqlite_master")

    with pytest.raises(LedgerError, match="SQLITE_INTERRUPT"):
        ledger.write(fail_from_here)
    fails.clear()
    assert ledger.read(lambda db: db.execute("SELECT 1").fetchone()[0]) == 1


def test_a_closed_ledger_takes_nothing_more(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.close()
    for call in (ledger.read, ledger.stage, ledger.write, ledger.submit):
        with pytest.raises(LedgerClosed):
            call(all_audiences)
