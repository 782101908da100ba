"""A sync that stands still where it waits, so that a test can look at it as long as it likes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from textual.pilot import Pilot

from amp_console.ledger import Db
from amp_console.simulator import Answer, Call, Simulator
from tests.console.house import House, console, until, until_shown


class Held:
    """A sleeper that sleeps until it is let go."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._gone = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._gone.wait()

    def let_go(self) -> None:
        self._gone.set()


def hold(house: House) -> Held:
    """Let every wait of this house last until it is let go."""
    held = Held()
    timing = replace(house.premises.timing, sleep=held)
    house.premises = replace(house.premises, timing=timing)
    return held


def rate_limit(simulator: Simulator, seconds: int = 12) -> None:
    """Answer the next change of members with 429."""
    simulator.faults.once(Answer(429, retry_after=str(seconds)), Call.MEMBERSHIP)


async def start_sync(pilot: Pilot[None], *shown: str) -> None:
    """From home: sync everything, and wait until the run shows these texts."""
    await until(pilot, lambda: console(pilot).session)
    await until_shown(pilot, "shoppers")
    await pilot.press("S")
    await until_shown(pilot, "Before you send")
    await until(pilot, lambda: console(pilot).screen.check_action("send", ()))
    await pilot.press("s")
    await until_shown(pilot, *(shown or ("Requests",)))


@contextmanager
def held_reads(pilot: Pilot[None]) -> Iterator[None]:
    """Keep the ledger from being read for the screen."""
    session, gate = console(pilot).session, threading.Event()
    assert session is not None

    def wait(_: Db) -> None:
        gate.wait()

    held = asyncio.ensure_future(session.pictures.aread(wait))
    try:
        yield
    finally:
        gate.set()
        held.add_done_callback(lambda _: None)
