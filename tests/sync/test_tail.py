"""Following a growing file: each line once, in whatever steps it is written."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amp_console.engage.lines import LINE_LIMIT, TOO_LONG
from amp_console.sync.sources.tail import (
    BLOCK_BYTES,
    HEAD,
    FileIdentity,
    FileOffset,
    beginning_of,
    continues,
    digest,
    identity_of,
    read_on,
)


def identity(path: Path) -> FileIdentity:
    with path.open("rb") as file:
        return identity_of(file)


def same(path: Path, known: FileIdentity) -> bool:
    with path.open("rb") as file:
        return continues(file, beginning_of(known))


def begin(path: Path) -> FileOffset:
    return beginning_of(identity(path))


def read(
    path: Path, offset: FileOffset, block_bytes: int = BLOCK_BYTES
) -> tuple[list[bytes], FileOffset]:
    """The lines after an offset, and the offset after them; their numbers must be consecutive."""
    lines: list[bytes] = []
    with path.open("rb") as file:
        for part in read_on(file, offset, block_bytes):
            assert part.first == offset.line
            offset = part.after
            lines += part.lines
    return lines, offset


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
    offset, lines = begin(path), list[bytes]()
    for cut in [*cuts, len(content)]:
        path.write_bytes(content[:cut])
        more, offset = read(path, offset)
        lines += more
    assert lines == content.split(b"\n")[:-1]
    assert offset.line == 1 + len(lines)
    assert offset.position == content.rfind(b"\n") + 1


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_last_line_without_a_newline_is_read_once_it_is_whole_json(
    tmp_path: Path, cut: int
) -> None:
    """However it is written: its newline may come later, or never."""
    path, content = tmp_path / "growing.ndjson", b'{"a":{"b":1}}\n{"c":[2]}'
    path.write_bytes(content[:cut])
    early, offset = read(path, begin(path))
    path.write_bytes(content)
    late, offset = read(path, offset)
    path.write_bytes(content + b'\n{"d":3}')
    more, offset = read(path, offset)
    assert [line for line in early + late + more if line] == [
        b'{"a":{"b":1}}',
        b'{"c":[2]}',
        b'{"d":3}',
    ]
    assert offset.line == 3


def test_a_half_written_line_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\ntw")
    lines, offset = read(path, begin(path))
    assert lines == [b"one"]
    path.write_bytes(b"one\ntwo\n")
    assert read(path, offset)[0] == [b"two"]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n" + b"x" * (LINE_LIMIT + 2_000_000) + b"\nthree\n")
    lines, offset = read(path, begin(path))
    assert lines == [b"one", TOO_LONG, b"three"]
    assert (offset.line, offset.position) == (4, path.stat().st_size)


def test_a_file_is_known_again_however_far_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"short\n")
    known = identity(path)
    with path.open("ab") as file:
        file.write(b"x" * 10 * HEAD)
    assert same(path, known)


def test_another_file_of_the_same_inode_is_distinguished(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    known = identity(path)
    with path.open("r+b") as file:
        file.write(b"two\n")
    assert path.stat().st_ino == known.inode
    assert not same(path, known)


def test_the_identity_grows_with_what_is_read(tmp_path: Path) -> None:
    """A file that was empty when first seen is distinguished from one that replaces it."""
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"")
    empty = begin(path)
    path.write_bytes(b"one\ntwo\nthr")
    _, offset = read(path, empty)
    assert offset.position == 8
    assert same(path, offset.identity)
    path.write_bytes(b"other\n" * 10)
    assert path.stat().st_ino == offset.identity.inode
    assert not same(path, offset.identity)
    assert read(path, offset) == ([], offset)


def test_the_identity_grows_with_a_line_that_is_not_whole_yet(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"")
    empty = begin(path)
    path.write_bytes(b'{"half')
    lines, offset = read(path, empty)
    assert (lines, offset.position, offset.line) == ([], 0, 1)
    assert offset.identity == identity(path)
    assert read(path, offset) == ([], offset)


def test_an_identity_has_its_full_size_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n")
    offset = begin(path)
    for size in (4, 100, 300, 2 * HEAD):
        path.write_bytes(b"one\n" * (size // 4))
        _, offset = read(path, offset)
        assert offset.identity == identity(path)
    assert offset.identity.head_size == HEAD


def test_a_longer_log_of_the_same_audience_is_distinguished(tmp_path: Path) -> None:
    """Its events begin alike for some hundred bytes."""
    path, alike = tmp_path / "growing.ndjson", b'{"context":{"personas":{' + b"x" * 450
    path.write_bytes(b"".join(alike + b"%d\n" % n for n in range(3)))
    lines, offset = read(path, begin(path))
    path.write_bytes(b"".join(alike + b"%d\n" % n for n in range(10, 20)))
    assert len(lines) == 3
    assert not same(path, offset.identity)


@pytest.mark.parametrize("position", [HEAD, HEAD + 4, 10 * HEAD])
def test_a_file_that_begins_alike_is_told_by_what_is_before_the_offset(
    tmp_path: Path, position: int
) -> None:
    """A log that was copied and truncated may grow past its old size between two checks."""
    path = tmp_path / "growing.ndjson"
    path.write_bytes(b"one\n" * (position // 4))
    _, offset = read(path, begin(path))
    assert offset.position == position
    with path.open("rb") as file:
        assert continues(file, offset)
    path.write_bytes(b"one\n" * (HEAD // 4) + b"two\n" * (20 * HEAD))
    with path.open("rb") as file:
        assert continues(file, offset) is (position == HEAD)
    assert bool(read(path, offset)[0]) is (position == HEAD)


@pytest.mark.parametrize("block", [1, 7, 4096, 1 << 20])
def test_what_is_before_the_offset_is_taken_from_what_was_read(tmp_path: Path, block: int) -> None:
    path = tmp_path / "growing.ndjson"
    size = 60 if block == 1 else 30_000
    content = b"".join(b"line %d\n" % n for n in range(size // 9)) + b"half"
    path.write_bytes(content)
    _, offset = read(path, begin(path), block)
    assert offset.before == digest(content[: offset.position][-HEAD:])
    assert read(path, offset, block)[1].position == offset.position
