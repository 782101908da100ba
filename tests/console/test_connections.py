"""Several connections: switching, testing, read-only, and deleting with the keys."""

import os
from collections.abc import Callable, Iterator

import pytest
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.jobs.imports import ImportJob
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.screens.connections.list import ConnectionsScreen
from amp_console.simulator import Answer, Rule, Slow
from amp_console.sync.connection_options import read_options
from tests.console.harness import (
    ConsoleHarness,
    console,
    last,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.keyrings import backends, real_keyring, use_keyring
from tests.console.sample_audiences import (
    HOSTILE,
    SHOPPERS,
    connect_with_audiences,
    select,
)

LEAK = "ignore:unclosed:ResourceWarning"  # each KeyringLocked leaks a socket
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LEAK)]


@pytest.fixture(autouse=True)
def _answered() -> Iterator[None]:
    yield
    backends.Silent.answered.set()


async def test_with_several_the_operator_chooses_first(harness: ConsoleHarness) -> None:
    harness.connect("Acme prod")
    harness.connect("Acme staging")
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "Acme prod", "Acme staging", "2 connections")
        assert services(pilot).session is None
        await pilot.press("down", "enter")
        await until_on(pilot, AudiencesScreen)
        session = services(pilot).session
        assert session is not None
        assert session.connection.name == "Acme staging"
        await pilot.press("5")
        await until_shown(pilot, "● open")


async def test_without_any_it_says_how_to_make_one(harness: ConsoleHarness) -> None:
    async with harness.open() as pilot:
        await until_on(pilot, ConnectionForm)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await pilot.press("5")
        await until_shown(pilot, "No connection yet.", "Press n to connect")
        await pilot.press("D")
        await until(pilot, lambda: last(pilot) == "There is no connection yet: press n.")
        await pilot.press("n")
        await until_on(pilot, ConnectionForm)


async def test_a_test_says_what_amplitude_says(harness: ConsoleHarness) -> None:
    harness.connect("Acme prod")
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("5")
        await until_shown(pilot, "Acme prod")
        await pilot.press("T")
        await until_shown(pilot, "Amplitude accepted the keys. This project has no cohorts yet.")
        harness.simulator.faults.set([Rule(Answer(503))])
        await pilot.press("T")
        await until_shown(pilot, "Amplitude could not answer (status 503)")


async def test_read_only_is_turned_on_and_off_and_seen_at_once(harness: ConsoleHarness) -> None:
    harness.connect("Acme prod")
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("5")
        await until_shown(pilot, "Acme prod")
        await pilot.press("W")
        await until_shown(pilot, "READ-ONLY", "read-only: nothing is sent")
        store = harness.environment.connections
        assert store.get("Acme prod").read_only
        # Another process stores new keys: the settings that the console has read point to deleted
        # ones.
        store.save(store.get("Acme prod"), keyring_item="newer")
        await pilot.press("W")
        await until(pilot, lambda: not harness.environment.connections.get("Acme prod").read_only)
        await until_gone(pilot, "READ-ONLY")
        assert store.get("Acme prod").keyring_item == "newer"


