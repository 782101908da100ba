"""Gzip, whole and damaged, and disks that fail."""

import gzip
import io
import zlib

import pytest

from amp_console.engage import EventBatch, UnreadableSource, read_stream
from amp_console.engage.byte_stream import GZIP_MAGIC, ByteStream
from tests.engage.events import DEFAULTS, event, joined, lines, members, read

MANY = [event(f"user-{n}", n % 3 == 0) for n in range(400)]
PACKED = gzip.compress(lines(*MANY), mtime=0)


def refused(batch: EventBatch) -> tuple[int, str]:
    [refusal] = batch.refusals
    return refusal.line, refusal.reason.partition(".")[0]


@pytest.mark.parametrize("block_bytes", [2, 1000, 1 << 20])
def test_gzip_is_recognized_by_its_first_bytes(block_bytes: int) -> None:
    batch = read(PACKED, block_bytes=block_bytes)
    assert members(batch) == [f"user-{n}" for n in range(400)]
    assert batch.refusals == []


@pytest.mark.parametrize("padding", [b"", b"\0" * 700])
@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_gzip_members_may_follow_each_other(padding: bytes, block_bytes: int) -> None:
    parts = [gzip.compress(lines(event(user))) + padding for user in ("ana", "ben", "cem")]
    batch = read(b"".join(parts), block_bytes=block_bytes)
    assert (members(batch), batch.refusals) == (["ana", "ben", "cem"], [])


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("block_bytes", [50, 1 << 20])
def test_what_a_gzip_that_ends_early_holds_is_read(kept: float, block_bytes: int) -> None:
    cut = PACKED[: int(len(PACKED) * kept)]
    whole = zlib.decompressobj(31).decompress(cut).count(b"\n")
    batch = read(cut, block_bytes=block_bytes)
    assert members(batch) == [f"user-{n}" for n in range(whole)]
    assert refused(batch) == (
        whole + 1,
        "The gzip file is incomplete: its end is missing",
    )


@pytest.mark.parametrize("block_bytes", [2, 30])
def test_wherever_a_gzip_is_cut_not_a_byte_before_it_is_lost(block_bytes: int) -> None:
    packed = gzip.compress(lines(event("ana"), event("x" * 300)))
    for cut in range(len(GZIP_MAGIC), len(packed)):
        intake = ByteStream(io.BytesIO(packed[:cut]), block_bytes)
        assert b"".join(intake) == zlib.decompressobj(31).decompress(packed[:cut])


@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_a_gzip_without_its_checksum_is_read_to_the_last_line(block_bytes: int) -> None:
    content = lines(event("ana"), event("ben")).rstrip() + b" " * 500
    batch = read(gzip.compress(content)[:-8], block_bytes=block_bytes)
    assert members(batch) == ["ana", "ben"]
    assert refused(batch)[0] == 3


@pytest.mark.parametrize("block_bytes", [50, 1 << 20])
def test_what_precedes_the_damage_in_a_gzip_is_read(block_bytes: int) -> None:
    middle = len(PACKED) // 2
    damaged = PACKED[:middle] + b"\xff" * 200 + PACKED[middle + 200 :]
    certain = zlib.decompressobj(31).decompress(PACKED[:middle]).count(b"\n")
    batch = read(damaged, block_bytes=block_bytes)
    assert members(batch)[:certain] == [f"user-{n}" for n in range(certain)]
    damage = batch.refusals[-1]
    assert damage.reason.startswith("The gzip file is damaged from this point on.")
    assert batch.read >= damage.line  # a garbled line may hold pieces of several events


@pytest.mark.parametrize("block_bytes", [50, 1 << 20])
def test_a_damaged_checksum_is_reported_after_all_lines(block_bytes: int) -> None:
    batch = read(PACKED[:-8] + b"12345678", block_bytes=block_bytes)
    assert len(batch.changes) == 400
    assert refused(batch) == (401, "The gzip file is damaged from this point on")


def test_what_is_no_gzip_after_a_gzip_is_damage() -> None:
    batch = read(gzip.compress(lines(event("ana"))) + b"something else")
    assert members(batch) == ["ana"]
    assert refused(batch) == (2, "The gzip file is damaged from this point on")


def test_a_gzip_of_which_only_the_magic_is_left_holds_no_event() -> None:
    assert refused(read(b"\x1f\x8b"))[0] == 1


class FailingDisk(io.BytesIO):
    """A stream whose third block can't be read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads == 3:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_at_once_makes_the_source_unreadable() -> None:
    disk = FailingDisk(lines(event("ana")))
    disk.reads = 2
    with pytest.raises(UnreadableSource, match=r"^stdin can't be read\. Reading stopped: Input"):
        read_stream(disk, "stdin", DEFAULTS)


def test_a_disk_that_fails_is_reported_of_the_whole_source() -> None:
    content = lines(*MANY)
    disk = FailingDisk(content)
    with read_stream(disk, "stdin", DEFAULTS, block_bytes=10_000) as source:
        batch = joined(source)
    assert len(batch.changes) == content[:20_000].count(b"\n")
    assert refused(batch) == (0, "Reading stopped: Input/output error")
    assert batch.read == len(batch.changes)
