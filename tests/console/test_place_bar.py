"""The second line: the main screens, their counts, and the current one."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console.place_bar import PlaceBar
from amp_console.console.place_counts import PlaceCounts
from amp_console.console.routes import MainScreen, Route, Visit
from amp_console.console.screens.base import BaseScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.link_bar import BarLink, LinkBar
from tests.console.harness import (
    ConsoleHarness,
    picture,
    until,
    until_gone,
    until_notified,
    until_shown,
)
from tests.console.host import hosted
from tests.console.sample_audiences import GHOSTS, SHOPPERS, broken_events, connect_with_audiences
from tests.console.test_footers import places

pytestmark = pytest.mark.anyio
MANY = PlaceCounts(audiences=12_345, rejected=1_234_567, is_live=True)
SUB_SCREENS = {
    "AudienceSettings": MainScreen.AUDIENCES,
    "LinkScreen": MainScreen.AUDIENCES,
    "PlanScreen": MainScreen.AUDIENCES,
    "ReconcileScreen": MainScreen.AUDIENCES,
    "ReconcileAllScreen": MainScreen.AUDIENCES,
    "RunScreen": MainScreen.RUNS,
    "ReplayScreen": MainScreen.RUNS,
    "ConnectionForm": MainScreen.CONNECTIONS,
    "MappingScreen": MainScreen.CONNECTIONS,
    "QueryScreen": MainScreen.SOURCES,
    "SourceForm": MainScreen.SOURCES,
}


def bar_text(pilot: Pilot[None]) -> str:
    return picture(pilot).splitlines()[1]


async def click(pilot: Pilot[None], bar: type[LinkBar], name: str) -> None:
    """Click on the link with this name."""
    shown = pilot.app.screen.query_one(bar)
    region = next(region for link, region in shown.links() if link.name == name)
    await pilot.click(offset=(region.x + 1, region.y))


async def test_counts_are_those_that_the_places_show(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, broken_events)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS, "▸1 Aud. 4   2 Errors 2    3 Runs  4 Live ")
        assert len(pilot.app.screen.query_one("#list", Grid).rows) == 4
        await pilot.press("2")
        await until_shown(pilot, "▸2 Errors 2 ", "2 users")
        row = pilot.app.screen.query_one("#groups", Grid).row
        assert row is not None
        assert "2" in [cell.text for cell in row.cells]
        await pilot.press("R", "y")  # none of them is rejected then
        await until_shown(pilot, "No one is rejected", "▸2 Errors ")
        await until_gone(pilot, "2 Errors 2")


async def test_a_click_leads_where_the_key_does(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS, "▸1 Audiences 4")
        for screen, mark in (
            ("errors", "▸2 Errors 2"),
            ("runs", "▸3 Runs"),
            ("events", "▸6 Log"),
            ("sources", "▸7 Sources"),
        ):
            await click(pilot, PlaceBar, screen)
            await until_shown(pilot, mark)
        await click(pilot, PlaceBar, "audiences")
        await until_shown(pilot, "▸1 Audiences 4")


async def test_without_a_connection_a_place_says_why_it_is_closed(harness: ConsoleHarness) -> None:
    harness.connect("One")
    harness.connect("Two")  # so that neither is opened
    async with harness.open() as pilot:
        await until_shown(pilot, "▸5 Connections")
        bar = pilot.app.screen.query_one(PlaceBar)
        available = {MainScreen.AUDIENCES, MainScreen.CONNECTIONS, MainScreen.EVENTS}
        expected = {name.value: name in available for name in MainScreen}
        await until(
            pilot,
            lambda: (
                expected == {link.name: "bold" in str(link.text.spans) for link, _ in bar.links()}
            ),
        )
        await click(pilot, PlaceBar, "errors")
        await until_notified(pilot, "Connect an Amplitude project first")
        await click(pilot, PlaceBar, "audiences")
        await until_shown(pilot, "▸1 Audiences ")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (50, " 1 12,345  2 1,234,567  3 ▸4 Live »  5  6  7  f"),
        (60, " 1 Aud. 12,345  2 Err. 1,234,567  3 ▸4 Live »  5  6  7  f"),
        (
            80,
            " 1 Aud. 12,345  2 Err. 1,234,567  3 Runs ▸4 Live »  5 Conn.  6 Log  7 Src.  f",
        ),
        (
            120,
            (
                " 1 Audiences 12,345  2 Errors 1,234,567  3 Runs ▸4 Live »  5 Connections  6 Log"
                "  7 Sources  f Find a person"
            ),
        ),
    ],
)
async def test_words_are_shortened_and_numbers_never(
    tmp_path: Path, width: int, expected: str
) -> None:
    class Somewhere(BaseScreen):
        BELONGS_TO = MainScreen.LIVE

    async with hosted(tmp_path, Somewhere, (width, 24)) as (host, pilot):
        await until(pilot, lambda: host.services.place_counts.counts is not None)
        host.services.place_counts.counts = MANY
        host.screen.query_one(PlaceBar).show()
        await pilot.pause()
        shown = "".join(link.text.plain for link, _ in host.screen.query_one(PlaceBar).links())
        assert len(shown) <= width
        assert shown.rstrip() == expected
        routes: list[Route] = host.routes
        await pilot.click(offset=(2, 1))
        await until(pilot, lambda: routes == [Visit(MainScreen.AUDIENCES)])


@pytest.mark.parametrize("width", [80, 120])
async def test_no_place_moves_when_its_counts_are_read(tmp_path: Path, width: int) -> None:
    async with hosted(tmp_path, BaseScreen, (width, 24)) as (host, pilot):
        await until(pilot, lambda: host.services.place_counts.counts is not None)
        bar, columns = host.screen.query_one(PlaceBar), []
        for counts in (None, PlaceCounts(6, 0, False), PlaceCounts(40, 130, True)):
            host.services.place_counts.counts = counts
            bar.show()
            columns.append([region.x for _, region in bar.links()])
        assert columns[0] == columns[1] == columns[2]
        assert next(region for link, region in bar.links() if link.name == "person").right <= width


async def test_words_are_as_long_in_the_first_picture_as_later(tmp_path: Path) -> None:
    shown: list[str] = []

    class RecordedBar(PlaceBar):
        def show_links(self, links: Sequence[BarLink], right: Sequence[BarLink] = ()) -> None:
            shown.append("".join(link.text.plain for link in links))
            super().show_links(links, right)

    async with hosted(tmp_path, BaseScreen, (160, 45)) as (host, pilot):
        await until_shown(pilot, "1 Audiences 0")
        await host.screen.mount(RecordedBar(MainScreen.ERRORS))
        await until(pilot, lambda: len(shown) > 1)
    assert set(shown) == {shown[0]}
    assert "Audiences" in shown[0]


def test_every_screen_is_marked_as_the_place_it_belongs_to() -> None:
    main = {
        "AudiencesScreen": MainScreen.AUDIENCES,
        "ErrorsScreen": MainScreen.ERRORS,
        "RunsScreen": MainScreen.RUNS,
        "LiveScreen": MainScreen.LIVE,
        "ConnectionsScreen": MainScreen.CONNECTIONS,
        "LogScreen": MainScreen.EVENTS,
        "SourcesScreen": MainScreen.SOURCES,
        "PersonScreen": MainScreen.PERSON,
    }
    assert {kind.__name__: kind.BELONGS_TO for kind in places()} == main | SUB_SCREENS
