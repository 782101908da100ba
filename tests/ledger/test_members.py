"""Folding: the newest event of each identifier wins, whatever the order of reading."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.ledger import Ledger, members, open_ledger, snapshots, sources
from amp_console.ledger.snapshots import Snapshot
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledger.helpers import REF, deliver, enters, leaves, left, read, start, wanted

HOUR = 3_600_000_000
YEAR = 365 * 24 * HOUR
NOW = 1_777_777_777_000_000


def test_the_newest_event_wins(ledger: Ledger) -> None:
    read(ledger, [enters("u1", NOW), leaves("u1", NOW + 1, 2), enters("u2", NOW, 3)])
    assert wanted(ledger) == {"u2"}


def test_an_older_event_read_later_changes_nothing(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", NOW + HOUR)], "/new")
    read(ledger, [enters("u1", NOW)], "/old")
    assert wanted(ledger) == set()


def test_of_equal_times_the_later_in_the_file_wins(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", NOW, 1), enters("u1", NOW, 2)])
    assert wanted(ledger) == {"u1"}


@pytest.mark.parametrize("id_type", list(IdType))
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("is_member", [True, False])
def test_of_equal_times_in_one_line_the_later_event_wins(
    ledger: Ledger, id_type: IdType, steps: int, is_member: bool
) -> None:
    """However the events of the line come in, and however often."""
    user_id = "u1" if id_type is IdType.USER_ID else None
    amplitude_id = "u1" if user_id is None else None
    changes = [
        Change(REF, user_id, amplitude_id, is_member is (n % 2 == 0), NOW, 7) for n in range(3)
    ]
    start(ledger)
    for _ in range(2):
        for at in range(0, len(changes), steps):
            read(ledger, changes[at : at + steps])
    found = ledger.read(lambda db: db.execute("SELECT is_member FROM member").fetchall())
    assert found == [(is_member,)]


def test_of_equal_times_the_later_file_wins_however_often_the_first_is_read(
    ledger: Ledger,
) -> None:
    read(ledger, [enters("u1", NOW)], "/first")
    read(ledger, [leaves("u1", NOW)], "/second")
    read(ledger, [enters("u1", NOW)], "/first")
    assert wanted(ledger) == set()


def test_of_equal_times_in_one_file_the_later_line_wins_however_far_it_is_read_again(
    ledger: Ledger,
) -> None:
    """As when a second reading is stopped in the middle."""
    read(ledger, [enters("u1", NOW, 1), leaves("u1", NOW, 5)])
    read(ledger, [enters("u1", NOW, 1)])
    assert wanted(ledger) == set()


def test_times_years_apart_fit_in_one_fold(ledger: Ledger) -> None:
    changes = [enters(f"u{n}", NOW - n * YEAR, n + 1) for n in range(60)]
    read(ledger, [*changes, leaves("u59", NOW, 61)])
    assert wanted(ledger) == {f"u{n}" for n in range(59)}
    rows = ledger.read(lambda db: db.execute("SELECT id, event_at, line FROM member").fetchall())
    expected = {(c.user_id, c.at, c.line) for c in changes[:-1]} | {("u59", NOW, 61)}
    assert set(rows) == expected


@pytest.mark.parametrize(
    "id_",
    ["a\0b", "\0", "\x01\x1f", '"\\', "\u2028é😀", "x" * 10_000, " lead", "[]", "null", "007"],
)
def test_identifiers_go_in_and_out_as_they_are(ledger: Ledger, id_: str) -> None:
    read(ledger, [enters(id_, NOW)])
    assert wanted(ledger) == {id_}
    assert deliver(ledger)[Operation.ADD] == [id_]
    assert left(ledger).pending == 0


@given(ids=st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=20))
def test_any_text_is_an_identifier(ids: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        read(ledger, [enters(id_, NOW, n + 1) for n, id_ in enumerate(sorted(ids))])
        assert wanted(ledger) == ids
        assert sorted(deliver(ledger)[Operation.ADD]) == sorted(ids)


Event = st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 6))


@given(
    files=st.lists(st.lists(Event, max_size=12), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_reading_in_any_order_and_again_gives_the_same(
    files: list[list[tuple[int, bool, int]]],
    order: random.Random,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The plain model: the greatest (time, file, line) of each user says who is in."""
    newest: dict[str, tuple[tuple[int, int, int], bool]] = {}
    contents: list[list[Change]] = []
    for number, file in enumerate(files):
        contents.append(
            [Change(REF, f"u{u}", None, m, NOW + t, n + 1) for n, (u, m, t) in enumerate(file)]
        )
        for line, (user, is_member, at) in enumerate(file):
            entry = ((at, number, line), is_member)
            newest[f"u{user}"] = max(newest.get(f"u{user}", entry), entry)
    truth = {user for user, (_, is_member) in newest.items() if is_member}

    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        for number in range(len(contents)):  # the first reading gives files their order
            ledger.write(sources.begin_source, f"/{number}", f"/{number}", 1)
        again = order.choices(range(len(contents)), k=3)
        readings = [*range(len(contents)), *again]
        order.shuffle(readings)
        for number in readings:
            read(ledger, contents[number], f"/{number}")
        assert wanted(ledger) == truth


