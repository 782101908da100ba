"""Watching files and folders: each line is in the ledger once, whatever happens to the files."""

import errno
import gzip
import json
import lzma
import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.engage import UnreadableSource
from amp_console.engage.lines import BOM
from amp_console.ledger import Ledger, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.checkpoints import checkpoints
from amp_console.ledger.sources import invalid_events
from amp_console.simulator import Simulator
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.checkpoints import followed_folders
from amp_console.sync.sources.watcher import (
    MAX_SHOWN,
    PathWatcher,
    WatchOptions,
    _files_in,
    readable,
)
from amp_console.sync.timing import Timing
from amp_console.values import IdType
from tests.examples import examples
from tests.ledgers import fail, fail_no_more, postgresql_only
from tests.sync.workspace import Workspace, event, lines, ndjson, unread


class Watcher:
    """Watches paths, and may be restarted at any time."""

    def __init__(
        self, workspace: Workspace, *paths: Path, options: WatchOptions | None = None
    ) -> None:
        self.options = options
        self._workspace = workspace
        self._paths = paths
        self.now = 0.0
        self.start()

    def settles(self) -> bool:
        """Whether the watcher waits for a file to be complete."""
        return self.watching.is_settling

    def trouble(self) -> str:
        """What is wrong with the first of the files."""
        return self.watching.status()[0].trouble

    def start(self) -> None:
        """Start as a new process would: all it knows is in the ledger."""
        timing = Timing(monotonic=lambda: self.now)
        ingestor = StreamIngestor(self._workspace.ledger, self._workspace.read_options(), timing)
        self.watching = PathWatcher(ingestor, self._paths, self.options)

    def poll(self) -> int:
        """Poll until nothing is new; return how many events were read."""
        read = self.watching.scan().tally.read
        while self.watching.is_settling or self.watching.has_more:
            read += self.watching.scan().tally.read
        return read


