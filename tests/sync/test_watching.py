"""Watching files and folders: each line is in the ledger once, whatever becomes of the files."""

import gzip
import json
import os
from pathlib import Path

import pytest

from amp_console.engage import UnreadableSource
from amp_console.ledger import Ledger
from amp_console.ledger.sources import invalid_events
from amp_console.sync.feed import Feed
from amp_console.sync.watching import Watching, readable
from tests.sync.office import Office, event


class Watcher:
    """Looks at paths, and may be started anew at any time."""

    def __init__(self, office: Office, *paths: Path) -> None:
        self._office = office
        self._paths = paths
        self.start()

    def start(self) -> None:
        """Start as a new process would: all it knows is in the ledger."""
        feed = Feed(self._office.ledger, self._office.read_options())
        self.watching = Watching(feed, self._paths)

    def look(self) -> int:
        """Look until nothing is new; return how many events were read."""
        read = self.watching.scan().tally.read
        while self.watching.is_settling:
            read += self.watching.scan().tally.read
        return read


def lines(*users: str, at: int = 0) -> str:
    return "".join(json.dumps(event(user, True, at)) + "\n" for user in users)


def members(ledger: Ledger) -> set[str]:
    query = "SELECT id FROM member WHERE wanted = 1"
    return set(ledger.read(lambda db: [row[0] for row in db.execute(query)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture(params=[False, True], ids=["goes on", "restarted"])
def watcher(request: pytest.FixtureRequest, office: Office, folder: Path) -> Watcher:
    """A watcher of a folder that goes on, or that is started anew before each look."""
    watcher = Watcher(office, folder)
    if request.param:
        look = watcher.look

        def look_anew() -> int:
            watcher.start()
            return look()

        watcher.look = look_anew  # type: ignore[method-assign]
    return watcher


def test_a_file_that_grows_is_read_once(watcher: Watcher, office: Office, folder: Path) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    assert watcher.look() == 2
    assert watcher.look() == 0
    with file.open("a") as more:
        more.write(lines("u3") + lines("u4")[:20])
    assert watcher.look() == 1
    with file.open("a") as more:
        more.write(lines("u4")[20:])
    assert watcher.look() == 1
    assert members(office.ledger) == {"u1", "u2", "u3", "u4"}
    assert office.ledger.read(invalid_events) == []


def test_a_broken_line_is_listed_with_its_number(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    watcher.look()
    with file.open("a") as more:
        more.write("{broken\n" + lines("u3"))
    assert watcher.look() == 2
    (invalid,) = office.ledger.read(invalid_events)
    assert (invalid.line, Path(invalid.source).name) == (3, "a.ndjson")


def test_a_rotated_file_is_read_to_its_end(watcher: Watcher, office: Office, folder: Path) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.look()
    with file.open("a") as more:
        more.write(lines("late"))
    file.rename(folder / "a.ndjson.1")
    file.write_text(lines("new"))
    assert watcher.look() == 2
    assert members(office.ledger) == {"u1", "late", "new"}
    assert watcher.look() == 0


def test_a_file_that_was_renamed_is_not_read_again(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1", "u2"))
    assert watcher.look() == 2
    file.rename(folder / "b.ndjson")
    assert watcher.look() == 0
    with (folder / "b.ndjson").open("a") as more:
        more.write(lines("u3"))
    assert watcher.look() == 1
    assert members(office.ledger) == {"u1", "u2", "u3"}


def test_a_file_that_was_cut_short_is_read_anew(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("user-one", "user-two"))
    watcher.look()
    os.truncate(file, 0)
    assert watcher.look() == 0
    file.write_text(lines("u3"))
    assert watcher.look() == 1
    assert members(office.ledger) == {"user-one", "user-two", "u3"}


def test_a_file_that_was_replaced_is_read_from_its_beginning(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.look()
    other = folder / ".other"
    other.write_text(lines("u2", "u3"))
    other.replace(file)
    assert watcher.look() == 2
    assert members(office.ledger) == {"u1", "u2", "u3"}


def test_a_file_that_was_deleted_is_no_trouble_and_may_come_back(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    file = folder / "a.ndjson"
    file.write_text(lines("u1"))
    watcher.look()
    file.unlink()
    assert watcher.look() == 0
    file.write_text(lines("u2"))
    assert watcher.look() == 1
    assert members(office.ledger) == {"u1", "u2"}


@pytest.mark.parametrize("name", ["a.json", "a.ndjson.gz", "a.csv"])
def test_files_that_appear_are_read_once_when_they_are_whole(
    watcher: Watcher, office: Office, folder: Path, name: str
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
    assert watcher.look() == 2
    assert watcher.look() == 0
    assert members(office.ledger) == {"u1", "u2"}


def test_a_file_that_is_still_written_is_read_when_it_is_whole(
    office: Office, folder: Path
) -> None:
    whole = gzip.compress(lines("u1", "u2").encode())
    file, watcher = folder / "a.gz", Watcher(office, folder)
    file.write_bytes(whole[:-10])
    watcher.look()
    assert watcher.watching.files[str(file)].trouble
    file.write_bytes(whole)
    watcher.look()
    assert watcher.watching.files[str(file)].trouble is None
    assert members(office.ledger) == {"u1", "u2"}


def test_folders_in_folders_are_watched_and_hidden_files_are_not(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    deep = folder / "2026" / "11"
    deep.mkdir(parents=True)
    (deep / "a.ndjson").write_text(lines("u1"))
    (deep / ".part.ndjson").write_text(lines("u2"))
    (deep / "picture.png").write_bytes(b"\x89PNG")
    assert watcher.look() == 1


def test_many_files_are_each_read_once(office: Office, folder: Path) -> None:
    for n in range(10_000):
        (folder / f"{n}.ndjson").write_text(lines(f"u{n}"))
    watcher = Watcher(office, folder)
    assert watcher.look() == 10_000
    watcher.start()
    assert watcher.look() == 0
    assert len(members(office.ledger)) == 10_000


def test_a_file_alone_is_watched_before_it_is_there(office: Office, folder: Path) -> None:
    watcher = Watcher(office, *readable([str(folder / "later.ndjson")]))
    assert watcher.look() == 0
    (folder / "later.ndjson").write_text(lines("u1"))
    assert watcher.look() == 1


def test_a_path_that_never_will_be_there_is_refused(folder: Path) -> None:
    with pytest.raises(UnreadableSource, match="does not exist, nor does its folder"):
        readable([str(folder / "no" / "file.ndjson")])


def test_an_event_and_its_place_are_kept_together(office: Office, folder: Path) -> None:
    """Where the ledger fails in the middle, neither is kept; the next look takes both."""
    (folder / "a.ndjson").write_text(lines("u1"))
    watcher = Watcher(office, folder)
    office.ledger.write(lambda db: db.execute("DROP TABLE tail"))
    with pytest.raises(Exception, match="failed"):
        watcher.look()
    assert members(office.ledger) == set()


def test_an_event_that_means_several_audiences_stops_nothing(
    watcher: Watcher, office: Office, folder: Path
) -> None:
    ids = ("one", "two", "", "one")
    events = [event(f"u{n}", True, personas={"computation_id": id_}) for n, id_ in enumerate(ids)]
    (folder / "a.ndjson").write_text("".join(json.dumps(each) + "\n" for each in events))
    assert watcher.look() == 4
    assert watcher.look() == 0
    assert members(office.ledger) == {"u0", "u1", "u3"}
    assert [each.line for each in office.ledger.read(invalid_events)] == [3]