def test_a_change_with_both_identifiers_is_kept_under_both(ledger: Ledger) -> None:
    start(ledger)
    read(ledger, [Change(REF, "u1", "555", True, NOW, 1)])
    rows = ledger.read(
        lambda db: db.execute("SELECT id_type, id, wanted, counterpart FROM member").fetchall()
    )
    assert sorted(rows) == [(1, "u1", 1, "555"), (2, "555", 0, "u1")]


def test_lines_too_far_apart_must_be_folded_first() -> None:
    gathered = members.NewestChanges()
    gathered.add([enters("u1", NOW, 5)])
    assert gathered.accepts([leaves("u1", NOW, 1_000_000)])
    assert not gathered.accepts([leaves("u1", NOW, 2_000_000)])


class TestSnapshot:
    def _snapshot(self, ledger: Ledger, ids: list[str], at: int) -> int:
        audience = start(ledger)
        source = ledger.write(sources.begin_source, "/snapshot.csv", "/snapshot.csv", 1)
        ledger.write(snapshots.begin_staging, audience.id)
        rows = [enters(id_, at, n + 2) for n, id_ in enumerate(ids)]
        ledger.write(snapshots.stage_changes, audience.id, source, rows)
        snapshot = Snapshot(audience.id, source, at, (IdType.USER_ID,))
        found = ledger.write(snapshots.removal, snapshot)
        assert ledger.write(snapshots.apply_snapshot, snapshot, found.leaving) is None
        return found.leaving

    def test_whoever_is_not_in_it_has_left(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", NOW), enters("u2", NOW, 2)])
        assert self._snapshot(ledger, ["u2", "u3"], NOW + HOUR) == 1
        assert wanted(ledger) == {"u2", "u3"}

    def test_a_newer_event_outweighs_it(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", NOW + 2 * HOUR), leaves("u2", NOW + 2 * HOUR, 2)])
        self._snapshot(ledger, ["u2"], NOW + HOUR)
        assert wanted(ledger) == {"u1"}

    def test_a_newer_one_at_the_same_path_outweighs_the_older(self, ledger: Ledger) -> None:
        self._snapshot(ledger, ["u1", "u2"], NOW)
        self._snapshot(ledger, ["u2"], NOW + HOUR)
        assert wanted(ledger) == {"u2"}

    def test_an_empty_one_lets_everybody_leave(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", NOW)])
        assert self._snapshot(ledger, [], NOW + HOUR) == 1
        assert wanted(ledger) == set()

    def test_other_audiences_are_left_alone(self, ledger: Ledger) -> None:
        other = AudienceRef("spa_1", "aud_2", "others")
        start(ledger)
        read(ledger, [enters("u1", NOW, ref=other)])
        self._snapshot(ledger, [], NOW + HOUR)
        assert wanted(ledger) == {"u1"}
