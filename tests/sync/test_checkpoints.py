"""Checkpoints: where reading resumes, in a current ledger and in one of an older version."""

import json
import sqlite3
from pathlib import Path

from amp_console.ledger import open_ledger
from amp_console.ledger.checkpoints import (
    Checkpoint,
    checkpoints,
    forget_checkpoint,
    keep_checkpoint,
)
from amp_console.ledger.schema import MIGRATIONS
from amp_console.sync.sources.checkpoints import FileCheckpoint, FileCheckpoints
from amp_console.sync.sources.tail import HEAD, digest, identity_of, read_at
from tests.sync.test_watcher import Watcher, members
from tests.sync.workspace import Workspace, lines

TAILS = 12  # the last version that kept a table of tails
COLUMNS = "path, source_id, device, inode, head_size, head, position, line, is_whole, before"


def test_a_checkpoint_is_kept_once_per_source(workspace: Workspace) -> None:
    ledger = workspace.ledger
    for value in ("1", "2"):
        ledger.write(keep_checkpoint, Checkpoint("file:/a", value))
    ledger.write(keep_checkpoint, Checkpoint("s3:a", '{"after": "b"}'))
    assert ledger.read(checkpoints, "file") == [("file:/a", "2")]
    ledger.write(forget_checkpoint, "file:/a")
    assert ledger.read(checkpoints, "file") == []
    assert ledger.read(checkpoints, "s3") == [("s3:a", '{"after": "b"}')]


def test_the_tails_of_an_older_ledger_are_where_reading_resumes(
    workspace: Workspace, tmp_path: Path
) -> None:
    followed, whole = tmp_path / "größe 'a'.ndjson", tmp_path / "whole.json"
    read = lines("u1", "u2").encode()
    followed.write_bytes(read)
    whole.write_text(json.dumps([]))
    ledger_path = tmp_path / "older.db"
    _write_older_ledger(ledger_path, followed, whole)
    with followed.open("ab") as file:
        file.write(lines("u3").encode())
    with open_ledger(ledger_path) as ledger:
        known = FileCheckpoints(ledger)
        checkpoint = known.get(followed)
        assert checkpoint is not None
        assert (checkpoint.position, checkpoint.line) == (len(read), 3)
        assert (checkpoint.source_id, checkpoint.is_whole, checkpoint.modified) == (7, False, 5)
        whole_checkpoint = known.get(whole)
        assert whole_checkpoint is not None
        assert whole_checkpoint.is_whole
        workspace.ledger = ledger
        watcher = Watcher(workspace, followed, whole)
        assert watcher.poll() == 1
        assert members(ledger) == {"u3"}
        counts = ledger.read(lambda db: db.execute("SELECT id, read FROM source").fetchall())
        assert counts == [(7, 3), (8, 0)]


def test_a_file_checkpoint_survives_the_ledger() -> None:
    checkpoint = FileCheckpoint("/a:b", 1, 2**63, 2**64 - 1, 4, "abcd", -1, 9, is_whole=True)
    for host in ("", "web-1"):
        assert FileCheckpoint.decode(checkpoint.encode(host)) == checkpoint


def test_reading_at_a_position_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert file.read(2) == b"01"
        assert read_at(file, 5, 3) == b"567"
        assert read_at(file, 8, 10) == b"89"
        assert file.read(3) == b"234"


def _write_older_ledger(ledger_path: Path, followed: Path, whole: Path) -> None:
    assert len(MIGRATIONS) > TAILS
    db = sqlite3.connect(ledger_path, isolation_level=None)
    for step in MIGRATIONS[:TAILS]:
        db.executescript(step)
    content = followed.read_bytes()
    with followed.open("rb") as file:
        identity = identity_of(file)
    with whole.open("rb") as file:
        whole_identity = identity_of(file)
    status = whole.stat()
    insert = f"INSERT INTO tail ({COLUMNS}, modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    before = digest(content[-HEAD:])
    db.execute(insert, (str(followed), 7, *identity, len(content), 3, 0, before, 5))
    size, time = status.st_size, status.st_mtime_ns
    db.execute(insert, (str(whole), 8, *whole_identity, size, time, 1, "", time))
    db.execute("INSERT INTO source (id, name, read_at, read) VALUES (7, 'a', 1, 2), (8, 'b', 1, 0)")
    db.execute(f"PRAGMA user_version = {TAILS}")
    db.close()
