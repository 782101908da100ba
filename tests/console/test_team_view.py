"""Colleagues' changes on one ledger appear in each other's consoles without a key press."""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import Connection, LedgerServer, Limits
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.session import POLL_SECONDS, Session
from amp_console.ledger.errors import LedgerClosed
from amp_console.simulator import Answer, Call, Rule, Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import now_in_microseconds
from tests.cli.operator import MODULE
from tests.console.gate import Gate, gate_sleeps, start_sync
from tests.console.harness import (
    PATIENCE,
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.postgresql import KEEPS_COMMITS, PASSWORD, PostgresqlServer, postgresql_server

pytestmark = pytest.mark.anyio
USERS = [f"u-{n}" for n in range(5)]
TWO_BY_TWO = Limits(first_batch=2, largest_batch=2)
FIVE_HOURS = 5 * 3_600 * 10**9  # nanoseconds
UNDER_WAY = "» sync 40% by Ben"


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresqlServer]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


@pytest.fixture
def url(running: PostgresqlServer) -> Iterator[str]:
    """The address of an empty ledger on a server."""
    yield running.url()
    running.execute("DROP SCHEMA IF EXISTS amp_console CASCADE")


@pytest.fixture
def bens(tmp_path: Path, simulator: Simulator) -> ConsoleHarness:
    """The console of a colleague, on a machine of his own."""
    return ConsoleHarness(tmp_path / "ben", simulator)


def share(harness: ConsoleHarness, operator: str, url: str) -> Connection:
    """Connect to the ledger of the team."""
    ledger = LedgerServer(url=url)
    return harness.connect(ledger=ledger, operator=operator, limits=TWO_BY_TWO)


def stop_after_two(simulator: Simulator) -> None:
    """Let the second change of members wait."""
    limit = Answer(429, retry_after="50")
    simulator.faults.set([Rule(limit, frozenset({Call.MEMBERSHIP}), every=2, times=1)])


@asynccontextmanager
async def under_way(bens: ConsoleHarness) -> AsyncIterator[tuple[Pilot[None], Gate]]:
    """Ben's console, whose sync has sent two of five users and waits at a gate."""
    gate = gate_sleeps(bens)
    async with bens.open(size=(140, 40)) as his:
        await start_sync(his, "2/5")
        try:
            yield his, gate
        finally:
            gate.open()


async def test_ages_are_by_the_clock_of_the_server(
    harness: ConsoleHarness, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with harness.workspace(share(harness, "Ana", url)) as workspace:
        workspace.enter(*USERS)
        await workspace.sync()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + FIVE_HOURS)
    timing = replace(harness.environment.timing, now=now_in_microseconds)
    harness.environment = replace(harness.environment, timing=timing)
    async with harness.open(size=(140, 40)) as pilot:
        await until_on(pilot, AudiencesScreen)
        await pilot.press("3")
        await until_shown(pilot, "just now")
        assert "h ago" not in picture(pilot)


async def test_who_syncs_and_how_far_is_seen_by_the_other(
    harness: ConsoleHarness, bens: ConsoleHarness, url: str, simulator: Simulator
) -> None:
    with harness.workspace(share(harness, "Ana", url)) as workspace:
        workspace.enter(*USERS)
    share(bens, "Ben", url)
    stop_after_two(simulator)
    async with harness.open(size=(160, 45)) as hers:
        await until_on(hers, AudiencesScreen)
        await until_shown(hers, "no cohort")
        async with under_way(bens) as (his, gate):
            await until_shown(hers, UNDER_WAY, "sync 40%, 2 of 5 changes", "run 1, Ben, process ")
            await until_shown(hers, "Wait for the sync by Ben that is under way.")
            assert UNDER_WAY not in picture(his)
            await hers.press("3")
            await until_shown(
                hers, "Another amp-console (Ben, process ", "2 of 5 changes delivered", "2/5"
            )
            await hers.press("1")
            await until_shown(hers, UNDER_WAY)
            gate.open()
            await until_shown(hers, "not compared")
            await until_gone(hers, UNDER_WAY)


async def test_a_server_that_restarts_during_a_sync_ends_it_for_both_to_see(
    harness: ConsoleHarness, bens: ConsoleHarness, simulator: Simulator
) -> None:
    """The restart ends the session that holds the lease, so nothing more is sent under it."""
    with postgresql_server(KEEPS_COMMITS) as server:
        with harness.workspace(share(harness, "Ana", server.url())) as workspace:
            workspace.enter(*USERS)
        share(bens, "Ben", server.url())
        stop_after_two(simulator)
        async with harness.open(size=(160, 45)) as hers:
            async with under_way(bens) as (his, gate):
                await until_shown(hers, UNDER_WAY)
                server.restart()
                sent = len(simulator.requests)
                gate.open()
                await until_shown(his, "The connection that holds this audience's lease was lost")
                await until_gone(hers, UNDER_WAY)
                assert len(simulator.requests) == sent
            await start_sync(hers, "3 added in")
    (cohort,) = simulator.world.cohorts()
    assert simulator.world.members(cohort.id) == set(USERS)


async def all_told(session: Session) -> None:
    """Deliver all notifications of a session, one transaction after the other."""
    while await session.has_news():
        pass


