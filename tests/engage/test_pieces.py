"""A large file read in pieces by two processes gives the same result as with one process."""

import gzip
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.engage import EventBatch, FieldMapping, ReadOptions, open_file, pieces
from amp_console.engage.pieces import PieceOptions, pieces_of
from amp_console.simulator import Scenario, write_file
from amp_console.values import AudienceHints, Change, Refusal
from tests.engage.events import DEFAULTS, event, joined, lines
from tests.engage.test_accounting import LINES
from tests.engage.test_columns import EVENTS, HINTED, HINTED_OTHERWISE, REGULAR
from tests.examples import examples

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

MOMENTS = (0, 1, 3, 7)  # batches that were read when the second process ends
OUR_PROGRAM = b"from amp_console.engage.piece_process import main; main()"
ALONE = PieceOptions(processors=1)
WITH_AMPLITUDE_ID = ReadOptions(mapping=FieldMapping.parse("$.userId", "$.traits.email"))
# Bytes of a block: a few lines are judged one by one, this many column by column.
FEW_LINES = 4_096
MANY_LINES = 60_000


def together(size: int) -> PieceOptions:
    """Read any file in pieces of this size."""
    return PieceOptions(least=0, least_packed=0, size=size, size_unpacked=size, processors=2)


def read(
    file: Path,
    piece_options: PieceOptions,
    options: ReadOptions = DEFAULTS,
    block_bytes: int = FEW_LINES,
) -> EventBatch:
    with open_file(str(file), options, pieces=piece_options, block_bytes=block_bytes) as source:
        found = joined(source)
        assert source.position() == file.stat().st_size
        return found


def second_processes() -> set[int]:
    """The process IDs that read pieces for this one."""
    found = set()
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            if OUR_PROGRAM in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(int(pid))
    return found


@examples(15, suppress_health_check=[*HealthCheck])
@given(
    events=st.lists(EVENTS, max_size=20),
    mess=LINES,
    random=st.randoms(),
    end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    is_ended=st.booleans(),
    is_packed=st.booleans(),
    size=st.integers(1, 40_000),
    block_bytes=st.sampled_from([FEW_LINES, MANY_LINES, MANY_LINES]),
    options=st.sampled_from([ReadOptions(), ReadOptions(audience="shoppers"), WITH_AMPLITUDE_ID]),
)
def test_two_processes_find_what_one_finds(
    events: list[bytes],
    mess: list[bytes],
    random: Random,
    end: bytes,
    is_ended: bool,
    is_packed: bool,
    size: int,
    block_bytes: int,
    options: ReadOptions,
    tmp_path: Path,
) -> None:
    content = [*REGULAR * 4, *events, *mess]
    random.shuffle(content)
    file = tmp_path / "events.ndjson"
    text = REGULAR[0] + end + end.join(content) + end * is_ended
    file.write_bytes(gzip.compress(text) if is_packed else text)
    found = read(file, together(size), options, block_bytes)
    assert found == read(file, ALONE, options, FEW_LINES)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 3,000 events of three audiences, as Engage sends them: 2 MB."""
    file = tmp_path_factory.mktemp("pieces") / "events.ndjson"
    write_file(file, Scenario(events=3_000, users=300, broken=0.02))
    return file


@pytest.fixture(scope="module")
def found_alone(large: Path) -> EventBatch:
    """The result of one process for that file."""
    return read(large, ALONE)


def test_pieces_are_the_file_and_end_with_its_lines(large: Path) -> None:
    content = large.read_bytes()
    with large.open("rb") as file:
        found = list(pieces_of(file.fileno(), len(content), 45_000))
    assert len(found) > 10
    assert b"".join(content[begin:end] for begin, end in found) == content
    assert all(content[: piece.begin].endswith(b"\n") for piece in found[1:])


def test_a_line_that_is_longer_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    long = lines(event("long", traits={"shoppers": True, "x": "y" * 300_000}))
    file = tmp_path / "events.ndjson"
    file.write_bytes((lines(event("ana")) + long) * 5 + lines(event("ben"))[:-9])
    found = read(file, together(30_000))
    assert found == read(file, ALONE)
    assert [change.line for change in found.changes] == [*range(1, 11)]


def test_of_events_without_lines_none_is_lost(tmp_path: Path) -> None:
    many = b"".join(lines(event(f"u{n}")).strip() for n in range(2_000))
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines(event("ana")) + (many + b"\n") * 5)
    found, expected = read(file, together(30_000)), read(file, ALONE)
    assert [change.user_id for change in found.changes] == [
        change.user_id for change in expected.changes
    ]
    assert not found.refusals


@pytest.fixture(scope="module")
def packed(large: Path) -> Path:
    """The same file, gzipped."""
    file = large.with_suffix(".gz")
    file.write_bytes(gzip.compress(large.read_bytes()))
    return file


@pytest.mark.parametrize(
    ("name", "number", "batches"),
    [
        *((name, signal.SIGKILL, batches) for name in ("large", "packed") for batches in MOMENTS),
        *(("large", signal.SIGINT, batches) for batches in (0, 3)),  # it ignores this at work
        ("packed", signal.SIGTERM, 1),
    ],
)
def test_nothing_is_lost_when_the_second_process_ends(
    name: str,
    number: signal.Signals,
    batches: int,
    found_alone: EventBatch,
    request: pytest.FixtureRequest,
) -> None:
    changes: list[Change] = []
    refusals: list[Refusal] = []
    file: Path = request.getfixturevalue(name)
    pieces = together(30_000)
    with open_file(str(file), ReadOptions(), pieces=pieces, block_bytes=30_000) as source:
        for n, batch in enumerate(source):
            changes += batch.changes
            refusals += batch.refusals
            if n == batches:
                processes = second_processes()
                assert processes or batches > 1  # it may have read all
                for process in processes:
                    os.kill(process, number)
    assert changes == found_alone.changes
    assert refusals == found_alone.refusals
    assert second_processes() == set()


@pytest.mark.parametrize("name", ["large", "packed"])
@pytest.mark.parametrize("program", ["/bin/false", "/removed/python"])
def test_where_no_second_process_can_start_one_reads_all(
    name: str,
    program: str,
    found_alone: EventBatch,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert read(request.getfixturevalue(name), together(30_000)) == found_alone


def test_results_in_the_words_of_another_version_do_not_count(
    large: Path, found_alone: EventBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program was upgraded while this process ran, so the second one is of another version."""
    other = (
        "import sys, msgspec; sys.stdin.buffer.read(); body = msgspec.msgpack.encode([[['x']], 7])"
        "\nfor _ in range(3): sys.stdout.buffer.write(len(body).to_bytes(8) + body)"
    )
    monkeypatch.setattr(pieces, "_PROGRAM", other)
    assert read(large, together(30_000)) == found_alone


