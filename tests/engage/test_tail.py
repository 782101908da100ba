"""Following a file that grows: each line once, in whatever steps it is written."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_console.engage.lines import LINE_LIMIT, TOO_LONG
from amp_console.engage.tail import (
    HEAD,
    Place,
    beginning_of,
    identity_of,
    is_same,
    moved_to,
    read_on,
)


def begin(path: Path) -> Place:
    identity = identity_of(path)
    assert identity is not None
    return beginning_of(identity)


def read(path: Path, place: Place) -> tuple[list[bytes], Place]:
    """The lines behind a place, and the place after them; their numbers must be in a row."""
    lines: list[bytes] = []
    for part in read_on(path, place):
        assert part.first == place.line
        place = part.after
        assert place.line == part.first + len(part.lines)
        lines += part.lines
    return lines, place


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6).map(sorted))
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
    identity = identity_of(path)
    assert identity is not None
    with path.open("ab") as file:
        file.write(b"x" * 10 * HEAD)
    assert is_same(path, identity)


def test_another_file_of_the_same_inode_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    identity = identity_of(path)
    assert identity is not None
    with path.open("r+b") as file:
        file.write(b"two\n")
    assert path.stat().st_ino == identity.inode
    assert not is_same(path, identity)


def test_a_file_that_was_moved_is_found_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    identity = identity_of(path)
    assert identity is not None
    path.rename(tmp_path / "growing.ndjson.1")
    path.write_bytes(b"other\n")
    assert moved_to(path, identity) == tmp_path / "growing.ndjson.1"
    (tmp_path / "growing.ndjson.1").unlink()
    assert moved_to(path, identity) is None


def test_where_there_is_no_file_there_is_no_identity(tmp_path: Path) -> None:
    assert identity_of(tmp_path / "nowhere") is None
