"""Exported members are stored unchanged, except for what no ledger can store."""

import msgspec
import pytest

from amp_console.ledger import Db, Ledger
from amp_console.ledger.audiences import link_existing, set_id_type
from amp_console.ledger.compare import ComparisonSpec, compare_cohort
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.export_staging import add_exported, begin_export, export_table
from amp_console.values import MAX_IDENTIFIER_BYTES, IdType
from tests.ledger.helpers import enters, leaves, read, start

pytestmark = pytest.mark.both_engines

LONG = MAX_IDENTIFIER_BYTES
KEPT = ["", "u1", "é" * (LONG // 2), "a" * LONG, '"' * 700, "\\" * 700, '","', "\n\x1f\t", "a\rb"]
NOT_KEPT = ["a\0b", "\0", "a" * (LONG + 1), "é" * (LONG // 2 + 1), '"' * (LONG + 1)]


def staged(ledger: Ledger, users: dict[str, str], id_type: IdType) -> dict[str, str]:
    """Stage User IDs by Amplitude ID; return them as they were kept."""
    known = start(ledger)
    ours, other = ("id", "other") if id_type is IdType.USER_ID else ("other", "id")

    def stage(db: Db) -> dict[str, str]:
        begin_export(db, known.id)
        add_exported(db, known.id, id_type, msgspec.json.encode(users).decode())
        table = f"temp.{export_table(known.id)}"
        return dict(db.execute(f"SELECT {other}, {ours} FROM {table}").fetchall())

    return ledger.stage(stage)


def test_cells_that_look_like_separators_are_kept_as_they_are(ledger: Ledger) -> None:
    for users in (
        {"1": ":", ":": "2"},
        {"1": ",", ",": "2"},
        {"1": "", "2": ",", ":": ""},
        {"1": "", "": "2", "3": ""},
        {},
    ):
        assert staged(ledger, users, IdType.USER_ID) == users


@pytest.mark.parametrize("id_type", IdType)
def test_a_user_id_that_no_ledger_can_keep_is_none(ledger: Ledger, id_type: IdType) -> None:
    for user_id in (*KEPT, *NOT_KEPT):
        expected = "" if user_id in NOT_KEPT else user_id
        users = {"1": user_id, "2": "u2"}
        assert staged(ledger, users, id_type) == {"1": expected, "2": "u2"}, user_id[:9]


def test_a_user_id_of_two_users_differs_once(ledger: Ledger) -> None:
    """Amplitude may know a person twice."""
    known = start(ledger)
    ledger.write(link_existing, known.id, "cohort1")
    read(ledger, [enters("u1", 1, 1), leaves("u2", 1, 2), enters("u3", 1, 3)])

    def compare(db: Db) -> Comparison:
        begin_export(db, known.id)
        users = {"1": "u1", "2": "u1", "3": "u2", "4": "u2", "5": "stranger", "6": "stranger"}
        add_exported(db, known.id, IdType.USER_ID, msgspec.json.encode(users).decode())
        return compare_cohort(db, ComparisonSpec(1, known.id, 1))

    found = ledger.write(compare)
    assert (found.in_cohort, found.in_both, found.missing) == (6, 1, 1)
    assert (found.has_left, found.strangers) == (1, 1)


@pytest.mark.parametrize("id_type", IdType)
def test_a_person_who_is_in_the_file_twice_counts_once(ledger: Ledger, id_type: IdType) -> None:
    known = start(ledger)
    ledger.write(set_id_type, known.id, id_type)
    ledger.write(link_existing, known.id, "cohort1")

    def compare(db: Db) -> Comparison:
        begin_export(db, known.id)
        for _ in range(2):
            add_exported(db, known.id, id_type, '{"1":"u1","2":"u2","3":""}')
        return compare_cohort(db, ComparisonSpec(1, known.id, 1))

    found = ledger.write(compare)
    no_id = int(id_type is IdType.USER_ID)
    assert (found.in_cohort, found.strangers, found.cohort_no_id) == (3, 3 - no_id, no_id)
