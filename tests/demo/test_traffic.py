"""People enter and leave through files, as from an archive."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.connections import Connection
from amp_console.demo.dataset import (
    ABANDONERS,
    SHOPPERS,
    AudienceDefinition,
    ChangeGroup,
    event_lines,
    user_ids,
)
from amp_console.demo.traffic import FIRST_LEAVER, Traffic
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.audiences import all_audiences, find_audience
from amp_console.ledger.counts import leavers
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.ledger.membership_changes import daily_movement, recent_movement
from amp_console.ledger.runs import RunKind, RunStatus, begin_run, end_run
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.timing import Timing
from tests.demo.demo_workspace import MINUTE, NOW

LATER = NOW + MINUTE


class Quarter:
    """Traffic with a separate ledger."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        connection = Connection(name="Demo", app_id=1, owner_email="ana@acme.example")
        timing = Timing(now=lambda: LATER, rng=random.Random(1))
        self.ledger = ledger
        self.folder = folder
        self.traffic = Traffic(connection, ledger, folder, timing, seed=1)

    def moved(self, key: str) -> tuple[int, int]:
        """How many entered and left within the last two minutes."""
        audience = self.ledger.read(find_audience, key)
        moves = self.ledger.read(recent_movement, audience, LATER, 1)
        return moves.entered[0], moves.left[0]

    def fill(self, definition: AudienceDefinition) -> None:
        """Import everyone who is in an audience before the traffic begins."""
        inside = user_ids(1, definition, 0, definition.people)
        file = self.folder / f"everyone-{definition.key}.ndjson"
        file.write_text(event_lines(definition, ChangeGroup(NOW - MINUTE, True, inside)))
        options = ReadOptions(mapping=FieldMapping.parse())
        Importer(self.ledger, open_reader, options, now=lambda: LATER).run([str(file)])


@pytest.fixture
def quarter(tmp_path: Path) -> Iterator[Quarter]:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        yield Quarter(ledger, tmp_path)


def test_people_enter_and_leave_both_busy_audiences(quarter: Quarter) -> None:
    for definition in (SHOPPERS, ABANDONERS):
        quarter.fill(definition)
    for _ in range(20):
        quarter.traffic.step()
    for definition in (SHOPPERS, ABANDONERS):
        entered, left = quarter.moved(definition.key)
        assert entered > 10
        assert left > 10
    assert len(quarter.ledger.read(all_audiences)) == 2


def test_those_who_leave_were_in(quarter: Quarter) -> None:
    quarter.fill(SHOPPERS)
    for _ in range(20):
        quarter.traffic.step()
    audience = quarter.ledger.read(find_audience, SHOPPERS.key)
    everyone = quarter.ledger.read(daily_movement, audience, LATER, 30)
    entered, left = quarter.moved(SHOPPERS.key)
    # Only people who were in can leave, so everyone who left is counted.
    assert sum(everyone.left) == left
    assert sum(everyone.entered) == SHOPPERS.people + entered


def test_while_a_live_session_runs_nothing_is_delivered_that_it_did_not_read(
    quarter: Quarter,
) -> None:
    run_id = quarter.ledger.write(begin_run, ReadCounts(), LATER, "a lock", RunKind.LIVE)
    for _ in range(20):
        quarter.traffic.step()
    assert quarter.ledger.read(all_audiences) == []
    quarter.ledger.write(end_run, run_id, RunStatus.DELIVERED, "", LATER)
    quarter.traffic.step()
    written = sum(file.read_text().count("\n") for file in quarter.folder.glob("live-*.ndjson"))
    known = quarter.ledger.read(all_audiences)
    left = sum(quarter.ledger.read(leavers, item) for item in known)
    entered = sum(quarter.moved(definition.key)[0] for definition in (SHOPPERS, ABANDONERS))
    assert entered + left == written > 20


def test_it_ends_at_once(quarter: Quarter) -> None:
    over = threading.Event()
    over.set()
    quarter.traffic.run(3_600.0, over)
    assert quarter.ledger.read(all_audiences) == []


def test_the_log_says_who_writes_the_events(quarter: Quarter) -> None:
    over = threading.Event()
    over.set()
    quarter.traffic.run(3_600.0, over)
    (entry,) = quarter.ledger.read(log_page, LogFilter())
    assert entry.text.startswith("The demo writes simulated events")


def test_the_first_shoppers_stay() -> None:
    assert FIRST_LEAVER > 1_000 + 40 * 7
