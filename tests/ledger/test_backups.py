"""Backups: complete, dated, few, never in the way, and usable if the ledger is not."""

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from amp_console.ledger import Db, Ledger, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.backups import (
    DAILY,
    DAY,
    BackupOptions,
    BackupSkipped,
    back_up,
    backup_folder,
    is_due,
    list_backups,
)
from amp_console.ledger.errors import LedgerDamaged
from amp_console.ledger.schema import MIGRATIONS
from amp_console.ledger.sqlite import examine
from tests.ledger.helpers import enters, read, start

NOW = 1_777_900_000_000_000  # 2026-05-04T13:06:40Z, microseconds since 1970
OPTIONS = BackupOptions(spare=0, pages=1, patience=0.1)


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """A ledger in use, with a person in it."""
    start(ledger)
    read(ledger, [enters("u1", 1)])
    return Path(ledger.url)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of version 1, with an audience."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(MIGRATIONS[0])
        db.execute("INSERT INTO audience (space_id, computation_id, key) VALUES ('s', 'a', 'k')")
        db.execute("PRAGMA user_version = 1")
        db.commit()
    return path


def members(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {row[0] for row in db.execute("SELECT id FROM member")}


def test_a_backup_is_a_whole_ledger_for_this_user_alone(path: Path) -> None:
    made = back_up(path, DAILY, NOW, OPTIONS)
    assert made is not None
    assert (made.at, made.reason, made.size) == (NOW, DAILY, made.path.stat().st_size)
    assert made.when == "2026-05-04 13:06:40 UTC"
    assert members(made.path) == {"u1"}
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700
    assert [item.name for item in made.path.parent.iterdir()] == [made.path.name]


def test_who_writes_meanwhile_is_not_held_up_and_not_in_it(ledger: Ledger, path: Path) -> None:
    steps: list[str] = []

    def write() -> bool:
        steps.append(f"u{len(steps) + 2}")
        read(ledger, [enters(steps[-1], 1)])
        return False

    made = back_up(path, DAILY, NOW, OPTIONS, write)
    assert made is not None
    assert len(steps) > 3, "it was copied in steps"
    assert members(made.path) == {"u1"}
    assert members(path) == {"u1", *steps}


def test_it_can_be_stopped_in_the_middle(path: Path) -> None:
    assert back_up(path, DAILY, NOW, OPTIONS, lambda: True) is None
    assert list(backup_folder(path).iterdir()) == []


def test_the_newest_are_kept(path: Path) -> None:
    options = msgspec.structs.replace(OPTIONS, keep=3)
    for day in range(5):
        back_up(path, DAILY, NOW + day * DAY, options)
    assert [backup.at for backup in list_backups(path)] == [NOW + day * DAY for day in (4, 3, 2)]


def test_one_is_due_a_day_after_the_last(path: Path) -> None:
    assert is_due(path, NOW, OPTIONS)
    back_up(path, DAILY, NOW, OPTIONS)
    assert not is_due(path, NOW + DAY - 1, OPTIONS)
    assert is_due(path, NOW + DAY, OPTIONS)


def test_a_clock_that_was_set_back_stops_no_backups(path: Path) -> None:
    options = msgspec.structs.replace(OPTIONS, keep=2)
    later = [back_up(path, DAILY, NOW + number * DAY, options) for number in (1, 2)]
    assert is_due(path, NOW, options)
    made = back_up(path, DAILY, NOW, options)
    assert list_backups(path) == [later[1], made]
    assert not is_due(path, NOW + 1, options)


def test_without_enough_room_none_is_made_and_that_is_reported(path: Path) -> None:
    back_up(path, DAILY, NOW, OPTIONS)
    greedy = msgspec.structs.replace(OPTIONS, spare=1 << 60)
    with pytest.raises(BackupSkipped, match=r"must stay free.*Older backups are kept"):
        back_up(path, DAILY, NOW + DAY, greedy)
    assert [backup.at for backup in list_backups(path)] == [NOW]


def test_a_damaged_ledger_replaces_no_good_copy(tmp_path: Path) -> None:
    path = tmp_path / "worn.db"
    with open_ledger(path) as ledger:
        start(ledger)
        read(ledger, [enters(f"user-{n:06}", 1) for n in range(2_000)])
    only_one = msgspec.structs.replace(OPTIONS, keep=1)
    back_up(path, DAILY, NOW, only_one)
    with path.open("r+b") as file:
        file.seek(-3 * 16384, os.SEEK_END)
        file.write(b"\xff" * 3 * 16384)
    with pytest.raises(BackupSkipped, match=r"damaged|malformed"):
        back_up(path, DAILY, NOW + DAY, only_one)
    assert [backup.at for backup in list_backups(path)] == [NOW]


def test_a_folder_that_takes_nothing_is_reported(path: Path) -> None:
    backup_folder(path).write_text("a file where the folder should be")
    with pytest.raises(BackupSkipped, match="Check the disk and the folder"):
        back_up(path, DAILY, NOW, OPTIONS)


@pytest.mark.parametrize("reason", [DAILY, "before-version-9"])
def test_a_process_killed_in_the_middle_leaves_the_others_and_no_half_copy(
    path: Path, reason: str
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from amp_console.ledger.backups import BackupOptions, back_up
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
back_up(Path({str(path)!r}), {reason!r}, {NOW}, BackupOptions(spare=0, pages=1), kill)
"""
    died = subprocess.run([sys.executable, "-c", script], check=False)
    assert died.returncode == -signal.SIGKILL
    assert (backup_folder(path) / "unfinished").exists()
    assert list_backups(path) == []
    made = back_up(path, DAILY, NOW, OPTIONS)
    assert made is not None
    assert [item.name for item in backup_folder(path).iterdir()] == [made.path.name]


def test_an_older_ledger_is_backed_up_before_it_is_changed(old: Path) -> None:
    with open_ledger(old, backups=OPTIONS, now=lambda: NOW) as ledger:
        assert ledger.notices == ()
    (made,) = list_backups(old)
    assert (made.reason, made.at) == ("before-version-2", NOW)
    with closing(sqlite3.connect(made.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT key FROM audience").fetchall() == [("k",)]
    open_ledger(old, backups=OPTIONS).close()
    assert list_backups(old) == [made]


def test_without_room_it_is_brought_up_to_date_all_the_same(old: Path) -> None:
    with open_ledger(old, backups=msgspec.structs.replace(OPTIONS, spare=1 << 60)) as ledger:
        (notice,) = ledger.notices
        assert "was not backed up" in notice
        assert [audience.key for audience in ledger.read(all_audiences)] == ["k"]


def test_killed_in_the_middle_of_a_migration_it_is_as_before(old: Path) -> None:
    """The failed step is undone, the backup exists, and the next start repeats the migration."""
    script = f"""
import os, signal
from pathlib import Path
from amp_console.ledger import Db, Ledger, open_ledger, schema
schema.MIGRATIONS += ("SELECT die();",)
import sqlite3
connect = sqlite3.connect
def with_death(*args, **kwargs):
    db = connect(*args, **kwargs)
    db.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return db
sqlite3.connect = with_death
open_ledger(Path({str(old)!r}))
"""
    died = subprocess.run([sys.executable, "-c", script], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(list_backups(old)) == 1
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    with open_ledger(old, backups=OPTIONS) as ledger:
        assert [audience.key for audience in ledger.read(all_audiences)] == ["k"]


# Files that are not ledgers.


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.db"
    path.touch()
    return path


def test_an_empty_file_is_not_taken_for_a_new_ledger(empty: Path) -> None:
    wal = empty.with_name("empty.db-wal")
    wal.write_bytes(b"what was written last")
    for _ in range(2):
        with pytest.raises(LedgerDamaged, match=r"is empty \(0 bytes\).*There is no backup"):
            open_ledger(empty)
    assert empty.stat().st_size == 0
    assert wal.read_bytes() == b"what was written last"


@pytest.mark.usefixtures("berlin")
def test_the_words_for_a_damaged_ledger_are_true(path: Path) -> None:
    back_up(path, DAILY, NOW, OPTIONS)
    other = path.with_name("other.db")
    backup_folder(path).rename(backup_folder(other))
    other.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerDamaged) as found:
        open_ledger(other)
    text = str(found.value)
    assert "is not a ledger. It was not changed." in text
    assert "The newest backup is from 2026-05-04 15:06:40 CEST: " in text
    assert "Event files can be imported again." in text
    assert "from webhooks and standard input after the backup are lost" in text


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(LedgerDamaged, match="is not a ledger"):
        open_ledger(path)
    assert path.read_bytes() == before


def test_a_ledger_that_vanished_is_recreated_and_its_backups_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    open_ledger(path).close()
    back_up(path, DAILY, NOW, OPTIONS)
    path.unlink()
    with open_ledger(path) as fresh:
        (notice,) = fresh.notices
        assert "There are backups of an older one" in notice


def test_what_another_ledger_left_is_not_played_into_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    path.with_name("gone.db-wal").write_bytes(b"frames")
    with pytest.raises(LedgerDamaged, match=r"is missing, but gone\.db-wal is there"):
        open_ledger(path)
    assert not path.exists()


def test_a_process_killed_while_it_makes_a_ledger_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    for end in ("", "-wal", "-shm"):
        path.with_name(f"new.db.new{end}").write_bytes(b"half")
    with open_ledger(path) as ledger:
        assert ledger.notices == ()
    assert {item.name for item in tmp_path.glob("new.db*")} == {"new.db"}


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_whatever_the_umask_only_this_user_reads_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path) as ledger:
        start(ledger)
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in tmp_path.glob("*.db*")}
        assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)


def test_what_was_taken_outlives_a_power_cut(ledger: Ledger) -> None:
    def settings(db: Db) -> list[object]:
        names = ("synchronous", "journal_mode", "foreign_keys")
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert ledger.read(settings) == [2, "wal", 1]


def test_examining_changes_nothing(old: Path, empty: Path) -> None:
    before = old.read_bytes()
    assert examine(old) == (1, None)
    assert old.read_bytes() == before
    with pytest.raises(LedgerDamaged, match="is empty"):
        examine(empty)
    with pytest.raises(LedgerError, match="can't be opened"):
        examine(old.with_name("missing.db"))


def test_a_disk_that_gets_full_meanwhile_is_reported_and_leaves_no_half_copy(path: Path) -> None:
    """A limit on file sizes simulates a full disk."""
    back_up(path, DAILY, NOW, OPTIONS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        return False

    try:
        with pytest.raises(BackupSkipped, match=r"Older backups are kept\. Check the disk"):
            back_up(path, DAILY, NOW + DAY, OPTIONS, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [backup.at for backup in list_backups(path)] == [NOW]
    assert len(list(backup_folder(path).iterdir())) == 1