def test_a_result_that_is_cut_off_does_not_count(
    large: Path, found_alone: EventBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = "import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write(bytes([0] * 6 + [9, 9, 1]))"
    monkeypatch.setattr(pieces, "_PROGRAM", cut)
    assert read(large, together(30_000)) == found_alone


@pytest.mark.parametrize("pattern", ["abb", "aab", "aba", "abbabaab"])
def test_each_hint_is_reported_once_in_the_order_of_the_file(pattern: str, tmp_path: Path) -> None:
    hinted = {"a": HINTED, "b": HINTED_OTHERWISE}
    runs = [lines(event("ana", context={"personas": hinted[name]})) * 70 for name in pattern * 4]
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(runs))

    def reported(piece_options: PieceOptions) -> list[AudienceHints]:
        with open_file(str(file), ReadOptions(), pieces=piece_options, block_bytes=4_096) as source:
            return [hints for batch in source for _, hints in batch.hints]

    alone = reported(ALONE)
    assert [hints.cohort_id for hints in alone] == ["cohort1", "cohort2"]
    for size in (len(runs[0]) // 2, len(runs[0]) - 1):  # two pieces or one for each run
        assert reported(together(size)) == alone


def test_reading_that_is_stopped_ends_the_second_process(large: Path) -> None:
    with open_file(str(large), ReadOptions(), pieces=together(20_000)) as source:
        for _ in source:
            assert len(second_processes()) == 1
            break
    assert second_processes() == set()


def test_a_file_that_shrinks_meanwhile_gives_what_is_left(
    large: Path, found_alone: EventBatch, tmp_path: Path
) -> None:
    file = tmp_path / "shrinks.ndjson"
    content = large.read_bytes()
    file.write_bytes(content)
    found: list[Change] = []
    with open_file(str(file), ReadOptions(), pieces=together(20_000)) as source:
        for batch in source:
            found += batch.changes
            os.truncate(file, 0)
    assert found == list(found_alone.changes)[: len(found)]


READ_ONE_BATCH_AND_WAIT = """
import sys
from amp_console.engage import ReadOptions, open_file
from amp_console.engage.pieces import PieceOptions
from tests.engage.test_pieces import second_processes
pieces = PieceOptions(least=0, size=20_000, processors=2)
with open_file(sys.argv[1], ReadOptions(), pieces=pieces) as source:
    next(iter(batches := iter(source)))
    print(*second_processes(), flush=True)
    sys.stdin.read()
"""


def test_a_reader_that_is_killed_leaves_no_process(large: Path) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READ_ONE_BATCH_AND_WAIT, str(large)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout is not None
        process = os.pidfd_open(int(reader.stdout.readline()))
        reader.kill()
    ended, _, _ = select.select([process], [], [], 30)
    os.close(process)
    assert ended


@pytest.mark.parametrize(
    ("size", "processors", "is_read_in_pieces"),
    [(64 << 20, 2, True), (64 << 20, 1, False), ((64 << 20) - 1, 2, False), (None, 2, False)],
)
def test_only_a_large_file_on_several_processors_is_read_in_pieces(
    size: int | None, processors: int, is_read_in_pieces: bool
) -> None:
    assert PieceOptions(processors=processors).apply_to(size) is is_read_in_pieces


@pytest.mark.parametrize("left", [0.3, 0.999])
def test_of_a_gzipped_file_that_is_cut_two_processes_find_what_one_finds(
    packed: Path, left: float, tmp_path: Path
) -> None:
    file = tmp_path / "cut.gz"
    content = packed.read_bytes()
    file.write_bytes(content[: int(len(content) * left)])
    found = read(file, together(30_000))
    assert found == read(file, ALONE)
    assert found.refusals[-1].reason.startswith("The gzip file is incomplete")


@pytest.mark.parametrize(
    ("size", "is_read_in_pieces"), [(4 << 20, True), ((4 << 20) - 1, False), (None, False)]
)
def test_only_a_large_gzipped_file_is_read_in_pieces(
    size: int | None, is_read_in_pieces: bool
) -> None:
    assert PieceOptions(processors=2).apply_to_packed(size) is is_read_in_pieces


def test_what_has_to_be_converted_is_read_by_one_process(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in REGULAR).decode().encode("utf-16"))
    with open_file(str(file), ReadOptions(), pieces=together(1_000)) as source:
        batches = iter(source)
        next(batches)
        assert second_processes() == set()
