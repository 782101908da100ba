"""Several connections side by side: switching, work in the background, and what is kept apart."""

import asyncio
import itertools
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.connections import Connection
from amp_console.console import LaunchOptions
from amp_console.console.context import services_of
from amp_console.console.dialogs.keyring import KeysDialog
from amp_console.console.glyphs import PLAIN
from amp_console.console.lifecycle import is_open
from amp_console.console.place_bar import PlaceBar
from amp_console.console.routes import MainScreen, Visit
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.screens.connections.list import ConnectionsScreen
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.console.widgets.grid import Grid
from amp_console.console.words import HOUR, ago
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.comparisons import comparisons_in
from amp_console.ledger.counts import outstanding
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.ledger.runs import all_runs, begin_run
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Simulator
from amp_console.sync.live.alerts import Alert
from amp_console.values import Credentials, Secret
from tests.console.gate import gate_sleeps, rate_limit, start_sync
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.keyrings import backends, fill, use_keyring
from tests.console.sample_audiences import FRESH, GHOSTS, connect_with_audiences, select
from tests.console.test_live import follow
from tests.console.test_place_bar import bar_text, click
from tests.sync.workspace import Workspace, event, lines

pytestmark = pytest.mark.anyio
PROD = LaunchOptions(connection="Acme prod")
OTHER_KEYS = Credentials(Secret("staging-api-key-not-real"), Secret("staging-secret-not-real"))
IN_PROD, IN_STAGING = "amp-console  Acme prod ·", "amp-console  Acme staging ·"


@contextmanager
def staging(harness: ConsoleHarness, **more: object) -> Iterator[tuple[Connection, Simulator]]:
    """A second connection, to a separate project."""
    with Simulator(credentials=OTHER_KEYS) as other:
        yield harness.connect("Acme staging", base_url=other.base_url, **more), other


def add_staging(harness: ConsoleHarness) -> Connection:
    """A second connection whose one audience is not synced yet."""
    use_keyring(harness, backends.Memory)
    item = harness.environment.keyring.write(harness.simulator.credentials)
    connection = harness.connect("Acme staging", keyring_item=item)
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
    return connection


def store_keys(harness: ConsoleHarness, *names: str) -> None:
    """Store the keys of the simulated project for these connections, too."""
    settings, keyring = harness.environment.connections, harness.environment.keyring
    for name in names:
        item = keyring.write(harness.simulator.credentials)
        settings.save(settings.get(name), keyring_item=item)


async def open_prod(pilot: Pilot[None]) -> None:
    await until_shown(pilot, IN_PROD, FRESH)


async def to_staging(pilot: Pilot[None]) -> None:
    await pilot.press("ctrl+n")
    await until_shown(pilot, IN_STAGING, "1 audience ")


async def delete_prod(pilot: Pilot[None]) -> None:
    await pilot.press("5")
    await until_shown(pilot, "2 connections")
    await pilot.press("home", "D")
    await until_shown(pilot, "Delete “Acme prod”?")
    await pilot.press(*"Acme", "space", *"prod", "enter")


async def test_each_connection_is_where_one_left_it(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await pilot.press("slash", *"newsl", "enter")
        await until_gone(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-1")
        await pilot.press("down")
        reason = pilot.app.screen.query_one("#groups", Grid).cursor
        assert reason == 1
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, "shoppers", "1 audience ")
        await pilot.press("3")
        await until_shown(pilot, "▸3 Runs")

        await pilot.press("ctrl+n")

        await until_on(pilot, ErrorsScreen)
        await until_shown(pilot, IN_PROD, "ghost-1")
        assert pilot.app.screen.query_one("#groups", Grid).cursor == reason
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, FRESH)
        await until_gone(pilot, GHOSTS)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, "▸3 Runs")


async def test_the_palette_finds_connections_by_name(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await until_shown(pilot, "Acme staging ▲ 1")
        await pilot.press("ctrl+p", *"switch to")
        await until_shown(pilot, "Switch to Acme staging")
        await pilot.press("enter")
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, IN_STAGING, "1 audience ")


