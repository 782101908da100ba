"""`source` and `sources`: the warehouses of a connection, from the shell."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amp_console.connections import ConnectionStore, Folders
from amp_console.ledger import open_ledger
from amp_console.ledger.unread_sources import UnreadSource, keep_unread
from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.connections import backends
from tests.postgresql import PASSWORD, PostgresqlServer

MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE vips (user_id TEXT)")
    return path


def test_a_file_is_added_listed_tested_and_removed(operator: Operator, warehouse: Path) -> None:
    assert "No sources yet." in operator.run("sources").out
    operator.run("audiences")  # there is a ledger, and so a log
    added = operator.run("source", "add", "lake", f"sqlite:{warehouse}")
    assert added.status == 0, added
    assert added.out.startswith(f"Saved the source “lake”: SQLite {sqlite3.sqlite_version}, ")
    listed = operator.run("sources").out
    assert "lake" in listed
    assert operator.run("sources", "--json").document == [
        {"name": "lake", "url": f"sqlite://{warehouse}", "has_password": False, "unread": None}
    ]
    assert "can be read: SQLite" in operator.run("source", "test", "lake").out
    assert "changed: source lake." in operator.run("log").out
    assert "Removed the source “lake”." in operator.run("source", "remove", "lake").out
    assert operator.run("sources", "--json").document == []
    assert "source lake removed" in operator.run("log").out


def test_what_a_session_could_not_read_is_listed_until_it_is_read(
    operator: Operator, tmp_path: Path
) -> None:
    operator.run("audiences")
    folders = Folders.locate(operator.environment)
    path = folders.ledger(ConnectionStore(folders.config_file).pick(None).id)
    unread = UnreadSource("s3:x/in/2.json", "s3://x/in/2.json", "Grant s3:GetObject\x1b.", 1)
    with open_ledger(path) as ledger:
        ledger.write(keep_unread, unread)
    out = operator.run("sources").out
    assert "Not read, tried last 1970-01-01 00:00:00 UTC: s3://x/in/2.json. Grant" in out
    assert "\x1b" not in out
    assert operator.run("sources", "--json").document == [
        {
            "name": "s3://x/in/2.json",
            "url": None,
            "has_password": False,
            "unread": unread.reason,
        }
    ]


def test_connecting_again_keeps_the_sources(operator: Operator, warehouse: Path) -> None:
    assert operator.run("source", "add", "lake", f"sqlite:{warehouse}").status == 0
    operator.run("audiences")  # there is a ledger, and so a log
    assert operator.connect().status == 0
    assert operator.run("source", "test", "lake").status == 0
    assert "source lake removed" not in operator.run("log").out


def test_what_cannot_be_opened_is_not_saved(operator: Operator, tmp_path: Path) -> None:
    for url, words in (
        (f"sqlite:{tmp_path}/missing", "missing does not exist. Nothing was saved."),
        ("mysql://ana@h/x", "no scheme that amp-console knows. Nothing was saved."),
        ("postgresql://ana@127.0.0.1:1/x", "Connection refused. Nothing was saved."),
        ("postgresql://ana:can/ary@h/x", "percent-encode"),
    ):
        ended = operator.run("source", "add", "lake", url)
        assert ended.status == 2
        assert words in ended.err
        assert "can/ary" not in ended.err
    assert operator.run("source", "add", "la ke", "sqlite:x").status == 2
    assert operator.run("sources", "--json").document == []


def test_a_missing_source_is_reported(operator: Operator, warehouse: Path) -> None:
    ended = operator.run("source", "test", "lake")
    assert ended.status == 2
    assert "There is no source called “lake”. Add one with" in ended.err
    operator.run("source", "add", "lake", f"sqlite:{warehouse}")
    warehouse.unlink()
    ended = operator.run("source", "test", "lake")
    assert (ended.status, ended.out) == (2, "")
    assert "does not exist. Check the path" in ended.err


def test_read_only_adds_and_removes_none(operator: Operator, warehouse: Path) -> None:
    assert operator.run("source", "add", "lake", f"sqlite:{warehouse}").status == 0
    for arguments in (("add", "two", f"sqlite:{warehouse}"), ("remove", "lake")):
        ended = operator.run("--read-only", "source", *arguments)
        assert ended.status == 2
        assert "Nothing was changed." in ended.err


def add_with_password(
    operator: Operator, url: str, password: str = PASSWORD, more: dict[str, str] = MEMORY
) -> Ended:
    stdin = f"{password}\n".encode()
    return operator.run("source", "add", "db", url, "--password-stdin", stdin=stdin, more=more)


def test_a_password_in_an_argument_is_refused(operator: Operator) -> None:
    ended = operator.run("source", "add", "db", f"postgresql://ana:{PASSWORD}@127.0.0.1:1/x")
    assert ended.status == 2
    assert "anyone on this machine can see the arguments" in ended.err
    assert "add --password-stdin" in ended.err
    assert PASSWORD not in ended.err
    assert operator.run("sources", "--json").document == []


def test_a_password_goes_into_the_keyring_and_nowhere_else(
    operator: Operator, server: PostgresqlServer, tmp_path: Path
) -> None:
    ended = add_with_password(operator, server.url())
    assert ended.status == 0, ended
    assert "Its password is in your keyring (backends Memory), not in the settings." in ended.out
    assert PASSWORD in "".join(backends.Memory.items.values())
    said = [
        operator.run(*command, more=MEMORY)
        for command in (
            ("source", "test", "db"),
            ("sources",),
            ("sources", "--json"),
            ("connections", "--json"),
            ("doctor",),
            ("log",),
        )
    ]
    assert said[0].status == 0, said[0]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 1
    assert not any(PASSWORD.encode() in content for content in files)
    assert not any(PASSWORD in item.out + item.err for item in (ended, *said))
    assert operator.run("source", "remove", "db", more=MEMORY).status == 0
    assert backends.Memory.items == {}


def test_a_removed_source_says_that_the_keyring_kept_its_password(
    operator: Operator, server: PostgresqlServer
) -> None:
    assert add_with_password(operator, server.url()).status == 0
    more = {"PYTHON_KEYRING_BACKEND": f"{backends.Stubborn.__module__}.Stubborn"}
    ended = operator.run("source", "remove", "db", more=more)
    assert len(backends.Memory.items) == 1
    assert ended.status == 1
    assert (
        "Removed the source “db”. Its password is still in your keyring, which failed to delete it."
        in ended.out
    )
    assert add_with_password(operator, server.url()).status == 0
    assert len(backends.Memory.items) == 1, "the new password"


def test_a_wrong_password_is_not_saved(operator: Operator, server: PostgresqlServer) -> None:
    refused = add_with_password(operator, server.url(), "canary-pw")
    assert refused.status == 2
    assert "password authentication failed" in refused.err
    assert "canary-pw" not in refused.err


def test_without_a_keyring_a_password_is_refused(
    operator: Operator, server: PostgresqlServer
) -> None:
    ended = add_with_password(operator, server.url(), more={})
    assert ended.status == 3
    assert "no keyring to store the password of the source in. Nothing was saved." in ended.err
    assert operator.run("sources", "--json").document == []
