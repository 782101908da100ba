"""Frequent queries of screens use indexes: a ledger may contain millions of members."""

import re
import sqlite3
from collections.abc import Callable

import pytest

from amp_console.ledger import Db, Ledger, deliveries
from amp_console.ledger.counts import outstanding_of_all
from amp_console.ledger.deliveries import DeliveryBatch, Reason, ResponseRecord
from amp_console.ledger.members import NewestChanges, merge
from amp_console.ledger.people import find_person, identifiers_beginning
from amp_console.ledger.rejected import (
    RejectedFilter,
    count_rejected,
    rejected_page,
    rejection_groups,
)
from amp_console.ledger.uploads import open_upload
from amp_console.values import AudienceRef, Change, IdType, Operation
from tests.ledger.helpers import REF, deliver, enters, left, read, take

STATEMENTS = [
    RejectedFilter(),
    RejectedFilter(audience_id=1),
    RejectedFilter(text="ghost"),
    RejectedFilter(run_id=1),
    RejectedFilter(operation=Operation.ADD, reason="unknown"),
    RejectedFilter(1, Operation.ADD, Reason.UNKNOWN, "unknown", 1, "ghost"),
    RejectedFilter(code=Reason.NO_IDENTIFIER),
]
ONLY = re.compile(
    r"(SCAN|SEARCH) member USING "
    r"(COVERING INDEX member_(rejected|unidentified|pending)|INDEX member_pending)"
)
ONE_ROW = re.compile(
    r"SEARCH member USING (INTEGER PRIMARY KEY|INDEX sqlite_autoindex_member_1 \(.* AND id=\?\))"
)

OTHER = AudienceRef("spa_1", "aud_2", "others")
Settle = Callable[[Db, DeliveryBatch, ResponseRecord], None]


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def some(ledger: Ledger) -> None:
    read(ledger, [enters(user, 1) for user in ("u1", "ghost-1", "ghost-2")])
    deliver(ledger, skipped=["ghost-1", "ghost-2"])
    assert left(ledger).rejected == 2


def looks(ledger: Ledger, work: Callable[[Db], object]) -> list[str]:
    """How SQLite finds the members in each statement of some work."""

    def plans(db: Db) -> list[str]:
        assert isinstance(db, sqlite3.Connection)
        said: list[str] = []
        db.set_trace_callback(said.append)
        work(db)
        db.set_trace_callback(None)
        whole = [item for item in said if not item.startswith("--")]  # no triggers' own
        steps = [row[3] for item in whole for row in db.execute(f"EXPLAIN QUERY PLAN {item}")]
        return [step for step in steps if re.search(r"\bmember\b", step)]

    return ledger.write(plans)


def test_a_merge_reads_only_the_members_it_names_and_adds(ledger: Ledger) -> None:
    now = 1_700_000_000_000_000
    changes = NewestChanges()
    changes.add([Change(REF, f"u{n}", f"a{n}", True, now, n) for n in (1, 9)])
    found = looks(ledger, lambda db: merge(db, 1, changes, {REF: 1}, now))
    assert found
    numbers = re.compile(  # the largest number; those that were given since
        r"SEARCH member(?: USING INTEGER PRIMARY KEY \(rowid>\? AND rowid<\?\))?$"
    )
    assert all(numbers.match(step) or ONE_ROW.match(step) for step in found), found


