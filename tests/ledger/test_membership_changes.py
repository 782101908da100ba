"""Entering and leaving is counted once, by event time, in the merge itself."""

import random
from collections.abc import Iterator

import pytest

from amp_console.ledger import Db, Ledger, members, open_ledger, snapshots, sources
from amp_console.ledger.audiences import audience, discover
from amp_console.ledger.members import NewestChanges
from amp_console.ledger.membership_changes import (
    COUNTED_AT_ONCE,
    DAY,
    SHORT,
    MovedSince,
    counting_new,
    daily_movement,
    members_over_time,
    moved_since,
    recent_movement,
)
from amp_console.ledger.snapshots import Snapshot
from amp_console.sync.queries.audience_detail import audience_trend
from amp_console.values import AudienceRef, Change, IdType
from tests.ledger.helpers import REF, start
from tests.ledgers import EmptyLedger

pytestmark = pytest.mark.both_engines

NOW = 20_000 * DAY + DAY // 2  # noon
HOUR = 3_600_000_000
REFS = [REF, *(AudienceRef("spa_1", f"aud_{n}", f"others_{n}") for n in range(2, 5))]


@pytest.fixture
def ledger(empty_ledger: EmptyLedger) -> Iterator[Ledger]:
    with open_ledger(empty_ledger()) as ledger:
        start(ledger)
        yield ledger


def merge(ledger: Ledger, *changes: tuple[str, bool, int]) -> None:
    """Merge one file of changes: who, whether they are in, and when."""
    source = ledger.write(sources.begin_source, "events", None, 1)
    newest = NewestChanges()
    newest.add(
        [
            Change(REF, user, None, is_in, at, line)
            for line, (user, is_in, at) in enumerate(changes, 1)
        ]
    )
    ledger.write(members.merge, source, newest, {REF: start(ledger).id}, NOW)


def by_day(ledger: Ledger, days: int = 3) -> tuple[tuple[int, ...], tuple[int, ...]]:
    moves = ledger.read(daily_movement, start(ledger), NOW, days)
    return moves.entered, moves.left


