"""While nothing happens, a list is painted only when an age on it advances."""

from amp_console.console.widgets.grid.painter import PaintedAges

MINUTE = 60_000_000  # microseconds


class Clock:
    def __init__(self) -> None:
        self.now = 10 * MINUTE

    def age(self, moment: int | None) -> str:
        return f"{(self.now - (moment or 0)) // MINUTE} min ago"


def test_rows_are_painted_again_once_an_age_among_them_is_another() -> None:
    clock = Clock()
    ages = PaintedAges(clock.age)
    assert ages.paint(8 * MINUTE) == "2 min ago"
    assert ages.paint(9 * MINUTE + 30_000_000) == "0 min ago"
    clock.now += 1_000_000
    assert not ages.advance()
    clock.now += 29_000_000
    assert ages.advance()
    assert ages.paint(9 * MINUTE + 30_000_000) == "1 min ago"
    assert not ages.advance()


def test_an_age_that_was_painted_again_is_the_one_that_counts() -> None:
    clock = Clock()
    ages = PaintedAges(clock.age)
    ages.paint(8 * MINUTE)
    clock.now += MINUTE
    ages.paint(8 * MINUTE)
    assert not ages.advance()