@pytest.mark.parametrize("is_dense", [True, False])
def test_what_becomes_of_a_request_reads_only_its_rows(ledger: Ledger, is_dense: bool) -> None:
    """Where they are far apart, the other members of the audience may be fewer."""
    others = [enters(f"x{n}", 1, n, OTHER) for n in range(1, 2 if is_dense else 100)]
    read(ledger, [enters("a", 1)], "/a")
    read(ledger, others, "/others")
    read(ledger, [enters("b", 1)], "/b")

    def void(db: Db, batch: DeliveryBatch, answer: ResponseRecord) -> None:
        deliveries.void(db, batch.request_id, answer, late_until=9)

    def withdraw(db: Db, batch: DeliveryBatch, _: ResponseRecord) -> None:
        deliveries.withdraw(db, batch)

    for settle in (deliveries.undo, void, withdraw):
        batch = take(ledger, Operation.ADD)
        assert batch is not None
        assert batch.size == 2

        def work(db: Db, settle: Settle = settle, batch: DeliveryBatch = batch) -> None:
            settle(db, batch, ResponseRecord(1))

        found = looks(ledger, work)
        assert found
        reads_all = any(step.endswith("(audience_id=? AND id_type=?)") for step in found)
        assert reads_all is not is_dense, found


def test_a_batch_is_found_by_an_index_and_marked_by_its_rows(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n) for n in range(2, 9)], "/more")

    def take_all(db: Db) -> None:
        assert deliveries.open_batch(db, 1, 1, IdType.USER_ID, Operation.ADD, 9, 1)

    selected, marked = looks(ledger, take_all)
    assert ONLY.match(selected), selected
    assert "INTEGER PRIMARY KEY" in marked


def test_the_first_members_are_found_without_sorting_all(ledger: Ledger) -> None:
    read(ledger, [enters(f"u{n}", 1, n) for n in range(2, 9)], "/more")

    def take_first(db: Db) -> None:
        assert open_upload(db, 1, 1, IdType.USER_ID, 0, 2, (), 1)

    found = looks(ledger, take_first)
    assert found
    assert all(ONLY.match(step) for step in found), found


def test_how_audiences_stand(ledger: Ledger) -> None:
    found = looks(ledger, outstanding_of_all)
    assert len(found) == 3
    assert all(ONLY.match(step) for step in found), found


@pytest.mark.parametrize("query", STATEMENTS, ids=str)
def test_groups_and_counts_of_the_rejected(ledger: Ledger, query: RejectedFilter) -> None:
    for work in (rejection_groups, count_rejected):
        found = looks(ledger, lambda db, work=work: work(db, query))  # type: ignore[misc]
        assert found
        assert all(ONLY.match(step) for step in found), found


@pytest.mark.parametrize("query", STATEMENTS, ids=str)
def test_a_page_reads_those_it_shows_and_no_others(ledger: Ledger, query: RejectedFilter) -> None:
    found = looks(ledger, lambda db: rejected_page(db, query, 1, 1))
    assert found
    assert all(ONLY.match(step) or ONE_ROW.match(step) for step in found), found


def test_one_person(ledger: Ledger) -> None:
    found = looks(ledger, lambda db: find_person(db, "u1"))
    assert found
    assert all(ONE_ROW.match(step) for step in found), found


def test_identifiers_that_begin_with_a_text_are_found_without_reading_the_others(
    ledger: Ledger,
) -> None:
    found = looks(ledger, lambda db: identifiers_beginning(db, "ghost", 10))
    assert found
    bounds = "(audience_id=? AND id_type=? AND id>? AND id<?)"
    wanted = f"COVERING INDEX sqlite_autoindex_member_1 {bounds}"
    assert all(wanted in step for step in found), found


def test_only_identifiers_that_begin_exactly_so_are_found(ledger: Ledger) -> None:
    last = chr(0x10FFFF)
    read(
        ledger, [enters(user, 1) for user in ("Ghost-1", "ghosts", "ghos", f"a{last}b", "a\ud7ffb")]
    )

    def beginning(text: str, limit: int = 10) -> list[str]:
        return ledger.read(identifiers_beginning, text, limit)

    assert beginning("ghost") == ["ghost-1", "ghost-2", "ghosts"]
    assert beginning("ghost", 2) == ["ghost-1", "ghost-2"]
    assert beginning(f"a{last}") == [f"a{last}b"]
    assert beginning("a\ud7ff") == ["a\ud7ffb"]
    assert beginning("") == beginning(last) == beginning("nothing") == []
