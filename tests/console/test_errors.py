"""Who failed and why: in two keystrokes, and what can be done about it."""

import csv
from pathlib import Path

import pytest

from amp_console.console.screens.errors import ErrorsPlace
from amp_console.console.widgets.grid import Grid
from amp_console.ledger import Db
from amp_console.ledger.rejected import count_rejected
from amp_console.sync.settings import SettingsChange
from amp_console.values import IdType
from tests.console.furniture import FRESH, GHOSTS, SHOPPERS, broken_events, furnish, hostile
from tests.console.house import House, console, picture, until, until_shown
from tests.sync.office import Office

pytestmark = pytest.mark.anyio


def unidentified(office: Office) -> None:
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), FRESH)


async def test_two_keystrokes_from_home_to_who_failed_and_why(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "Amplitude does not know this User ID", "ghost-1", "ghost-2")


async def test_the_audience_under_the_cursor_is_looked_at(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("x")
        await until_shown(pilot, f"Errors · {SHOPPERS}", "Nobody is rejected.")
        await pilot.press("A")
        await until_shown(pilot, "Errors · all audiences", "ghost-1")


async def test_groups_lead_to_users_and_users_to_everything(house: House) -> None:
    furnish(house, unidentified)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "All reasons", "14", "No Amplitude ID in the event")
        await pilot.press("j", "j")
        await until_shown(pilot, "2 users")
        await pilot.press("enter", "enter")
        await until_shown(pilot, "why           Amplitude does not know this User ID", "status 200")
        assert "skipped_ids" in picture(pilot)
        await pilot.press("enter")
        await until_shown(pilot, "Request ", "memberships")
        await pilot.press("escape", "p")
        await until_shown(pilot, "Rejected when they were to be added (run 1)")
        await pilot.press("escape", "escape", "escape", "escape")
        await until_shown(pilot, "● in sync")


async def test_a_group_is_retried_and_synced(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "All reasons")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await pilot.press("enter")  # Cancel has the focus
        await until_shown(pilot, "All reasons")
        assert await console(pilot).session.read(count_rejected) == 2  # type: ignore[union-attr]
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await pilot.press("y")
        await until_shown(pilot, "2 users pending again", "Nobody is rejected.")
        await pilot.press("s")
        await until_shown(pilot, GHOSTS, "+2")


async def test_marked_users_alone_are_retried(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-2")
        await pilot.press("tab", "space", "R")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again")
        await until(pilot, lambda: "ghost-1 " not in picture(pilot))


async def test_what_cannot_be_retried_says_why(house: House) -> None:
    furnish(house, unidentified)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "No Amplitude ID in the event")
        await pilot.press("j")
        await until_shown(pilot, "12 users")
        await pilot.press("R")
        await until_shown(pilot, "There is nothing to send for them")


async def test_invalid_events_are_listed_with_file_and_line(house: House) -> None:
    furnish(house, broken_events)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2", "i")
        await until_shown(pilot, "Invalid events", "no usable identifier", "2 events")
        await pilot.press("enter")
        await until_shown(pilot, "line 1", "no usable identifier at $.userId")
        await pilot.press("escape", "slash", *"nothing")
        await until_shown(pilot, "0 events")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "All reasons")


async def test_a_filter_looks_for_part_of_the_identifier(house: House) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-2")
        await pilot.press("slash", *"T-2")
        await until(pilot, lambda: "ghost-1 " not in picture(pilot))
        await until_shown(pilot, "1 user", "ghost-2")


async def test_what_is_shown_is_exported(house: House, tmp_path: Path) -> None:
    furnish(house, broken_events)
    file = tmp_path / "out.csv"
    async with house.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-2")
        for wrong, path in ((True, tmp_path / "no/such/folder.csv"), (False, file)):
            await pilot.press("E")
            await until_shown(pilot, "Export as CSV")
            pilot.app.screen.query_one("#answer").value = str(path)  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until_shown(pilot, "can't be written" if wrong else "2 rows written")
    with file.open(newline="") as written:
        rows = list(csv.DictReader(written))
    assert [(row["kind"], row["id"]) for row in rows] == [
        ("rejected", "ghost-1"),
        ("rejected", "ghost-2"),
    ]
    assert file.stat().st_mode & 0o077 == 0


async def test_a_hundred_thousand_errors_are_paged(house: House) -> None:
    def many(office: Office) -> None:
        of = office.audience(GHOSTS).id

        def fill(db: Db) -> None:
            rejection = db.execute("SELECT max(id) FROM rejection").fetchone()[0]
            db.executemany(
                "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                "source_id, line, delivered, rejection_id) VALUES (?, 1, ?, 1, 1, 1, 1, 1, 0, ?)",
                [(of, f"many-{n:06}", rejection) for n in range(100_000)],
            )

        office.ledger.write(fill)

    furnish(house, many)
    async with house.open() as pilot:
        await until_shown(pilot, "100,002")
        await pilot.press("2")
        await until_shown(pilot, "100,002 users", "ghost-1")
        await pilot.press("tab", "G")
        await until_shown(pilot, "many-099999")
        grid = pilot.app.screen.query_one("#users", Grid)
        assert len(grid._rows._pages) <= 3  # type: ignore[attr-defined]
        await pilot.press("g", "pagedown", "pagedown")
        await until_shown(pilot, "many-000010")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_hostile_text_breaks_nothing(house: House, size: tuple[int, int]) -> None:
    furnish(house, hostile)
    async with house.open(size=size) as pilot:
        await until_shown(pilot, "[red]tr")
        await pilot.press("2")
        await until_shown(pilot, "ghost-[/bold]", "ghost-[red]")
        await pilot.press("tab", "G", "enter")
        await until_shown(pilot, "why ")
        assert "\x1b" not in picture(pilot)
        await pilot.press("y", "p")
        await until_shown(pilot, "Why")
        await pilot.press("escape", "escape", "escape", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ErrorsPlace))