async def test_a_click_switches(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    other = add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await until_shown(pilot, "Acme staging ▲ 1")
        await click(pilot, PlaceBar, f"connection.{other.id}")
        await until_shown(pilot, IN_STAGING, "1 audience ")


async def test_the_count_is_what_home_says(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    store_keys(harness, "Acme prod")
    async with harness.open(LaunchOptions(connection="Acme staging")) as pilot:
        await until_shown(pilot, IN_STAGING, "shoppers")
        await until(pilot, lambda: "Acme prod ▲ 2" in bar_text(pilot))
        await pilot.press("5")
        await until_shown(pilot, "4  2 need attention: 1 with rejected users, 1 with no cohort")
        await pilot.press("home", "enter")
        await until_shown(pilot, IN_PROD, "4 audiences · 2 need attention: 1 with rejected users")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_a_connection_is_described_without_opening_it(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    def compare(workspace: Workspace) -> None:
        workspace.ledger.write(
            lambda db: db.execute(
                "INSERT INTO comparison (run_id, audience_id, cohort_id, id_type, at, in_audience, "
                "in_cohort, in_both, missing, missing_drifted, missing_rejected, has_left, "
                "strangers, cohort_no_id, audience_no_id, disagreeing) "
                "VALUES (1, 1, 'c', 1, ?, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0)",
                (NOW - 2 * HOUR,),
            )
        )

    prod = connect_with_audiences(harness, compare)
    add_staging(harness)
    store_keys(harness, "Acme prod")
    async with harness.open(LaunchOptions(connection="Acme staging"), size=size) as pilot:
        await until_shown(pilot, IN_STAGING, "shoppers")
        await pilot.press("5")
        await until_shown(
            pilot,
            "audiences    4  2 need attention: 1 with rejected users",
            "undelivered  16 changes  2 rejected users",
            "last run     sync 1  partial",
            "compared     2 h ago",
            "keys         keyring",
            "webhook      no shared secret stored",
            " KB",
        )
        await pilot.press("down")
        await until_shown(pilot, "audiences    1 ", "last run     never", "compared     not yet")
        assert services(pilot).connections.find(prod) is None


async def test_the_last_comparison_has_one_age(harness: ConsoleHarness) -> None:
    times = itertools.count(NOW - 47 * HOUR, HOUR)
    with harness.workspace(harness.connect()) as workspace:
        workspace.timing = replace(workspace.timing, now=lambda: next(times))
        workspace.enter("u-1")
        await workspace.sync()
        await workspace.compare()
        (run, _) = workspace.ledger.read(all_runs)
        (comparison,) = workspace.ledger.read(comparisons_in, run.id)
    assert run.ended_at is not None
    assert comparison.at + HOUR <= run.ended_at <= NOW
    age = ago(comparison.at, NOW, PLAIN)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("5")
        await until_shown(pilot, f"last run     compare 2  same  {age}", f"compared     {age}")


async def test_changes_of_other_processes_are_counted(harness: ConsoleHarness) -> None:
    connection = connect_with_audiences(harness)
    add_staging(harness)
    store_keys(harness, "Acme prod")
    async with harness.open(LaunchOptions(connection="Acme staging")) as pilot:
        await until(pilot, lambda: "Acme prod ▲ 2" in bar_text(pilot))
        with harness.workspace(connection) as workspace:
            workspace.ledger.write(
                lambda db: db.execute(
                    "UPDATE audience SET broken = 1 WHERE key = 'recently_lapsed'"
                )
            )
            await until(pilot, lambda: "Acme prod ▲ 3" in bar_text(pilot))
        await pilot.press("ctrl+n")
        await until_shown(pilot, "3 need attention: 1 broken link, 1 with rejected users")


@pytest.mark.parametrize("width", [80, 120])
async def test_there_is_one_count_where_there_is_little_room(
    harness: ConsoleHarness, width: int
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    harness.connect("Acme trial")
    store_keys(harness, "Acme prod", "Acme trial")
    async with harness.open(LaunchOptions(connection="Acme staging"), size=(width, 24)) as pilot:
        wide, narrow = "Acme prod ▲ 2  Acme trial", "+2 ▲ 2"
        await until(pilot, lambda: (narrow if width == 80 else wide) in bar_text(pilot))
        assert "1 Aud" in bar_text(pilot)
        assert "f " in bar_text(pilot)


async def test_a_sync_continues_behind_another_connection(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    gate = gate_sleeps(harness)
    rate_limit(simulator)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await start_sync(pilot, "rate limited")
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, "Acme prod » sync", "1 audience ")
        assert services(pilot).jobs.sync is None
        gate.open()
        await until_gone(pilot, "Acme prod » sync")
        await until_shown(pilot, "Acme prod: A sync of 4 audiences has ended.")
        await pilot.press("ctrl+n")
        await until_on(pilot, RunScreen)
        await until_shown(pilot, IN_PROD, "● delivered")
        sync = services(pilot).jobs.sync
        assert sync is not None
        assert sync.failure is None


async def test_both_may_sync_at_once_and_quitting_asks_about_both(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    gate_sleeps(harness)
    rate_limit(simulator)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await start_sync(pilot, "rate limited")
        await to_staging(pilot)
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Quit amp-console?", "Acme prod", "A sync is under way")
        await pilot.press("ctrl+n")  # the question comes first
        await until_shown(pilot, "Quit amp-console?", IN_STAGING)
        await pilot.press("escape")
        await until_gone(pilot, "Quit amp-console?")
        rate_limit(simulator)
        await start_sync(pilot, "rate limited")
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Quit amp-console?", "Acme prod", "Acme staging")
        assert picture(pilot).count("A sync is under way") == 2
        await pilot.press("s")
        await until(pilot, lambda: pilot.app._exit)


async def test_a_signal_ends_the_jobs_of_every_connection(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    gate_sleeps(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        rate_limit(simulator)
        await start_sync(pilot, "rate limited")
        await to_staging(pilot)
        rate_limit(simulator)
        await start_sync(pilot, "rate limited")
        jobs = [job for _, job in services(pilot).connections.under_way]
        assert len(jobs) == 2
        console(pilot).end(15)
        await until(pilot, lambda: pilot.app._exit)
        assert pilot.app.return_code == 128 + 15
        assert all(job.is_over and job.failure is None for job in jobs)
        assert all(item.session is None for item in services(pilot).connections.all)


async def test_screens_keep_the_connection_they_were_opened_for(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        prod = services(pilot)
        await pilot.press("3")
        await until_shown(pilot, "▸3 Runs")
        behind = [item for item in pilot.app.screen_stack if isinstance(item, BaseScreen)]
        await to_staging(pilot)
        home = pilot.app.screen
        assert services_of(home) is services(pilot) is not prod
        assert [item.NAME for item in behind] == ["Audiences", "Runs"]
        for screen in behind:
            assert services_of(screen) is prod
            assert services_of(screen.query_one(PlaceBar)) is prod
            assert screen.session is prod.session
            assert is_open(screen)
        prod.navigate(Visit(MainScreen.ERRORS))
        behind[-1].action_back()
        await pilot.pause()
        assert pilot.app.screen is home


async def test_a_form_that_was_saved_behind_another_connection_closes(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await pilot.press("5")
        await until_shown(pilot, "2 connections")
        await pilot.press("home", "e")
        await until_on(pilot, ConnectionForm)
        await pilot.press("x")
        await until_shown(pilot, "Acme prodx")
        form = pilot.app.screen
        assert isinstance(form, ConnectionForm)
        await to_staging(pilot)
        form.leave()
        await until_shown(pilot, IN_STAGING, "1 audience ")
        await pilot.press("ctrl+n")
        await until_on(pilot, ConnectionsScreen)
        await until_shown(pilot, IN_PROD, "2 connections")


async def test_a_connection_is_opened_once(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    other = add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        connections = services(pilot).connections
        one, same = await asyncio.gather(connections.open(other), connections.open(other))
        assert one is same
        assert connections.all == [services(pilot), one]


async def test_both_may_be_live_and_each_delivers_to_its_own(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    with staging(harness) as (second, other):
        use_keyring(harness, backends.Memory)
        item = harness.environment.keyring.write(OTHER_KEYS)
        harness.environment.connections.save(second, keyring_item=item)
        harness.timers_faster = 4.0
        files = [tmp_path / "prod.ndjson", tmp_path / "staging.ndjson"]
        for file, user in zip(files, ("only-prod", "only-staging"), strict=True):
            file.write_text(lines(user))
        async with harness.open(PROD) as pilot:
            await until_shown(pilot, IN_PROD, "No audience yet.")
            await follow(pilot, files[0])
            await pilot.press("ctrl+n")
            await until_shown(pilot, IN_STAGING, "No audience yet.", "Acme prod » ")
            await follow(pilot, files[1])
            await until(pilot, lambda: users(harness.simulator) == {"only-prod"})
            await until(pilot, lambda: users(other) == {"only-staging"})
            assert len(services(pilot).connections.under_way) == 2
            console(pilot).end(15)
            await until(pilot, lambda: pilot.app._exit)


def users(simulator: Simulator) -> set[str]:
    """The members of every cohort."""
    world = simulator.world
    return {user for cohort in world.cohorts() for user in world.members(cohort.id)}


async def test_a_dialog_of_another_connection_waits_behind_and_is_reported(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        prod = services(pilot)
        await to_staging(pilot)
        answer = asyncio.ensure_future(KeysDialog("Enter the keys.").asked(prod))
        await until_shown(pilot, "Acme prod: waiting for your answer", "shoppers")
        await pilot.press("3")  # keys work
        await until_shown(pilot, IN_STAGING, "▸3 Runs")
        await until_gone(pilot, "API Key")
        await pilot.press("ctrl+n")
        await until_on(pilot, KeysDialog)
        assert services_of(pilot.app.screen) is prod
        await until_shown(pilot, IN_PROD, "Enter the keys.")
        await pilot.press("ctrl+n")  # the question comes first
        await pilot.press("escape")
        assert await answer is None
        await until_shown(pilot, IN_PROD, FRESH)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, "▸3 Runs")
        await until_gone(pilot, "waiting for your answer")


async def test_notices_and_alerts_name_the_connection_that_is_not_in_front(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    with harness.environment.folders.config_file.open("a") as settings:
        settings.write("\n[console]\nnotify = true\n")
    written: list[str] = []
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        prod = services(pilot)
        await to_staging(pilot)
        driver = pilot.app._driver
        assert driver is not None
        driver.write = written.append  # type: ignore[assignment, method-assign]
        prod.alerts.report(Alert("It is late."))
        services(pilot).alerts.report(Alert("It is slow."))
        assert "\x1b]9;Acme prod: It is late.\x07" in written
        assert "\x1b]9;Acme staging: It is slow.\x07" in written
        shown = services(pilot).notifications.shown
        shown.clear()
        prod.notifications.post("The keys were refused.", "error")
        await until_shown(pilot, "Acme prod: The keys were refused.")
        services(pilot).notifications.post("The keys were refused.", "error")
        await until_shown(pilot, "✖ The keys were refused.", "(1 more in the log: press 6)")
        session = services(pilot).session
        assert session is not None
        kept = await session.ledger.aread(log_page, LogFilter())  # after what waits to be written
        assert "The keys were refused." in [entry.text for entry in kept]
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_PROD, "Acme staging: The keys were refused.")


async def test_nothing_is_counted_for_screens_that_are_not_shown(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)

    def is_counting() -> bool:
        return any(worker.group == "counts" for worker in pilot.app.workers)

    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        prod = services(pilot)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, "1 audience ", "▸1 Audiences 1")
        await until(pilot, lambda: not is_counting())
        prod.publish_ledger_change()
        assert not is_counting()
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_PROD, "▸1 Audiences 4")


async def test_a_ledger_that_is_not_open_is_read_when_it_has_changed_only(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    other = add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await until_shown(pilot, "Acme staging ▲ 1")
        statuses = services(pilot).connections.statuses
        before = statuses._read[other.id]
        await statuses._refresh()
        assert statuses._read[other.id] is before
        with harness.workspace(other) as workspace:
            workspace.enter("u-2")
        await statuses._refresh()
        assert statuses._read[other.id] is not before


async def test_with_one_connection_nothing_else_is_open(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await open_prod(pilot)
        connections = services(pilot).connections
        await connections.statuses._refresh()
        assert connections.statuses._read == {}
        assert len(connections.all) == len(pilot.app._screen_stacks) == 1
        assert len(pilot.app.screen_stack) == 2


async def test_a_deleted_connection_leaves_nothing_behind(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    before = ledger_threads()
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        prod = weakref.ref(services(pilot))
        await to_staging(pilot)
        await delete_prod(pilot)
        await until_shown(pilot, "1 connection ", IN_STAGING)
        assert len(ledger_threads() - before) <= 2
        assert len(pilot.app._screen_stacks) == 1
        assert prod() not in services(pilot).connections.all
    assert ledger_threads() <= before


def ledger_threads() -> set[threading.Thread]:
    """The threads that work on ledgers."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("ledger")}


async def test_settings_of_one_never_reach_the_other(harness: ConsoleHarness) -> None:
    first = connect_with_audiences(harness)
    second = harness.connect("Acme staging")
    with harness.workspace(second) as workspace:
        workspace.read([event("n1", True, audience=FRESH)])
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, FRESH)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_PROD, GHOSTS)
        select(pilot, FRESH)
        await pilot.press("t")
        await until_shown(pilot, "○ disabled")
        await pilot.press("5")
        await until_shown(pilot, "2 connections")
        await pilot.press("home", "W")
        await until_shown(pilot, "READ-ONLY")
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_STAGING, FRESH)
        await until_gone(pilot, "READ-ONLY")
        await until_gone(pilot, "○ disabled")
        session = services(pilot).session
        assert session is not None
        assert not session.connection.read_only
    for connection, is_enabled in ((first, False), (second, True)):
        with harness.workspace(connection) as workspace:
            known = workspace.ledger.read(all_audiences)
            assert [item.enabled for item in known if item.name == FRESH] == [is_enabled]


async def test_keys_of_one_never_go_to_the_other(harness: ConsoleHarness) -> None:
    use_keyring(harness, backends.Memory)
    harness.environment = replace(
        harness.environment, environ={"AMP_CONSOLE_HOME": str(harness.home)}
    )
    keyring = harness.environment.keyring
    prod = harness.connect("Acme prod", keyring_item=keyring.write(harness.simulator.credentials))
    with staging(harness, keyring_item=keyring.write(OTHER_KEYS)) as (second, other):
        for connection in (prod, second):
            with harness.workspace(connection) as workspace:
                workspace.enter("u-1")
        async with harness.open(PROD) as pilot:
            await start_sync(pilot, "All changes to shoppers were delivered.")
            await pilot.press("ctrl+n")
            await until_shown(pilot, IN_STAGING)
            await start_sync(pilot, "All changes to shoppers were delivered.")
        for connection, simulator in ((prod, harness.simulator), (second, other)):
            assert {seen.status for seen in simulator.requests} == {200}
            with harness.workspace(connection) as workspace:
                assert workspace.ledger.read(outstanding, workspace.audience()).pending == 0


async def test_keys_in_the_environment_are_of_the_connection_named_at_the_start(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    with staging(harness) as (second, other):
        with harness.workspace(second) as workspace:
            workspace.enter("u-1")
        async with harness.open(PROD) as pilot:
            await open_prod(pilot)
            await until_shown(pilot, "keys: environment", "Acme staging ✖ no keys")
            await pilot.press("ctrl+n")
            await until_shown(pilot, IN_STAGING, "keys: none stored", "shoppers")
            await pilot.press("u")
            await until_on(pilot, KeysDialog)
            await until_shown(pilot, "for “Acme staging”.", "(--connection")
            await pilot.press("escape")
            await until_notified(pilot, "No keys were entered. Nothing was sent.")
            await pilot.press("5")
            await until_shown(pilot, "2 connections", "environment", "none stored")
        assert other.requests == []


async def test_keys_in_the_environment_are_of_none_where_none_of_several_is_named(
    harness: ConsoleHarness,
) -> None:
    harness.connect("Acme prod")
    harness.connect("Acme staging")
    async with harness.open() as pilot:
        await until_shown(pilot, "2 connections", "none stored")
        await until_shown(pilot, "The keys in the environment are not used", "--connection NAME")
        await pilot.press("home", "T")
        await until_on(pilot, KeysDialog)
        await pilot.press("escape")
        await until_shown(pilot, "No keys were entered.")
    assert harness.simulator.requests == []


async def test_keys_in_the_environment_are_of_the_first_connection_made(
    harness: ConsoleHarness,
) -> None:
    harness.serve_regions()
    async with harness.open() as pilot:
        await until_shown(pilot, "Welcome.", "leave empty to use the environment's")
        await fill(pilot, harness, api_key="", secret_key="")
        await pilot.press("f2")
        await until_shown(pilot, IN_PROD, "keys: environment", "No audience yet.")
        await pilot.press("5")
        await until_shown(pilot, "1 connection ")
        await pilot.press("n")
        await until_shown(pilot, "Connect an Amplitude project")
        await until_gone(pilot, "the environment's")


async def test_a_broken_ledger_disturbs_no_one(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    broken = harness.connect("Acme staging")
    harness.connect("Acme trial")
    harness.environment.folders.ledger(broken.id).write_bytes(b"not a ledger" * 1_000)
    async with harness.open(PROD, size=(160, 36)) as pilot:
        await open_prod(pilot)
        await until_shown(pilot, "Acme staging ✖ ledger error")
        await pilot.press("5")
        await until_shown(pilot, "3 connections")
        await pilot.press("home", "down")
        await until_shown(pilot, "audiences    The ledger", "-wal")  # texts that no width wraps
        await pilot.press("escape", "ctrl+n")
        await until_notified(pilot, "not a ledger")
        await until_shown(pilot, IN_PROD, FRESH)
        await pilot.press("ctrl+n")  # the one after it
        await until_shown(pilot, "amp-console  Acme trial ·")


async def test_a_missing_key_and_another_process_are_shown(harness: ConsoleHarness) -> None:
    use_keyring(harness, backends.Memory)
    item = harness.environment.keyring.write(harness.simulator.credentials)
    harness.environment = replace(
        harness.environment, environ={"AMP_CONSOLE_HOME": str(harness.home)}
    )
    harness.connect("Acme prod", keyring_item=item)
    harness.connect("Acme staging")
    busy = harness.connect("Acme trial", keyring_item=item)
    with harness.workspace(busy) as workspace:
        workspace.enter("u-1")
        async with harness.open(PROD, size=(160, 36)) as pilot:
            await until_shown(pilot, IN_PROD, "Acme staging ✖ no keys", "Acme trial ▲ 1")
            with workspace.ledger.hold_run() as lock:
                workspace.ledger.write(begin_run, ReadCounts(), NOW, lock)
                await until_shown(pilot, "Acme trial ▲ 1 » in use")
            await until_gone(pilot, "» in use")  # it has died


async def test_a_deleted_one_is_gone_and_the_other_remains(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await to_staging(pilot)
        await delete_prod(pilot)
        await until_shown(pilot, "1 connection ", IN_STAGING)
        await until_gone(pilot, "Acme prod ▲")
        await pilot.press("ctrl+n")
        await until_notified(pilot, "There is no other connection.")


async def test_after_the_one_in_front_was_deleted_another_comes_to_the_front(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    add_staging(harness)
    async with harness.open(PROD) as pilot:
        await open_prod(pilot)
        await to_staging(pilot)
        await pilot.press("ctrl+n")
        await until_shown(pilot, IN_PROD, "4 audiences")
        await delete_prod(pilot)
        await until_shown(pilot, "1 connection ")
        assert services(pilot).session is None
        await to_staging(pilot)
        assert len(services(pilot).connections.all) == 1
