"""Ages as the screen says them."""

import pytest

from amp_console.console.glyphs import PLAIN
from amp_console.console.words import DAY, aged, ago
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from tests.sync.workspace import Clock


@pytest.mark.parametrize("moment", [None, 0, BEFORE_ANY_EVENT, -DAY])
def test_a_moment_that_stands_for_none_has_no_age(moment: int | None) -> None:
    glyphs, now = PLAIN, Clock().now
    assert ago(moment, now, glyphs) == glyphs.dash
    assert aged(moment, now, glyphs).text == glyphs.dash


def test_an_age_is_told_in_its_largest_unit() -> None:
    glyphs, now = PLAIN, Clock().now
    assert ago(now - 6 * DAY, now, glyphs) == "6 days ago"
