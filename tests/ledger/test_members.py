"""Merging: the newest event of each identifier wins, whatever the order of reading."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.ledger import (
    Ledger,
    export_staging,
    members,
    open_ledger,
    snapshots,
    sources,
)
from amp_console.ledger.audiences import link_existing
from amp_console.ledger.people import find_person
from amp_console.ledger.snapshots import Snapshot
from amp_console.values import AudienceRef, Change, IdType, Operation, now_in_microseconds
from tests.examples import examples
from tests.ledger.helpers import REF, deliver, enters, leaves, left, read, start, wanted

pytestmark = pytest.mark.both_engines

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
    """However the events of the line arrive, and however often."""
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
    """As if a second reading was stopped in the middle."""
    read(ledger, [enters("u1", NOW, 1), leaves("u1", NOW, 5)])
    read(ledger, [enters("u1", NOW, 1)])
    assert wanted(ledger) == set()


MANY = 1_500
"""Members of one merge: a server merges fewer than 1,000 in a statement of its own."""


@pytest.mark.parametrize("count", [3, MANY])
def test_only_a_membership_or_an_identifier_other_than_before_counts_as_updated(
    ledger: Ledger, count: int
) -> None:
    """A repetition of what the ledger knows is merged if newer, but updates no one."""
    known = [enters(f"u{n}", NOW + n, n + 1) for n in range(count)]
    assert read(ledger, known) == count
    assert read(ledger, known) == 0
    assert read(ledger, known, "/copy") == 0
    later = [change._replace(at=change.at + HOUR) for change in known]
    assert read(ledger, later) == 0
    news = [leaves("u0", NOW + 2 * HOUR, count + 1), enters("u1", NOW + 2 * HOUR, count + 2)]
    assert read(ledger, [*later, *news, leaves("new", NOW, count + 3)], "/more") == 2
    named = [change._replace(amplitude_id=f"9{n}") for n, change in enumerate(later[1:])]
    assert read(ledger, named, "/more") == count - 1  # who have an Amplitude ID now
    assert read(ledger, named, "/once-more") == 0
    swapped = [named[0]._replace(amplitude_id="91"), named[1]._replace(amplitude_id="90")]
    latest = [change._replace(at=NOW + 3 * HOUR) for change in swapped]
    assert read(ledger, latest, "/swapped") == 2


def test_people_who_left_and_came_back_in_one_merge_are_not_updated(ledger: Ledger) -> None:
    read(ledger, [enters("u1", NOW), leaves("u2", NOW, 2)])
    flips = [leaves("u1", NOW + HOUR, 3), enters("u1", NOW + HOUR, 4), enters("u2", NOW + 1, 5)]
    assert read(ledger, flips) == 1


def test_times_years_apart_fit_in_one_fold(ledger: Ledger) -> None:
    changes = [enters(f"u{n}", NOW - n * YEAR, n + 1) for n in range(60)]
    read(ledger, [*changes, leaves("u59", NOW, 61)])
    assert wanted(ledger) == {f"u{n}" for n in range(59)}
    rows = ledger.read(lambda db: db.execute("SELECT id, event_at, line FROM member").fetchall())
    expected = {(c.user_id, c.at, c.line) for c in changes[:-1]} | {("u59", NOW, 61)}
    assert set(rows) == expected


@pytest.mark.parametrize(
    "id_",
    ["\x01\x1f", '"\\', "\u2028é😀", "x" * 10_000, " lead", "[]", "null", "007"],
)
def test_identifiers_go_in_and_out_as_they_are(ledger: Ledger, id_: str) -> None:
    read(ledger, [enters(id_, NOW)])
    assert wanted(ledger) == {id_}
    assert deliver(ledger)[Operation.ADD] == [id_]
    assert left(ledger).pending == 0


_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(_CHARACTERS, min_size=1, max_size=20)


@examples(25)
@given(ids=st.sets(TEXTS, min_size=1, max_size=80))
def test_any_text_is_an_identifier(ids: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        read(ledger, [enters(id_, NOW, n + 1) for n, id_ in enumerate(sorted(ids))])
        assert wanted(ledger) == ids
        assert sorted(deliver(ledger)[Operation.ADD]) == sorted(ids)


Event = st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 6))


@examples(50)
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


def apply_list(
    ledger: Ledger, users: Iterable[str], at: int, id_type: IdType, *, covers_both: bool = False
) -> None:
    """Apply a list of everyone who was a member at a time; `users` are of one ID type."""
    audience = start(ledger)
    path = f"/list-{at}"
    source = ledger.write(sources.begin_source, path, path, 1)
    staging = ledger.write(snapshots.begin_staging)
    by_user = id_type is IdType.USER_ID
    rows = [
        Change(REF, user if by_user else None, None if by_user else user, True, at, line)
        for line, user in enumerate(users, 1)
    ]
    ledger.write(snapshots.stage_changes, staging, source, rows)
    id_types = (*IdType,) if covers_both else (id_type,)
    snapshot = Snapshot(audience.id, source, at, id_types, staging)
    removal = ledger.write(snapshots.removal, snapshot)
    entering = ledger.write(snapshots.entering, snapshot)
    code = 1 if by_user else 2
    before = members_by(ledger, code)
    now = now_in_microseconds()
    assert ledger.write(snapshots.apply_snapshot, snapshot, removal.leaving, now).is_applied
    after = members_by(ledger, code)
    assert len(before - after) == removal.leaving or covers_both
    assert len(after - before) == entering


def members_by(ledger: Ledger, id_type: int) -> set[str]:
    query = "SELECT id FROM member WHERE is_member = 1 AND id_type = ?"
    rows = ledger.read(lambda db: db.execute(query, (id_type,)).fetchall())
    return {id_ for (id_,) in rows}


@examples(60)
@given(
    files=st.lists(st.lists(Event, max_size=12), max_size=4),
    lists=st.dictionaries(st.integers(0, 6), st.sets(st.integers(0, 4)), max_size=4),
    id_type=st.sampled_from(list(IdType)),
    order=st.randoms(use_true_random=False),
)
def test_lists_and_events_in_any_order_and_again_give_the_same(
    files: list[list[tuple[int, bool, int]]],
    lists: dict[int, set[int]],
    id_type: IdType,
    order: random.Random,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The plain model: the newest list, and of the events after it the newest of each user."""
    newest: dict[str, tuple[tuple[int, int, int], bool]] = {}
    listed_at = max(lists, default=-1)
    contents: list[list[Change]] = []
    for number, file in enumerate(files):
        users = [f"u{user}" for user, _, _ in file]
        contents.append(
            [
                Change(
                    REF,
                    user if id_type is IdType.USER_ID else None,
                    user if id_type is IdType.AMPLITUDE_ID else None,
                    is_member,
                    NOW + at,
                    line,
                )
                for line, (user, (_, is_member, at)) in enumerate(zip(users, file, strict=True), 1)
            ]
        )
        for line, (user, (_, is_member, at)) in enumerate(zip(users, file, strict=True)):
            if at > listed_at:
                entry = ((at, number, line), is_member)
                newest[user] = max(newest.get(user, entry), entry)
    truth = {f"u{user}" for user in lists.get(listed_at, ())} - newest.keys()
    truth |= {user for user, (_, is_member) in newest.items() if is_member}

    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        for path in (*(f"/list-{NOW + at}" for at in lists), *map("/{}".format, range(4))):
            ledger.write(sources.begin_source, path, path, 1)  # this gives files their order
        steps: list[tuple[str, int]] = [("file", number) for number in range(len(contents))]
        steps += [("list", at) for at in lists]
        steps += order.choices(steps, k=3) if steps else []
        order.shuffle(steps)
        for kind, number in steps:
            if kind == "file":
                read(ledger, contents[number], f"/{number}")
            else:
                users = sorted(f"u{user}" for user in lists[number])
                apply_list(ledger, users, NOW + number, id_type)
        assert members_by(ledger, 1 if id_type is IdType.USER_ID else 2) == truth


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("entered", [True, False])
@pytest.mark.parametrize("by", list(IdType))
@pytest.mark.parametrize("covers_both", [False, True])
def test_a_person_with_both_identifiers_is_the_same_by_either_whichever_comes_first(
    ledger: Ledger, tmp_path: Path, listed: bool, entered: bool, by: IdType, covers_both: bool
) -> None:
    """A list by one identifier, and an older event with both."""
    user = "u1" if by is IdType.USER_ID else "555"
    change = Change(REF, "u1", "555", entered, NOW, 1)
    read(ledger, [change])
    apply_list(ledger, [user] * listed, NOW + HOUR, by, covers_both=covers_both)
    with open_ledger(tmp_path / "other.db") as other:
        apply_list(other, [user] * listed, NOW + HOUR, by, covers_both=covers_both)
        read(other, [change])
        for code in (1, 2):
            assert members_by(other, code) == members_by(ledger, code)


