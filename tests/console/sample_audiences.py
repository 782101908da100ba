"""A ledger with four audiences: synced, pending, rejected and without a cohort."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from amp_console.connections import Connection
from tests.console.harness import ConsoleHarness
from tests.sync.workspace import Workspace, event

HOSTILE = "[red]trial [/foo] é😀 שלום \x1b[2J\u202e " + "long " * 60
SHOPPERS, LAPSED = "high_value_shoppers", "recently_lapsed"
GHOSTS, FRESH = "trial_day_7", "newsletter"


def sync(workspace: Workspace) -> None:
    """A whole sync, in a thread of its own: the console's loop is running already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(workspace.sync())).result()


def connect_with_audiences(
    harness: ConsoleHarness, *more: Callable[[Workspace], object]
) -> Connection:
    """Add a connection and import four audiences.

    Shoppers have 3 pending additions and 1 pending removal; lapsed is in sync; Amplitude does not
    know 2 users of the trial; the newsletter has no cohort yet.
    """
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.read(event(f"s{n}", True, audience=SHOPPERS) for n in range(20))
        workspace.read(event(f"l{n}", True, audience=LAPSED) for n in range(7))
        trial = ["t1", "t2", "t3", "ghost-1", "ghost-2"]
        workspace.read(event(user, True, audience=GHOSTS) for user in trial)
        sync(workspace)
        workspace.read(event(f"new{n}", True, 60, audience=SHOPPERS) for n in range(3))
        workspace.read([event("s0", False, 60, audience=SHOPPERS)])
        workspace.read(event(f"n{n}", True, audience=FRESH) for n in range(12))
        for item in more:
            item(workspace)
    return connection


def hostile_audience(workspace: Workspace) -> None:
    """Import an audience, identifiers and a refusal that contain terminal control sequences."""
    users = [HOSTILE, f"ghost-{HOSTILE}", "ghost-[/bold]"]
    workspace.read(event(user, True, audience=HOSTILE) for user in users)
    sync(workspace)


def broken_events(workspace: Workspace) -> None:
    """Three events that can't be used."""
    workspace.read([event(None, True), event("  ", True)])
