"""Received events are stored first, and merged exactly once, despite kills, by any process."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.engage import EventBatch, FieldMapping, ReadOptions
from amp_console.engage.reader import EventReader
from amp_console.ledger import Db, Ledger, LedgerError, open_ledger
from amp_console.ledger.forgotten import Identity, keep_forgotten
from amp_console.ledger.received import ReceivedBatch, append_received, received_batches
from amp_console.ledger.sources import ReadCounts, invalid_events
from amp_console.sync.ingest.received import Inbox, unpacked
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor, merge_received
from amp_console.values import IdType
from tests.examples import examples
from tests.ledgers import EmptyLedger, fail, fail_no_more, sqlite_only
from tests.sync.workspace import event

pytestmark = pytest.mark.both_engines

AUDIENCES = ("shoppers", "readers")
USERS = ("u0", "u1", "u2", "u3")
ODD = (17, {"type": "page"}, {"type": "identify"})
"""Something that is not an event, an event without membership, and one without identifiers."""


class Said(NamedTuple):
    """An event: who is in an audience from a second on, or not."""

    user: str
    audience: str
    is_member: bool
    at: int

    @property
    def content(self) -> object:
        return event(self.user, self.is_member, self.at, audience=self.audience)


class Receive(NamedTuple):
    """A receiver stores a request."""

    receiver: int
    events: Sequence[Said | int]


class Merge(NamedTuple):
    """A receiver merges what it has stored, and fails at a table, unless that is ""."""

    receiver: int
    fails_at: str


class Kill(NamedTuple):
    """A receiver is killed, and starts again."""

    receiver: int


RECEIVER = st.integers(0, 1)
SAID = st.builds(
    Said, st.sampled_from(USERS), st.sampled_from(AUDIENCES), st.booleans(), st.integers(0, 9)
)
STEPS = st.lists(
    st.one_of(
        st.builds(
            Receive,
            RECEIVER,
            st.lists(st.one_of(SAID, SAID, st.integers(0, len(ODD) - 1)), min_size=1, max_size=4),
        ),
        st.builds(Merge, RECEIVER, st.sampled_from(["", "", "member", "source", "received"])),
        st.builds(Kill, RECEIVER),
        st.just("someone opens the ledger"),
    ),
    min_size=8,
    max_size=24,
)


class Process:
    """One receiver; a kill loses what it has in memory."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._ingestor = StreamIngestor(ledger, ReadOptions())
        self._inbox = Inbox(ledger)
        self._reader = EventReader(FieldMapping.parse())
        self.source_id = self._ingestor.begin("webhook")
        self.line = 1
        self.unmerged: list[ReceivedBatch] = []

    def receive(self, contents: Sequence[object]) -> None:
        lines = [json.dumps(content).encode() for content in contents]
        batch = self._reader.read(lines, self.line)
        self.unmerged.append(asyncio.run(self._inbox.keep(self.source_id, self.line, batch)))
        self.line += len(lines)

    def merge(self) -> IngestResult:
        result = self._ingestor.ingest_received(self.source_id, self.unmerged)
        self.unmerged = []
        return result


class Model:
    """The newest event of each person and audience, and how many events there were."""

    def __init__(self) -> None:
        self.received = 0
        self._newest: dict[tuple[str, str], tuple[int, int, int, bool]] = {}

    def receive(self, source_id: int, line: int, events: Sequence[Said | int]) -> None:
        self.received += len(events)
        for number, said in enumerate(events, line):
            if isinstance(said, Said):
                key = said.audience, said.user
                change = said.at, source_id, number, said.is_member
                self._newest[key] = max(self._newest.get(key, change), change)

    @property
    def members(self) -> set[tuple[str, str]]:
        return {key for key, change in self._newest.items() if change[-1]}


def members(ledger: Ledger) -> set[tuple[str, str]]:
    query = "SELECT key, member.id FROM member JOIN audience ON audience.id = audience_id "
    rows = ledger.read(lambda db: db.execute(f"{query} WHERE wanted = 1").fetchall())
    return {(key, user) for key, user in rows}


def events_read(ledger: Ledger) -> int:
    return ledger.read(lambda db: int(db.execute("SELECT sum(read) FROM source").fetchone()[0]))


def waiting(db: Db) -> int:
    """How many batches wait to be merged."""
    return int(db.execute("SELECT count(*) FROM received").fetchone()[0])


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_each_event_counts_once_through_any_kill_and_by_any_process(
    empty_ledger: EmptyLedger, steps: list[object]
) -> None:
    url, model = empty_ledger(), Model()
    with open_ledger(url) as one, open_ledger(url) as two:
        processes = [Process(one), Process(two)]
        for step in steps:
            match step:
                case Receive(number, events):
                    process = processes[number]
                    model.receive(process.source_id, process.line, events)
                    process.receive(
                        [said.content if isinstance(said, Said) else ODD[said] for said in events]
                    )
                case Merge(number, ""):
                    kept = sum(unpacked(item.content).read for item in processes[number].unmerged)
                    assert processes[number].merge().tally.read == kept
                case Merge(number, table):
                    merge_that_fails(processes[number], table)
                case Kill(number):
                    processes[number] = Process(processes[number].ledger)
                case _:
                    merge_received(two)
        merge_received(one)
        assert one.read(waiting) == 0
        assert events_read(one) == model.received
        assert members(one) == model.members


