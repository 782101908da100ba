"""Columns share the available room, and text fits exactly, whatever it contains."""

import pytest
from rich.cells import cell_len

from amp_console.console.widgets.grid import Cell, CellPart, Column, Row, parts_cell, shortened_path
from amp_console.console.widgets.grid.columns import (
    GAP,
    ColumnLayout,
    fit_columns,
    fitted_parts,
    fitted_text,
    full_width,
    least_width,
)

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


def test_a_scrollbar_moves_no_column() -> None:
    columns = (*COLUMNS[:-1], Column("Status", 12, flex=1))
    for width in range(20, 200):
        *others, status = ColumnLayout(columns).fit(width)
        beside = ColumnLayout(columns, lambda: 1).fit(width - 1)
        assert beside == [*others, status._replace(width=status.width - 1)], width


def test_columns_never_take_more_than_there_is() -> None:
    for room in range(18, 200):
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


def test_a_column_of_numbers_is_as_wide_as_its_widest_and_does_not_jump_back_by_a_digit() -> None:
    layout = ColumnLayout(COLUMNS)
    numbers = "1,234,567,890"
    layout.measure([Row(0, (Cell("a" * 90), Cell("b"), Cell(numbers), Cell("in sync")))])
    for width in range(18, 200):
        assert layout.width_of(2, width) in {0, len(numbers)}
        fitted = layout.fit(width)
        assert len(fitted) < 3 or sum(item.width + GAP for item in fitted) <= width
    layout.measure([Row(0, (Cell("a"), Cell("b"), Cell("234,567,890"), Cell("in sync")))])
    assert layout.width_of(2, 120) == len(numbers)
    layout.measure([Row(0, (Cell("a"), Cell("b"), Cell("7"), Cell("in sync")))])
    assert layout.width_of(2, 120) == 8
    layout.measure([])
    layout.measure([Row(0, (Cell("a"), Cell("b"), Cell("7"), Cell("in sync")))])
    assert layout.width_of(2, 120) == 8


def test_a_column_that_hides_is_shown_once_a_row_has_something_in_it() -> None:
    layout = ColumnLayout((Column("Name", 10, flex=1), Column("Similar to", 10, hides=True)))
    layout.measure([Row(0, (Cell("a"), Cell("")))])
    assert [item.at for item in layout.fit(60)] == [0]
    layout.measure([Row(0, (Cell("a"), Cell(""))), Row(1, (Cell("b"), Cell("B")))])
    assert [item.at for item in layout.fit(60)] == [0, 1]


BADGES = parts_cell(
    [CellPart("▲ 10 rejected", "bad"), CellPart("◐ 312 pending", "warn"), CellPart("○ off", "dim")]
)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (35, "▲ 10 rejected  ◐ 312 pending  ○ off"),
        (36, "▲ 10 rejected  ◐ 312 pending  ○ off "),
        (34, "▲ 10 rejected  ◐ 312 pending  …   "),
        (36 + 1, "▲ 10 rejected  ◐ 312 pending  ○ off  "),
        (28, "▲ 10 rejected  ◐ 312 pending"),
        (27, "▲ 10 rejected  …           "),
        (16, "▲ 10 rejected  …"),
        (15, "▲ 10 rejected  "),
        (9, "▲ 10 rej…"),
    ],
)
def test_parts_are_shown_whole_as_far_as_there_is_room_and_never_as_a_lone_sign(
    width: int, shown: str
) -> None:
    assert "".join(part.text for part in fitted_parts(BADGES, width)) == shown


SIGNED = parts_cell(
    [
        CellPart("✖ broken link", "bad", sign="✖"),
        CellPart("≠ Segment error", "warn", sign="≠"),
        CellPart("◐ 18 pending", "warn", sign="◐"),
    ]
)
OPTIONAL = parts_cell([*SIGNED.parts[:2], SIGNED.parts[2]._replace(is_optional=True)])


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (44, "✖ broken link  ≠ Segment error  ◐ 18 pending"),
        (43, "✖ broken link  ≠ Segment error  ◐          "),
        (32, "✖ broken link  ≠  ◐             "),
        (19, "✖ broken link  ≠  ◐"),
        (18, "✖ broken link  …  "),
    ],
)
def test_the_last_parts_lose_their_words_before_any_loses_its_sign(width: int, shown: str) -> None:
    assert "".join(part.text for part in fitted_parts(SIGNED, width)) == shown


def test_a_narrowed_column_keeps_room_for_the_sign_of_every_part() -> None:
    assert least_width(SIGNED) == len("✖ broken link  ≠  ◐")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (44, "✖ broken link  ≠ Segment error  ◐ 18 pending"),
        (43, "✖ broken link  ≠ Segment error             "),
        (29, "✖ broken link  ≠             "),
    ],
)
def test_what_another_column_says_is_left_out_first_and_without_a_sign(
    width: int, shown: str
) -> None:
    assert "".join(part.text for part in fitted_parts(OPTIONAL, width)) == shown
    assert full_width(OPTIONAL) == len("✖ broken link  ≠ Segment error")
    assert least_width(OPTIONAL) == len("✖ broken link  ≠")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("High value shoppers (aud_2fyB0001)", "High value…2fyB0001)"),
        ("High value shoppers (beta)", "High value sh…(beta)"),
        ("High value shoppers of 2026", "High value shoppers…"),
        ("漢字漢字漢字漢字漢字 (漢字漢字漢字)", "漢字漢字漢…漢字漢字)"),
    ],
)
def test_names_that_differ_in_parentheses_are_cut_before_them(name: str, shown: str) -> None:
    cut = fitted_text(name, 20, right=False)
    assert cell_len(cut) == 20
    assert cut.split() == shown.split()


