"""Segment's answer is kept with its time; a failed attempt does not change it."""

import pytest

from amp_console.ledger import Ledger
from amp_console.ledger.segment_audiences import (
    SpaceReading,
    keep_audiences,
    keep_trouble,
    space_reading,
)
from amp_console.values import SegmentAudience, SegmentDestination

pytestmark = pytest.mark.both_engines

SHOPPERS = SegmentAudience("aud_1", "shoppers", "Shoppers", True, "Live", 120, "USERS", "all()")
LAPSED = SegmentAudience("aud_2", "lapsed", "Lapsed", False, None, None, "", None)


def test_a_space_that_was_never_read_is_unknown(ledger: Ledger) -> None:
    assert ledger.read(space_reading, "spa_1") == SpaceReading("spa_1")


def test_a_reading_replaces_the_one_before(ledger: Ledger) -> None:
    ledger.write(keep_audiences, "spa_1", (SHOPPERS, LAPSED), 10)
    assert ledger.read(space_reading, "spa_1") == SpaceReading("spa_1", (LAPSED, SHOPPERS), 10, 10)
    ledger.write(keep_audiences, "spa_1", (SHOPPERS._replace(size=0),), 20)
    reading = ledger.read(space_reading, "spa_1")
    assert (reading.audiences, reading.read_at) == ((SHOPPERS._replace(size=0),), 20)
    assert ledger.read(space_reading, "spa_2") == SpaceReading("spa_2")


def test_where_segment_sends_an_audience_is_known_unknown_or_nowhere(ledger: Ledger) -> None:
    sent = SHOPPERS._replace(destinations=(SegmentDestination("Amplitude Cohorts", False),))
    ledger.write(keep_audiences, "spa_1", (LAPSED._replace(destinations=()), sent), 10)
    lapsed, shoppers = ledger.read(space_reading, "spa_1").audiences
    assert (lapsed.destinations, shoppers.destinations) == ((), sent.destinations)
    ledger.write(keep_audiences, "spa_1", (SHOPPERS,), 20)
    assert ledger.read(space_reading, "spa_1").audiences[0].destinations is None


def test_an_attempt_that_failed_keeps_what_was_read(ledger: Ledger) -> None:
    ledger.write(keep_audiences, "spa_1", (SHOPPERS,), 10)
    ledger.write(keep_trouble, "spa_1", "Segment could not answer.", 20, 90)
    reading = ledger.read(space_reading, "spa_1")
    assert reading == SpaceReading("spa_1", (SHOPPERS,), 10, 20, "Segment could not answer.", 90)
    ledger.write(keep_audiences, "spa_1", (SHOPPERS,), 30)
    assert ledger.read(space_reading, "spa_1") == SpaceReading("spa_1", (SHOPPERS,), 30, 30)