@pytest.mark.parametrize("is_list_first", [False, True])
def test_a_cohort_that_others_filled_loses_those_not_listed_in_any_order(
    ledger: Ledger, is_list_first: bool
) -> None:
    audience = start(ledger)
    ledger.write(link_existing, audience.id, "cohort")
    events = [enters("u1", NOW, 1), enters("u2", NOW, 2), leaves("u3", NOW, 3)]
    if not is_list_first:
        read(ledger, events)
    apply_list(ledger, ["u1"], NOW + HOUR, IdType.USER_ID)
    if is_list_first:
        read(ledger, events)
    sent = deliver(ledger)
    assert (sent[Operation.ADD], sent[Operation.REMOVE]) == (["u1"], ["u2", "u3"])
    (unlisted,) = ledger.read(find_person, "u2")
    assert (unlisted.source, unlisted.line) == (f"/list-{NOW + HOUR}", 0)


def test_a_list_that_a_cohort_is_compared_with_does_not_outweigh_a_newer_one(
    ledger: Ledger,
) -> None:
    read(ledger, [enters("u1", NOW)])
    apply_list(ledger, ["u1"], NOW + 2 * HOUR, IdType.USER_ID)
    audience = start(ledger)
    ledger.write(export_staging.begin_list, audience.id)
    counts = ledger.write(export_staging.end_list, audience.id, IdType.USER_ID, NOW + HOUR)
    assert counts.members == 1


