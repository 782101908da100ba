"""Opening: which files can be read, and what is said of the others."""

import gzip
import os
from pathlib import Path

import pytest

from amp_console.engage import ReadOptions, SourceKind, UnreadableSource, open_source
from tests.engage.events import AT, DEFAULTS, event, joined, lines, members, opened, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.txt"


def test_a_file_is_called_by_its_absolute_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(lines(event("ana")))
    monkeypatch.chdir(file.parent)
    with open_source("events.txt", DEFAULTS) as source:
        assert (source.name, source.kind) == (str(file), SourceKind.NDJSON)


def test_a_file_tells_its_size_and_how_far_it_is_read(file: Path) -> None:
    packed = gzip.compress(lines(*[event(os.urandom(300).hex()) for _ in range(3_000)]))
    file.write_bytes(packed)
    with open_source(str(file), DEFAULTS, block_bytes=10_000) as source:
        positions = [source.position() for _ in source]
    assert source.size == len(packed) == positions[-1]
    assert positions == sorted(positions)
    assert 0 < positions[0] < positions[-1]


def test_a_batch_holds_about_a_block() -> None:
    content = lines(*[event(str(n)) for n in range(10_000)])
    with opened(content, block_bytes=1 << 20) as source:
        batches = list(source)
    assert len(batches) == -(-len(content) // (1 << 20))


def test_a_file_is_of_its_own_time_unless_told_otherwise(file: Path) -> None:
    file.write_bytes(lines(event("ana")))
    os.utime(file, ns=(AT * 1000, AT * 1000))
    with open_source(str(file), DEFAULTS) as source:
        assert source.taken_at == AT
    with open_source(str(file), ReadOptions(taken_at=5)) as source:
        assert source.taken_at == 5


def test_the_standard_input_has_a_name_and_no_size_and_stays_open() -> None:
    source = opened(lines(*[event("ana")] * 100), block_bytes=1_000)
    with source:
        assert (source.name, source.size, source.taken_at) == ("stdin", None, AT)
    assert members(joined(source)) == ["ana"] * 100


def test_a_file_is_closed_in_the_end(file: Path) -> None:
    file.write_bytes(lines(*[event("ana")] * 100))
    with open_source(str(file), DEFAULTS, block_bytes=1_000) as source:
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
        (b"\x89PNG\r\n\x1a\n\0\0\0", "It holds binary data"),
        (b'{\0"\0t\0', "It holds binary data"),
        (gzip.compress(gzip.compress(b"", mtime=0), mtime=0), "It holds binary data"),
        ('{"type":"identify"}'.encode("utf-16"), "It is UTF-16 text"),
        (gzip.compress("a,b".encode("utf-16"), mtime=0), "It is UTF-16 text"),
        (b"hello\nworld\n", "Its format is unknown"),
        (b"a,b\n1,2\n", "Its format is unknown"),
        (b"user_id\rana\rben\r", "Its format is unknown"),
        (b"user_id,traits\nana,{}\n", "It is a CSV of events without a column event_type"),
    ],
)
def test_what_is_none_of_the_formats_is_refused(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableSource) as refused:
        open_source(str(file), DEFAULTS)
    assert str(refused.value).startswith(f"{file} can't be read. {sentence}")
    assert "Nothing was read." in str(refused.value)


def test_a_nul_in_a_later_line_is_that_lines_trouble() -> None:
    batch = read(lines(event("ana"), b"\0\0\0", event("ben")))
    assert members(batch) == ["ana", "ben"]
    assert [refusal.line for refusal in batch.refusals] == [2]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="does not exist"):
        open_source(str(tmp_path / "nothing"), DEFAULTS)


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match=r"is a folder\..*Name the files in it"):
        open_source(str(tmp_path), DEFAULTS)


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(UnreadableSource, match="can't be opened"):
        open_source("a\0b", DEFAULTS)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_of_somebody_else_is_told(file: Path) -> None:
    file.touch(mode=0o000)
    with pytest.raises(UnreadableSource, match="may not be read by you"):
        open_source(str(file), DEFAULTS)
