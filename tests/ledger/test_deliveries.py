"""Deliveries: a lost answer loses no user, and no user is sent twice without need."""

import enum
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from amp_console.ledger import Db, Ledger, cohorts, deliveries, open_ledger, repairs, uploads
from amp_console.ledger.audiences import audience, link_existing, set_id_type
from amp_console.ledger.counts import (
    Headcount,
    InCohort,
    Outstanding,
    headcount,
    held_by_cohort,
    pending_of,
)
from amp_console.ledger.deliveries import DeliveryBatch, ResponseRecord
from amp_console.ledger.rejected import rejected_users, retry_rejected
from amp_console.ledger.requests import requests_page
from amp_console.ledger.runs import NEVER_SENT
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledger.helpers import REF, deliver, enters, leaves, left, read, start, take

pytestmark = pytest.mark.both_engines

ADD, REMOVE = Operation.ADD, Operation.REMOVE
OK = ResponseRecord(2, 200)
LOST = ResponseRecord(2, None, "lost")


def test_everyone_who_enters_is_added_once(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
    assert deliver(ledger) == {ADD: ["u1", "u2"], REMOVE: []}
    assert deliver(ledger) == {ADD: [], REMOVE: []}


def test_everyone_who_left_a_cohort_we_made_without_being_in_it_is_not_sent(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", 1)])
    assert left(ledger).pending == 0


def test_everyone_who_left_is_removed_from_a_cohort_that_was_there_before(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", 1)])
    ledger.write(link_existing, 1, "abc12345")
    read(ledger, [leaves("u2", 1)], "/later")
    assert deliver(ledger) == {ADD: [], REMOVE: ["u1", "u2"]}


def test_a_flip_between_deliveries_is_sent_and_a_flip_before_is_not(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), leaves("u1", 2, 2), enters("u2", 1, 3)])
    assert deliver(ledger) == {ADD: ["u2"], REMOVE: []}
    read(ledger, [leaves("u2", 3)], "/later")
    assert deliver(ledger) == {ADD: [], REMOVE: ["u2"]}


def test_a_count_is_brought_up_to_date_by_what_is_outstanding(ledger: Ledger) -> None:
    """Screens count members rarely, but outstanding changes every second."""

    def now() -> tuple[Headcount, Outstanding]:
        count = ledger.read(lambda db: headcount(db, audience(db, 1), 1 << 60))
        return structs.replace(count, pending_since=None), left(ledger)

    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(9)])
    deliver(ledger)
    read(ledger, [leaves(f"u{n}", 2, n + 1) for n in range(4)], "/leaving")
    read(ledger, [enters(f"v{n}", 2, n + 1) for n in range(5)], "/entering")
    count, then = now()
    for operation in (REMOVE, ADD):
        while batch := take(ledger, operation, limit=2):
            fresh, outstanding = now()
            assert (count.at(then, outstanding), outstanding.in_flight) == (fresh, batch.size)
            ledger.write(deliveries.confirm, batch, OK, ["v0"] if operation is ADD else [], "gone")
            fresh, outstanding = now()
            assert (count.at(then, outstanding), outstanding.in_flight) == (fresh, 0)


def test_who_leaves_after_a_count_is_no_member_any_more(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(9)])
    deliver(ledger)
    count = ledger.read(lambda db: headcount(db, audience(db, 1), 1 << 60))
    then = left(ledger)
    read(ledger, [leaves(f"u{n}", 2, n + 1) for n in range(4)], "/leaving")
    read(ledger, [enters(f"v{n}", 2, n + 1) for n in range(3)], "/entering")
    now = count.at(then, left(ledger))
    assert (now.members, now.in_cohort, now.pending, now.held.delivered) == (8, 5, 3, 9)


