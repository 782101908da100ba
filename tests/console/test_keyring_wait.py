"""Keys that are needed while the console is open: waiting, asking again, typing, giving up."""

from collections.abc import Iterator

import pytest

from amp_console.connections import Connection, KeySource, store_keys
from amp_console.console.dialogs.keyring import KeyringQuestion, KeysDialog, WaitingDialog
from amp_console.console.dialogs.quit import QuitDialog
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.plan.view import PlanScreen
from amp_console.values import Credentials, Secret
from tests.console.harness import ConsoleHarness, console, services, until, until_on, until_shown
from tests.console.keyrings import backends, paste, real_keyring, use_keyring
from tests.console.sample_audiences import connect_with_audiences

LEAK = "ignore:unclosed:ResourceWarning"  # each KeyringLocked leaks a socket
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LEAK)]


@pytest.fixture
def resident(harness: ConsoleHarness) -> ConsoleHarness:
    """A home whose keys are not in the environment."""
    harness.environ.pop("AMP_CONSOLE_API_KEY")
    harness.environ.pop("AMP_CONSOLE_SECRET_KEY")
    return harness


@pytest.fixture(autouse=True)
def _answered() -> Iterator[None]:
    yield
    backends.Silent.answered.set()


def stored(harness: ConsoleHarness) -> Connection:
    """A connection whose keys are in a keyring that must answer."""
    return harness.connect(
        keyring_item=harness.environment.keyring.write(harness.simulator.credentials)
    )


def silent(harness: ConsoleHarness) -> None:
    """Keys in a keyring that no longer answers."""
    use_keyring(harness, backends.Silent, say_after=0.0)
    backends.Silent.answered.set()
    stored(harness)
    backends.Silent.answered.clear()


async def test_the_operator_learns_what_the_console_waits_for_and_the_answer_ends_it(
    resident: ConsoleHarness,
) -> None:
    silent(resident)
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until_on(pilot, WaitingDialog)
        backends.Silent.answered.set()
        await until(pilot, lambda: resident.simulator.requests)
        await until_on(pilot, AudiencesScreen)


async def test_two_who_want_the_keys_wait_in_one_dialog(resident: ConsoleHarness) -> None:
    silent(resident)
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        for _ in range(2):
            pilot.app.run_worker(services(pilot).figures.update_sizes())
        await until_on(pilot, WaitingDialog)
        await pilot.pause()
        dialogs = [item for item in pilot.app.screen_stack if isinstance(item, WaitingDialog)]
        assert len(dialogs) == 1
        backends.Silent.answered.set()
        await until(pilot, lambda: len(resident.simulator.requests) == 2)


async def test_everyone_who_stops_waiting_may_type_the_keys(resident: ConsoleHarness) -> None:
    silent(resident)
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until_on(pilot, WaitingDialog)
        await pilot.press("escape")
        await until_on(pilot, KeyringQuestion)
        await pilot.press("u")
        await until_on(pilot, KeysDialog)
        keys = resident.simulator.credentials
        await paste(pilot, "api-key", f"{keys.api_key.reveal()}\n{keys.secret_key.reveal()}")
        await pilot.press("enter")
        await until(pilot, lambda: resident.simulator.requests)
        session = services(pilot).session
        assert session is not None
        assert session.key_source is KeySource.THIS_RUN


async def test_a_connection_without_keys_asks_for_them(resident: ConsoleHarness) -> None:
    resident.connect()
    async with resident.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until_shown(
            pilot, "No keys are stored for “Acme prod”.", "in memory only, until you quit"
        )
        await pilot.press("enter", "enter")
        await until_shown(pilot, "The API key is empty.")
        await pilot.press("escape")
        await until(pilot, lambda: services(pilot).notifications.entries)
        assert services(pilot).notifications.entries[-1].text.startswith("No keys were entered.")
        assert resident.simulator.requests == []


async def test_keys_that_another_process_has_replaced_are_used_from_then_on(
    resident: ConsoleHarness,
) -> None:
    use_keyring(resident, backends.Memory)
    store, keyring = resident.environment.connections, resident.environment.keyring
    store_keys(store, keyring, resident.connect("Acme prod"), resident.simulator.credentials)
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        session = services(pilot).session
        assert session is not None
        assert await session.credentials() == resident.simulator.credentials
        replaced = Credentials(Secret("another-key"), Secret("another-secret"))
        store_keys(store, keyring, store.get("Acme prod"), replaced)
        assert await session.credentials() == replaced


async def test_half_a_pair_in_the_environment_is_reported(resident: ConsoleHarness) -> None:
    resident.environ["AMP_CONSOLE_API_KEY"] = "alone"
    resident.connect()
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until(pilot, lambda: services(pilot).notifications.entries)
        assert "AMP_CONSOLE_SECRET_KEY is not" in services(pilot).notifications.entries[-1].text


async def test_a_locked_keyring_is_reported_and_asked_again(
    resident: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_keyring(resident, monkeypatch) as keyring:
        stored(resident)
        keyring.lock()
        async with resident.open() as pilot:
            await until(pilot, lambda: services(pilot).session)
            await pilot.press("u")
            await until_shown(pilot, "Your keyring is locked. Unlock it and try again.")
            keyring.unlock()
            await pilot.press("enter")
            await until(pilot, lambda: resident.simulator.requests)
            await until_shown(pilot, "keys: keyring")


async def test_a_sync_waits_for_its_keys_and_one_can_quit_all_the_same(
    resident: ConsoleHarness,
) -> None:
    connect_with_audiences(resident)
    connection = resident.environment.connections.get("Acme prod")
    use_keyring(resident, backends.Silent, say_after=0.0)
    backends.Silent.answered.set()
    item = resident.environment.keyring.write(resident.simulator.credentials)
    backends.Silent.answered.clear()
    resident.environment.connections.save(connection, keyring_item=item)
    async with resident.open() as pilot:
        await until_shown(pilot, "newsletter")
        await pilot.press("S")
        await until_on(pilot, PlanScreen)
        await until_shown(pilot, "newsletter")
        await pilot.press("y")
        await until_on(pilot, WaitingDialog)
        await pilot.press("ctrl+q")
        await until_on(pilot, QuitDialog)
        await until_shown(pilot, "is under way")
        await pilot.click("#stop")
        await until(pilot, lambda: not pilot.app.is_running)


async def test_a_dialog_behind_another_one_closes_when_that_is_gone(
    resident: ConsoleHarness,
) -> None:
    silent(resident)
    async with resident.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until_on(pilot, WaitingDialog)
        pilot.app.push_screen(QuitDialog(console(pilot).leave_when_done, has_jobs=True))
        await until_on(pilot, QuitDialog)
        backends.Silent.answered.set()
        await until(pilot, lambda: resident.simulator.requests)
        assert isinstance(pilot.app.screen, QuitDialog)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
