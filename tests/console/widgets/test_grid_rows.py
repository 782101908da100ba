"""Rows are filtered by any cell and sorted by value; pages are fetched once, when in view."""

from collections.abc import Sequence

import pytest

from amp_console.console.widgets.grid import Cell, Paged, Row
from amp_console.console.widgets.grid.rows import PAGE, Listed, RowModel

ROWS = [
    Row("a", (Cell("Zebra"), Cell("1,000")), ("Zebra", 1000)),
    Row("b", (Cell("apple"), Cell("—")), ("apple", None)),
    Row("c", (Cell("Mango"), Cell("20")), ("Mango", 20)),
]


def test_all_rows_are_shown_as_they_come() -> None:
    assert Listed(ROWS).keys() == ["a", "b", "c"]


def test_a_filter_looks_at_every_cell_whatever_the_case() -> None:
    assert Listed(ROWS, "MAN").keys() == ["c"]
    assert Listed(ROWS, "1,0").keys() == ["a"]
    assert Listed(ROWS, "no-one").keys() == []


def test_text_is_sorted_whatever_the_case_and_numbers_by_value() -> None:
    assert Listed(ROWS, sort=0).keys() == ["b", "c", "a"]
    assert Listed(ROWS, sort=1).keys() == ["c", "a", "b"]


def test_what_is_unknown_comes_first_only_when_the_order_is_turned() -> None:
    assert Listed(ROWS, sort=1, descending=True).keys() == ["b", "a", "c"]


def test_rows_that_keep_their_order_are_not_said_to_be_sorted() -> None:
    model, said = RowModel(1), []
    changed = [ROWS[0]._replace(sort=("Zebra", 7)), *ROWS[1:]]
    for rows in (ROWS, changed, ROWS):
        model.replace(rows)
        said.append(model.is_sorted)
        model.keeps_order = True
    assert said == [True, False, True]


def test_a_row_is_found_by_its_key() -> None:
    assert Listed(ROWS, sort=0).find("a") == 2
    assert Listed(ROWS).find("z") is None


@pytest.mark.anyio
async def test_a_page_is_here_once_it_was_fetched() -> None:
    async def load(offset: int, limit: int) -> Sequence[Row]:
        return [Row(n, (Cell(str(n)),)) for n in range(offset, min(offset + limit, 450))]

    rows = Paged(450, load)
    assert len(rows) == 450
    assert rows.get(PAGE + 1) is None
    assert rows.request(PAGE + 1) == 1
    assert rows.request(PAGE + 1) is None  # it is being fetched
    await rows.fetch(1)
    assert rows.request(PAGE + 1) is None
    row = rows.get(PAGE + 1)
    assert row is not None
    assert row.key == PAGE + 1
    assert rows.find(PAGE + 1) == PAGE + 1
    assert rows.request(2 * PAGE) == 2
    assert rows.request(3 * PAGE) is None


def test_cells_without_sort_values_are_sorted_as_numbers_and_moments_too() -> None:
    rows = [
        Row(number, (Cell(f"{number:,}"), Cell("3 h ago", since=number)))
        for number in (9, 1_200, 30)
    ]
    assert Listed(rows, sort=0).keys() == [9, 30, 1_200]
    assert Listed(rows, sort=1).keys() == [9, 30, 1_200]
