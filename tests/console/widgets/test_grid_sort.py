"""Rows are sorted by a click on a header, or by the letter of a column; the header shows it."""

from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from amp_console.console.glyphs import ASCII, PLAIN, Glyphs
from amp_console.console.widgets.grid import Cell, Column, Grid, Row

pytestmark = pytest.mark.anyio

NAME, MEMBERS, RAN = Column("Name", 10), Column("Members", 9, right=True), Column("Run", 6)


class Sheet(App[None]):
    """A table, and an application with its own keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "remember('m')"),
        Binding("escape", "remember('escape')"),
    ]

    def __init__(self, glyphs: Glyphs = PLAIN) -> None:
        super().__init__()
        self._glyphs = glyphs
        self.pressed: list[str] = []

    def compose(self) -> ComposeResult:
        yield Grid((NAME, MEMBERS, RAN), glyphs=self._glyphs)

    def on_mount(self) -> None:
        numbers = {"apple": 20, "Mango": 1000, "zebra": 3}
        self.grid.show(
            [Row(key, (Cell(key), Cell(f"{n:,}"), Cell(str(n)))) for key, n in numbers.items()]
        )

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    @property
    def header(self) -> str:
        return self.grid.render_line(0).text

    @property
    def letters(self) -> str:
        """What is reversed in the header: the letters that sort."""
        line = self.grid.render_line(0)
        return "".join(part.text for part in line if part.style and part.style.reverse)

    @property
    def order(self) -> list[object]:
        return [row.key for row in map(self.grid.rows.get, range(3)) if row]

    def action_remember(self, key: str) -> None:
        self.pressed.append(key)


async def click(pilot: Pilot[None], label: str) -> None:
    app = pilot.app
    assert isinstance(app, Sheet)
    await pilot.click(Grid, offset=(app.header.index(label) + 1, 0))


async def test_a_click_on_a_header_sorts_and_another_one_reverses() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        await click(pilot, "Members")
        assert app.order == ["Mango", "apple", "zebra"]  # numbers begin with the largest
        assert "↓Members" in app.header
        await click(pilot, "Members")
        assert app.order == ["zebra", "apple", "Mango"]
        assert "↑Members" in app.header
        await click(pilot, "Name")
        assert app.order == ["apple", "Mango", "zebra"]
        assert "Name ↑" in app.header
        assert "↑Members" not in app.header


async def test_the_letter_of_a_column_sorts_by_it() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        as_they_come = app.order
        await pilot.press("o")
        assert app.letters == "NMR"
        await pilot.press("m")
        assert app.order == ["Mango", "apple", "zebra"]
        assert app.letters == ""
        assert app.header.split() == ["Name", "↓Members", "Run"]
        await pilot.press("o", "m")
        assert app.order == ["zebra", "apple", "Mango"]
        await pilot.press("o", "o")
        assert app.order == as_they_come
        assert app.pressed == []
        await pilot.press("m")
        assert app.pressed == ["m"]


@pytest.mark.parametrize("key", ["escape", "question_mark", "x"])
async def test_a_key_that_names_no_column_leaves_the_order_as_it_is(key: str) -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        await pilot.press("o", key)
        assert app.letters == ""
        assert app.header.split() == ["Name", "Members", "Run"]
        assert app.pressed == []
        await pilot.press("escape")
        assert app.pressed == ["escape"]


async def test_ascii_has_signs_of_its_own() -> None:
    app = Sheet(ASCII)
    async with app.run_test() as pilot:
        await pilot.press("o", "n")
        assert "Name ^" in app.header
        assert app.header.isascii()


async def test_a_sign_takes_no_room_from_a_label() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        app.grid.reshape((Column("Rejected", 8, right=True), Column("Status", 6), RAN))
        await pilot.press("o", "r", "o", "s")
        assert "Status ↑" in app.header
        await pilot.press("o", "r")
        assert "↓Rejected" in app.header


async def test_the_last_column_has_its_sign_even_at_the_edge() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        app.grid.reshape((Column("Name", 10, flex=1), MEMBERS, Column("Last sync", 10)))
        await pilot.press("o", "l")
        assert app.header.rstrip().endswith("Last sync↑")


async def test_columns_of_one_initial_have_letters_of_their_own() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        app.grid.reshape((Column("Rejected", 8, right=True), Column("Retries", 8), RAN))
        await pilot.press("o")
        assert app.letters == "Reu"


async def test_rows_that_lost_their_order_have_a_pale_sign_until_they_are_sorted_again() -> None:
    app = Sheet()
    async with app.run_test() as pilot:
        grid = app.grid

        def sign_is_bold() -> bool:
            line = grid.render_line(0)
            styles = {part.text: part.style for part in line if part.text.strip()}
            return styles["Name ↑"] != styles["Members"]

        await pilot.press("o", "n")
        assert sign_is_bold()
        grid.rows.keeps_order = True
        names = ("apple", "Mango", "banana")
        grid.show([Row(name, (Cell(name), Cell("1"), Cell("2"))) for name in names])
        assert app.order == ["apple", "Mango", "banana"]
        assert not sign_is_bold()
        await pilot.press("o", "n")
        assert app.order == ["apple", "banana", "Mango"]
        assert sign_is_bold()
