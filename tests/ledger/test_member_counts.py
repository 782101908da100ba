"""The counts that a server keeps of members in each state are those of the members themselves."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from amp_console.ledger import Db, Ledger, deliveries, open_ledger
from amp_console.ledger.audiences import audience, link_existing, set_id_type
from amp_console.ledger.counts import (
    Headcount,
    headcount,
    other_id_type,
    outstanding,
    outstanding_of_all,
    pending_of,
)
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.erasures import begin_erasure, erase
from amp_console.ledger.forgotten import Identity
from amp_console.ledger.membership_changes import daily_movement
from amp_console.ledger.postgres import schema
from amp_console.ledger.rejected import retry_rejected
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledger.helpers import deliver, enters, leaves, read, start, take
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only

DAY = 86_400_000_000
AT = 1_777_900_000_000_000  # microseconds since 1970
REFS = [AudienceRef("spa_1", f"aud_{n}", f"key_{n}") for n in (1, 2)]


def some_changes(dice: random.Random, at: int) -> list[Change]:
    return [
        Change(
            dice.choice(REFS),
            dice.choice([None, f"u{dice.randrange(30)}"]),
            f"{dice.randrange(30)}",
            dice.random() < 0.6,
            at + dice.randrange(DAY),
            line,
        )
        for line in range(1, 20)
    ]


def step(ledger: Ledger, dice: random.Random, at: int) -> None:
    """Do one of the things that change members."""
    audience_id = dice.choice([1, 2])

    def void() -> None:
        batch = take(ledger, dice.choice([*Operation]), 5)
        if batch is not None:
            ledger.write(deliveries.void, batch.request_id, ResponseRecord(at))

    def forget() -> None:
        person = [Identity(IdType.USER_ID, f"u{dice.randrange(30)}")]
        ledger.write(erase, ledger.write(begin_erasure, person, at), at, [])

    steps: list[Callable[[], object]] = [
        lambda: read(ledger, some_changes(dice, at)),
        lambda: read(ledger, some_changes(dice, at)),
        lambda: deliver(ledger, [f"u{n}" for n in range(0, 30, 7)]),
        lambda: take(ledger, Operation.ADD, 3),
        lambda: ledger.write(set_id_type, audience_id, dice.choice([*IdType])),
        lambda: ledger.write(link_existing, audience_id, "cohort1"),
        lambda: ledger.write(retry_rejected),
        void,
        forget,
    ]
    dice.choice(steps)()


_STATES = (
    "audience_id, id_type, is_member, wanted, delivered, "
    "delivered IS NULL AND request_id IS NOT NULL, rejection_id IS NOT NULL, "
    "counterpart IS NOT NULL"
)
_GROUPS = "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8"


_BLOCKS = "SELECT audience_id, id_type, wanted,"
_BY_BLOCK = "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
_PENDING = "SELECT audience_id, id_type, wanted, n, id, event_at, delivered, request_id FROM"
_IS_PENDING = "WHERE wanted IS NOT delivered AND rejection_id IS NULL"


def kept(db: Db) -> list[object]:
    """What the server has counted, and the pending members it finds by that."""
    queries = (
        f"SELECT {_STATES}, sum(people) FROM counted_member WHERE people <> 0 {_GROUPS}",
        f"{_BLOCKS} block, people FROM pending_block WHERE people <> 0 ORDER BY 1, 2, 3, 4",
        f"{_PENDING} pending_member {_IS_PENDING} ORDER BY n",
    )
    return [db.execute(query).fetchall() for query in queries]


def counted(db: Db) -> list[object]:
    """The members, counted now."""
    queries = (
        f"SELECT {_STATES}, count(*) FROM member {_GROUPS}",
        f"{_BLOCKS} n / 64, count(*) FROM member {_IS_PENDING} {_BY_BLOCK}",
        f"{_PENDING} member {_IS_PENDING} ORDER BY n",
    )
    return [db.execute(query).fetchall() for query in queries]


def everything(db: Db) -> list[object]:
    """What screens show of all audiences, as either engine counts it."""
    known = [audience(db, audience_id) for audience_id in (1, 2)]
    return [
        outstanding_of_all(db),
        pending_of(db, (1, 2)),
        [
            (outstanding(db, item), headcount(db, item, AT + 5 * DAY), other_id_type(db, item))
            for item in known
        ],
        [daily_movement(db, item, AT + 9 * DAY, 12) for item in known],
        db.execute(
            "SELECT audience_id, id_type, id, counterpart FROM member ORDER BY 1, 2, 3"
        ).fetchall(),
    ]


@postgresql_only
@pytest.mark.parametrize("seed", range(4))
def test_after_any_history_they_are_those_of_the_members_and_of_a_file(
    ledger: Ledger, tmp_path: Path, seed: int
) -> None:
    with open_ledger(tmp_path / "same.db", is_durable=False) as file:
        for opened in (ledger, file):
            read(opened, [enters("u1", 1, 1, ref) for ref in REFS])
            dice = random.Random(seed)
            for number in range(25):
                step(opened, dice, AT + number * DAY // 3)
        assert ledger.read(kept) == ledger.read(counted)
        assert ledger.read(everything) == file.read(everything)


@postgresql_only
def test_writers_at_once_lose_no_count(ledger: Ledger, empty_ledger: EmptyLedger) -> None:
    def write(number: int) -> None:
        ref = REFS[number % 2]
        with open_ledger(ledger.url) as own:
            for line in range(8):
                ids = [f"u{n}" for n in range(line, line + 6)]
                make = enters if (line + number) % 3 else leaves
                read(own, [make(id_, line, line + 1, ref) for id_ in ids], f"/{number}")

    for ref in REFS:
        read(ledger, [enters("first", 1, 1, ref)])
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert ledger.read(kept) == ledger.read(counted)


@postgresql_only
def test_a_ledger_of_before_is_counted_when_it_is_migrated(
    empty_ledger: EmptyLedger,
    server_ledgers: PostgresqlLedgers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = empty_ledger().partition("?")[0] + "?schema=before_counts"
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
        with open_ledger(url) as old:
            old.write(
                lambda db: db.execute(
                    "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                    "source_id, line, delivered) VALUES (1, 1, 'u1', 1, 1, 5, 1, 1, 0), "
                    "(1, 1, 'u2', 1, 1, 7, 1, 2, NULL), (1, 1, 'u3', 1, 1, 3, 1, 3, 1)"
                )
            )
    with open_ledger(url) as migrated:
        start(migrated)
        assert migrated.read(kept) == migrated.read(counted)
        assert all(migrated.read(kept))
        found = migrated.read(lambda db: headcount(db, audience(db, 1), 6))
    assert isinstance(found, Headcount)
    assert (found.pending, found.pending_since, found.ahead, found.ahead_until) == (2, 5, 1, 7)
    server_ledgers.server.execute("DROP SCHEMA before_counts CASCADE")


@postgresql_only
def test_members_that_are_delivered_are_written_to_no_index(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(500)])

    def in_place(db: Db) -> tuple[int, int]:
        batch = deliveries.open_batch(db, 1, 1, IdType.USER_ID, Operation.ADD, 500, 1)
        assert batch is not None
        deliveries.confirm(db, batch, ResponseRecord(1, 200))
        updated, in_place = db.execute(
            "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid) "
            "FROM pg_class WHERE oid = 'member'::regclass"
        ).fetchone()
        return updated, in_place

    updated, without_index = ledger.write(in_place)
    assert updated == 500
    assert without_index > 475  # a page may have no room for the last ones