def lately(ledger: Ledger) -> tuple[int, int]:
    """How many entered and left within the last hour."""
    moves = ledger.read(recent_movement, start(ledger), NOW, HOUR // SHORT)
    return sum(moves.entered), sum(moves.left)


def test_who_enters_is_counted_once_although_a_merge_is_in_parts(ledger: Ledger) -> None:
    """Its changes are packed by epochs of 50 days, one of which begins among these."""
    source = ledger.write(sources.begin_source, "events", None, 1)
    begin = (NOW >> 42) << 42
    newest = NewestChanges()
    newest.add(
        [
            Change(REF, "a", None, True, begin - DAY, 1),
            Change(REF, "b", None, True, begin + DAY, 2),
            Change(REF, "c", None, True, begin - DAY, 3),
        ]
    )
    ledger.write(members.merge, source, newest, {REF: start(ledger).id}, begin + 2 * DAY)
    moves = ledger.read(daily_movement, start(ledger), begin + 2 * DAY, 5)
    assert (sum(moves.entered), sum(moves.left)) == (3, 0)


def _merged(ledger: Ledger, changes: list[Change], *, together: bool) -> list[object]:
    """The content of a ledger after a merge of all audiences, or of one after the other."""
    source = ledger.write(sources.begin_source, "events", "/events", 1)
    ids = {ref: ledger.write(discover, ref).id for ref in REFS}
    updated = 0
    for refs in [set(REFS)] if together else [{ref} for ref in REFS]:
        newest = NewestChanges()
        newest.add([change for change in changes if change.audience in refs])
        updated += ledger.write(members.merge, source, newest, ids, NOW)
    columns = "audience_id, id_type, id, is_member, wanted, event_at, line, delivered, counterpart"
    queries = (
        f"SELECT {columns} FROM member ORDER BY 1, 2, 3",
        "SELECT key, people FROM membership_day ORDER BY 1",
        "SELECT * FROM membership_recent ORDER BY 1, 2, 3",
    )
    rows = ledger.read(lambda db: [db.execute(query).fetchall() for query in queries])
    return [updated, *rows]


@pytest.mark.parametrize("seed", range(4))
def test_audiences_are_merged_together_as_one_after_the_other(
    empty_ledger: EmptyLedger, seed: int
) -> None:
    rng = random.Random(seed)
    with open_ledger(empty_ledger()) as one, open_ledger(empty_ledger(2)) as other:
        for at in range(1, 200, 40):
            changes = []
            for line in range(at, at + 40):
                ref, user = rng.choice(REFS), f"u{rng.randrange(9)}"
                id_ = f"{rng.randrange(9)}" if ref is REFS[0] and rng.random() < 0.5 else None
                moment = NOW - rng.choice([1, HOUR, DAY, 70 * DAY]) * rng.randrange(1, 3)
                changes.append(Change(ref, user, id_, rng.random() < 0.6, moment, line))
            assert _merged(one, changes, together=True) == _merged(other, changes, together=False)


def test_who_moved_since_a_moment_is_counted_from_the_interval_that_it_is_in(
    ledger: Ledger,
) -> None:
    merge(ledger, ("a", True, NOW - 2 * DAY), ("b", True, NOW - HOUR), ("c", True, NOW - SHORT))
    merge(ledger, ("b", False, NOW), ("c", False, NOW))

    def moved(since: int) -> MovedSince:
        return ledger.read(moved_since, start(ledger), since, NOW)

    assert moved(NOW) == (0, 2, 0, 2)
    assert moved(NOW - 1) == (1, 2, 1, 0)
    assert moved(NOW - HOUR) == (2, 2, 1, 0)
    assert moved(NOW - 2 * DAY) == (3, 2, 1, 0)


def test_who_entered_and_left_is_counted_by_the_day_of_the_event(ledger: Ledger) -> None:
    merge(ledger, ("a", True, NOW - 2 * DAY), ("b", True, NOW - DAY), ("c", True, NOW - DAY))
    merge(ledger, ("a", False, NOW), ("d", False, NOW))
    assert by_day(ledger) == ((1, 2, 0), (0, 0, 1))


def test_an_event_that_changes_nothing_is_not_counted(ledger: Ledger) -> None:
    merge(ledger, ("a", True, NOW - DAY))
    merge(ledger, ("a", True, NOW - HOUR // 2))
    merge(ledger, ("a", True, NOW - HOUR // 2))
    merge(ledger, ("a", False, NOW - 2 * DAY))
    assert by_day(ledger) == ((0, 1, 0), (0, 0, 0))
    assert lately(ledger) == (0, 0)


def test_the_last_hour_is_counted_by_short_intervals(ledger: Ledger) -> None:
    merge(ledger, ("a", True, NOW - 2 * HOUR), ("b", True, NOW - HOUR // 2), ("c", True, NOW))
    merge(ledger, ("b", False, NOW - 1))
    assert lately(ledger) == (2, 1)
    merge(ledger, ("b", False, NOW - 1))
    assert lately(ledger) == (2, 1)


@pytest.mark.parametrize("after", [0, 1, SHORT - 1])
def test_the_last_hour_of_a_trend_leaves_out_no_change(ledger: Ledger, after: int) -> None:
    now = NOW // SHORT * SHORT + after  # so long after an interval has begun
    merge(ledger, ("a", True, now - HOUR))
    assert sum(ledger.read(audience_trend, start(ledger), now).hour.entered) == 1


def test_short_intervals_do_not_pile_up(ledger: Ledger) -> None:
    merge(ledger, ("a", True, NOW))
    source = ledger.write(sources.begin_source, "events", None, 1)
    newest = NewestChanges()
    newest.add([Change(REF, "b", None, True, NOW + DAY, 1)])
    ledger.write(members.merge, source, newest, {REF: start(ledger).id}, NOW + DAY)

    def rows(db: Db) -> list[tuple[int]]:
        return db.execute("SELECT at FROM membership_recent").fetchall()

    assert ledger.read(rows) == [((NOW + DAY) // SHORT * SHORT,)]


def test_a_list_counts_those_it_adds_and_those_who_left(ledger: Ledger) -> None:
    merge(ledger, ("a", True, NOW - DAY), ("b", True, NOW - DAY))
    known = start(ledger)
    changes = [Change(REF, user, None, True, NOW, 1) for user in ("b", "c", "d")]

    def staged(db: Db) -> None:
        staging = snapshots.begin_staging(db)
        snapshots.stage_changes(db, staging, 1, changes)
        snapshot = Snapshot(known.id, 1, NOW, (IdType.USER_ID,), staging)
        assert snapshots.apply_snapshot(db, snapshot, 1, snapshot.at).is_applied

    ledger.write(staged)
    assert by_day(ledger) == ((0, 2, 2), (0, 0, 1))


def test_every_member_of_a_large_list_is_counted(ledger: Ledger, engine: str) -> None:
    """A server counts them in one statement, however many they are."""
    known, size = start(ledger), 2 * COUNTED_AT_ONCE + 1 if engine == "sqlite" else 1_001

    def add(db: Db) -> None:
        with counting_new(db, known.id, 1, NOW):
            db.execute(
                "WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number "
                f"WHERE i < {size}) INSERT INTO member (audience_id, id_type, id, is_member, "
                "wanted, event_at, source_id, line) "
                "SELECT ?, 1, i || '', 1, 1, ?, 1, i FROM number",
                (known.id, NOW),
            )

    ledger.write(add)
    assert by_day(ledger) == ((0, 0, size), (0, 0, 0))


@pytest.mark.parametrize("seed", range(5))
def test_the_changes_lead_back_from_today_to_the_members_of_every_day(
    ledger: Ledger, seed: int
) -> None:
    rng = random.Random(seed)
    sizes = []
    for day in range(6, -1, -1):
        merge(
            ledger,
            *(
                (f"u{rng.randrange(40)}", rng.random() < 0.6, NOW - day * DAY + n)
                for n in range(30)
            ),
        )
        sizes.append(ledger.read(_members))
    moves = ledger.read(daily_movement, start(ledger), NOW, 7)
    # The newest event of someone in one file counts, so each day's file is one change at most.
    assert members_over_time(sizes[-1], moves) == tuple(sizes)


def _members(db: Db) -> int:
    known = audience(db, 1)
    return int(
        db.execute(
            "SELECT count(*) FROM member WHERE audience_id = ? AND is_member = 1", (known.id,)
        ).fetchone()[0]
    )


def test_dates_beyond_all_reason_break_nothing(ledger: Ledger) -> None:
    merge(ledger, ("a", True, -DAY), ("b", True, 250_000_000_000_000_000))
    merge(ledger, ("a", False, -HOUR), ("b", False, 253_000_000_000_000_000))
    entered, left = by_day(ledger)
    assert sum(entered) <= 1
    assert sum(left) <= 1
