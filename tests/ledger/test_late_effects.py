"""Late effects of unanswered requests, as the ledger remembers and forgets them."""

import sqlite3

import pytest

from amp_console.ledger import Db, Ledger, deliveries, open_ledger
from amp_console.ledger.deliveries import ResponseRecord
from amp_console.ledger.downloads import begin_download, note_request, unread_download
from amp_console.ledger.late_effects import make_due_pending
from amp_console.values import Operation
from tests.ledger.helpers import deliver, enters, leaves, read, start, take

pytestmark = pytest.mark.both_engines

UNTIL, QUIET = 1_000, 1_000


def give_up(ledger: Ledger, users: int) -> int:
    """Give up adding users; every second one leaves afterwards. Return the audience's ID."""
    read(ledger, [enters(f"u{n}", 1) for n in range(users)])
    batch = take(ledger, Operation.ADD, limit=users)
    assert batch is not None
    ledger.write(deliveries.void, batch.request_id, ResponseRecord(2, 504), UNTIL)
    read(ledger, [leaves(f"u{n}", 2) for n in range(0, users, 2)], "/later.ndjson")
    deliver(ledger)
    return start(ledger).id


def steps(ledger: Ledger, audience_id: int) -> int:
    """How many thousands of steps SQLite takes to make pending what is due."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    def work(db: Db) -> None:
        assert isinstance(db, sqlite3.Connection)
        db.set_progress_handler(counted, 1_000)
        make_due_pending(db, audience_id, UNTIL, QUIET)
        db.set_progress_handler(None, 0)

    ledger.write(work)
    return count


def test_the_work_grows_with_their_number_and_not_with_its_square(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    counts = []
    for users in (1_000, 4_000):
        with open_ledger(tmp_path_factory.mktemp("ledger") / "ledger.db") as ledger:
            counts.append(steps(ledger, give_up(ledger, users)))
    assert counts[1] < 6 * counts[0]  # 16 times with the square


def test_an_export_from_before_an_effect_may_have_landed_is_not_resumed(ledger: Ledger) -> None:
    audience_id = give_up(ledger, 1)
    for started_at in (UNTIL, UNTIL + 1):
        begun = ledger.write(begin_download, audience_id, "26umsb5", started_at)
        ledger.write(note_request, begun, f"export-{started_at}")
    ledger.write(make_due_pending, audience_id, UNTIL, QUIET)
    found = ledger.read(unread_download, audience_id, "26umsb5", UNTIL + 2)
    assert found is not None
    assert found.request_id == f"export-{UNTIL + 1}"
    ledger.write(lambda db: db.execute("DELETE FROM download WHERE started_at > ?", (UNTIL,)))
    assert ledger.read(unread_download, audience_id, "26umsb5", UNTIL + 2) is None