async def test_nothing_is_looked_for_while_the_server_notifies(
    harness: ConsoleHarness, bens: ConsoleHarness, url: str
) -> None:
    connection, clock = share(harness, "Ana", url), 0.0
    timing = replace(harness.environment.timing, monotonic=lambda: clock)
    environment = replace(harness.environment, timing=timing)
    heard = threading.Event()
    with bens.workspace(share(bens, "Ben", url)) as his:
        session = Session(environment, connection, read_only=False, heard=heard.set)
        assert await asyncio.to_thread(heard.wait, PATIENCE), "it never listened"
        his.enter("u-1")
        await all_told(session)
        session.screen_ledger.close()  # which a check would need
        heard.clear()
        his.enter("u-2", at=2)
        assert await asyncio.to_thread(heard.wait, PATIENCE)
        assert await session.has_news()
        await all_told(session)
        clock = POLL_SECONDS
        with pytest.raises(LedgerClosed):
            await session.has_news()
        session.ledger.close()


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_lost_notification_is_made_up_for_by_looking(
    harness: ConsoleHarness,
    bens: ConsoleHarness,
    url: str,
    running: PostgresqlServer,
    is_heard: bool,
) -> None:
    share(harness, "Ana", url)
    with bens.workspace(share(bens, "Ben", url)) as his:
        his.enter("u-1")
        async with harness.open() as hers:
            await until_shown(hers, "shoppers", "+1")
            session = services(hers).session
            assert session is not None
            listener = session._listener
            assert listener is not None
            await until(hers, lambda: listener.is_listening)
            if is_heard:
                cut_listeners(running)
            else:
                listener.close()
            await until(hers, lambda: not listener.is_listening)
            his.enter("u-2", at=2)
            await until_shown(hers, "+2")
            if is_heard:
                await until(hers, lambda: listener.is_listening)


def cut_listeners(server: PostgresqlServer) -> None:
    """End every connection that listens."""
    server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")


@contextmanager
def shell(harness: ConsoleHarness, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Ben runs a command on the same machine, with the same settings and ledger."""
    environment = {**os.environ, **harness.environ, "AMP_CONSOLE_OPERATOR": "Ben"}
    # Textual replaces the streams that `tests.cli.processes` would inherit.
    with subprocess.Popen(
        [*MODULE, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_on_a_file_another_process_is_seen_and_its_end_too(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect(operator="Ana", limits=TWO_BY_TWO)) as workspace:
        workspace.enter(*USERS)
    stop_after_two(simulator)
    async with harness.open(size=(140, 40)) as hers:
        await until_shown(hers, "no cohort")
        with shell(harness, "sync", "--yes"):
            await until_shown(hers, UNDER_WAY, "sync 40%, 2 of 5 changes")
        await until_gone(hers, UNDER_WAY)


@asynccontextmanager
async def settings_open(harness: ConsoleHarness) -> AsyncIterator[Pilot[None]]:
    """Ana's console, on the settings of the audience."""
    async with harness.open(size=(120, 36)) as hers:
        await until_shown(hers, "shoppers")
        await hers.press("e")
        await until_shown(hers, "Settings of shoppers", "default: shoppers")
        yield hers


def field(pilot: Pilot[None], name: str) -> Input:
    return pilot.app.screen.query_one(f"#{name}", Input)


async def test_settings_that_another_changes_are_shown_in_the_form_at_once(
    harness: ConsoleHarness, bens: ConsoleHarness, url: str
) -> None:
    share(harness, "Ana", url)
    with bens.workspace(share(bens, "Ben", url)) as his:
        his.enter("u-1")
        async with settings_open(harness) as hers:
            field(hers, "seed").value = "u-7"
            his.change(SettingsChange(cohort_name="VIPs", enabled=False))
            await until(hers, lambda: field(hers, "cohort-name").value == "VIPs")
            assert field(hers, "seed").value == "u-7"
            await hers.press("f2")
            await until_on(hers, AudiencesScreen)
        now = his.audience()
        assert (now.cohort_name, now.seed_user, now.enabled) == ("VIPs", "u-7", False)


@pytest.mark.parametrize("key", ["y", "n"])
async def test_who_edits_the_same_setting_is_asked_which_one_is_kept(
    harness: ConsoleHarness, bens: ConsoleHarness, url: str, key: str
) -> None:
    share(harness, "Ana", url)
    with bens.workspace(share(bens, "Ben", url)) as his:
        his.enter("u-1")
        async with settings_open(harness) as hers:
            field(hers, "cohort-name").value = "Best"
            his.change(SettingsChange(cohort_name="VIPs"))
            await until_shown(hers, "Ben has changed this to “VIPs”.")
            assert field(hers, "cohort-name").value == "Best"
            await hers.press("f2")
            await until_shown(
                hers, "Replace the settings of “shoppers”?", "Ben has changed them in the meantime:"
            )
            await until_shown(hers, "VIPs  yours: Best")
            await hers.press(key)
            if key == "y":
                await until_on(hers, AudiencesScreen)
            else:
                await until_gone(hers, "Replace the settings of")
        assert his.audience().cohort_name == ("Best" if key == "y" else "VIPs")