async def test_a_sync_ends_when_its_connection_becomes_read_only(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await pilot.press("s")
        await until_shown(pilot, "Adds 3 users")
        harness.simulator.faults.set([Rule(Slow(1.0))])
        await pilot.press("y")
        await until(pilot, lambda: (job := services(pilot).jobs.sync) and job.run_id)
        await pilot.press("5")
        await until_shown(pilot, "1 connection")
        await pilot.press("W")
        job = services(pilot).jobs.sync
        assert job is not None
        await until(pilot, lambda: job.is_over)
        assert job.is_ending


async def test_read_only_for_this_run_saves_nothing(harness: ConsoleHarness) -> None:
    harness.connect("Acme prod")
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("5")
        await until_shown(pilot, "Acme prod", "READ-ONLY")
        await pilot.press("e")
        await until_on(pilot, ConnectionForm)
        await pilot.press("f2")
        await until(pilot, lambda: "started with --read-only" in last(pilot))
        await pilot.press("escape")
        for key in ("n", "W", "D"):
            services(pilot).notifications.entries.clear()
            await pilot.press(key)
            await until_notified(pilot, "started with --read-only")
        assert not harness.environment.connections.get("Acme prod").read_only
        session = services(pilot).session
        assert session is not None
        assert session.connection.read_only


async def test_a_connection_at_work_is_not_deleted(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    harness.connect("Acme staging")
    async with harness.open(LaunchOptions(connection="Acme prod")) as pilot:
        await until_shown(pilot, "newsletter")
        release = hold_the_ledger(pilot)
        try:
            await pilot.press("ctrl+n")
            await until_shown(pilot, "Acme staging ·", "Acme prod » importing")
            await pilot.press("5")
            await until_shown(pilot, "2 connections")
            await pilot.press("home", "D")
            await until(pilot, lambda: "Nothing was deleted." in last(pilot))
        finally:
            release()


def hold_the_ledger(pilot: Pilot[None]) -> Callable[[], object]:
    """Keep an import under way until the returned function is called."""
    app = console(pilot)
    assert app.services.session is not None
    pipe = app.services.environment.folders.data / "pipe.ndjson"
    os.mkfifo(pipe)
    app.services.jobs.importing = ImportJob(
        app.services.session,
        [str(pipe)],
        read_options(app.services.session.connection),
        app.services.publish,
    )
    app.services.jobs.importing.start()
    return lambda: pipe.write_text("")


async def test_deleting_asks_for_the_name_and_takes_the_keys_along(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_keyring(harness, monkeypatch) as keyring:
        item = harness.environment.keyring.write(harness.simulator.credentials)
        connection = harness.connect("Acme prod", keyring_item=item)
        ledger = harness.environment.folders.ledger(connection.id)
        async with harness.open() as pilot:
            await until(pilot, lambda: services(pilot).session)
            await pilot.press("5")
            await until_shown(pilot, "Acme prod")
            await pilot.press("D")
            await until_shown(pilot, "Delete “Acme prod”?", "Its keys are deleted", ledger.name)
            await pilot.press(*"Acme", "enter")
            assert harness.environment.connections.all() == (connection,)
            await pilot.press("space", *"prod", "enter")
            await until(pilot, lambda: "Its keys are gone from your keyring" in last(pilot))
            assert keyring.items() == {}
            assert harness.environment.connections.all() == ()
            assert str(ledger) in last(pilot)
            assert ledger.exists()
            assert services(pilot).session is None


async def test_keys_that_could_not_be_deleted_are_reported_and_tried_again(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_keyring(harness, monkeypatch) as keyring:
        harness.connect(
            "Acme prod",
            keyring_item=harness.environment.keyring.write(harness.simulator.credentials),
        )
        keyring.lock()
        async with harness.open(size=(80, 24)) as pilot:
            await until(pilot, lambda: services(pilot).session)
            await pilot.press("5")
            await until_shown(pilot, "Acme prod")
            await pilot.press("D")
            await until_shown(pilot, "Delete “Acme prod”?")
            await pilot.press(*"Acme", "space", *"prod", "enter")
            await until(pilot, lambda: "still in your keyring" in last(pilot))
            await until_shown(pilot, "keys of 1 deleted one still in the keyring: K")
            await pilot.press("K")
            await until(pilot, lambda: "They are still there" in last(pilot))
            keyring.unlock()
            await pilot.press("K")
            await until(pilot, lambda: "are gone from your keyring" in last(pilot))
            assert keyring.items() == {}


async def test_a_hostile_name_steers_nothing(harness: ConsoleHarness) -> None:
    use_keyring(harness, backends.Memory)
    name = "[red]trial [/foo] é😀 שלום " + "long " * 13 + "end"
    harness.connect(name)
    harness.connect("other")
    async with harness.open(LaunchOptions(connection=name), size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("5")
        await until_shown(pilot, "[red]trial")
        await pilot.press("T")
        await until_shown(pilot, "Amplitude accepted the keys")
        await pilot.press("enter")
        await until_on(pilot, AudiencesScreen)
        await pilot.press("5")
        await until_on(pilot, ConnectionsScreen)
        await until_shown(pilot, "[red]trial")
        await pilot.press("D")
        await until_shown(pilot, "Delete “[red]trial [/foo]")
        await pilot.press("escape", "e")
        await until_on(pilot, ConnectionForm)
        await until_gone(pilot, HOSTILE)


async def test_a_settings_file_that_is_damaged_is_reported(harness: ConsoleHarness) -> None:
    harness.connect("Acme prod")
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        harness.environment.folders.config_file.write_text("connections = 7")
        await pilot.press("5")
        await until(pilot, lambda: "can't be used" in last(pilot))