def merge_that_fails(process: Process, table: str) -> None:
    """Merge, and fail when a row of a table is written: nothing in the transaction is kept."""
    operation = {"member": "INSERT", "source": "UPDATE", "received": "DELETE"}[table]
    process.ledger.write(fail, operation, table)
    before = process.ledger.read(waiting)
    try:
        process.merge()
    except LedgerError:
        assert process.ledger.read(waiting) == before
    process.ledger.write(fail_no_more, table)


@pytest.fixture
def ledger(empty_ledger: EmptyLedger) -> Iterator[Ledger]:
    with open_ledger(empty_ledger()) as ledger:
        yield ledger


def test_receivers_and_those_who_open_the_ledger_meanwhile_lose_and_double_nothing(
    ledger: Ledger,
) -> None:
    """Each has a separate connection, and all write at the same time."""

    def receive(name: str) -> int:
        told = 0
        with open_ledger(ledger.url) as own:
            process = Process(own)
            for number in range(40):
                process.receive(
                    [Said(f"{name}{number}", key, True, 1).content for key in AUDIENCES]
                )
                if number % 4 == 0:
                    told += process.merge().tally.read
            return told + process.merge().tally.read

    def open_again() -> None:
        with open_ledger(ledger.url) as own:
            while not is_over.is_set():
                merge_received(own)

    is_over = Event()
    with ThreadPoolExecutor(3) as threads:
        opening = threads.submit(open_again)
        receiving = [threads.submit(receive, name) for name in "ab"]
        assert [future.result() for future in receiving] == [80, 80]
        is_over.set()
        opening.result()
    assert ledger.read(waiting) == 0
    assert events_read(ledger) == 160
    assert members(ledger) == {
        (key, f"{name}{number}") for key in AUDIENCES for name in "ab" for number in range(40)
    }


def kept_and_read_again(ledger: Ledger, batch: EventBatch) -> EventBatch:
    source_id = StreamIngestor(ledger, ReadOptions()).begin("webhook")
    asyncio.run(Inbox(ledger).keep(source_id, 1, batch))
    (found,) = ledger.read(received_batches, source_id, 9, 9)
    return unpacked(found.content)


@pytest.mark.parametrize("amplitude_id", [None, "$.traits.amplitude_id"])
def test_a_batch_comes_back_as_it_was_judged(ledger: Ledger, amplitude_id: str | None) -> None:
    hints = {"audience_settings": {"id_type": "BY_AMP_ID", "cohort_name": "Best"}}
    contents = [
        event("u1", True, personas=hints, traits={"amplitude_id": 412}),
        *ODD,
        *(event(f"ü{n}", n % 3 == 0, n, audience=AUDIENCES[n % 2]) for n in range(40)),
    ]
    reader = EventReader(FieldMapping.parse(amplitude_id=amplitude_id))
    batch = reader.read([json.dumps(content).encode() for content in contents], 1)
    assert batch.hints
    assert batch.refusals
    assert batch.filtered
    again = kept_and_read_again(ledger, batch)
    assert [*again.changes] == [*batch.changes]
    assert replace(again, changes=()) == replace(
        batch, changes=(), hints=[*batch.hints], filtered={**batch.filtered}
    )


def test_lines_in_a_row_are_kept_too(ledger: Ledger) -> None:
    lines = [json.dumps(event(f"u{n}", True)).encode() for n in range(50)]
    batch = EventReader(FieldMapping.parse()).read(lines, 7)
    assert [change.line for change in kept_and_read_again(ledger, batch).changes] == [*range(7, 57)]


def test_invalid_events_keep_their_lines_and_reasons(ledger: Ledger) -> None:
    process = Process(ledger)
    process.receive([event("u1", True), 17])
    process.receive([event(None, True), event("u2", True)])
    merge_received(ledger)
    assert [(item.line, item.reason) for item in ledger.read(invalid_events)] == [
        (2, "not a JSON object"),
        (3, "no usable identifier at $.userId"),
    ]
    assert process.merge().tally == ReadCounts(4, 2, 0, 2)  # as the session counts it


def test_of_who_was_forgotten_no_byte_is_kept(ledger: Ledger) -> None:
    process = Process(ledger)
    process.receive([event("ana-7c41", True), event("ben-7c41", True)])
    ledger.write(keep_forgotten, [Identity(IdType.USER_ID, "ana-7c41")], 1 << 60)
    process.receive([event("ana-7c41", True), event("ben-7c41", True)])
    older, newer = ledger.read(received_batches, process.source_id, 9, 9)
    assert b"ana-7c41" in older.content
    assert b"ana-7c41" not in newer.content
    assert b"ben-7c41" in newer.content
    assert process.merge().tally.filtered == 2
    assert members(ledger) == {("shoppers", "ben-7c41")}


@sqlite_only
def test_who_opens_the_ledger_does_not_wait_for_the_end_of_what_is_received(
    ledger: Ledger,
) -> None:
    """Here, the receiver stores another batch whenever one is merged."""
    process = Process(ledger)
    process.receive([event("u1", True)])
    ledger.write(
        lambda db: db.execute(
            "CREATE TRIGGER receives AFTER DELETE ON received BEGIN INSERT INTO received "
            "VALUES (old.source_id, old.line + 1, old.content); END"
        )
    )
    merge_received(ledger)
    assert ledger.read(waiting) == 1


def test_a_batch_that_is_damaged_is_reported_and_left(ledger: Ledger) -> None:
    source_id = Process(ledger).source_id
    ledger.write(append_received, ReceivedBatch(source_id, 1, b"no events"))
    with pytest.raises(LedgerError, match="can't be read"):
        merge_received(ledger)
    assert ledger.read(waiting) == 1
