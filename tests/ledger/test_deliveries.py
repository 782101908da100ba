"""Deliveries: a lost answer loses no user, and no user is sent twice without need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.ledger import Ledger, cohorts, deliveries, open_ledger, uploads
from amp_console.ledger.audiences import link_existing, set_id_type
from amp_console.ledger.deliveries import RequestAnswer
from amp_console.ledger.rejected import rejected_users, retry_rejected
from amp_console.values import Change, IdType, Operation
from tests.ledger.helpers import REF, deliver, enters, leaves, left, read, start, take

ADD, REMOVE = Operation.ADD, Operation.REMOVE
OK = RequestAnswer(2, 200)
LOST = RequestAnswer(2, None, "lost")


def test_whoever_enters_is_added_once(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
    assert deliver(ledger) == {ADD: ["u1", "u2"], REMOVE: []}
    assert deliver(ledger) == {ADD: [], REMOVE: []}


def test_whoever_left_a_cohort_we_made_without_being_in_it_is_not_sent(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", 1)])
    assert left(ledger).pending == 0


def test_whoever_left_is_removed_from_a_cohort_that_was_there_before(ledger: Ledger) -> None:
    read(ledger, [leaves("u1", 1)])
    ledger.write(link_existing, 1, "abc12345")
    read(ledger, [leaves("u2", 1)], "/later")
    assert deliver(ledger) == {ADD: [], REMOVE: ["u1", "u2"]}


def test_a_flip_between_deliveries_is_sent_and_a_flip_before_is_not(ledger: Ledger) -> None:
    read(ledger, [enters("u1", 1), leaves("u1", 2, 2), enters("u2", 1, 3)])
    assert deliver(ledger) == {ADD: ["u2"], REMOVE: []}
    read(ledger, [leaves("u2", 3)], "/later")
    assert deliver(ledger) == {ADD: [], REMOVE: ["u2"]}


def test_batches_are_as_large_as_asked(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(7)])
    sizes = []
    while batch := take(ledger, ADD, limit=3):
        sizes.append(batch.size)
        ledger.write(deliveries.confirm, batch, OK)
    assert sizes == [3, 3, 1]


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
    read(ledger, [enters("u1", 1)])
    take(ledger, ADD)
    assert ledger.write(deliveries.void_open, 1, 9, 9) == 1
    assert deliver(ledger) == {ADD: ["u1"], REMOVE: []}


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
    """The request may or may not have they are out, so a retry sends the removal again."""
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
    ledger.write(deliveries.confirm, batch, OK, ["ghost"], "unknown")
    assert left(ledger) == left(ledger).__class__(0, 0, 0, 0)


def test_part_of_a_refused_batch_is_taken_by_name(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n + 1) for n in range(4)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.void, batch.request_id, RequestAnswer(2, 400, "bad"))
    part = ledger.write(deliveries.open_sub_batch, 1, batch, ["u1", "u3"], 3)
    assert part
    assert sorted(part.identifiers()) == ["u1", "u3"]
    ledger.write(deliveries.confirm, part, OK)
    assert sorted(deliver(ledger)[ADD]) == ["u0", "u2"]


def test_a_culprit_is_rejected_with_amplitudes_words(ledger: Ledger) -> None:
    read(ledger, [enters("bad", 1)])
    batch = take(ledger, ADD)
    assert batch
    ledger.write(deliveries.refuse, batch, ["bad"], RequestAnswer(2, 400, "malformed id"))
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
        assert left(ledger).rejected == 1

    def test_in_a_cohort_that_was_there_before_only_the_id_type_in_use_is_sent(
        self, ledger: Ledger
    ) -> None:
        self._both(ledger)
        ledger.write(link_existing, 1, "abc12345")
        read(ledger, [Change(REF, "u3", "33", False, 1, 3)], "/later")
        assert deliver(ledger) == {REMOVE: ["u3"], ADD: ["u1", "u2"]}

    def test_before_removing_by_the_other_id_everybody_becomes_unknown(
        self, ledger: Ledger
    ) -> None:
        self._both(ledger)
        deliver(ledger)
        ledger.write(deliveries.forget_other_id_type, 1, IdType.AMPLITUDE_ID)
        assert deliver(ledger)[ADD] == ["u1", "u2"]


class TestUploads:
    def test_whoever_was_uploaded_still_goes_through_membership(self, ledger: Ledger) -> None:
        read(ledger, [enters("u1", 1), enters("u2", 1, 2)])
        taken = ledger.write(uploads.open_upload, 1, 1, IdType.USER_ID, 0, 1, (), 1)
        assert taken
        ledger.write(uploads.settle_upload, taken[0], OK, is_confirmed=True)
        ledger.write(cohorts.link_created, 1, "abc12345", "Shoppers")
        assert deliver(ledger)[ADD] == ["u1", "u2"]

    def test_whoever_leaves_after_the_upload_is_removed(self, ledger: Ledger) -> None:
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
        """The ledger knows them to be out, which the upload makes untrue."""
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


Step = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("take"), st.sampled_from([ADD, REMOVE]), st.integers(1, 4)),
    st.tuples(st.just("answer"), st.sampled_from(["ok", "lost before", "lost after"]), st.none()),
    st.tuples(st.just("crash"), st.booleans(), st.none()),
)


@given(steps=st.lists(Step, max_size=40), is_existing=st.booleans())
def test_whatever_happens_the_cohort_ends_as_the_events_say(
    steps: list[tuple[str, object, object]],
    is_existing: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Against a plain model: a set of who is wanted, and a set of who is in the cohort."""
    truth: set[str] = set()
    cohort: set[str] = {"u0", "u3"} if is_existing else set()
    seen: set[str] = set()
    with open_ledger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        start(ledger)
        if is_existing:
            ledger.write(link_existing, 1, "abc12345")
        open_batch = None
        for number, (kind, first, second) in enumerate(steps):
            if kind == "event":
                user, is_member = f"u{first}", bool(second)
                seen.add(user)
                (truth.add if is_member else truth.discard)(user)
                read(ledger, [Change(REF, user, None, is_member, number, 1)], f"/{number}")
            elif kind == "take" and open_batch is None:
                assert isinstance(first, Operation)
                assert isinstance(second, int)
                open_batch = take(ledger, first, second)
            elif kind in {"answer", "crash"} and open_batch is not None:
                ids = set(open_batch.identifiers())
                if first in {"ok", "lost after", True}:
                    cohort = cohort | ids if open_batch.operation is ADD else cohort - ids
                if first == "ok":
                    ledger.write(deliveries.confirm, open_batch, OK)
                elif kind == "answer":
                    ledger.write(deliveries.void, open_batch.request_id, LOST)
                else:
                    ledger.write(deliveries.void_open, 1, number, number)
                open_batch = None
        ledger.write(deliveries.void_open, 1, 99, 99)
        sent = deliver(ledger)
        cohort = (cohort - set(sent[REMOVE])) | set(sent[ADD])
        assert left(ledger).pending == 0
    strangers = {"u0", "u3"} - seen if is_existing else set()
    assert cohort - strangers == truth