def test_a_list_of_the_future_does_not_make_the_events_until_then_history(ledger: Ledger) -> None:
    """As from a file with a wrong time."""
    later = now_in_microseconds() + 1_000 * HOUR
    apply_list(ledger, ["u1"], later, IdType.USER_ID)
    read(ledger, [enters("u2", now_in_microseconds() + HOUR)])
    assert wanted(ledger) == {"u1", "u2"}


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
        staging = ledger.write(snapshots.begin_staging)
        rows = [enters(id_, at, n + 2) for n, id_ in enumerate(ids)]
        ledger.write(snapshots.stage_changes, staging, source, rows)
        snapshot = Snapshot(audience.id, source, at, (IdType.USER_ID,), staging)
        found = ledger.write(snapshots.removal, snapshot)
        assert ledger.write(snapshots.apply_snapshot, snapshot, found.leaving, at).is_applied
        return found.leaving

    def test_everyone_who_is_not_in_it_has_left(self, ledger: Ledger) -> None:
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

    def test_an_empty_one_makes_everyone_leave(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", NOW)])
        assert self._snapshot(ledger, [], NOW + HOUR) == 1
        assert wanted(ledger) == set()

    def test_other_audiences_are_left_alone(self, ledger: Ledger) -> None:
        other = AudienceRef("spa_1", "aud_2", "others")
        start(ledger)
        read(ledger, [enters("u1", NOW, ref=other)])
        self._snapshot(ledger, [], NOW + HOUR)
        assert wanted(ledger) == {"u1"}
