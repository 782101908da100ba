"""Columns share the room there is, and text fits exactly, whatever it holds."""

import pytest
from rich.cells import cell_len

from amp_console.console.widgets.grid import Column
from amp_console.console.widgets.grid.columns import GAP, fit_columns, fitted_text

COLUMNS = (
    Column("Audience", 10, flex=2),
    Column("Cohort", 10, flex=1, rank=2),
    Column("Members", 8, right=True, rank=1),
    Column("Status", 12),
)


def taken(room: int) -> int:
    fitted = fit_columns(COLUMNS, room)
    return sum(item.width for item in fitted) + GAP * (len(fitted) - 1)


def test_a_wide_screen_gives_what_is_left_to_those_that_flex() -> None:
    widths = [column.width for column in fit_columns(COLUMNS, 46 + 30)]
    assert widths == [30, 20, 8, 12]


def test_a_narrow_screen_leaves_out_the_highest_rank_first() -> None:
    assert [column.at for column in fit_columns(COLUMNS, 45)] == [0, 2, 3]
    assert [column.at for column in fit_columns(COLUMNS, 33)] == [0, 3]


@pytest.mark.parametrize("room", range(18, 200))
def test_columns_never_take_more_than_there_is(room: int) -> None:
    assert taken(room) <= room


@pytest.mark.parametrize(
    ("text", "width", "right", "shown"),
    [
        ("abc", 5, False, "abc  "),
        ("abc", 5, True, "  abc"),
        ("abcdef", 4, False, "abc…"),
        ("", 2, False, "  "),
        ("日本語", 5, False, "日本…"),
        ("日本語", 4, False, "日 …"),
        ("[red]x[/foo]", 12, False, "[red]x[/foo]"),
        ("a\x1b[2Jb", 10, False, "a\\x1b[2Jb "),
        ("a\nb\tc", 9, False, "a\\nb\\tc  "),
        ("x" * 400, 6, False, "xxxxx…"),
    ],
)
def test_text_takes_exactly_its_room_and_steers_nothing(
    text: str, width: int, right: bool, shown: str
) -> None:
    assert fitted_text(text, width, right) == shown


@pytest.mark.parametrize("text", ["é😀👩‍👩‍👧", "שלום", "\u202eabc", "🇩🇪🇫🇷", "a\u0301" * 30, "\0"])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 20])
def test_odd_text_takes_exactly_its_room_too(text: str, width: int) -> None:
    assert cell_len(fitted_text(text, width, False)) == width
