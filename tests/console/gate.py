"""Stops a sync where it sleeps, so that a test can examine the screen for as long as it needs."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from textual.pilot import Pilot

from amp_console.connections import Connection
from amp_console.ledger import Db
from amp_console.simulator import Answer, Call, Simulator
from tests.console.harness import LOOK_EVERY, ConsoleHarness, console, services, until, until_shown


class Gate:
    """A sleep that lasts until the gate opens; from then on, a moment, as in every console's test.

    A live session that retries without a pause would leave no CPU time to the screen.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._open = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._open.wait()
        await asyncio.sleep(min(seconds, LOOK_EVERY))

    def open(self) -> None:
        self._open.set()


def gate_sleeps(harness: ConsoleHarness) -> Gate:
    """Make every sleep of this console last until the gate opens."""
    gate = Gate()
    timing = replace(harness.environment.timing, sleep=gate)
    harness.environment = replace(harness.environment, timing=timing)
    return gate


def rate_limit(simulator: Simulator, seconds: int = 12) -> None:
    """Answer the next change of members with 429."""
    simulator.faults.once(Answer(429, retry_after=str(seconds)), Call.MEMBERSHIP)


async def start_sync(pilot: Pilot[None], *shown: str) -> None:
    """From home: sync everything, and wait until the run shows these texts."""
    await until(pilot, lambda: services(pilot).session)
    await until_shown(pilot, "shoppers")
    await pilot.press("S")
    await until_shown(pilot, "Before you send")
    await until(pilot, lambda: console(pilot).screen.check_action("send", ()))
    await pilot.press("y")
    await until_shown(pilot, *(shown or ("Requests",)))


@asynccontextmanager
async def rate_limited_sync(
    harness: ConsoleHarness, connection: Connection, *users: str
) -> AsyncIterator[tuple[Pilot[None], Gate]]:
    """Open the console with a sync of these users that waits until the gate opens."""
    with harness.workspace(connection) as workspace:
        workspace.enter(*users)
    gate = gate_sleeps(harness)
    rate_limit(harness.simulator)
    async with harness.open() as pilot:
        await start_sync(pilot, "rate limited")
        yield pilot, gate


@contextmanager
def blocked_reads(pilot: Pilot[None]) -> Iterator[None]:
    """Block reads of the ledger for the screen."""
    session, gate = services(pilot).session, threading.Event()
    assert session is not None

    def wait(_: Db) -> None:
        gate.wait()

    blocked = asyncio.ensure_future(session.screen_ledger.aread(wait))
    try:
        yield
    finally:
        gate.set()
        blocked.add_done_callback(lambda _: None)
