"""Ages and times as the screen says them."""

import pytest

from amp_console.console.glyphs import PLAIN
from amp_console.console.words import DAY, MINUTE, aged, ago, at, between, moment, stopwatch
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from amp_console.text import duration
from tests.sync.workspace import Clock


@pytest.mark.parametrize("moment", [None, 0, BEFORE_ANY_EVENT, -DAY])
def test_a_moment_that_stands_for_none_has_no_age(moment: int | None) -> None:
    glyphs, now = PLAIN, Clock().now
    assert ago(moment, now, glyphs) == glyphs.dash
    assert aged(moment, now, glyphs).text == glyphs.dash


def test_an_age_is_reported_in_its_largest_unit() -> None:
    glyphs, now = PLAIN, Clock().now
    assert ago(now - 6 * DAY, now, glyphs) == "6 days ago"
    for ahead in (MINUTE, 40 * DAY):  # whole in the narrow column of a list
        assert len(ago(now + ahead, now, glyphs)) in {len("19:42:50"), len("2026-05-03")}


def test_a_moment_in_few_columns_leaves_out_what_it_shares_with_now() -> None:
    now = 1_795_608_000_000_000  # 2026-11-25, noon in UTC
    shown = [moment(now - days * DAY, now) for days in (0, 40, 400)]
    whole = [at(now - days * DAY) for days in (0, 40, 400)]
    assert shown == [whole[0][11:], whole[1][5:16], whole[2][:10]]
    assert max(map(len, shown)) == 11


def test_two_ages_share_their_unit() -> None:
    assert between("2 min ago", "7 min ago") == "2 to 7 min ago"
    assert between("40 s ago", "7 min ago") == "between 40 s ago and 7 min ago"
    assert between("just now", "just now") == "just now"


@pytest.mark.parametrize("seconds", [0.4, 9.5, 49.6])
def test_a_clock_and_a_sentence_round_a_time_alike(seconds: float) -> None:
    assert int(stopwatch(seconds).removeprefix("00:")) == int(duration(seconds).removesuffix(" s"))
    assert stopwatch(3599.6) == "1:00:00"
