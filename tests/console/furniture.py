"""A ledger with something to see in it: several audiences, some synced, some not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from amp_console.connections import Connection
from tests.console.house import House
from tests.sync.office import Office, event

HOSTILE = "[red]trial [/foo] é😀 שלום \x1b[2J\u202e " + "long " * 60
SHOPPERS, LAPSED = "high_value_shoppers", "recently_lapsed"
GHOSTS, FRESH = "trial_day_7", "newsletter"


def sync(office: Office) -> None:
    """A whole sync, in a thread of its own: the console's loop is running already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(office.sync())).result()


def furnish(house: House, *more: Callable[[Office], object]) -> Connection:
    """Connect, and bring in four audiences.

    Shoppers are in sync but for three who entered and one who left; lapsed are in sync; of the
    trial's users two are unknown to Amplitude; the newsletter has no cohort yet.
    """
    connection = house.connect()
    with house.office(connection) as office:
        office.read(event(f"s{n}", True, audience=SHOPPERS) for n in range(20))
        office.read(event(f"l{n}", True, audience=LAPSED) for n in range(7))
        trial = ["t1", "t2", "t3", "ghost-1", "ghost-2"]
        office.read(event(user, True, audience=GHOSTS) for user in trial)
        sync(office)
        office.read(event(f"new{n}", True, 60, audience=SHOPPERS) for n in range(3))
        office.read([event("s0", False, 60, audience=SHOPPERS)])
        office.read(event(f"n{n}", True, audience=FRESH) for n in range(12))
        for item in more:
            item(office)
    return connection


def hostile(office: Office) -> None:
    """An audience, identifiers and a refusal that would like to steer the terminal."""
    users = [HOSTILE, f"ghost-{HOSTILE}", "ghost-[/bold]"]
    office.read(event(user, True, audience=HOSTILE) for user in users)
    sync(office)


def broken_events(office: Office) -> None:
    """Three events that can't be used."""
    office.read([event(None, True), event("  ", True)])
