"""Random work of several processes on one ledger ends as if they had taken turns.

Each has its own connection, like a process; they share the server.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest

from amp_console.ledger import Db, Ledger, deliveries, open_ledger
from amp_console.ledger.audiences import audience, discover
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.errors import LeaseLost, LedgerUnreachable
from amp_console.ledger.leases import fenced, note_holder
from amp_console.ledger.locks import AudienceBusy, Fence
from amp_console.ledger.members import NewestChanges, merge
from amp_console.ledger.membership_changes import daily_movement
from amp_console.ledger.sources import ReadCounts, account, begin_source
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only

REFS = [AudienceRef("spa_1", f"aud_{n}", f"audience-{n}") for n in range(4)]
USERS = [f"u{n}" for n in range(30)]
ANSWER = ResponseRecord(1, 200)
NOW = 500
STEPS = 40


class Cohorts:
    """Cohorts that several change, one request at a time."""

    def __init__(self) -> None:
        self.members: dict[int, set[str]] = defaultdict(set)
        self.overlaps = 0
        self._busy: set[int] = set()

    @contextmanager
    def request(self, audience_id: int) -> Iterator[None]:
        self.overlaps += audience_id in self._busy
        self._busy.add(audience_id)
        yield
        self._busy.discard(audience_id)

    def apply(self, audience_id: int, operation: Operation, ids: list[str]) -> None:
        change = set.update if operation is Operation.ADD else set.difference_update
        change(self.members[audience_id], ids)


class Event(NamedTuple):
    """A change, by its place in the order of all: `line` counts from 1 in each source."""

    at: int
    source: int
    line: int
    audience_id: int
    user: str
    is_member: bool


class Process:
    """Merges, delivers and dies at random, as a process would."""

    def __init__(self, url: str, seed: int, cohorts: Cohorts, ids: dict[AudienceRef, int]) -> None:
        self.events: list[Event] = []
        self._ledger = open_ledger(url)
        self._dice = random.Random(seed)
        self._cohorts = cohorts
        self._ids = ids
        self._source = self._ledger.write(begin_source, "source", f"/{seed}", seed)

    def run(self) -> None:
        for _ in range(STEPS):
            with suppress(LedgerUnreachable, LeaseLost, AudienceBusy):
                (self._merge if self._dice.random() < 0.5 else self._deliver)()
        self._ledger.close()

    def _merge(self) -> None:
        changes = []
        for ref in self._dice.sample(REFS, self._dice.randint(1, 3)):
            for user in self._dice.sample(USERS, self._dice.randint(1, 10)):
                at, line = self._dice.randint(1, NOW), len(self.events) + 1
                is_member = self._dice.random() < 0.6
                changes.append(Change(ref, user, None, is_member, at, line))
                event = Event(at, self._source, line, self._ids[ref], user, is_member)
                self.events.append(event)
        writes = self._ledger.writes_of(*{self._ids[change.audience] for change in changes})
        is_merged = False
        while not is_merged:  # events are read again until they are in the ledger
            newest = NewestChanges()
            newest.add(changes)
            with suppress(LedgerUnreachable):
                writes.write(self._merged, newest, ReadCounts(len(changes), len(changes)))
                is_merged = True

    def _merged(self, db: Db, newest: NewestChanges, counts: ReadCounts) -> None:
        merge(db, self._source, newest, self._ids, NOW)
        account(db, self._source, counts, {}, [])

    def _deliver(self) -> None:
        audience_id = self._dice.choice(list(self._ids.values()))
        with self._ledger.lease(audience_id) as fence:
            writes = self._ledger.writes_of(audience_id)
            writes.write(fenced, fence, note_holder, audience_id, 1)
            writes.write(fenced, fence, deliveries.void_open, audience_id, 1, None)
            for _ in range(self._dice.randint(1, 3)):
                if self._send(audience_id, fence):
                    return

    def _send(self, audience_id: int, fence: Fence | None) -> bool:
        """Send one request; return True if the process "dies" before settling it."""
        writes = self._ledger.writes_of(audience_id)
        operation = self._dice.choice(list(Operation))
        size = self._dice.randint(1, 20)
        user_id, take = IdType.USER_ID, deliveries.open_batch
        batch = writes.write(fenced, fence, take, 1, audience_id, user_id, operation, size, 1)
        if batch is None:
            return False
        fate = self._dice.random()
        with self._cohorts.request(audience_id):
            self._ledger.submit(lambda _: None).result()  # it takes some time
            if fate < 0.8:
                self._cohorts.apply(audience_id, operation, batch.identifiers())
        if fate < 0.6:
            writes.write(fenced, fence, deliveries.confirm, batch, ANSWER)
        elif fate < 0.9:
            writes.write(fenced, fence, deliveries.void, batch.request_id, ANSWER)
        return fate >= 0.9


def run_at_once(processes: list[Process]) -> list[Event]:
    """Run processes to their end; return what they merged."""
    with ThreadPoolExecutor(len(processes)) as threads:
        for done in [threads.submit(process.run) for process in processes]:
            done.result()
    return [event for process in processes for event in process.events]


def members_by(events: list[Event]) -> dict[int, set[str]]:
    """The members of each audience: the newest event of each user counts, in whatever order."""
    newest = {(event.audience_id, event.user): event for event in sorted(events)}
    found: dict[int, set[str]] = defaultdict(set)
    for (audience_id, user), event in newest.items():
        if event.is_member:
            found[audience_id].add(user)
    return found


def deliver_all(ledger: Ledger, audience_id: int, cohorts: Cohorts) -> None:
    writes = ledger.writes_of(audience_id)
    with ledger.lease(audience_id):
        writes.write(deliveries.void_open, audience_id, 1, None)
        for operation in Operation:
            while batch := writes.write(
                deliveries.open_batch, 1, audience_id, IdType.USER_ID, operation, 100, 1
            ):
                cohorts.apply(audience_id, operation, batch.identifiers())
                writes.write(deliveries.confirm, batch, ANSWER)


@postgresql_only
@pytest.mark.parametrize("seed", range(3))
def test_random_histories_of_several_processes_end_as_the_plain_model(
    empty_ledger: EmptyLedger, seed: int
) -> None:
    with open_ledger(empty_ledger()) as ledger:
        ids = {ref: ledger.write(discover, ref).id for ref in REFS}
        cohorts = Cohorts()
        seeds = range(seed * 10, seed * 10 + 4)
        events = run_at_once([Process(ledger.url, one, cohorts, ids) for one in seeds])
        assert cohorts.overlaps == 0
        members = members_by(events)
        for audience_id in ids.values():
            deliver_all(ledger, audience_id, cohorts)
            assert cohorts.members[audience_id] == members[audience_id]
            known = ledger.read(audience, audience_id)
            moves = ledger.read(daily_movement, known, NOW, 1)
            assert sum(moves.entered) - sum(moves.left) == len(members[audience_id])
        read = "SELECT sum(read) FROM source"
        assert ledger.read(lambda db: db.execute(read).fetchone()) == (len(events),)


@postgresql_only
def test_random_histories_survive_sessions_that_the_server_ends(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    ended, dice = threading.Event(), random.Random(1)

    def end_sessions() -> None:
        for _ in range(30):
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'amp-console'"
            if pids := server_ledgers.server.rows(query):
                (pid,) = dice.choice(pids)
                server_ledgers.server.rows(f"SELECT pg_terminate_backend({pid})")
            if ended.wait(0.1):
                return

    url = empty_ledger()
    with open_ledger(url) as ledger:
        ids = {ref: ledger.write(discover, ref).id for ref in REFS}
    cohorts = Cohorts()
    processes = [Process(url, 100 + n, cohorts, ids) for n in range(4)]
    killer = threading.Thread(target=end_sessions)
    killer.start()
    try:
        members = members_by(run_at_once(processes))
    finally:
        ended.set()
        killer.join()
    with open_ledger(url) as ledger:
        for audience_id in ids.values():
            deliver_all(ledger, audience_id, cohorts)
            assert cohorts.members[audience_id] == members[audience_id]