def members(ledger: Ledger) -> set[str]:
    query = "SELECT id FROM member WHERE wanted = 1"
    return set(ledger.read(lambda db: [row[0] for row in db.execute(query)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture(params=[False, True], ids=["running", "restarted"])
def watcher(request: pytest.FixtureRequest, workspace: Workspace, folder: Path) -> Watcher:
    """A watcher of a folder that keeps running, or that is restarted before each poll."""
    watcher = Watcher(workspace, folder)
    if request.param:
        poll = watcher.poll

        def poll_anew() -> int:
            watcher.start()
            return poll()

        watcher.poll = poll_anew  # type: ignore[method-assign]
    return watcher


def test_a_file_that_grows_is_read_once(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    assert watcher.poll() == 2
    assert watcher.poll() == 0
    with file.open("a") as more:
        more.write(lines("u3") + lines("u4")[:20])
    assert watcher.poll() == 1
    with file.open("a") as more:
        more.write(lines("u4")[20:])
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u1", "u2", "u3", "u4"}
    assert workspace.ledger.read(invalid_events) == []


@pytest.mark.parametrize("ends", ["\r\n", ""])
def test_a_byte_order_mark_costs_no_one_their_event(
    watcher: Watcher, workspace: Workspace, folder: Path, ends: str
) -> None:
    file = folder / "a.ndjson"
    file.write_bytes(BOM + (lines("u1").rstrip("\n") + ends).encode())
    assert watcher.poll() == 1
    with file.open("a") as more:
        more.write("\n" + lines("u2"))
    watcher.poll()
    assert members(workspace.ledger) == {"u1", "u2"}
    assert workspace.ledger.read(invalid_events) == []


def test_a_broken_line_is_listed_with_its_number(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    watcher.poll()
    with file.open("a") as more:
        more.write("{broken\n" + lines("u3"))
    assert watcher.poll() == 2
    (invalid,) = workspace.ledger.read(invalid_events)
    assert (invalid.line, Path(invalid.source).name) == (3, "a.ndjson")


def test_a_rotated_file_is_read_to_its_end(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.poll()
    with file.open("a") as more:
        more.write(lines("late"))
    file.rename(folder / "a.ndjson.1")
    file.write_text(lines("new"))
    assert watcher.poll() == 2
    assert members(workspace.ledger) == {"u1", "late", "new"}
    assert watcher.poll() == 0


def test_a_file_that_was_renamed_is_not_read_again(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    assert watcher.poll() == 2
    file.rename(folder / "b.ndjson")
    assert watcher.poll() == 0
    with (folder / "b.ndjson").open("a") as more:
        more.write(lines("u3"))
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u1", "u2", "u3"}


def test_a_file_that_was_cut_short_is_read_again(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("user-one", "user-two"))
    watcher.poll()
    os.truncate(file, 0)
    assert watcher.poll() == 0
    file.write_text(lines("u3"))
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"user-one", "user-two", "u3"}


def test_a_file_that_was_replaced_is_read_from_its_beginning(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.poll()
    other = folder / ".other"
    other.write_text(lines("u2", "u3"))
    other.replace(file)
    assert watcher.poll() == 2
    assert members(workspace.ledger) == {"u1", "u2", "u3"}


def test_a_file_that_was_deleted_is_no_trouble_and_may_come_back(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.poll()
    file.unlink()
    assert watcher.poll() == 0
    file.write_text(lines("u2"))
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u1", "u2"}


@pytest.mark.parametrize("name", ["a.json", "a.ndjson.gz", "a.csv"])
def test_files_that_appear_are_read_once_when_they_are_whole(
    watcher: Watcher, workspace: Workspace, folder: Path, name: str
) -> None:
    content = {
        "a.json": json.dumps([event("u1", True), event("u2", True)]).encode(),
        "a.ndjson.gz": gzip.compress(lines("u1", "u2").encode()),
        "a.csv": (
            b"user_id,event_type,timestamp,context,traits\n"
            + b"".join(
                b'%s,identify,2026-05-03T19:00:00.000Z,"{""personas"":{""computation_class"":'
                b'""audience"",""computation_key"":""shoppers""}}","{""shoppers"":true}"\n' % user
                for user in (b"u1", b"u2")
            )
        ),
    }[name]
    (folder / name).write_bytes(content)
    assert watcher.poll() == 2
    assert watcher.poll() == 0
    assert members(workspace.ledger) == {"u1", "u2"}


def test_a_file_that_is_still_written_is_read_when_it_is_whole(
    workspace: Workspace, folder: Path
) -> None:
    whole = gzip.compress(lines("u1", "u2").encode())
    file, watcher = folder / "a.gz", Watcher(workspace, folder)
    file.write_bytes(whole[:-10])
    watcher.poll()
    assert "end is missing" in watcher.trouble()
    file.write_bytes(whole)
    watcher.poll()
    assert not watcher.trouble()
    assert members(workspace.ledger) == {"u1", "u2"}


def test_folders_in_folders_are_watched_and_hidden_files_are_not(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    deep = folder / "2026" / "11"
    deep.mkdir(parents=True)
    (deep / "a.ndjson").write_text(lines("u1"))
    (deep / ".part.ndjson").write_text(lines("u2"))
    (deep / "picture.png").write_bytes(b"\x89PNG")
    assert watcher.poll() == 1


def test_many_files_are_each_read_once(workspace: Workspace, folder: Path) -> None:
    for n in range(600):
        (folder / f"{n}.ndjson").write_text(lines(f"u{n}"))
    watcher = Watcher(workspace, folder)
    assert watcher.poll() == 600
    watcher.start()
    assert watcher.poll() == 0
    assert len(members(workspace.ledger)) == 600


def test_a_file_alone_is_watched_before_it_is_there(workspace: Workspace, folder: Path) -> None:
    watcher = Watcher(workspace, *readable([str(folder / "later.ndjson")]))
    assert watcher.poll() == 0
    (folder / "later.ndjson").write_text(lines("u1"))
    assert watcher.poll() == 1


def test_a_file_alone_is_asked_whether_it_has_news(workspace: Workspace, folder: Path) -> None:
    file = folder / "a.ndjson"
    watcher = Watcher(workspace, file)
    steps: list[tuple[str, bool]] = [("", False), (lines("u1"), True), (lines("u2", "u3"), True)]
    for text, has_news in steps:
        if text:
            file.write_text(text)
        assert watcher.watching.has_news() is has_news
        watcher.poll()
        assert not watcher.watching.has_news()
    file.unlink()
    assert watcher.watching.has_news()


def test_a_name_that_is_not_in_utf_8_is_reported_and_the_others_are_read(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    (folder / os.fsdecode(b"caf\xe9.ndjson")).write_text(lines("u1"))
    (folder / "zoo.ndjson").write_text(lines("u2"))
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u2"}
    assert "not valid UTF-8" in watcher.trouble()


def test_a_pipe_is_refused_because_reading_it_never_ends(folder: Path) -> None:
    os.mkfifo(folder / "pipe.ndjson")
    with pytest.raises(UnreadableSource, match="neither a file nor a folder"):
        readable([str(folder / "pipe.ndjson")])
    assert list(_files_in(folder)) == []


def test_a_path_that_never_will_be_there_is_refused(folder: Path) -> None:
    with pytest.raises(UnreadableSource, match="does not exist, nor does its folder"):
        readable([str(folder / "no" / "file.ndjson")])
    with pytest.raises(UnreadableSource, match="can't be read \\(File name too long\\)"):
        readable([str(folder / ("x" * 300))])
    with pytest.raises(UnreadableSource, match="the home folder of an unknown user"):
        readable(["~no-such-user/file.ndjson"])


def test_an_event_and_its_checkpoint_are_kept_together(workspace: Workspace, folder: Path) -> None:
    """If the ledger fails in the middle, neither is kept; the next poll reads both."""
    (folder / "a.ndjson").write_text(lines("u1"))
    watcher = Watcher(workspace, folder)
    workspace.ledger.write(fail, "INSERT", "checkpoint")
    with pytest.raises(Exception, match="failed"):
        watcher.poll()
    assert members(workspace.ledger) == set()


def test_a_log_that_was_moved_away_is_read_on_after_the_ledger_has_failed(
    workspace: Workspace, folder: Path
) -> None:
    log = folder / "app.log"
    log.write_text(lines("u1"))
    watcher = Watcher(workspace, log)
    assert watcher.poll() == 1
    with log.open("a") as more:
        more.write(lines("u2"))
    log.rename(folder / "app.log.1")
    workspace.ledger.write(fail, "INSERT", "member")
    with pytest.raises(LedgerError):
        watcher.poll()
    workspace.ledger.write(fail_no_more, "member")
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u1", "u2"}


@postgresql_only
def test_the_same_path_on_another_host_is_another_file(
    workspace: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, here, there = folder / "app.log", tmp_path / "here", tmp_path / "there"
    watcher = Watcher(workspace, log)
    for host, disk, user in (("a", here, "u1"), ("b", there, "u2")):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        log.write_text(lines(user))
        watcher.start()
        assert watcher.poll() == 1
        log.rename(disk)
    here.rename(log)
    with log.open("a") as more:
        more.write(lines("u3"))
    monkeypatch.setattr(socket, "gethostname", lambda: "a")
    watcher.start()
    assert watcher.poll() == 1
    assert members(workspace.ledger) == {"u1", "u2", "u3"}
    assert workspace.ledger.read(followed_folders) == [str(folder)]


def test_an_event_that_means_several_audiences_stops_nothing(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    ids = ("one", "two", "", "one")
    events = [event(f"u{n}", True, personas={"computation_id": id_}) for n, id_ in enumerate(ids)]
    (folder / "a.ndjson").write_text(ndjson(events))
    assert watcher.poll() == 4
    assert watcher.poll() == 0
    assert members(workspace.ledger) == {"u0", "u1", "u3"}
    assert [invalid_event.line for invalid_event in workspace.ledger.read(invalid_events)] == [3]


def test_a_file_first_seen_empty_and_replaced_in_place_loses_nothing(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.touch()
    assert watcher.poll() == 0
    file.write_text(lines("u1"))
    assert watcher.poll() == 1
    file.write_text(lines("u2", "u3", "u4"))  # the same inode, and longer than it was
    assert watcher.poll() == 3
    assert members(workspace.ledger) == {"u1", "u2", "u3", "u4"}


def test_a_last_line_without_a_newline_is_read(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2").rstrip("\n"))
    assert watcher.poll() == 2
    with file.open("a") as more:
        more.write("\n" + lines("u3"))
    assert watcher.poll() == 1
    assert workspace.ledger.read(invalid_events) == []
    with file.open("a") as more:
        more.write("{broken\n")
    watcher.poll()
    assert [invalid_event.line for invalid_event in workspace.ledger.read(invalid_events)] == [4]


def test_a_file_that_could_not_be_opened_is_tried_again(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.ndjson", "b.json"):
        (folder / name).write_text(lines(name))
    watcher = Watcher(workspace, folder)

    def fail(*_: object) -> BinaryIO:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", fail)
        for _ in range(3):
            watcher.watching.scan()
        found = watcher.watching.status()
        assert ["It can't be read (Input/output error)" in item.trouble for item in found] == [
            True
        ] * 2
    assert watcher.poll() == 2
    assert [source.trouble for source in watcher.watching.status()] == ["", ""]


def test_what_was_read_of_a_cut_file_is_reported(workspace: Workspace, folder: Path) -> None:
    """It is in the ledger, so it has to be delivered."""
    file, watcher = folder / "a.gz", Watcher(workspace, folder)
    file.write_bytes(gzip.compress(lines("u1", "u2").encode())[:-4])
    watcher.watching.scan()
    taken = watcher.watching.scan()
    (audience,) = workspace.ledger.read(all_audiences)
    assert taken.entered == {audience.id: 2}
    assert [item.id for item in taken.latest] == ["u1", "u2"]
    assert watcher.poll() == 0


@pytest.mark.parametrize("name", ["a.json", "a.gz", "a.csv"])
def test_a_file_that_vanishes_before_it_is_read_is_waited_for_no_longer(
    workspace: Workspace, folder: Path, name: str
) -> None:
    watcher = Watcher(workspace, folder)
    (folder / name).write_text("x")
    watcher.watching.scan()
    assert watcher.settles()
    (folder / name).unlink()
    watcher.watching.scan()
    assert not watcher.settles()
    assert watcher.watching.status() == ()


def test_a_file_that_is_moved_away_is_read_to_its_end_before_another_takes_its_place(
    workspace: Workspace, folder: Path
) -> None:
    file, watcher = folder / "a.ndjson", Watcher(workspace, folder)
    file.write_text(lines("u1"))
    watcher.poll()
    with file.open("a") as more:
        more.write(lines("u2"))
        file.rename(folder / "a.ndjson.1")
        more.flush()
        assert watcher.poll() == 1
        more.write(lines("u3"))  # the writer does not know yet
        more.flush()
        file.write_text(lines("u4"))
        assert watcher.poll() == 2
        more.write(lines("u5"))
    assert watcher.poll() == 1
    assert watcher.poll() == 0
    assert members(workspace.ledger) == {"u1", "u2", "u3", "u4", "u5"}


def test_a_file_that_is_copied_and_cut_short_is_read_to_its_end(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    """As logrotate does with copytruncate."""
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.poll()
    with file.open("a") as more:
        more.write(lines("late"))
    (folder / "a.ndjson.1").write_bytes(file.read_bytes())
    file.write_text(lines("new"))
    assert watcher.poll() == 2
    assert members(workspace.ledger) == {"u1", "late", "new"}
    assert watcher.poll() == 0


def test_names_that_are_shifted_are_each_followed(workspace: Workspace, folder: Path) -> None:
    one, two, three = (folder / f"{n}.log" for n in (1, 2, 3))
    watcher = Watcher(workspace, folder)
    one.write_text(lines("u1"))
    two.write_text(lines("u2"))
    watcher.poll()
    with one.open("a") as first, two.open("a") as second:
        first.write(lines("u3"))
        second.write(lines("u4"))
    two.rename(three)
    one.rename(two)
    one.write_text(lines("u5"))
    assert watcher.poll() == 3
    assert watcher.poll() == 0
    assert members(workspace.ledger) == {f"u{n}" for n in range(1, 6)}


def test_places_in_files_that_are_gone_are_forgotten_after_a_day(
    workspace: Workspace, folder: Path
) -> None:
    watcher = Watcher(workspace, folder)
    for n in range(3):
        (folder / f"{n}.ndjson").write_text(lines(f"u{n}"))
    watcher.poll()
    (folder / "0.ndjson").unlink()
    watcher.poll()
    watcher.now += 80_000
    (folder / "1.ndjson").unlink()
    watcher.poll()
    watcher.now += 80_000
    watcher.poll()
    known = [Path(item.key).name for item in workspace.ledger.read(checkpoints, "file")]
    assert sorted(known) == ["1.ndjson", "2.ndjson"]


def test_places_in_files_that_another_session_follows_are_remembered(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    other, log, rotated = tmp_path / "other.ndjson", folder / "app.log", folder / "app.log.1"
    for number, file in enumerate((other, rotated)):
        file.write_text(lines(f"u{number}"))
        Watcher(workspace, file).poll()
    rotated.unlink()
    log.write_text(lines("u2"))
    watcher = Watcher(workspace, log)
    watcher.poll()
    watcher.now += 100_000
    watcher.poll()
    known = [Path(item.key).name for item in workspace.ledger.read(checkpoints, "file")]
    assert sorted(known) == ["app.log", "other.ndjson"]
    assert Watcher(workspace, other).poll() == 0


def test_files_in_trouble_are_listed_first_and_then_the_last_that_brought_events(
    workspace: Workspace, folder: Path
) -> None:
    watcher = Watcher(workspace, folder)
    for n in range(3):
        watcher.now += 1
        (folder / f"{n}.ndjson").write_text(lines(f"u{n}"))
        watcher.poll()
    (folder / "broken.gz").write_bytes(gzip.compress(lines("u4").encode())[:-10])
    watcher.poll()
    found = watcher.watching.status()
    assert [Path(item.name).name for item in found] == [
        "broken.gz", "2.ndjson", "1.ndjson", "0.ndjson",
    ]  # fmt: skip
    size = (folder / "2.ndjson").stat().st_size
    assert (found[1].events, found[1].last, found[1].position, found[1].size) == (1, 3, size, size)


def test_files_that_are_not_listed_are_counted(workspace: Workspace, folder: Path) -> None:
    watcher = Watcher(workspace, folder)
    for n in range(MAX_SHOWN + 88):
        (folder / f"{n}.ndjson").write_text(lines(f"u{n}"))
    watcher.poll()
    found = watcher.watching.status()
    assert len(found) == MAX_SHOWN
    assert sum(1 + item.unlisted for item in found) == MAX_SHOWN + 88
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert sum((item.size or 0) + item.unlisted_size for item in found) == size
    assert sum((item.position or 0) + item.unlisted_position for item in found) == size


CSV_HEADER = "user_id,event_type,timestamp,context,traits\n"


def csv_rows(*users: str, at: int = 0) -> str:
    cells = [
        (
            user,
            "identify",
            entry["timestamp"],
            json.dumps(entry["context"]),
            json.dumps(entry["traits"]),
        )
        for user in users
        for entry in [event(user, True, at)]
    ]
    return "".join(
        ",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) + "\n" for row in cells
    )


CONTENTS: dict[str, Callable[[str, str], bytes]] = {
    "lines": lambda *users: lines(*users).encode(),
    "csv": lambda *users: (CSV_HEADER + csv_rows(*users)).encode(),
    "array": lambda *users: json.dumps([event(user, True) for user in users]).encode(),
    "gzip": lambda *users: gzip.compress(lines(*users).encode()),
    "concatenated": lambda *users: "".join(json.dumps(event(u, True)) for u in users).encode(),
    "pretty": lambda *users: "\n".join(
        json.dumps(event(user, True), indent=1) for user in users
    ).encode(),
}
"""The content of a file with two users, in each format."""


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_content_decides_how_a_file_is_read_and_not_its_name(
    watcher: Watcher, workspace: Workspace, folder: Path, kind: str
) -> None:
    found = set[str]()
    for name in ("a.txt", "a.csv", "a.log", "a", "a.ndjson", "a.json", "a.data"):
        users = f"{name}-1", f"{name}-2"
        (folder / name).write_bytes(CONTENTS[kind](*users))
        assert watcher.poll() == 2, name
        assert watcher.poll() == 0, name
        found.update(users)
        assert members(workspace.ledger) == found, name
        assert not watcher.trouble(), name
    assert workspace.ledger.read(invalid_events) == []


def test_a_file_in_no_known_format_is_reported_until_it_has_one(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    (folder / "notes.txt").write_text("to do: nothing\n")
    assert watcher.poll() == 0
    assert "Its format is unknown" in watcher.trouble()
    (folder / "notes.txt").write_text(lines("u1"))
    assert watcher.poll() == 1
    assert not watcher.trouble()


def test_a_file_that_could_not_be_read_is_kept_until_it_is_read_or_gone(
    watcher: Watcher, workspace: Workspace, folder: Path
) -> None:
    for name in ("notes.txt", "gone.txt"):
        (folder / name).write_text("to do: nothing\n")
    watcher.poll()
    kept = unread(workspace)
    assert kept.keys() == {str(folder / "notes.txt"), str(folder / "gone.txt")}
    assert all("Its format is unknown" in reason for reason in kept.values())
    watcher.start()
    watcher.poll()
    assert unread(workspace) == kept
    (folder / "gone.txt").unlink()
    (folder / "notes.txt").write_text(lines("u1"))
    watcher.start()
    assert watcher.poll() == 1
    assert unread(workspace) == {}


def test_what_segment_says_of_an_audience_counts_when_its_line_is_read_again(
    workspace: Workspace, folder: Path
) -> None:
    hints = {"audience_settings": {"id_type": "BY_AMP_ID", "cohort_name": "Best"}}
    (folder / "a.ndjson").write_text(json.dumps(event("u1", True, personas=hints)) + "\n")
    watcher, ledger = Watcher(workspace, folder), workspace.ledger
    ledger.write(fail, "INSERT", "audience")
    with pytest.raises(LedgerError):
        watcher.poll()
    ledger.write(fail_no_more, "audience")
    assert watcher.poll() == 1
    audience = workspace.audience()
    assert (audience.id_type, audience.cohort_name) == (IdType.AMPLITUDE_ID, "Best")


def test_what_the_ledger_could_not_keep_about_a_file_is_kept_later(
    workspace: Workspace, folder: Path
) -> None:
    watcher, ledger = Watcher(workspace, folder), workspace.ledger

    def refuse(operation: str) -> None:
        ledger.write(fail, operation, "unread_source")
        with pytest.raises(LedgerError):
            watcher.poll()
        ledger.write(fail_no_more, "unread_source")
        watcher.poll()

    (folder / "notes.txt").write_text("to do: nothing\n")
    refuse("INSERT")
    assert unread(workspace).keys() == {str(folder / "notes.txt")}
    (folder / "notes.txt").write_text(lines("u1"))
    refuse("DELETE")
    assert unread(workspace) == {}
    assert members(ledger) == {"u1"}


@pytest.mark.parametrize("cut", [1, 5, 7, 60, 200])
def test_a_csv_that_pauses_in_the_middle_of_a_row_waits_for_its_rest(
    workspace: Workspace, folder: Path, cut: int
) -> None:
    """A cut identifier would be another identifier."""
    content = CSV_HEADER + csv_rows("user-1", "user-2")
    begun = content[: len(CSV_HEADER) + len(csv_rows("user-1")) + cut]
    file, watcher = folder / "a.csv", Watcher(workspace, folder)
    file.write_text(begun)
    read = watcher.poll()
    watcher.now += 61
    assert read + watcher.poll() == 1
    assert members(workspace.ledger) == {"user-1"}
    assert "waits for the rest" in watcher.trouble()
    file.write_text(content + csv_rows("user-3"))
    watcher.poll()
    assert members(workspace.ledger) == {"user-1", "user-2", "user-3"}
    assert not watcher.trouble()
    assert workspace.ledger.read(invalid_events) == []


@pytest.mark.parametrize(
    ("header", "last", "is_read"),
    [
        ("user_id,event_type,timestamp,context,traits", None, True),
        ("user_id,event_type,timestamp,context,traits,batch_size", ',"20"', True),
        ("user_id,event_type,timestamp,context,traits,batch_size", ",20", True),
        ("user_id,event_type,timestamp,context,traits,batch_size", "", False),
        ("event_type,timestamp,context,traits,user_id", ',"u1"', True),
        ("event_type,timestamp,context,traits,user_id", ",u1", False),
        ("event_type,timestamp,context,traits,user_id", ',"u1', False),
    ],
)
def test_a_last_row_without_a_newline_is_read_where_nothing_can_be_missing(
    workspace: Workspace, folder: Path, header: str, last: str | None, *, is_read: bool
) -> None:
    """As the AWS S3 (Actions) destination writes it."""
    row = csv_rows("u1").rstrip("\n")
    row = row.partition(",")[2] if header.endswith("user_id") else row
    (folder / "a.txt").write_text(f"{header}\n{row}{last or ''}")
    watcher = Watcher(workspace, folder)
    watcher.poll()
    watcher.now += 61
    watcher.poll()
    assert members(workspace.ledger) == ({"u1"} if is_read else set())
    assert ("waits for the rest" in watcher.trouble()) is not is_read
    assert workspace.ledger.read(invalid_events) == []


@pytest.mark.parametrize(
    "begun",
    [
        CSV_HEADER + csv_rows("u1").rstrip('"\n'),
        CSV_HEADER + csv_rows("u1").replace('{""shoppers""', '{\n""shoppers""').rpartition('""')[0],
        json.dumps([event("u1", True), event("u2", True)], indent=1)[:-40],
        '[{"type": "identify",',
    ],
    ids=["row", "cell with a newline", "array", "element"],
)
def test_what_is_not_complete_is_told_as_waiting_and_refuses_nothing(
    workspace: Workspace, folder: Path, begun: str
) -> None:
    watcher = Watcher(workspace, folder)
    (folder / "a").write_text(begun)
    watcher.poll()
    assert not watcher.trouble()
    watcher.now += 61
    watcher.poll()
    assert "waits for the rest" in watcher.trouble()
    assert workspace.ledger.read(invalid_events) == []


def test_a_line_that_waits_for_a_minute_is_reported_with_its_number(
    workspace: Workspace, folder: Path
) -> None:
    file, watcher = folder / "a.ndjson", Watcher(workspace, folder)
    file.write_text(lines("u1") + lines("u2")[:30])
    assert watcher.poll() == 1
    watcher.now += 59
    watcher.poll()
    assert not watcher.trouble()
    watcher.now += 2
    assert watcher.trouble() == ("Line 2 is not complete: its last 30 bytes wait for the rest.")
    with file.open("a") as more:
        more.write(lines("u2")[30:])
    assert watcher.poll() == 1
    assert not watcher.trouble()


def test_a_path_that_is_missing_is_reported(workspace: Workspace, folder: Path) -> None:
    file, watcher = folder / "a.ndjson", Watcher(workspace, folder / "a.ndjson")
    assert watcher.poll() == 0
    assert watcher.trouble().startswith("It does not exist yet.")
    file.write_text(lines("u1"))
    watcher.poll()
    assert not watcher.trouble()
    file.unlink()
    watcher.poll()
    assert watcher.trouble().startswith("It does not exist yet.")


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("kind", ["a.ndjson", "a.json"])
def test_a_file_with_two_names_is_read_and_counted_once(
    watcher: Watcher,
    workspace: Workspace,
    folder: Path,
    link: Callable[[Path, Path], None],
    kind: str,
) -> None:
    file, other = folder / kind, folder / f"0-{kind}"
    content = lines("u1") if kind == "a.ndjson" else json.dumps([event("u1", True)])
    file.write_text(content)
    assert watcher.poll() == 1
    link(file, other)
    assert watcher.poll() == 0
    if kind == "a.ndjson":
        with other.open("a") as more:
            more.write(lines("u2"))
        assert watcher.poll() == 1
    if link is os.link:
        file.unlink()
        assert watcher.poll() == 0


def test_files_take_turns(workspace: Workspace, folder: Path) -> None:
    """A file that decompresses to a thousand times its size delays no other one."""
    bomb = gzip.compress(b"[" + b"1," * 2_000_000 + b"1]")
    assert len(bomb) < 20_000
    (folder / "0.json.gz").write_bytes(bomb)
    options = WatchOptions(turn=200_000)
    watcher = Watcher(workspace, folder, options=options)
    watcher.watching.scan()
    (folder / "1.ndjson").write_text(lines("u1"))
    looks = 0
    while members(workspace.ledger) != {"u1"}:
        watcher.watching.scan()
        looks += 1
    assert looks <= 2
    assert watcher.watching.has_more
    before = watcher.watching.status()
    assert watcher.watching.scan(lambda: True).tally.read == 0
    assert watcher.watching.status() == before
    kept = len(workspace.ledger.read(invalid_events))
    assert 0 < kept <= 10_000


@pytest.mark.parametrize(
    "content",
    [b"[" + b"[]," * 75_000 + b"1]", lines("u0").encode() + b"\n" * 225_000],
    ids=["empty arrays", "empty lines"],
)
def test_what_holds_no_events_at_all_takes_turns_too(
    workspace: Workspace, folder: Path, content: bytes
) -> None:
    (folder / "0.gz").write_bytes(gzip.compress(content))
    watcher = Watcher(workspace, folder, options=WatchOptions(turn=50_000))
    watcher.watching.scan()
    watcher.watching.scan()
    assert watcher.watching.has_more
    (folder / "1.ndjson").write_text(lines("u1"))
    for _ in range(3):
        watcher.watching.scan()
    assert "u1" in members(workspace.ledger)
    assert watcher.watching.has_more


def test_one_line_of_a_log_that_holds_events_by_the_thousand_takes_turns_too(
    workspace: Workspace, folder: Path
) -> None:
    (folder / "0.ndjson").write_text("[" + "1," * 50_000 + "1]\n" + lines("u0"))
    (folder / "1.ndjson").write_text(lines("u1"))
    for name in ("0.ndjson", "1.ndjson"):
        os.utime(folder / name, (1, 1))
    watcher = Watcher(workspace, folder, options=WatchOptions(turn=1))
    while not members(workspace.ledger):
        watcher.watching.scan()
    assert members(workspace.ledger) == {"u1"}
    assert workspace.ledger.read(invalid_events) == []
    assert watcher.poll() == 50_002
    assert members(workspace.ledger) == {"u0", "u1"}


def test_a_backlog_shows_how_far_it_is(workspace: Workspace, folder: Path) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines(*(f"u{n}" for n in range(12_000))))
    watcher = Watcher(workspace, folder, options=WatchOptions(turn=1))
    seen = []
    while watcher.watching.scan().tally.read or watcher.watching.has_more:
        (source,) = watcher.watching.status()
        seen.append((source.events, source.position))
    size = file.stat().st_size
    assert 0 < (seen[0][1] or 0) < size
    assert seen == sorted(seen)
    assert seen[-1] == (12_000, size)


def test_reading_that_was_interrupted_starts_over_and_lists_nothing_twice(
    workspace: Workspace, folder: Path
) -> None:
    rows = "".join(csv_rows(f"u{n}") for n in range(3_000)) + "broken\n"
    (folder / "a.csv").write_text(CSV_HEADER + "broken\n" + rows)
    watcher = Watcher(workspace, folder, options=WatchOptions(turn=1))
    while not members(workspace.ledger):
        watcher.watching.scan()
    assert watcher.watching.has_more
    watcher.start()
    watcher.poll()
    assert len(members(workspace.ledger)) == 3_000
    assert [invalid_event.line for invalid_event in workspace.ledger.read(invalid_events)] == [
        2,
        3_003,
    ]
    watcher.start()
    assert watcher.poll() == 0


def pack(path: Path) -> None:
    """Compress a file as gzip does, keeping its time."""
    found = path.stat()
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, ns=(found.st_atime_ns, found.st_mtime_ns))
    path.unlink()


class Rotation:
    """A log, a program that writes to it, and log rotation in one of its ways."""

    def __init__(self, folder: Path, way: str) -> None:
        self.log = folder / "app.log"
        self._way = way
        self._rotations = 0
        self.written: list[str] = []

    def write(self, count: int) -> None:
        users = [f"u{len(self.written) + n}" for n in range(count)]
        self.written += users
        with self.log.open("a") as log:
            log.write(lines(*users))
        self._set_time(self.log)

    def _set_time(self, path: Path) -> None:
        moment = 1_000_000_000 + len(self.written)
        os.utime(path, (moment, moment))

    def rotate(self) -> None:
        self._rotations += 1
        if not self.log.exists():
            return
        if self._way == "dates":
            self._move(self.log.with_name(f"app.log-202611{self._rotations:02}"))
        elif self._way == "dates within":
            self._move(self.log.with_name(f"app-2026-11-{self._rotations:02}.log"))
        else:
            self._shift()
            self._move(self.log.with_name("app.log.1"))

    def _shift(self) -> None:
        packs = "compress" in self._way
        for number in range(40, 0, -1):
            for ending in ("", ".gz"):
                old = self.log.with_name(f"app.log.{number}{ending}")
                if old.exists():
                    new = old.with_name(f"app.log.{number + 1}{ending}")
                    old.rename(new)
                    if packs and not ending:
                        pack(new)

    def _move(self, other: Path) -> None:
        if self._way.startswith("copytruncate"):
            other.write_bytes(self.log.read_bytes())
            self._set_time(other)
            os.truncate(self.log, 0)
        else:
            self.log.rename(other)
        if self._way == "compress at once":
            pack(other)


WAYS = [
    "rename", "compress", "compress at once", "copytruncate", "copytruncate, compress", "dates",
    "dates within",
]  # fmt: skip


@pytest.mark.parametrize("is_alone", [True, False], ids=["the log alone", "its folder"])
@pytest.mark.parametrize("way", WAYS)
def test_a_log_that_was_rotated_while_no_session_ran_is_read_on_where_it_was_left(
    workspace: Workspace, folder: Path, way: str, *, is_alone: bool
) -> None:
    rotation = Rotation(folder, way)
    rotation.write(2)
    paths = [rotation.log if is_alone else folder]
    watcher = Watcher(workspace, *paths)
    assert watcher.poll() == 2
    rotation.write(1)
    for _ in range(3):
        rotation.rotate()
        rotation.write(2)
    watcher.start()
    assert watcher.poll() == 7
    watcher.start()
    assert watcher.poll() == 0
    assert members(workspace.ledger) == set(rotation.written)
    assert not watcher.trouble()


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(WAYS),
    is_alone=st.booleans(),
    steps=st.lists(st.sampled_from(["write", "rotate", "poll", "restart"]), max_size=14),
)
def test_however_a_log_is_rotated_between_sessions_each_event_is_read_once(
    simulator: Simulator, tmp_path: Path, way: str, steps: list[str], *, is_alone: bool
) -> None:
    with TemporaryDirectory(dir=tmp_path) as name:
        home = Path(name)
        (home / "logs").mkdir()
        rotation = Rotation(home / "logs", way)
        with open_ledger(home / "ledger.db") as ledger:
            workspace = Workspace(simulator, ledger, home)
            rotation.write(1)
            watcher = Watcher(workspace, rotation.log if is_alone else home / "logs")
            read = watcher.poll()
            for step in [*steps, "restart"]:
                match step:
                    case "write":
                        rotation.write(1)
                    case "rotate":
                        rotation.rotate()
                    case "restart":
                        watcher.start()
                    case _:
                        read += watcher.poll()
            read += watcher.poll()
            assert members(ledger) == set(rotation.written)
            assert read == len(rotation.written)
            assert ledger.read(invalid_events) == []


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("name", [b"app.log.1.xz", b"app.log.1", b"\xff.log"])
def test_a_log_is_followed_although_what_became_of_it_cannot_be_read(
    workspace: Workspace, folder: Path, name: bytes, is_restarted: bool
) -> None:
    """It is listed separately; earlier, the log was never read again."""
    log, rotated = folder / "app.log", folder / os.fsdecode(name)
    log.write_text(lines("u1"))
    watcher = Watcher(workspace, log)
    watcher.poll()
    with log.open("a") as more:
        more.write(lines("u2"))
    log.rename(rotated)
    if name != b"\xff.log":  # with a name that no ledger can store
        at, content = rotated.stat().st_mtime_ns, rotated.read_bytes()
        rotated.write_bytes(lzma.compress(content))
        os.utime(rotated, ns=(at, at))
    log.write_text(lines("u3"))
    if is_restarted:
        watcher.start()
    watcher.poll()
    with log.open("a") as more:
        more.write(lines("u4"))
    watcher.poll()
    watcher.now += 61  # it might have become complete
    watcher.poll()
    assert members(workspace.ledger) == {"u1", "u3", "u4"}
    troubles = {item.name: item.trouble for item in watcher.watching.status()}
    assert not troubles.pop(str(log))
    (trouble,) = troubles.values()
    assert "can't be read" in trouble or "not valid UTF-8" in trouble
    assert len(unread(workspace)) == 1


def test_a_renamed_log_is_found_beside_links_that_lead_nowhere(
    workspace: Workspace, folder: Path
) -> None:
    log = folder / "app.log"
    log.write_text(lines("u1"))
    watcher = Watcher(workspace, log)
    watcher.poll()
    with log.open("a") as more:
        more.write(lines("u2"))
    (folder / "first").symlink_to(folder / "nowhere")  # whichever is listed first
    log.rename(folder / "kept")
    log.write_text(lines("u3"))
    (folder / "last").symlink_to(folder / "nowhere")
    watcher.poll()
    assert members(workspace.ledger) == {"u1", "u2", "u3"}


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_path_that_the_system_refuses_for_a_while_ends_no_session(
    workspace: Workspace, folder: Path, tmp_path: Path, is_folder: bool
) -> None:
    """Like a mount whose server is unreachable."""
    path, real = tmp_path / "path", folder if is_folder else folder / "a.ndjson"
    log = folder / "a.ndjson"
    log.write_text(lines("u1"))
    path.symlink_to(real)
    watcher = Watcher(workspace, path)
    assert watcher.poll() == 1
    path.unlink()
    path.symlink_to("x" * 300)  # longer than any name: even checking it is an error
    assert watcher.poll() == 0
    assert "can't be read (File name too long). The session keeps trying." in watcher.trouble()
    assert not watcher.watching.status()[0].is_awaited
    watcher.start()
    assert watcher.poll() == 0
    assert not watcher.watching.has_news()
    path.unlink()
    path.symlink_to(path)  # it points to itself
    assert watcher.poll() == 0
    path.unlink()
    path.symlink_to(real)
    with log.open("a") as more:
        more.write(lines("u2"))
    assert watcher.poll() == 1
    assert not watcher.trouble()
    assert members(workspace.ledger) == {"u1", "u2"}


def test_a_log_of_which_the_rest_is_gone_is_reported_and_the_later_ones_are_read(
    workspace: Workspace, folder: Path
) -> None:
    rotation = Rotation(folder, "rename")
    rotation.write(2)
    watcher = Watcher(workspace, rotation.log)
    watcher.poll()
    rotation.write(1)
    for _ in range(3):
        rotation.rotate()
        rotation.write(1)
    (folder / "app.log.3").unlink()
    watcher.start()
    assert watcher.poll() == 3
    assert "read up to line 2 is gone" in watcher.trouble()


class Logs:
    """Two logs in a folder, what a program and its rotation do to them, and the users written."""

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self._files = (folder / "a.ndjson", folder / "b.ndjson")
        self._watcher = watcher
        self._half: dict[Path, str] = {}
        self._olds = 0
        self.written: list[str] = []
        self.read = 0

    def do(self, what: str, which: int) -> None:
        """Do one thing to one of them; what is destroyed was polled before."""
        getattr(self, what)(self._files[which])

    def poll(self, _: Path | None = None) -> None:
        self.read += self._watcher.poll()

    def restart(self, _: Path) -> None:
        self._watcher.start()

    def append(self, file: Path) -> None:
        is_new = not file.exists() or not file.stat().st_size
        user = f"user-{len(self.written)}"
        self.written.append(user)
        with file.open("a") as more:
            more.write(self._half.pop(file, "") + lines(user))
        if is_new:
            self.poll()

    def write_half(self, file: Path) -> None:
        if file.exists() and file not in self._half:
            user = f"user-{len(self.written)}"
            self.written.append(user)
            text = lines(user)
            with file.open("a") as more:
                more.write(text[:40])
            self._half[file] = text[40:]
            self.poll()

    def _end_line(self, file: Path) -> None:
        if file in self._half:
            with file.open("a") as more:
                more.write(self._half.pop(file))

    def _old(self, file: Path) -> Path:
        self._olds += 1
        return file.with_name(f"{file.name}.{self._olds}")

    def rotate(self, file: Path) -> None:
        self._end_line(file)
        if file.exists():
            file.rename(self._old(file))

    def copy_and_truncate(self, file: Path) -> None:
        self._end_line(file)
        if file.exists():
            self._old(file).write_bytes(file.read_bytes())
            os.truncate(file, 0)
            self.poll()

    def replace_in_place(self, file: Path) -> None:
        self._end_line(file)
        self.poll()
        user = f"user-{len(self.written)}"
        self.written.append(user)
        file.write_text(lines(user))
        self.poll()

    def delete(self, file: Path) -> None:
        self._end_line(file)
        self.poll()
        file.unlink(missing_ok=True)

    def swap(self, _: Path) -> None:
        one, two = self._files
        for file in self._files:
            self._end_line(file)
        if one.exists() and two.exists():
            between = one.with_name(".between")
            one.rename(between)
            two.rename(one)
            between.rename(two)
            self.poll()


DEEDS = (
    "append",
    "write_half",
    "poll",
    "restart",
    "rotate",
    "copy_and_truncate",
    "replace_in_place",
    "delete",
    "swap",
)


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 1)), max_size=25))
def test_whatever_is_done_to_the_files_each_event_is_read_once(
    simulator: Simulator, tmp_path: Path, deeds: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory(dir=tmp_path) as name:
        home = Path(name)
        (home / "logs").mkdir()
        with open_ledger(home / "ledger.db") as ledger:
            workspace = Workspace(simulator, ledger, home)
            logs = Logs(home / "logs", Watcher(workspace, home / "logs"))
            for what, which in [("append", 0), ("append", 1), *deeds, ("append", 0), ("append", 1)]:
                logs.do(what, which)
            logs.poll()
            assert members(ledger) == set(logs.written)
            assert logs.read == len(logs.written)
            assert ledger.read(invalid_events) == []
