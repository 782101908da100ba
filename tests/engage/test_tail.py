"""Following a file that grows: each line once, in whatever steps it is written."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_console.engage import tail
from amp_console.engage.lines import LINE_LIMIT, TOO_LONG
from amp_console.engage.tail import (
    HEAD,
    FileIdentity,
    FileOffset,
    beginning_of,
    continues,
    digest,
    identity_of,
    read_at,
    read_on,
    seek_and_read,
)


def identity(path: Path) -> FileIdentity:
    with path.open("rb") as file:
        return identity_of(file)


def same(path: Path, known: FileIdentity) -> bool:
    with path.open("rb") as file:
        return continues(file, beginning_of(known))


def begin(path: Path) -> FileOffset:
    return beginning_of(identity(path))


def read(path: Path, place: FileOffset) -> tuple[list[bytes], FileOffset]:
    """The lines behind a place, and the place after them; their numbers must be in a row."""
    lines: list[bytes] = []
    with path.open("rb") as file:
        for part in read_on(file, place):
            assert part.first == place.line
            place = part.after
            lines += part.lines
    return lines, place


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200).filter(lambda text: not {*b"{["} & {*text}),
    cuts=st.lists(st.integers(0, 200), max_size=6).map(sorted),
)
def test_each_line_is_read_once_however_it_is_written(
    tmp_path: Path, content: bytes, cuts: list[int]
) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"")
    place, lines = begin(path), list[bytes]()
    for cut in [*cuts, len(content)]:
        path.write_bytes(content[:cut])
        more, place = read(path, place)
        lines += more
    assert lines == content.split(b"\n")[:-1]
    assert place.line == 1 + len(lines)
    assert place.position == content.rfind(b"\n") + 1


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_last_line_without_a_newline_is_read_once_it_is_whole_json(
    tmp_path: Path, cut: int
) -> None:
    """However it is written: its newline may come later, or never."""
    path, content = tmp_path / "growing.ndjson", b'{"a":{"b":1}}\n{"c":[2]}'
    path.write_bytes(content[:cut])
    early, place = read(path, begin(path))
    path.write_bytes(content)
    late, place = read(path, place)
    path.write_bytes(content + b'\n{"d":3}')
    more, place = read(path, place)
    assert [line for line in early + late + more if line] == [
        b'{"a":{"b":1}}',
        b'{"c":[2]}',
        b'{"d":3}',
    ]
    assert place.line == 3


def test_a_half_written_line_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\ntw")
    lines, place = read(path, begin(path))
    assert lines == [b"one"]
    path.write_bytes(b"one\ntwo\n")
    assert read(path, place)[0] == [b"two"]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n" + b"x" * (LINE_LIMIT + 2_000_000) + b"\nthree\n")
    lines, place = read(path, begin(path))
    assert lines == [b"one", TOO_LONG, b"three"]
    assert (place.line, place.position) == (4, path.stat().st_size)


def test_a_file_is_known_again_however_far_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"short\n")
    known = identity(path)
    with path.open("ab") as file:
        file.write(b"x" * 10 * HEAD)
    assert same(path, known)


def test_another_file_of_the_same_inode_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    known = identity(path)
    with path.open("r+b") as file:
        file.write(b"two\n")
    assert path.stat().st_ino == known.inode
    assert not same(path, known)


def test_the_identity_grows_with_what_is_read(tmp_path: Path) -> None:
    """A file that was empty when it was first seen is told from the one that replaces it."""
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"")
    empty = begin(path)
    path.write_bytes(b"one\ntwo\nthr")
    _, place = read(path, empty)
    assert place.position == 8
    assert same(path, place.identity)
    path.write_bytes(b"other\n" * 10)
    assert path.stat().st_ino == place.identity.inode
    assert not same(path, place.identity)
    assert read(path, place) == ([], place)


def test_the_identity_grows_with_a_line_that_is_not_whole_yet(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"")
    empty = begin(path)
    path.write_bytes(b'{"half')
    lines, place = read(path, empty)
    assert (lines, place.position, place.line) == ([], 0, 1)
    assert place.identity == identity(path)
    assert read(path, place) == ([], place)


def test_an_identity_has_its_full_size_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    place = begin(path)
    for size in (4, 100, 300, 2 * HEAD):
        path.write_bytes(b"one\n" * (size // 4))
        _, place = read(path, place)
        assert place.identity == identity(path)
    assert place.identity.head_size == HEAD


def test_a_longer_log_of_the_same_audience_is_told_apart(tmp_path: Path) -> None:
    """Its events begin alike for some hundred bytes."""
    path, alike = tmp_path / "growing.ndjson", b'{"context":{"personas":{' + b"x" * 450
    path.write_bytes(b"".join(alike + b"%d\n" % n for n in range(3)))
    lines, place = read(path, begin(path))
    path.write_bytes(b"".join(alike + b"%d\n" % n for n in range(10, 20)))
    assert len(lines) == 3
    assert not same(path, place.identity)


@pytest.mark.parametrize("position", [HEAD, HEAD + 4, 10 * HEAD])
def test_a_file_that_begins_alike_is_told_by_what_is_before_the_offset(
    tmp_path: Path, position: int
) -> None:
    """A log that was copied and cut short may grow past its old size between two looks."""
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n" * (position // 4))
    _, place = read(path, begin(path))
    assert place.position == position
    with path.open("rb") as file:
        assert continues(file, place)
    path.write_bytes(b"one\n" * (HEAD // 4) + b"two\n" * (20 * HEAD))
    with path.open("rb") as file:
        assert continues(file, place) is (position == HEAD)
    assert bool(read(path, place)[0]) is (position == HEAD)


@pytest.mark.parametrize("block", [1, 7, 4096, 1 << 20])
def test_what_is_before_the_offset_is_taken_from_what_was_read(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "BLOCK", block)
    path = tmp_path / "growing.ndjson"
    size = 60 if block == 1 else 30_000
    content = b"".join(b"line %d\n" % n for n in range(size // 9)) + b"half"
    path.write_bytes(content)
    _, place = read(path, begin(path))
    assert place.before == digest(content[: place.position][-HEAD:])
    assert read(path, place)[1].position == place.position


def test_reading_at_an_offset_without_pread_leaves_the_position_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"0123456789")
    with path.open("rb", buffering=0) as file:
        file.seek(4)
        assert seek_and_read(file.fileno(), 3, 6) == read_at(file, 3, 6) == b"678"
        assert seek_and_read(file.fileno(), 9, 8) == read_at(file, 9, 8) == b"89"
        assert file.tell() == 4
