"""Ledgers of other versions: older ones are migrated, newer ones are left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.errors import LedgerTooNew
from amp_console.ledger.event_log import LogFilter, LogKind, log_page
from amp_console.ledger.membership_changes import DAY, daily_movement
from amp_console.ledger.rejected import rejected_users
from amp_console.ledger.runs import RunKind, RunStatus, all_runs, run_audiences
from amp_console.ledger.schema import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of version 1, with an audience, a run that ended, and one that did not."""
    path = tmp_path / "ledger.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(MIGRATIONS[0])
    db.executescript("""
        INSERT INTO audience (id, space_id, computation_id, key) VALUES (1, 's', 'a', 'shoppers');
        INSERT INTO run (id, started_at, ended_at, status, note, read)
            VALUES (1, 10, 20, 'partial', 'was so', 7), (2, 30, NULL, 'running', '', 0);
        INSERT INTO run_audience VALUES (1, 1, 5, 4, 3, 2, 1, 'noted');
        INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, line)
            VALUES (1, 1, 'u1', 1, 1, 1, 1, 1);
        PRAGMA user_version = 1;
    """)
    db.close()
    return path


def test_a_ledger_of_version_1_keeps_what_it_holds(path: Path) -> None:
    with open_ledger(path) as ledger:
        assert [audience.key for audience in ledger.read(all_audiences)] == ["shoppers"]
        run = ledger.read(all_runs)[-1]
        assert (run.started_at, run.ended_at, run.status) == (10, 20, RunStatus.PARTIAL)
        assert (run.note, run.tally.read, run.added, run.removed) == ("was so", 7, 5, 4)
        (target,) = ledger.read(run_audiences, 1)
        assert (target.counts.rejected, target.counts.requests, target.counts.note) == (
            3,
            2,
            "noted",
        )
        assert _version(ledger) == len(MIGRATIONS) >= 2
        assert ledger.read(lambda db: db.execute("SELECT id FROM member").fetchall()) == [("u1",)]


def test_members_of_before_are_no_movement_of_the_days_before_the_upgrade(path: Path) -> None:
    with open_ledger(path) as ledger:
        (since,) = ledger.read(
            lambda db: db.execute("SELECT since FROM membership_counted").fetchone()
        )
        (shoppers,) = ledger.read(all_audiences)
        for later, days in ((0, 1), (DAY, 2), (30 * DAY, 7)):
            moves = ledger.read(daily_movement, shoppers, since + later, 7)
            assert len(moves.entered) == len(moves.left) == days
            assert moves.since // DAY == (since + later) // DAY - days + 1


def test_a_run_that_no_version_ended_is_interrupted(path: Path) -> None:
    with open_ledger(path) as ledger:
        run = ledger.read(all_runs)[0]
        assert (run.id, run.status, run.ended_at) == (2, RunStatus.INTERRUPTED, 30)
        assert (run.holder, run.operator) == ("", "")


def test_the_log_tells_of_the_runs_before_it(path: Path) -> None:
    with open_ledger(path) as ledger:
        entries = ledger.read(log_page, LogFilter())
        assert [(entry.text, entry.run_id) for entry in entries if entry.at < 100] == [
            ("Sync ended: run 2, interrupted. 0 requests.", 2),
            ("Sync started: run 2.", 2),
            (
                "Sync ended: run 1, partial. 5 added, 4 removed, 3 rejected, 2 requests. was so",
                1,
            ),
            ("Sync started: run 1.", 1),
        ]
        backup = entries[0]
        assert backup.kind is LogKind.BACKUP
        assert backup.text.startswith("Ledger backed up: ")


