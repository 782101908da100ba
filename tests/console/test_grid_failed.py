"""Pages of rows that the ledger fails to return."""

import sqlite3
import threading

from amp_console.ledger import Db
from tests.console.harness import ConsoleHarness, console, services, until_picture, until_shown
from tests.console.sample_audiences import GHOSTS, connect_with_audiences, sync
from tests.sync.workspace import Workspace, event


def many_ghosts(workspace: Workspace) -> None:
    workspace.read(event(f"ghost-{n}", True, audience=GHOSTS) for n in range(2000))
    sync(workspace)


async def test_a_page_that_cant_be_fetched_is_reported_and_ends_nothing(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, many_ghosts)
    async with harness.open() as pilot:
        await until_shown(pilot, "newsletter")
        await pilot.press("2")
        await until_shown(pilot, "ghost-1")
        await pilot.press("tab")

        fails = threading.Event()

        def let_fail(db: Db) -> None:
            assert isinstance(db, sqlite3.Connection)
            db.set_progress_handler(fails.is_set, 10)  # interrupts every statement once set

        session = services(pilot).session
        assert session is not None
        await session.read(let_fail)
        fails.set()
        await pilot.press("end")
        await until_picture(pilot, lambda _: services(pilot).notifications.entries)
        fails.clear()
        assert console(pilot)._exception is None
        assert (
            "failed (SQLITE_INTERRUPT). Everything before is kept"
            in services(pilot).notifications.entries[-1].text
        )
        await pilot.press("home", "end")
        await until_shown(pilot, "ghost-999")