def test_users_in_a_request_without_an_answer_are_pending(ledger: Ledger) -> None:
    others = AudienceRef("spa_1", "aud_2", "others")
    read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
    read(ledger, [enters("u3", 1, 1, others)], "/others")
    batch = take(ledger, ADD, limit=1)
    assert batch is not None
    assert ledger.read(pending_of, [2]) == {2: 1}
    assert ledger.read(pending_of, [1, 2]) == {1: 2, 2: 1}
    assert left(ledger).pending == 2
    ledger.write(deliveries.confirm, batch, OK, [], "gone")
    assert ledger.read(pending_of, [1, 2]) == {1: 1, 2: 1}


def test_batches_are_as_large_as_asked(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(7)])
    sizes = []
    while batch := take(ledger, ADD, limit=3):
        sizes.append(batch.size)
        ledger.write(deliveries.confirm, batch, OK)
    assert sizes == [3, 3, 1]


def test_batches_of_many_come_in_the_order_in_which_members_came(ledger: Ledger) -> None:
    other = AudienceRef("spa_1", "aud_2", "leavers")
    ids = [f"u{n:03}" for n in range(400)]
    for first in range(0, 400, 40):  # of two audiences alternately
        for ref in (REF, other):
            changes = [enters(id_, 1, n, ref) for n, id_ in enumerate(ids[first : first + 40], 1)]
            read(ledger, changes, f"/{ref.key}/{first}")
    avoid = ids[:150:2]
    found = []
    while batch := ledger.write(
        deliveries.open_batch, 1, 1, IdType.USER_ID, ADD, 90, 1, None, avoid
    ):
        found.append(batch.identifiers())
        ledger.write(deliveries.confirm, batch, OK)
    assert [id_ for batch_ids in found for id_ in batch_ids] == sorted({*ids} - {*avoid})
    assert [len(batch_ids) for batch_ids in found] == [90, 90, 90, 55]
    assert (left(ledger).pending, take(ledger, REMOVE)) == (75, None)
    last = ledger.write(
        deliveries.open_batch, 1, 1, IdType.USER_ID, ADD, 2, 1, None, (), {"u100", "u148", "u399"}
    )
    assert last is not None
    assert last.identifiers() == ["u100", "u148"]


def test_an_open_request_counts_as_pending_and_is_not_taken_again(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1)])
    assert take(ledger, ADD)
    assert take(ledger, ADD) is None
    assert left(ledger).add == 1


def test_a_lost_answer_makes_its_users_pending_again(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.void, batch.request_id, LOST)
    assert deliver(ledger) == {ADD: ["u1"], REMOVE: []}


def test_who_leaves_after_a_lost_answer_is_removed(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.void, batch.request_id, LOST)
    read(ledger, [leaves("u1", 2)], "/later")
    assert deliver(ledger) == {ADD: [], REMOVE: ["u1"]}


@pytest.mark.parametrize("is_answered", [True, False])
def test_who_leaves_while_the_request_is_open_is_removed(ledger: Ledger, is_answered: bool) -> None:
    read(ledger, [enters("u1", 1)])
    batch = take(ledger, ADD)
    assert batch
    read(ledger, [leaves("u1", 2)], "/later")
    if is_answered:
        ledger.write(deliveries.confirm, batch, OK)
    else:
        ledger.write(deliveries.void_open, 1, 9, 9)
    assert deliver(ledger) == {ADD: [], REMOVE: ["u1"]}


def test_what_a_dead_process_left_open_is_sent_again(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), enters("u2", 1, 2), enters("u3", 1, 3)])
    take(ledger, ADD, limit=1)
    take(ledger, ADD, limit=1)  # opened while the other one was in flight
    taken = [(item.is_sent, item.response) for item in ledger.read(requests_page, 1, 0, 9)[::-1]]
    assert taken == [(True, ""), (False, "")]
    assert ledger.write(deliveries.void_open, 1, 9, 9) == 2
    found = [(item.is_sent, item.response) for item in ledger.read(requests_page, 1, 0, 9)[::-1]]
    assert found == [(True, deliveries.PROCESS_ENDED), (False, NEVER_SENT)]
    late = ledger.read(lambda db: db.execute("SELECT count(*) FROM late_effect").fetchone())
    assert late == (1,)  # of the one that may have been sent
    assert deliver(ledger) == {ADD: ["u1", "u2", "u3"], REMOVE: []}


