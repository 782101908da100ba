"""`amp-console ledger`: show, check, copy and move, to a real PostgreSQL and back."""

import json
import signal
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from amp_console.connections import Folders
from amp_console.ledger import open_ledger
from amp_console.ledger.copying import TableSum, sums_of
from amp_console.ledger.database import Access
from amp_console.ledger.moved import put_mark
from amp_console.ledger.opening import database_at
from tests.cli.canary import files_below
from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.connections import backends
from tests.ledgers import PostgresqlLedgers
from tests.postgresql import PASSWORD
from tests.sync.workspace import event, ndjson

MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}


@pytest.fixture
def synced(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator with a ledger that has a history."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)  # for connections that the test opens itself
    operator.environment["PGPASSWORD"] = PASSWORD
    file = tmp_path / "events.ndjson"
    users = ("u1", "u2", "ghost-1")
    file.write_text(ndjson(event(user, True) for user in users) + "{\n")
    assert operator.run("sync", "--from", file, "--yes").status == 1
    return operator


@pytest.fixture
def url(server_ledgers: PostgresqlLedgers) -> str:
    """An empty place on a server."""
    return server_ledgers.empty(20)


def file_of(operator: Operator) -> Path:
    folders = Folders.locate(operator.environment)
    (file,) = (folders.data / "ledgers").glob("*.db")
    return file


def sums(url: str | Path, *, but: str = "log_entry") -> list[TableSum]:
    """The checksums of all tables except the log, which says that the settings were changed."""
    with open_ledger(url) as ledger:
        return [item for item in ledger.read(sums_of) if item.table != but]


def document(ended: Ended) -> dict[str, object]:
    assert ended.status == 0, ended
    found: dict[str, object] = json.loads(ended.out)
    return found


def test_it_moves_to_a_server_and_back_and_everything_works_there(
    synced: Operator, url: str, tmp_path: Path
) -> None:
    file = file_of(synced)
    before, listed = sums(file), synced.run("audiences", "--json").out
    moved = synced.run("ledger", "move", url, "--yes")
    assert moved.status == 0, moved
    assert f"rows to {url}. All of them match the originals." in moved.out
    assert f"The old ledger is kept, but no longer used: {file}" in moved.out
    assert sums(url) == before
    assert synced.run("audiences", "--json").out == listed
    assert url in synced.run("connections", "--json").out
    more = tmp_path / "more.ndjson"
    more.write_text(json.dumps(event("u3", True, 5)) + "\n")
    assert synced.run("sync", "--from", more, "--yes").status == 1
    assert synced.cohort("shoppers") == {"u1", "u2", "u3"}
    after = sums(url)
    back = document(synced.run("ledger", "move", "file", "--yes", "--json"))
    assert (back["old"], back["new"]) == (url, str(file))
    assert isinstance(back["tables"], list)
    assert [TableSum(**item) for item in back["tables"] if item["table"] != "log_entry"] == after
    assert sums(file) == after
    assert synced.run("person", "u3").status == 0
    log = synced.run("log").out
    assert f"changed: ledger {url}" in log


def test_it_is_shown_where_it_is_and_what_it_holds(synced: Operator, url: str) -> None:
    for place in (str(file_of(synced)), url):
        shown = synced.run("ledger", "show")
        assert shown.status == 0
        assert place in shown.out
        assert "1 audience, 3 members, 1 run" in shown.out
        assert "no process holds" in shown.out
        found = document(synced.run("ledger", "show", "--json"))
        assert (found["ledger"], found["members"], found["leases"]) == (place, 3, [])
        assert int(str(found["bytes"])) > 10_000
        assert str(found["engine"]).startswith("PostgreSQL" if place == url else "SQLite")
        synced.run("ledger", "move", url, "--yes")


def test_who_is_at_work_is_shown_and_keeps_it_from_being_moved(synced: Operator, url: str) -> None:
    file = file_of(synced)
    with open_ledger(file) as ledger, ledger.lease(1):
        shown = synced.run("ledger", "show")
        assert "lease    shoppers: process " in shown.out
        moved = synced.run("ledger", "move", url, "--yes")
        assert moved.status == 4
        assert "they hold 1 lease. Nothing was moved." in moved.err
    assert file.name in synced.run("ledger", "show").out


def test_a_ledger_that_breaks_its_rules_says_how_and_what_to_do(synced: Operator, url: str) -> None:
    file = file_of(synced)
    remedies = {str(file): "amp-console doctor", url: "administrator of the server"}
    for place, remedy in remedies.items():
        well = synced.run("ledger", "check")
        assert (well.status, well.out) == (
            0,
            f"The ledger {place} is intact and consistent.\n",
        )
        with open_ledger(place) as ledger:
            ledger.write(lambda db: db.execute("UPDATE request SET settled_at = NULL"))
        wrong = synced.run("ledger", "check")
        assert wrong.status == 1
        assert "of request: both open and settled, or neither." in wrong.out
        assert remedy in wrong.out
        found = json.loads(synced.run("ledger", "check", "--json").out)
        assert len(found["problems"]) == 1
        with open_ledger(place) as ledger:
            ledger.write(lambda db: db.execute("UPDATE request SET settled_at = 9"))
        synced.run("ledger", "move", url, "--yes")


def test_a_server_whose_next_number_is_taken_says_so(synced: Operator, url: str) -> None:
    assert synced.run("ledger", "move", url, "--yes").status == 0
    with open_ledger(url) as ledger:
        ledger.write(
            lambda db: db.execute("SELECT setval(pg_get_serial_sequence('member', 'n'), 2)")
        )
    assert "The next number of member.n is taken." in synced.run("ledger", "check").out


def test_a_file_whose_parent_rows_are_lost_says_so(synced: Operator) -> None:
    with closing(sqlite3.connect(file_of(synced))) as db:  # without foreign keys
        db.execute("DELETE FROM run")
        db.commit()
    checked = synced.run("ledger", "check")
    assert "1 row of run_audience: the run is missing." in checked.out


def test_nothing_moves_unconfirmed_or_where_settings_may_not_change(
    synced: Operator, url: str
) -> None:
    unconfirmed = synced.run("ledger", "move", url)
    assert unconfirmed.status == 2
    assert "add --yes" in unconfirmed.err
    read_only = synced.run("--read-only", "ledger", "move", url, "--yes")
    assert read_only.status == 2
    assert "--read-only" in read_only.err
    elsewhere = synced.run("ledger", "move", url, "--yes", more={"AMP_CONSOLE_LEDGER": url})
    assert elsewhere.status == 2
    assert "AMP_CONSOLE_LEDGER sets where the ledger is" in elsewhere.err
    no_address = synced.run("ledger", "move", "mysql://host/db", "--yes")
    assert no_address.status == 2
    there = synced.run("ledger", "move", "file", "--yes")
    assert "already. Nothing was moved." in there.err
    assert not any(item.rows for item in sums(url))


def test_a_place_that_is_taken_is_left_alone(synced: Operator, url: str) -> None:
    with open_ledger(url) as other:
        other.write(lambda db: db.execute("INSERT INTO pruning (at) VALUES (1)"))
    taken = synced.run("ledger", "move", url, "--yes")
    assert taken.status == 2
    assert "There is a ledger at" in taken.err


def test_the_old_place_says_where_the_ledger_went(synced: Operator, url: str) -> None:
    file = file_of(synced)
    settings = Folders.locate(synced.environment).config_file
    old_settings = settings.read_text()
    assert synced.run("ledger", "move", url, "--yes").status == 0
    settings.write_text(old_settings)  # of a user without any settings yet
    refused = synced.run("audiences")
    assert refused.status == 4
    assert f"This ledger was moved to {url}" in refused.err
    assert file.exists()
    finished = synced.run("ledger", "move", url, "--yes")
    assert finished.status == 0, finished
    assert synced.run("audiences").status == 0


def test_who_is_forgotten_on_a_server_may_still_be_in_the_file_that_was_used_before(
    synced: Operator, url: str
) -> None:
    file = file_of(synced)
    assert synced.run("ledger", "move", url, "--yes").status == 0
    ended = synced.run("forget", "u1", "--yes")
    assert ended.status == 1, ended
    assert f"Delete earlier copies of the ledger yourself: {file}." in ended.out
    backups = file.with_suffix(".backups")
    backups.mkdir()
    file.unlink()
    assert f"yourself: {backups}." in synced.run("forget", "u2", "--yes").out
    backups.rmdir()
    assert synced.run("forget", "ghost-1", "--yes").status == 0


def test_a_move_that_died_before_its_end_is_finished_by_the_next(
    synced: Operator, url: str
) -> None:
    file = file_of(synced)
    settings = Folders.locate(synced.environment).config_file
    old_settings = settings.read_text()
    assert synced.run("ledger", "move", url, "--yes").status == 0
    settings.write_text(old_settings)
    database = database_at(url)
    database.open()
    database.transaction(Access.WRITE, lambda db: put_mark(db, str(file), 1))
    database.close()
    assert "was moved to" in synced.run("audiences", more={"AMP_CONSOLE_LEDGER": url}).err
    assert synced.run("ledger", "move", url, "--yes").status == 0
    assert synced.run("audiences").status == 0
    assert url in synced.run("connections", "--json").out


def test_ctrl_c_leaves_the_old_ledger_in_use(
    synced: Operator, url: str, server_ledgers: PostgresqlLedgers
) -> None:
    before = sums(file_of(synced))
    schema = url.partition("schema=")[2]
    server = server_ledgers.server
    with psycopg.connect(server.url()) as other:
        other.execute(f"LOCK TABLE {schema}.run IN EXCLUSIVE MODE")  # the move waits for it
        moving = synced.start("ledger", "move", url, "--yes")
        moving.wait_until(lambda: server.rows("SELECT 1 FROM pg_locks WHERE NOT granted") != [])
        moving.send(signal.SIGINT)
        moving.wait_until(lambda: "Stopping." in moving.err)
    assert moving.wait() == 130, (moving.out, moving.err)
    assert "Stopped. The old ledger is in use." in moving.err
    assert sums(file_of(synced)) == before
    assert not any(item.rows for item in sums(url))
    assert synced.run("ledger", "move", url, "--yes").status == 0


def test_a_password_goes_into_the_keyring_alone(synced: Operator, url: str) -> None:
    backends.Memory.clear()
    in_url = synced.run("ledger", "move", url.replace("@", f":{PASSWORD}@"), "--yes", more=MEMORY)
    assert in_url.status == 2
    assert "add --password-stdin" in in_url.err
    moving = ("ledger", "move", url, "--password-stdin", "--yes")
    stdin = f"{PASSWORD}\n".encode()
    moved = synced.run(*moving, stdin=stdin, without=["PGPASSWORD"], more=MEMORY)
    assert moved.status == 0, moved
    shown = synced.run("ledger", "show", without=["PGPASSWORD"], more=MEMORY)
    assert url in shown.out
    assert PASSWORD not in in_url.err + moved.out + moved.err + shown.out
    assert not any(PASSWORD.encode() in content for content in files_below(synced.home))
    backends.Memory.clear()


def test_a_backup_is_a_ledger_of_one_owner_wherever_it_is_from(
    synced: Operator, url: str, tmp_path: Path
) -> None:
    for number in (1, 2):
        copy = tmp_path / f"copy-{number}.db"
        saved = synced.run("ledger", "backup", copy)
        assert saved.status == 0, saved
        assert f"Saved {copy}" in saved.out
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        content = copy.read_bytes()
        again = synced.run("ledger", "backup", copy)
        assert again.status == 2
        assert "exists already. It was not changed." in again.err
        assert copy.read_bytes() == content
        assert {path.name for path in tmp_path.glob("copy-*.db*")} == {
            f"copy-{n}.db" for n in range(1, number + 1)
        }
        assert sums(copy) == sums(file_of(synced) if number == 1 else url)
        if number == 1:
            assert synced.run("ledger", "move", url, "--yes").status == 0
    nowhere = synced.run("ledger", "backup", tmp_path / "no" / "folder.db")
    assert nowhere.status == 4
    assert "Traceback" not in nowhere.err
