"""Exported members are stored unchanged, except for what no ledger can store."""

import pytest

from amp_console.ledger import Ledger
from amp_console.ledger.audiences import link_existing, set_id_type
from amp_console.ledger.compare import ComparisonSpec
from amp_console.values import MAX_IDENTIFIER_BYTES, IdType
from tests.ledger.exports import compared, exported
from tests.ledger.helpers import enters, leaves, read, start

LONG = MAX_IDENTIFIER_BYTES
KEPT = ["", "u1", "é" * (LONG // 2), "a" * LONG, '"' * 700, "\\" * 700, '","', "\n\x1f\t", "a\rb"]
NOT_KEPT = ["a\0b", "\0", "a" * (LONG + 1), "é" * (LONG // 2 + 1), '"' * (LONG + 1)]


@pytest.mark.parametrize("id_type", IdType)
def test_a_user_id_that_no_ledger_can_keep_is_none(id_type: IdType) -> None:
    for user_id in (*KEPT, *NOT_KEPT):
        expected = "" if user_id in NOT_KEPT else user_id
        with exported({"1": user_id}, {"2": "u2"}, id_type=id_type) as export:
            assert [*export.users()] == [("1", expected), ("2", "u2")], user_id[:9]
            without = int(not expected and id_type is IdType.USER_ID)
            assert (export.entries, export.unidentified) == (2, without)


def test_what_is_dropped_is_no_longer_counted() -> None:
    with exported({"1": "u1", "2": ""}, {"3": "u1", "4": "u4"}) as export:
        export.drop({("1", "u1"), ("2", ""), ("4", "other")})
        assert [*export.users()] == [("3", "u1"), ("4", "u4")]
        assert (export.entries, export.unidentified) == (2, 0)
        assert (export.count_people(), export.ids.count_distinct()) == (2, 2)


def test_a_download_that_starts_again_begins_an_empty_export() -> None:
    with exported({"1": "u1", "2": ""}) as export:
        export.clear()
        export.add('{"3":"u3"}')
        assert [*export.users()] == [("3", "u3")]
        assert (export.entries, export.unidentified, export.ids.count_distinct()) == (1, 0, 1)


@pytest.mark.both_engines
def test_a_user_id_of_two_users_differs_once(ledger: Ledger) -> None:
    """Amplitude may know a person twice."""
    known = start(ledger)
    ledger.write(link_existing, known.id, "cohort1")
    read(ledger, [enters("u1", 1, 1), leaves("u2", 1, 2), enters("u3", 1, 3)])
    users = {"1": "u1", "2": "u1", "3": "u2", "4": "u2", "5": "stranger", "6": "stranger"}
    found = compared(ledger, ComparisonSpec(1, known.id, 1), users)
    assert (found.in_cohort, found.in_both, found.missing) == (6, 1, 1)
    assert (found.has_left, found.strangers) == (1, 1)


@pytest.mark.both_engines
@pytest.mark.parametrize("id_type", IdType)
def test_a_person_who_is_in_the_file_twice_counts_once(ledger: Ledger, id_type: IdType) -> None:
    known = start(ledger)
    ledger.write(set_id_type, known.id, id_type)
    ledger.write(link_existing, known.id, "cohort1")
    users = {"1": "u1", "2": "u2", "3": ""}
    found = compared(ledger, ComparisonSpec(1, known.id, 1), users, users, id_type=id_type)
    no_id = int(id_type is IdType.USER_ID)
    assert (found.in_cohort, found.strangers, found.cohort_no_id) == (3, 3 - no_id, no_id)
