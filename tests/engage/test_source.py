"""Opening: which files can be read, and the errors for others."""

import gzip
import json
import os
from pathlib import Path

import pytest

from amp_console.engage import ReadOptions, SourceKind, UnreadableSource, open_file
from amp_console.engage.formats import grows
from tests.engage.events import AT, DEFAULTS, PERSONAS, event, joined, lines, members, opened, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.txt"


def test_a_file_is_called_by_its_absolute_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(lines(event("ana")))
    monkeypatch.chdir(file.parent)
    with open_file("events.txt", DEFAULTS) as source:
        assert (source.name, source.kind) == (str(file), SourceKind.NDJSON)


def test_a_file_tells_its_size_and_how_far_it_is_read(file: Path) -> None:
    packed = gzip.compress(lines(*[event(os.urandom(300).hex()) for _ in range(3_000)]))
    file.write_bytes(packed)
    with open_file(str(file), DEFAULTS, block_bytes=10_000) as source:
        positions = [source.position() for _ in source]
    assert source.size == len(packed) == positions[-1]
    assert positions == sorted(positions)
    assert 0 < positions[0] < positions[-1]


@pytest.mark.parametrize("block_bytes", [30_000, 1 << 20])
def test_a_batch_is_worth_its_work_however_little_is_read_at_once(block_bytes: int) -> None:
    personas = [{**PERSONAS, "computation_id": f"aud_{n}"} for n in range(3)]
    content = [event(str(n), context={"personas": personas[n % 3]}) for n in range(10_000)]
    content[3_000]["userId"] = 7.0  # it is read alone
    with opened(lines(*content), block_bytes=block_bytes) as source:
        batches = list(source)
    assert len(batches) <= 7
    users = [change.user_id for batch in batches for change in batch.changes]
    assert users == [item["userId"] if n != 3_000 else "7" for n, item in enumerate(content)]
    assert [change.line for batch in batches for change in batch.changes] == [*range(1, 10_001)]


def test_a_file_is_of_its_own_time_by_default(file: Path) -> None:
    file.write_bytes(lines(event("ana")))
    os.utime(file, ns=(AT * 1000, AT * 1000))
    with open_file(str(file), DEFAULTS) as source:
        assert source.taken_at == AT
    with open_file(str(file), ReadOptions(taken_at=5)) as source:
        assert source.taken_at == 5


def test_the_standard_input_has_a_name_and_no_size_and_stays_open() -> None:
    source = opened(lines(*[event("ana")] * 100), block_bytes=1_000)
    with source:
        assert (source.name, source.size, source.taken_at) == ("stdin", None, AT)
    assert members(joined(source)) == ["ana"] * 100


def test_a_file_is_closed_in_the_end(file: Path) -> None:
    file.write_bytes(lines(*[event("ana")] * 100))
    with open_file(str(file), DEFAULTS, block_bytes=1_000) as source:
        next(iter(source))
    with pytest.raises(ValueError, match="closed file"):
        list(source)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_holds_no_events(content: bytes) -> None:
    batch = read(content)
    assert (batch.read, batch.refusals) == (0, [])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0", "It contains binary data"),
        (b'{\0"\0t\0', "It contains binary data"),
        (gzip.compress(gzip.compress(b"", mtime=0), mtime=0), "It contains binary data"),
        ("a,b".encode("utf-16-le"), "It contains binary data"),
        (gzip.compress("a,b".encode("utf-16"), mtime=0), "Its format is unknown"),
        (b"hello\nworld\n", "Its format is unknown"),
        (b"a,b\n1,2\n", "Its format is unknown"),
        (b"a,b\r1,2\r", "Its format is unknown"),
        (b"user_id\rana\rben\r", "It is a CSV of an audience's members"),
        (b"user_id,traits\nana,{}\n", "It is a CSV of events without an event_type column"),
    ],
)
def test_what_is_none_of_the_formats_is_refused(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableSource) as refused:
        open_file(str(file), DEFAULTS)
    assert str(refused.value).startswith(f"{file} can't be read. {sentence}")
    assert "Nothing was read." in str(refused.value)


def test_a_nul_in_a_later_line_is_that_lines_trouble() -> None:
    batch = read(lines(event("ana"), b"\0\0\0", event("ben")))
    assert members(batch) == ["ana", "ben"]
    assert [refusal.line for refusal in batch.refusals] == [2]


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="does not exist"):
        open_file(str(tmp_path / "nothing"), DEFAULTS)


def test_a_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match=r"is a folder\..*Name the files in it"):
        open_file(str(tmp_path), DEFAULTS)


def test_a_name_that_no_file_can_have_is_reported() -> None:
    with pytest.raises(UnreadableSource, match="can't be opened"):
        open_file("a\0b", DEFAULTS)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_read_permission_is_reported(file: Path) -> None:
    file.touch(mode=0o000)
    with pytest.raises(UnreadableSource, match="have permission to read"):
        open_file(str(file), DEFAULTS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block_bytes", [2, 3, 1 << 20])
def test_utf_16_is_read_like_utf_8(encoding: str, block_bytes: int) -> None:
    """As written by PowerShell and spreadsheets, after a byte order mark."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    text = lines(event("an\u00e4"), event("👩")).decode()
    assert members(read((mark + text).encode(encoding), block_bytes=block_bytes)) == [
        "an\u00e4",
        "👩",
    ]


def test_a_text_that_breaks_off_within_a_character_is_no_identifier() -> None:
    options = ReadOptions(audience="shoppers")
    batch = read("\ufeffuser_id\nana\nben".encode("utf-16-le") + b"x", options)
    assert members(batch) == ["ana"]
    assert [refusal.line for refusal in batch.refusals] == [3]


LINE = json.dumps(event("ana")).encode()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", None),
        (b" \n\t", None),
        (LINE[:50], None),
        (LINE, True),
        (LINE + b"\n", True),
        (b"\xef\xbb\xbf" + LINE + LINE[:9], True),
        (b"half a line}\n" + LINE, True),
        (b"[" + LINE + b"]\n[", True),
        (b"[" + LINE + b",\n", False),
        (b"{\n  " + LINE[1:], False),
        (gzip.compress(LINE, mtime=0), False),
        (b"event_type,user_id\n", False),
        (b"user_id,city\nana,Bonn\n", False),
        (b"sep=;\r\nuser_id;city\r\n1;", False),
        (b"user_id\rana\r", False),
        ("\ufeffuser_id\r\n".encode("utf-16-le"), False),
    ],
)
def test_how_a_file_is_followed_depends_on_its_content(head: bytes, expected: bool | None) -> None:
    assert grows(head) is expected


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n\0\0", b"hello\nworld\n"])
def test_what_is_none_of_the_formats_is_not_followed(head: bytes) -> None:
    with pytest.raises(UnreadableSource, match="Nothing was read"):
        grows(head)
