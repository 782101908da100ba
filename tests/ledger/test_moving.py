"""A ledger moves completely or not at all; the old one is kept and marked."""

import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import permutations
from pathlib import Path

import pytest

from amp_console.ledger import Db, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.copying import CopyProgress, Observe, TableSum, Unstorable, sums_of
from amp_console.ledger.counts import InCohort, held_by_cohort
from amp_console.ledger.database import Access
from amp_console.ledger.errors import LedgerFull, LedgerMoved, LedgerUnreachable
from amp_console.ledger.moved import Mark, put_mark, remove_mark
from amp_console.ledger.moving import LedgerInUse, LedgerNotEmpty, Move, finish_move, move_ledger
from amp_console.ledger.opening import database_at
from amp_console.ledger.runs import begin_run
from amp_console.ledger.schema import MIGRATIONS
from amp_console.ledger.sources import ReadCounts
from tests.ledger.helpers import deliver, enters, leaves, read, start, wanted
from tests.ledgers import ENGINES, PostgresqlLedgers
from tests.postgresql import PASSWORD

NOW = 1_777_900_000_000_000  # 2026-05-04T13:06:40Z, microseconds since 1970

Places = Callable[[str], str]
"""Returns the address of an empty place for a ledger on an engine, another one each time."""


@pytest.fixture
def place(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Places:
    numbers = iter(range(1, 9))

    def empty(engine: str) -> str:
        number = next(numbers)
        if engine == "sqlite":
            return str(tmp_path / f"ledger-{number}.db")
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        ledgers: PostgresqlLedgers = request.getfixturevalue("server_ledgers")
        return ledgers.empty(number)

    return empty


both_ways = pytest.mark.parametrize(
    ("here", "there"), [*permutations(ENGINES), ("postgresql", "postgresql")]
)


def quietly(_: CopyProgress) -> None:
    """Observe nothing."""


def move(url: str, to: str, observe: Observe = quietly) -> Move:
    with open_ledger(url) as ledger:
        return move_ledger(ledger, lambda: database_at(to), NOW, observe)


def fill(url: str) -> list[TableSum]:
    """Make a ledger with people who are delivered, rejected and pending; return its sums."""
    odd = ["tab\there", "line\nbreak", "back\\slash", "\\N", "é😀", "'", '"', " ", "\x7f"]
    with open_ledger(url) as ledger:
        start(ledger)
        read(ledger, [enters(id_, 1, line) for line, id_ in enumerate(odd, 1)])
        deliver(ledger, skipped=["'"])
        read(ledger, [leaves("é😀", 2), enters("new", 2, 2)], "/later.ndjson")
        return ledger.read(sums_of)


def sums(url: str) -> list[TableSum]:
    with open_ledger(url) as ledger:
        return ledger.read(sums_of)


def moved_to(url: str) -> str:
    """Where a ledger that is no longer used says that it moved."""
    with pytest.raises(LedgerMoved) as refused:
        open_ledger(url)
    return refused.value.address


@both_ways
def test_there_and_back_all_of_it_is_the_same(here: str, there: str, place: Places) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    moved = move(old, new)
    assert moved.tables == before == sums(new)
    assert {table.table for table in before if table.rows} >= {"member", "request", "rejection"}
    back = move(new, old)
    assert back.tables == before == sums(old)


@pytest.mark.parametrize("code", ["unknown_to_amplitude", "refused_by_amplitude"])
def test_who_may_be_in_a_cohort_is_counted_alike_on_a_server(code: str, place: Places) -> None:
    old, new = place("sqlite"), place("postgresql")
    fill(old)
    with open_ledger(old) as ledger:
        ledger.write(lambda db: db.execute("UPDATE rejection SET code = ?", (code,)))
        unknown = "UPDATE member SET delivered = NULL WHERE rejection_id IS NOT NULL"
        ledger.write(lambda db: db.execute(unknown))
    before = may_be_in_the_cohort(old)
    move(old, new)
    assert may_be_in_the_cohort(new) == before


def may_be_in_the_cohort(url: str) -> list[InCohort]:
    with open_ledger(url) as ledger:
        known = ledger.read(all_audiences)
        return [ledger.read(held_by_cohort, audience) for audience in known]


@both_ways
def test_what_is_added_there_follows_what_was_copied(here: str, there: str, place: Places) -> None:
    old, new = place(here), place(there)
    fill(old)
    move(old, new)
    with open_ledger(new) as ledger:
        count = len(wanted(ledger))
        read(ledger, [enters("afterwards", 3)], "/after.ndjson")
        assert len(wanted(ledger)) == count + 1
        ledger.write(lambda db: db.execute("DELETE FROM source WHERE path = '/after.ndjson'"))


@both_ways
def test_the_old_ledger_says_where_it_went(here: str, there: str, place: Places) -> None:
    old, new = place(here), place(there)
    fill(old)
    with open_ledger(old) as opened_before:
        move(old, new)
        with pytest.raises(LedgerMoved, match="was moved to") as refused:
            open_ledger(old)
        assert refused.value.address == new
        assert new in str(refused.value)
        for write in (add_pruning, want_no_one, delete_audiences):
            with pytest.raises(LedgerMoved, match=r"start it again") as too_late:
                opened_before.write(write)
            assert new in str(too_late.value)
        assert len(opened_before.read(all_audiences)) == 1


def test_a_ledger_that_went_to_a_file_of_another_machine_is_not_looked_for_on_this_one() -> None:
    here, there = (Mark("/ledger.db", host, NOW) for host in (socket.gethostname(), "other-desk"))
    assert "connection to: file" in here.remedy
    assert "connection to" not in there.remedy
    assert "the file /ledger.db of other-desk" in str(there)
    assert here.names("/ledger.db")
    assert not there.names("/ledger.db")


def add_pruning(db: Db) -> None:
    db.execute("INSERT INTO pruning (at) VALUES (1)")


def want_no_one(db: Db) -> None:
    db.execute("UPDATE member SET wanted = 0")


def delete_audiences(db: Db) -> None:
    db.execute("DELETE FROM audience")


@both_ways
def test_nothing_moves_while_someone_is_at_work(here: str, there: str, place: Places) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    with open_ledger(old) as busy:
        for hold in (busy.lease(1), busy.hold_source("s3://events")):
            with hold, pytest.raises(LedgerInUse, match=r"hold 1 (lease|source)\. Nothing"):
                move(old, new)
        with busy.hold_run() as lock:
            busy.write(begin_run, ReadCounts(), NOW, lock)
            with pytest.raises(LedgerInUse, match="hold 1 run"):
                move(old, new)
    assert sums(new) == [TableSum(table.table, 0, "0" * 32) for table in before]
    move(old, new)


@both_ways
def test_a_place_that_has_a_ledger_is_left_alone(here: str, there: str, place: Places) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    with open_ledger(new) as other:
        start(other)
        with other.lease(1), pytest.raises(LedgerInUse, match="hold 1 lease"):
            move(old, new)
    kept = sums(new)
    used = "audience and lease" if there == "postgresql" else "audience"  # a file counts no leases
    with pytest.raises(LedgerNotEmpty, match=rf"with rows in {used}\. Nothing was moved"):
        move(old, new)
    assert (sums(old), sums(new)) == (before, kept)
    elsewhere = place(there)
    move(new, elsewhere)  # so it is no longer in use, and not the earlier place of this one
    with pytest.raises(LedgerNotEmpty, match=r"an earlier ledger .* was moved to"):
        move(old, new)
    assert sums(elsewhere) == kept


class Full(Exception):
    """Something fails in the middle of a copy."""


@both_ways
def test_what_stops_it_leaves_the_old_one_in_use_and_the_other_place_empty(
    here: str, there: str, place: Places
) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    for at in ("audience", "member", "source", "checked"):

        def stop(now: CopyProgress, at: str = at) -> None:
            if now.table == at or (at == "checked" and now.done > now.total / 2):
                raise Full

        with pytest.raises(Full):
            move(old, new, stop)
        assert sums(old) == before, at
        assert not any(table.rows for table in sums(new)), at
    assert move(old, new).tables == before


@pytest.mark.parametrize("here", ENGINES)
def test_a_full_disk_leaves_the_old_one_in_use(here: str, place: Places) -> None:
    """A limit on file sizes simulates a full disk."""
    old, new = place(here), place("sqlite")
    with open_ledger(old) as ledger:
        read(ledger, [enters(f"user-{number}", 1, number) for number in range(1, 5_000)])
    before = sums(old)
    open_ledger(new).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk(_: CopyProgress) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    try:
        with pytest.raises(LedgerFull, match="disk is full"):
            move(old, new, fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sums(old) == before
    assert not any(table.rows for table in sums(new))


@pytest.mark.parametrize("here", ENGINES)
def test_a_full_server_leaves_the_old_one_in_use(
    here: str, place: Places, server_ledgers: PostgresqlLedgers
) -> None:
    old, new = place(here), place("postgresql")
    before = fill(old)
    schema = new.partition("schema=")[2]
    server = server_ledgers.server
    server.execute(
        f"CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END$$",
        f"CREATE TRIGGER fail BEFORE INSERT ON {schema}.run EXECUTE FUNCTION {schema}.fail()",
    )
    with open_ledger(old) as ledger, ledger.hold_run() as lock:
        ledger.write(begin_run, ReadCounts(), NOW, lock)
        ledger.write(lambda db: db.execute("UPDATE run SET status = 'stopped', ended_at = 1"))
    before = sums(old)
    with pytest.raises(LedgerFull, match=r"The disk of the server is full: .*Free up"):
        move(old, new)
    server.execute(f"DROP FUNCTION {schema}.fail CASCADE")
    assert sums(old) == before
    assert not any(table.rows for table in sums(new))


@both_ways
def test_a_connection_that_is_lost_leaves_the_old_one_in_use(
    here: str, there: str, place: Places, server_ledgers: PostgresqlLedgers
) -> None:
    old, new = place(here), place(there)
    before = fill(old)

    def cut(now: CopyProgress) -> None:
        if now.table == "member":
            server_ledgers.server.rows(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'amp-console'"
            )

    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        move(old, new, cut)
    assert sums(old) == before
    assert not any(table.rows for table in sums(new))
    assert move(old, new).tables == before


@both_ways
def test_of_a_process_that_dies_before_the_old_one_is_marked_the_old_one_is_in_use(
    here: str, there: str, place: Places
) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    move(old, new)
    mark(old, None)
    mark(new, old)
    assert moved_to(new) == old
    assert move(old, new).tables == before == sums(new)


@both_ways
def test_of_a_process_that_dies_before_the_copy_is_in_use_the_move_is_finished(
    here: str, there: str, place: Places
) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    move(old, new)
    mark(new, old)
    assert (moved_to(old), moved_to(new)) == (new, old)
    finish_move(database_at(new), old)
    assert sums(new) == before


@both_ways
def test_a_ledger_that_does_not_take_its_mark_stays_in_use(
    here: str, there: str, place: Places
) -> None:
    old, new = place(here), place(there)
    before = fill(old)
    with open_ledger(old) as ledger:
        # The mark's table has two unexpected columns, so inserting a row fails.
        ledger.write(lambda db: db.execute("ALTER TABLE moved RENAME COLUMN host TO machine"))
        with pytest.raises(LedgerError):
            move_ledger(ledger, lambda: database_at(new), NOW, quietly)
        ledger.write(lambda db: db.execute("ALTER TABLE moved RENAME COLUMN machine TO host"))
    assert sums(old) == before
    assert not any(table.rows for table in sums(new))


def mark(url: str, address: str | None) -> None:
    """Mark a ledger, or remove its mark, whether or not it is in use."""
    database = database_at(url)
    database.open()

    def work(db: Db) -> None:
        remove_mark(db)
        if address is not None:
            put_mark(db, address, NOW)

    database.transaction(Access.WRITE, work)
    database.close()


def test_a_process_that_is_killed_while_it_copies_leaves_nothing_there(place: Places) -> None:
    for here, there in permutations(ENGINES):
        old, new = place(here), place(there)
        before = fill(old)
        script = (
            "import os, signal, sys\n"
            "from amp_console.ledger import open_ledger\n"
            "from amp_console.ledger.moving import move_ledger\n"
            "from amp_console.ledger.opening import database_at\n"
            "def die(now):\n"
            "    if now.table == 'request' and now.done > now.total / 2:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "old, new = sys.argv[1:]\n"
            "with open_ledger(old) as ledger:\n"
            "    move_ledger(ledger, lambda: database_at(new), 1, die)\n"
        )
        died = subprocess.run([sys.executable, "-c", script, old, new], check=False)
        assert died.returncode == -signal.SIGKILL
        assert sums(old) == before
        assert not any(table.rows for table in sums(new))


def test_it_does_not_move_to_where_it_is(place: Places) -> None:
    old = place("sqlite")
    fill(old)
    with pytest.raises(LedgerError, match=r"is at .* already"):
        move(old, str(Path(old).parent / "." / Path(old).name))


def test_what_postgresql_cannot_store_is_named_before_anything_is_copied(place: Places) -> None:
    old, new = place("sqlite"), place("postgresql")
    with open_ledger(old) as ledger:
        long = "".join(chr(97 + number % 26) for number in range(3_000))
        read(ledger, [enters(id_, 1) for id_ in ("first", "fine", "second", "é" * 500, "third")])
        # A ledger may have them from versions that accepted such identifiers.
        for before, id_ in (("first", "a\0b"), ("second", "\0"), ("third", long)):
            ledger.write(_rename, before, id_)
    with pytest.raises(Unstorable) as refused:
        move(old, new, fail)
    assert re.search(
        r"2 rows of member with a NUL in id \(\d+; \d+\), 1 row of member with more text than an "
        r"index can hold \(2,600 bytes\) \(\d+\)\. Nothing was copied",
        str(refused.value),
    )
    elsewhere = place("sqlite")
    move(old, elsewhere)
    assert wanted_at(elsewhere) == {"a\0b", "fine", "\0", "é" * 500, long}


def _rename(db: Db, before: str, id_: str) -> None:
    db.execute("UPDATE member SET id = ? WHERE id = ?", (id_, before))


def fail(_: CopyProgress) -> None:
    raise AssertionError("something was copied")


def wanted_at(url: str) -> set[str]:
    with open_ledger(url) as ledger:
        return wanted(ledger)


def test_a_ledger_of_each_version_moves_there_and_back(place: Places, tmp_path: Path) -> None:
    """Those that come to the same rows, except for the time of the migration, move once."""
    seen = list[list[TableSum]]()
    for version in range(1, len(MIGRATIONS)):
        old = str(tmp_path / f"version-{version}.db")
        of_version(version, old)
        before = sums(old)
        rows = [table for table in before if table.table not in DATED]
        if rows not in seen:
            seen.append(rows)
            new = place("postgresql")
            assert move(old, new).tables == before, version
            assert move(new, old).tables == before == sums(old), version
    assert len(seen) > 1


DATED = {"log_entry", "membership_counted"}  # tables with the time of a migration


def of_version(version: int, path: str) -> None:
    """Create a ledger of an earlier version, with a row in each of its first tables."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in MIGRATIONS[:version]:
            db.executescript(step)
        db.executescript(f"""
            INSERT INTO audience (id, space_id, computation_id, key) VALUES (1, 's', 'a', 'k');
            INSERT INTO run (id, started_at, ended_at, status) VALUES (1, 10, 20, 'partial');
            INSERT INTO run_audience (run_id, audience_id, added) VALUES (1, 1, 5);
            INSERT INTO source (id, name, path, read_at) VALUES (3, 'e', '/e.ndjson', 9);
            INSERT INTO invalid_event (source_id, line, reason) VALUES (3, 4, 'not JSON');
            INSERT INTO member
                (n, audience_id, id_type, id, is_member, wanted, event_at, source_id, line)
                VALUES (7, 1, 1, 'u1', 1, 1, 1, 3, 1);
            PRAGMA user_version = {version};
        """)
