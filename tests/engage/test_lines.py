import io

import pytest

from amp_console.engage.byte_stream import ByteStream
from amp_console.engage.lines import LINE_LIMIT, TOO_LONG, LineSplitter, lines_of
from tests.engage.events import event, lines, members, read


def split(content: bytes, block_bytes: int, limit: int = LINE_LIMIT) -> list[bytes]:
    blocks = lines_of(ByteStream(io.BytesIO(content), block_bytes), limit)
    return [line for block in blocks for line in block]


@pytest.mark.parametrize("block_bytes", [2, 3, 4, 7, 100])
@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"\n\na\nbc\n\ndefgh", b"a\n\n\n"])
def test_lines_are_what_is_between_newlines(content: bytes, block_bytes: int) -> None:
    expected = content.removesuffix(b"\n").split(b"\n") if content else []
    assert split(content, block_bytes) == expected


@pytest.mark.parametrize("block_bytes", [2, 3, 4])
def test_a_line_past_the_limit_is_skipped_without_being_held(block_bytes: int) -> None:
    content = b"a\n" + b"x" * 11 + b"\n" + b"y" * 10 + b"\nb\n" + b"z" * 50
    assert split(content, block_bytes, limit=10) == [b"a", TOO_LONG, b"y" * 10, b"b", TOO_LONG]


def test_a_line_longer_than_32_mib_is_invalid_and_the_next_is_read() -> None:
    long = b'{"x":"' + b"x" * LINE_LIMIT + b'"}'
    batch = read(lines(event("ana"), long, event("ben")))
    assert batch.refusals == [(2, "longer than 32 MiB")]
    assert members(batch) == ["ana", "ben"]


@pytest.mark.parametrize("block_bytes", [1_000, 70_000, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\n"])
def test_documents_without_newlines_are_cut_however_many_there_are(
    block_bytes: int, end: bytes
) -> None:
    users = [f"u{n}" for n in range(1_000)]
    content = b"".join(lines(event(user)).strip() for user in users) + end
    assert members(read(content, block_bytes=block_bytes)) == users


def test_a_splitter_gives_the_documents_that_are_whole_before_a_newline_comes() -> None:
    splitter = LineSplitter(is_json=True)
    assert splitter.push(b'{"a":1}{"b":2} {"c"') == []
    assert splitter.documents() == [b'{"a":1}', b'{"b":2}']
    assert splitter.left == len(b'{"c"')
    assert splitter.push(b":3}\n[4]\n") == [b'{"c":3}', b"[4]"]


def test_a_line_that_is_no_json_is_never_cut() -> None:
    splitter = LineSplitter()
    row = b'{"a":1}{"b":2}' * 10_000
    assert splitter.push(row) == []
    assert splitter.push(b"\n") == [row]
