"""A detail is beside its list, below it, or in its place, depending on room; Esc leads back."""

from functools import partial

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, Static

from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.widgets.split import PASSING, Split
from tests.console.harness import until

pytestmark = pytest.mark.anyio


class Sheet(App[None]):
    """Two fields as a list, one as its detail."""

    def compose(self) -> ComposeResult:
        yield Split(
            Vertical(Input(id="first"), Input(id="second"), id="list"),
            Vertical(Input(id="more"), id="detail"),
        )

    def on_mount(self) -> None:
        self.split.has_detail = True

    @property
    def split(self) -> Split:
        return self.query_one(Split)

    def shown(self) -> list[str]:
        return [name for name in ("list", "detail") if self.query_one(f"#{name}").display]


def places(pilot: Pilot[None]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where list and detail begin: column and line."""
    regions = [pilot.app.query_one(name).region for name in ("#list", "#detail")]
    return (regions[0].x, regions[0].y), (regions[1].x, regions[1].y)


@pytest.mark.parametrize(
    ("size", "detail_at"), [((140, 24), (84, 0)), ((200, 50), (120, 0)), ((110, 28), (0, 14))]
)
async def test_with_room_for_both_the_detail_is_beside_its_list_or_below(
    size: tuple[int, int], detail_at: tuple[int, int]
) -> None:
    app = Sheet()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert app.shown() == ["list", "detail"]
        assert places(pilot) == ((0, 0), detail_at)


@pytest.mark.parametrize("size", [(80, 24), (109, 50), (139, 27)])
async def test_with_less_room_the_detail_takes_the_place_of_its_list_once_it_is_entered(
    size: tuple[int, int],
) -> None:
    app = Sheet()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert app.shown() == ["list"]
        app.query_one("#second").focus()
        await pilot.pause()
        app.split.enter()
        await pilot.pause()
        assert app.shown() == ["detail"]
        assert app.focused is app.query_one("#more")
        assert app.split.leave()
        await pilot.pause()
        assert app.shown() == ["list"]
        assert app.focused is app.query_one("#second")
        assert not app.split.leave()


async def test_in_any_width_the_detail_is_below_a_list_that_leaves_it_enough_lines() -> None:
    app = Sheet()
    async with app.run_test(size=(80, 24)) as pilot:
        app.split.fit_rows(6)
        await pilot.pause()
        assert app.shown() == ["list", "detail"]
        assert places(pilot) == ((0, 0), (0, 10))
        assert not app.split.is_alone
        app.split.fit_rows(13)
        await pilot.pause()
        assert app.shown() == ["list"]
        assert app.query_one("#list").region.height == 24


@pytest.mark.parametrize(("size", "rows"), [((80, 24), 11), ((120, 30), 100)])
async def test_a_passing_message_does_not_change_where_the_detail_is(
    size: tuple[int, int], rows: int
) -> None:
    app = Sheet()
    async with app.run_test(size=size) as pilot:
        app.split.fit_rows(rows)
        await pilot.pause()
        before = places(pilot)
        message = Static("Two lines,\nfor a while.", classes=PASSING)
        message.styles.dock, message.styles.height = "bottom", 3
        await app.screen.mount(message)
        await pilot.pause()
        assert (app.shown(), places(pilot)) == (["list", "detail"], before)
        app.split.fit_rows(rows + 3)
        await pilot.pause()
        is_shown, after = app.shown(), places(pilot)
        await message.remove()
        await pilot.pause()
        assert (app.shown(), places(pilot)) == (is_shown, after)


async def test_with_much_room_a_long_list_leaves_half_of_it_to_the_detail() -> None:
    app = Sheet()
    async with app.run_test(size=(120, 36)) as pilot:
        for rows, below in ((5, 9), (200, 18)):
            app.split.fit_rows(rows)
            await pilot.pause()
            assert places(pilot) == ((0, 0), (0, below))


async def test_a_window_that_narrows_keeps_what_has_the_focus() -> None:
    app = Sheet()
    async with app.run_test(size=(140, 40)) as pilot:
        app.query_one("#more").focus()
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.shown() == ["detail"]
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert app.shown() == ["list", "detail"]
        assert app.split.leave()
        assert app.focused is app.query_one("#first")


async def test_without_a_detail_the_list_has_all_the_room_and_the_focus() -> None:
    app = Sheet()
    async with app.run_test(size=(140, 40)) as pilot:
        app.split.enter()
        app.split.has_detail = False
        await pilot.pause()
        assert app.shown() == ["list"]
        assert app.query_one("#list").region.width == 140
        assert app.focused is app.query_one("#first")
        app.split.enter()
        assert app.focused is app.query_one("#first")
        app.split.has_detail = True
        await pilot.pause()
        assert app.shown() == ["list", "detail"]


class Reading(App[None]):
    """A list that takes any number of lines, and a text below it."""

    def compose(self) -> ComposeResult:
        yield Split(Vertical(id="list"), VerticalScroll(Static(id="text"), id="detail"))


def is_high(text: Static, lines: int) -> bool:
    return text.outer_size.height == lines


async def test_a_list_keeps_its_place_whatever_its_detail_shows() -> None:
    app = Reading()
    async with app.run_test(size=(120, 36)) as pilot:
        app.query_one(Split).has_detail = True
        text = app.query_one("#text", Static)
        for lines in (8, 30, 12):
            text.update("\n".join(map(str, range(lines))))
            await until(pilot, partial(is_high, text, lines))
            assert places(pilot) == ((0, 0), (0, 18))


class Tall(App[None]):
    """A list, and a detail that is longer than the screen."""

    def compose(self) -> ComposeResult:
        detail = VerticalScroll(Static("line\n" * 100), id="tall")
        yield Split(Grid((Column("Name", 10),), id="rows"), detail, stacks=True)


async def test_the_detail_of_another_row_is_shown_from_its_top() -> None:
    app = Tall()
    async with app.run_test(size=(60, 20)) as pilot:
        grid, detail = app.query_one(Grid), app.query_one("#tall")
        grid.show([Row(name, (Cell(name),)) for name in ("a", "b")])
        app.query_one(Split).has_detail = True
        grid.focus()
        await pilot.pause()
        detail.scroll_to(y=30, animate=False)
        await pilot.pause()
        assert detail.scroll_y == 30
        await pilot.press("down")
        await until(pilot, lambda: detail.scroll_y == 0)


class Listing(App[None]):
    """A grid that needs 96 columns, and its detail."""

    def compose(self) -> ComposeResult:
        columns = (Column("Name", 10, flex=1), Column("State", 60, rank=1))
        yield Split(Vertical(Grid(columns), id="list"), Vertical(Input(), id="detail"))

    def on_mount(self) -> None:
        self.name_row("n" * 28)
        self.query_one(Split).has_detail = True

    def name_row(self, name: str) -> None:
        self.query_one(Grid).show([Row(0, (Cell(name), Cell("state")))])


@pytest.mark.parametrize(("width", "detail_at"), [(151, (0, 20)), (152, (96, 0)), (170, (102, 0))])
async def test_beside_its_detail_a_list_has_room_for_all_its_columns(
    width: int, detail_at: tuple[int, int]
) -> None:
    app = Listing()
    async with app.run_test(size=(width, 40)) as pilot:
        await pilot.pause()
        assert places(pilot) == ((0, 0), detail_at)


async def test_a_list_moves_for_longer_names_and_stays_there_for_shorter_ones() -> None:
    app = Listing()
    async with app.run_test(size=(154, 40)) as pilot:
        for name in ("n" * 30, "n" * 31, "n"):
            app.name_row(name)
            await pilot.pause()
            assert app.query_one(Split).is_beside is (len(name) == 30)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (150, 40)])
async def test_a_list_that_needs_no_other_size_lays_nothing_out(size: tuple[int, int]) -> None:
    app = Sheet()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        layouts = list[Screen[object]]()
        app.screen.screen_layout_refresh_signal.subscribe(app.split, layouts.append)
        app.split.fit_rows(100)
        await pilot.pause()
        layouts.clear()
        for rows in (101, 102):
            app.split.fit_rows(rows)
            await pilot.pause()
        assert not layouts