def test_skipped_users_are_rejected_with_the_reason_and_not_sent_again(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), enters("ghost", 1, 2)])
    deliver(ledger, skipped=["ghost"])
    users = ledger.read(rejected_users)
    assert [(u.id, u.operation, u.reason, u.tries) for u in users] == [("ghost", ADD, "unknown", 1)]
    assert left(ledger).pending == 0
    assert deliver(ledger)[ADD] == []


def test_a_rejected_user_is_tried_again_on_request(ledger: Ledger) -> None:
    read(ledger, [enters("ghost", 1)])
    deliver(ledger, skipped=["ghost"])
    assert ledger.write(retry_rejected) == 1
    assert deliver(ledger, skipped=["ghost"])[ADD] == ["ghost"]
    assert [u.tries for u in ledger.read(rejected_users)] == [2]


def test_a_rejected_removal_is_tried_again_on_request(ledger: Ledger) -> None:
    """They may still be in the cohort, so a retry sends the removal again."""
    read(ledger, [enters("u1", 1)])
    deliver(ledger)
    read(ledger, [leaves("u1", 2)], "/later")
    deliver(ledger, skipped=["u1"])
    assert [u.operation for u in ledger.read(rejected_users)] == [REMOVE]
    assert ledger.write(retry_rejected) == 1
    assert deliver(ledger)[REMOVE] == ["u1"]


def test_a_rejected_user_who_leaves_is_settled_and_tried_again_on_return(ledger: Ledger) -> None:
    read(ledger, [enters("ghost", 1)])
    deliver(ledger, skipped=["ghost"])
    read(ledger, [leaves("ghost", 2)], "/later")
    assert ledger.read(rejected_users) == []
    assert deliver(ledger) == {ADD: [], REMOVE: []}
    read(ledger, [enters("ghost", 3)], "/last")
    assert deliver(ledger)[ADD] == ["ghost"]


def test_a_duplicate_event_does_not_bring_a_rejected_user_back(ledger: Ledger) -> None:
    read(ledger, [enters("ghost", 1)])
    deliver(ledger, skipped=["ghost"])
    read(ledger, [enters("ghost", 5)], "/later")
    assert left(ledger).rejected == 1


def test_a_user_skipped_while_leaving_meanwhile_is_not_rejected(ledger: Ledger) -> None:
    read(ledger, [enters("ghost", 1)])
    batch = take(ledger, ADD)
    assert batch
    read(ledger, [leaves("ghost", 2)], "/later")
    found = ledger.write(deliveries.confirm, batch, OK, ["ghost"], "unknown")
    assert (found.users, found.rejected) == (1, 0)
    assert left(ledger) == left(ledger).__class__(0, 0, 0, 0)


def test_who_is_in_a_request_that_is_not_sent_is_as_before(ledger: Ledger) -> None:
    """It also says by which request they were delivered."""
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(4)])
    deliver(ledger)
    lost = ledger.write(deliveries.open_control_batch, 1, 1, IdType.USER_ID, 1)
    assert lost is not None
    ledger.write(deliveries.void, lost.request_id, LOST)
    read(ledger, [leaves(f"u{n}", 2, n + 1) for n in range(3)], "/later")
    before = ledger.read(_rows)
    batch = take(ledger, REMOVE)
    assert batch is not None
    assert batch.size == 3
    ledger.write(deliveries.withdraw, batch)
    assert ledger.read(_rows) == before


def _rows(db: Db) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, delivered, request_id FROM member ORDER BY id").fetchall()