def test_a_comparison_of_before_is_no_sync_and_a_repair_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    renames = "RENAME COLUMN last_run_at TO last_sync_at"
    before = next(at for at, step in enumerate(MIGRATIONS) if renames in step)
    db = sqlite3.connect(path, isolation_level=None)
    for step in MIGRATIONS[:before]:
        db.executescript(step)
    db.executescript(f"""
        INSERT INTO audience (id, space_id, computation_id, key, last_run_at)
            VALUES (1, 's', 'a', 'compared', 90), (2, 's', 'b', 'synced', 55);
        INSERT INTO run (id, kind, started_at, ended_at, status)
            VALUES (1, 'sync', 10, 20, 'delivered'), (2, 'reconcile', 30, 40, 'delivered'),
            (3, 'sync', 50, 60, 'delivered'), (4, 'compare', 80, 99, 'delivered');
        INSERT INTO run_audience (run_id, audience_id)
            VALUES (1, 1), (2, 1), (3, 2), (4, 1);
        INSERT INTO log_entry (at, kind, text, severity) VALUES (40, 'reconcile', 'ended', 0);
        PRAGMA user_version = {before};
    """)
    db.close()
    with open_ledger(path) as ledger:
        last = {item.key: item.last_sync_at for item in ledger.read(all_audiences)}
        assert last == {"compared": 40, "synced": 55}
        kinds = [run.kind for run in ledger.read(all_runs)]
        assert kinds == [RunKind.COMPARE, RunKind.SYNC, RunKind.REPAIR, RunKind.SYNC]
        (entry,) = ledger.read(log_page, LogFilter(kinds=(LogKind.REPAIR,)))
        assert entry.text == "ended"


def test_it_has_the_same_tables_as_a_new_one(path: Path, tmp_path: Path) -> None:
    with open_ledger(path) as old, open_ledger(tmp_path / "new.db") as new:
        assert _tables(old) == _tables(new)
        assert _indexes(old) == _indexes(new)


def test_who_was_rejected_before_is_found_after(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("""
        INSERT INTO rejection VALUES (1, 9, 'add', 'unknown_to_amplitude', 'no-one', 40);
        INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, line,
            delivered, rejection_id) VALUES (1, 1, 'ghost', 1, 1, 1, 1, 1, 0, 1);
        INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, line)
            VALUES (1, 2, '412', 1, 0, 1, 1, 1);
    """)
    db.close()
    with open_ledger(path) as ledger:
        found = ledger.read(rejected_users)
        assert [(item.id, item.code) for item in found] == [
            ("ghost", Reason.UNKNOWN),
            ("412", Reason.NO_IDENTIFIER),
        ]


def test_opened_again_it_is_as_it_was(path: Path) -> None:
    with open_ledger(path) as ledger:
        before = ledger.read(all_runs)
    with open_ledger(path) as ledger:
        assert ledger.read(all_runs) == before


def test_a_ledger_that_is_too_new_is_refused_and_left_alone(path: Path) -> None:
    newer = len(MIGRATIONS) + 1
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {newer}")
    db.close()
    with pytest.raises(LedgerTooNew, match=f"version {newer}.*Update amp-console"):
        open_ledger(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (newer,)
    assert db.execute("SELECT status FROM run WHERE id = 2").fetchone() == ("running",)
    db.close()


def test_a_ledger_that_a_newer_program_migrates_is_used_no_more(path: Path) -> None:
    newer = len(MIGRATIONS) + 1
    with open_ledger(path) as ledger, closing(sqlite3.connect(path)) as other:
        before = ledger.read(all_runs)
        other.execute(f"PRAGMA user_version = {newer}")
        with pytest.raises(LedgerTooNew, match=f"version {newer}.*Nothing was changed"):
            ledger.write(lambda db: db.execute("DELETE FROM run").rowcount)
        with pytest.raises(LedgerTooNew):
            ledger.read(all_runs)
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        assert ledger.read(all_runs) == before


def _version(ledger: Ledger) -> int:
    return int(ledger.read(lambda db: db.execute("PRAGMA user_version").fetchone()[0]))


def _indexes(ledger: Ledger) -> list[tuple[object, ...]]:
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY 1"
    return ledger.read(lambda db: db.execute(query).fetchall())


def _tables(ledger: Ledger) -> list[tuple[object, ...]]:
    query = (
        'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value FROM sqlite_schema t '
        "JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, c.cid"
    )
    return ledger.read(lambda db: db.execute(query).fetchall())
