"""Pages of rows that the ledger does not give."""

import sqlite3

import pytest

from amp_console.ledger import Ledger
from tests.console.furniture import GHOSTS, furnish, sync
from tests.console.house import House, console, until, until_shown
from tests.sync.office import Office, event


def many_ghosts(office: Office) -> None:
    office.read(event(f"ghost-{n}", True, audience=GHOSTS) for n in range(2000))
    sync(office)


async def test_a_page_that_cant_be_fetched_is_told_and_ends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(house, many_ghosts)
    async with house.open() as pilot:
        await until_shown(pilot, "newsletter")
        await pilot.press("2")
        await until_shown(pilot, "ghost-1")
        await pilot.press("tab")

        def broken(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "_transaction", broken)
            await pilot.press("end")
            await until(pilot, lambda: console(pilot).happenings)
        assert console(pilot)._exception is None
        assert (
            "failed (OperationalError). What it held before is kept"
            in console(pilot).happenings[-1].text
        )
        await pilot.press("home", "end")
        await until_shown(pilot, "ghost-999")