def test_part_of_a_refused_batch_is_taken_by_name(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(4)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.undo, batch, ResponseRecord(2, 400, "bad"))
    part = ledger.write(deliveries.open_sub_batch, 1, batch, ["u1", "u3"], 3)
    assert part
    assert sorted(part.identifiers()) == ["u1", "u3"]
    ledger.write(deliveries.confirm, part, OK)
    assert sorted(deliver(ledger)[ADD]) == ["u0", "u2"]


def test_a_culprit_is_rejected_with_amplitudes_words(ledger: Ledger) -> None:
    read(ledger, [enters("bad", 1)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.refuse, batch, ["bad"], ResponseRecord(2, 400, "malformed id"))
    assert [u.reason for u in ledger.read(rejected_users)] == ["malformed id"]


class TestIdType:
    def _both(self, ledger: Ledger) -> None:
        read(
            ledger,
            [Change(REF, "u1", "11", True, 1, 1), Change(REF, "u2", None, True, 1, 2)],
        )

    def test_changing_it_removes_the_old_ids_and_adds_the_new(self, ledger: Ledger) -> None:
        self._both(ledger)
        assert deliver(ledger)[ADD] == ["u1", "u2"]
        ledger.write(set_id_type, 1, IdType.AMPLITUDE_ID)
        assert deliver(ledger) == {REMOVE: ["u1", "u2"], ADD: ["11"]}

    def test_changing_it_there_and_back_sends_nothing(self, ledger: Ledger) -> None:
        self._both(ledger)
        deliver(ledger)
        ledger.write(set_id_type, 1, IdType.AMPLITUDE_ID)
        ledger.write(set_id_type, 1, IdType.USER_ID)
        assert deliver(ledger) == {REMOVE: [], ADD: []}

    def test_who_has_no_such_identifier_is_listed_with_the_reason(self, ledger: Ledger) -> None:
        self._both(ledger)
        ledger.write(set_id_type, 1, IdType.AMPLITUDE_ID)
        users = ledger.read(rejected_users)
        assert [(u.id, u.reason) for u in users] == [("u2", "No Amplitude ID in the event")]
        assert (left(ledger).rejected, left(ledger).unidentified) == (0, 1)

    def test_in_a_cohort_that_was_there_before_only_the_id_type_in_use_is_sent(
        self, ledger: Ledger
    ) -> None:
        self._both(ledger)
        ledger.write(link_existing, 1, "abc12345")
        read(ledger, [Change(REF, "u3", "33", False, 1, 3)], "/later")
        assert deliver(ledger) == {REMOVE: ["u3"], ADD: ["u1", "u2"]}

    def test_before_removing_by_the_other_id_everyone_becomes_unknown(self, ledger: Ledger) -> None:
        self._both(ledger)
        deliver(ledger)
        ledger.write(deliveries.doubt_delivered, 1, IdType.USER_ID)
        assert deliver(ledger)[ADD] == ["u1", "u2"]


class TestUploads:
    def test_everyone_who_was_uploaded_still_goes_through_membership(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
        taken = ledger.write(uploads.open_upload, 1, 1, IdType.USER_ID, 0, 1, (), 1)
        assert taken
        ledger.write(deliveries.settle, taken[0].request_id, "confirmed", OK)
        ledger.write(cohorts.link_created, 1, "abc12345", "Shoppers")
        assert deliver(ledger)[ADD] == ["u1", "u2"]

    def test_everyone_who_leaves_after_the_upload_is_removed(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", 1)])
        ledger.write(uploads.open_upload, 1, 1, IdType.USER_ID, 0, 1, (), 1)
        read(ledger, [leaves("u1", 2)], "/later")
        ledger.write(deliveries.void_open, 1, 9, 9)
        assert deliver(ledger) == {REMOVE: ["u1"], ADD: []}

    def test_a_seed_is_pending_removal_before_it_is_sent(self, ledger: Ledger) -> None:
        start(ledger)
        batch = ledger.write(uploads.open_seed_upload, 1, 1, "seed", 1)
        assert batch.identifiers() == ["seed"]
        ledger.write(deliveries.void_open, 1, 9, 9)
        assert deliver(ledger)[REMOVE] == ["seed"]

    @pytest.mark.parametrize("is_rejected", [False, True])
    def test_a_seed_who_had_left_is_removed_all_the_same(
        self, ledger: Ledger, is_rejected: bool
    ) -> None:
        """The ledger has them as out, which the upload makes untrue."""
        start(ledger)
        read(ledger, [enters("seed", 1)])
        assert deliver(ledger)[ADD] == ["seed"]
        read(ledger, [leaves("seed", 2)], "/later")
        batch = take(ledger, REMOVE)
        assert batch is not None
        ledger.write(deliveries.confirm, batch, OK, ["seed"] if is_rejected else [])
        assert deliver(ledger)[REMOVE] == []
        ledger.write(uploads.open_seed_upload, 1, 1, "seed", 1)
        ledger.write(deliveries.void_open, 1, 9, 9)
        assert deliver(ledger) == {REMOVE: ["seed"], ADD: []}

    def test_a_seed_who_enters_the_audience_stays(self, ledger: Ledger) -> None:
        start(ledger)
        ledger.write(uploads.open_seed_upload, 1, 1, "seed", 1)
        read(ledger, [enters("seed", 1)])
        ledger.write(deliveries.void_open, 1, 9, 9)
        assert deliver(ledger) == {REMOVE: [], ADD: ["seed"]}


class Outcome(enum.Enum):
    """The result of a request."""

    CONFIRMED = enum.auto()
    REFUSED = enum.auto()
    NEVER_SENT = enum.auto()
    LOST_BEFORE = enum.auto()
    LOST_AFTER = enum.auto()
    CRASHED_BEFORE = enum.auto()
    CRASHED_AFTER = enum.auto()


class Event(NamedTuple):
    """A user entered or left."""

    user: int
    is_member: bool


class Take(NamedTuple):
    """A request is opened, unless one is."""

    operation: Operation
    limit: int


class Replace(NamedTuple):
    """A request is opened that replaces the cohort's content, unless one is."""


class OpenRequest(NamedTuple):
    """A request in flight; a replacement also removes all users that it does not include."""

    batch: DeliveryBatch
    is_replacement: bool = False

    @property
    def ids(self) -> set[str]:
        return set(self.batch.identifiers())


APPLIED = {Outcome.CONFIRMED, Outcome.LOST_AFTER, Outcome.CRASHED_AFTER}
UNTOUCHED = {Outcome.REFUSED, Outcome.NEVER_SENT}
Step = st.one_of(
    st.builds(Event, st.integers(0, 5), st.booleans()),
    st.builds(Take, st.sampled_from(Operation), st.integers(1, 4)),
    st.just(Replace()),
    st.sampled_from(Outcome),
)


def settle(ledger: Ledger, request: OpenRequest, outcome: Outcome) -> None:
    """Record the result of a request."""
    batch = request.batch
    match outcome:
        case Outcome.CONFIRMED if request.is_replacement:
            ledger.write(repairs.settle_replacement, batch, OK, all_matched=True)
        case Outcome.CONFIRMED:
            ledger.write(deliveries.confirm, batch, OK)
        case Outcome.NEVER_SENT if not request.is_replacement:
            ledger.write(deliveries.withdraw, batch)
        case Outcome.REFUSED | Outcome.NEVER_SENT:
            ledger.write(deliveries.undo, batch, ResponseRecord(2, 403, "refused"))
        case Outcome.LOST_BEFORE | Outcome.LOST_AFTER:
            ledger.write(deliveries.void, batch.request_id, LOST)
        case _:
            ledger.write(deliveries.void_open, 1, 9, None)


class Model:
    """Sets of wanted users and of the cohort's users, and what can be known about each user.

    `known` is in, out, or None for either.
    """

    def __init__(self, cohort: set[str] | None) -> None:
        """`cohort` are the users in a cohort that others have filled."""
        self.cohort = cohort or set()
        self.wanted: set[str] = set()
        self.known: dict[str, bool | None] = {}
        self._unseen = None if cohort else False
        self._sent: set[str] = set()

    def change(self, user: str, *, is_member: bool) -> None:
        self.known.setdefault(user, self._unseen)
        (self.wanted.add if is_member else self.wanted.discard)(user)

    def settle(self, request: OpenRequest, outcome: Outcome) -> None:
        ids, is_added = request.ids, request.batch.operation is ADD
        if outcome in APPLIED:
            before = set() if request.is_replacement else self.cohort
            self.cohort = before | ids if is_added else before - ids
        if outcome is not Outcome.NEVER_SENT or request.is_replacement:
            self._sent |= ids
        if outcome in UNTOUCHED:
            return
        is_certain = outcome is Outcome.CONFIRMED
        if request.is_replacement:
            others = self.known.keys() - ids if is_certain else self._maybe_in() - ids
            self.known |= dict.fromkeys(others, False if is_certain else None)
        self.known |= dict.fromkeys(ids, is_added if is_certain else None)

    def _maybe_in(self) -> set[str]:
        return {user for user, place in self.known.items() if place is not False}

    def held(self, in_flight: set[str]) -> InCohort:
        """What the ledger should say about the cohort."""
        settled = {user: place for user, place in self.known.items() if user not in in_flight}
        unknown = {user for user, place in settled.items() if place is None}
        delivered = sum(place is True for place in settled.values())
        if delivered:
            unknown -= self.wanted - self._sent  # in a cohort that others have filled
        return InCohort(delivered, len(unknown) + len(in_flight))


@example(
    steps=[
        *(Event(user, is_member=True) for user in (1, 2)),
        *(Take(ADD, 4), Outcome.CONFIRMED, Event(1, is_member=False)),
        *(Replace(), Outcome.LOST_AFTER, Event(1, is_member=True)),
    ],
    is_existing=False,
)
@given(steps=st.lists(Step, max_size=40), is_existing=st.booleans())
def test_whatever_happens_the_ledger_and_the_cohort_follow_a_plain_model(
    steps: list[Event | Take | Replace | Outcome],
    is_existing: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The cohort's members by the ledger after each step, and the actual ones at the end."""
    model = Model({"u0", "u3"} if is_existing else None)
    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        start(ledger)
        if is_existing:
            ledger.write(link_existing, 1, "abc12345")
        request: OpenRequest | None = None
        for number, step in enumerate(steps):
            match step:
                case Take(operation, limit) if request is None:
                    batch = take(ledger, operation, limit)
                    request = OpenRequest(batch) if batch else None
                case Replace() if request is None:
                    batch = ledger.write(repairs.open_replacement, 1, 1, IdType.USER_ID, 9, 1)
                    request = OpenRequest(batch, is_replacement=True) if batch else None
                case Event(user, is_member):
                    model.change(f"u{user}", is_member=is_member)
                    change = Change(REF, f"u{user}", None, is_member, number, 1)
                    read(ledger, [change], f"/{number}")
                case Outcome() as outcome if request is not None:
                    settle(ledger, request, outcome)
                    model.settle(request, outcome)
                    request = None
            held = ledger.read(lambda db: held_by_cohort(db, audience(db, 1)))
            assert held == model.held(request.ids if request is not None else set())
        if request is not None:
            settle(ledger, request, Outcome.CRASHED_BEFORE)
            model.settle(request, Outcome.CRASHED_BEFORE)
        sent = deliver(ledger)
        cohort = (model.cohort - set(sent[REMOVE])) | set(sent[ADD])
        assert left(ledger).pending == 0
    strangers = {"u0", "u3"} - model.known.keys() if is_existing else set()
    assert cohort - strangers == model.wanted