def test_a_column_of_numbers_is_at_most_a_digit_wider_than_its_cells() -> None:
    layout = ColumnLayout((Column("Name", 10, flex=1), Column("Pending", 7, right=True)))
    for text, width in (("+1,506  −1,503", 14), ("+999  −1,503", 14), ("+12", 7)):
        layout.measure([Row(0, (Cell("x"), Cell(text)))])
        assert layout.width_of(1, 60) == width


def test_a_narrowing_column_gives_up_its_later_parts_before_columns_of_a_lower_rank() -> None:
    columns = (Column("Name", 10, flex=1), Column("State", 8, narrows=3), Column("Run", 8, rank=2))
    layout = ColumnLayout(columns)
    layout.measure([Row(0, (Cell("x"), BADGES, Cell("now")))])
    assert [item.width for item in layout.fit(62)] == [13, 35, 8]
    assert [item.at for item in layout.fit(50)] == [0, 1, 2]
    assert layout.width_of(1, 50) == 26  # all that the name leaves
    assert layout.width_of(1, 45) == len("▲ 10 rejected +2 more")
    assert [item.at for item in layout.fit(36)] == [0, 1]


def test_the_first_name_is_whole_before_a_column_that_can_be_left_out_is_shown() -> None:
    columns = (Column("Name", 10, flex=3), Column("Cohort", 14, flex=3, rank=1), Column("Run", 8))
    layout = ColumnLayout(columns)
    layout.measure([Row(0, (Cell("High value shoppers"), Cell("VIPs"), Cell("now")))])
    assert [item.at for item in layout.fit(47)] == [0, 1, 2]
    assert [item.width for item in layout.fit(46)] == [34, 8]
    assert ColumnLayout(()).fit(46) == []


@pytest.mark.parametrize(
    ("path", "width", "shown"),
    [
        ("/srv/logs/a.ndjson", 18, "/srv/logs/a.ndjson"),
        ("/srv/segment-logs/production/newsletter-2026-11-25.ndjson", 40,
         "/srv/segme…/newsletter-2026-11-25.ndjson"),
        ("/srv/logs/one/two/three/four.ndjson", 24, "/srv/…/three/four.ndjson"),
        ("/srv/" + "n" * 50 + "-1.gz", 20, "/sr…" + "n" * 11 + "-1.gz"),
        ("/srv/production/segment-logs", 14, "…/segment-logs"),
    ],
)  # fmt: skip
def test_a_path_is_cut_in_the_middle_or_where_it_begins(path: str, width: int, shown: str) -> None:
    text = fitted_text(path, width, False, shorten=shortened_path)
    assert text.rstrip() == shown
    assert cell_len(text) == width


def test_paths_that_differ_in_their_last_folder_look_different() -> None:
    begin, end = "/var/lib/segment/exports/archive/", "/events.ndjson"
    one, two = (
        fitted_text(begin + day + end, 30, False, shorten=shortened_path) for day in ("11", "12")
    )
    assert one != two


def test_a_name_is_shown_whole_before_another_column_gets_more_than_it_needs() -> None:
    columns = (Column("Audience", 10, flex=1), Column("Cohort", 10, flex=1), Column("", 4, flex=1))
    layout = ColumnLayout(columns)
    layout.measure([Row(0, (Cell("short"), Cell("a long name, 21 chars"), Cell("x" * 30)))])
    assert [item.width for item in layout.fit(2 + 39)] == [10, 21, 4]
    assert [item.width for item in layout.fit(2 + 39 + 30)] == [20, 31, 14]
    assert [item.width for item in layout.fit(2 + 35)] == [10, 17, 4]


def test_a_bar_gets_its_share_alone_or_it_would_grow_with_every_paint() -> None:
    layout = ColumnLayout((Column("Audience", 10, flex=1), Column("", 4, flex=1)))
    width = layout.width_of(1, 60)
    layout.measure([Row(0, (Cell("short"), Cell("#" * width)))])
    assert layout.width_of(1, 60) == width


def test_a_number_that_the_edge_would_cut_is_left_out() -> None:
    columns = (
        Column("Name", 6, flex=1),
        Column("One", 9, right=True),
        Column("Two", 9, right=True),
    )
    assert [item.at for item in fit_columns(columns, 28)] == [0, 1, 2]
    assert [item.at for item in fit_columns(columns, 20)] == [0, 1]
    assert [item.at for item in fit_columns(columns, 12)] == [0]


def test_blanks_and_bars_make_room_before_a_name_does() -> None:
    columns = (
        Column("Audience", 10, flex=2),
        Column("", 8, flex=4),
        Column("Users", 5, right=True),
        Column("", 20, flex=2),
    )
    layout = ColumnLayout(columns)
    layout.measure([Row(0, (Cell("Cart abandoners"), Cell("#" * 8), Cell("7/7"), Cell("done")))])
    assert [item.width for item in layout.fit(2 + 54)] == [15, 8, 5, 20]
    assert [item.width for item in layout.fit(2 + 38)] == [15, 8, 5, 4]
    assert [item.width for item in layout.fit(2 + 34)] == [15, 4, 5, 4]
    assert [item.width for item in layout.fit(2 + 33)] == [14, 4, 5, 4]
