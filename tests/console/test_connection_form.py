"""Connecting a project: entering, testing and saving it, and messages at wrong fields."""

from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import KeySource
from amp_console.console.dialogs.help import HelpScreen
from amp_console.console.dialogs.keyring import KeyringQuestion, WaitingDialog
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.widgets.fields import Choice
from amp_console.simulator import Answer, Rule, Simulator, Slow
from amp_console.values import Credentials, Region, Secret
from tests.console.harness import (
    NOWHERE,
    ConsoleHarness,
    services,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.console.keyrings import backends, fill, paste, real_keyring, told, use_keyring
from tests.sync.workspace import OWNER

LEAK = "ignore:unclosed:ResourceWarning"  # each KeyringLocked leaks a socket
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LEAK)]


@pytest.fixture
def newcomer(harness: ConsoleHarness) -> ConsoleHarness:
    """A home without a connection, and without keys in the environment.

    The simulated Amplitude plays North America; nothing answers in Europe.
    """
    harness.serve_regions()
    harness.environ.pop("AMP_CONSOLE_API_KEY")
    harness.environ.pop("AMP_CONSOLE_SECRET_KEY")
    return harness


@pytest.fixture(autouse=True)
def _answered() -> Iterator[None]:
    yield
    backends.Silent.answered.set()


def line(pilot: Pilot[None], name: str) -> Input:
    return pilot.app.screen.query_one(f"#{name}", Input)


async def saved(pilot: Pilot[None]) -> None:
    await until_on(pilot, AudiencesScreen)


async def test_a_newcomer_is_told_what_is_needed_and_where_it_is(newcomer: ConsoleHarness) -> None:
    async with newcomer.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "Welcome.", "Settings → Projects", "API Key", "Secret Key")
        assert isinstance(pilot.app.focused, Input)


async def test_keys_are_tested_kept_and_said_to_be_in_the_keyring(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Memory)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await saved(pilot)
        await until_shown(pilot, "Saved “Acme prod”.", "The keys are in your keyring")
        (connection,) = newcomer.environment.connections.all()
        assert backends.Memory.items.keys() == {f"amp-console:{connection.keyring_item}"}
        assert services(pilot).session is not None


async def test_a_form_is_left_below_the_help_that_was_opened_while_the_keys_were_tested(
    newcomer: ConsoleHarness,
) -> None:
    use_keyring(newcomer, backends.Memory)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        newcomer.simulator.faults.set([Rule(Slow(1))])
        await pilot.press("f2", "f1")
        await until_on(pilot, HelpScreen)
        await until(pilot, lambda: services(pilot).session is not None)
        entries = services(pilot).notifications.entries
        await until(pilot, lambda: any("Saved" in entry.text for entry in entries))
        await pilot.pause()
        assert isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("escape")
        await saved(pilot)


async def test_every_mistake_is_reported_at_its_field_and_nothing_is_asked(
    newcomer: ConsoleHarness,
) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer, name=" \u200b", app_id="twelve", owner="no-one")
        await paste(pilot, "secret-key", "with a blank")
        await pilot.press("f2")
        await until_shown(pilot, "Not saved. Fix the marked fields.")
        assert told(pilot, "name") == "A connection needs a name."
        assert "a space" in told(pilot, "secret-key")
        assert told(pilot, "app-id") == "The App ID is a number, such as 153957."
        assert "isn't an email address" in told(pilot, "owner")
        assert told(pilot, "api-key") == ""
        assert pilot.app.focused is line(pilot, "name")
        assert newcomer.simulator.requests == []


async def test_a_mistake_is_taken_back_as_soon_as_it_is_corrected(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer, app_id="twelve", owner="")
        await pilot.press("f2")
        await until_shown(pilot, "Not saved. Fix the marked fields.")
        assert told(pilot, "owner").startswith("The email address is missing.")
        line(pilot, "owner").value = "ana"
        await until(pilot, lambda: "isn't an email address" in told(pilot, "owner"))
        line(pilot, "owner").value = "ana@acme.example"
        await until(pilot, lambda: told(pilot, "owner") == "")
        assert told(pilot, "app-id") != ""
        line(pilot, "app-id").value = "12"
        await until(pilot, lambda: told(pilot, "app-id") == "")
        await until_gone(pilot, "Not saved.")


async def test_what_amplitude_said_of_a_field_stays_until_the_field_is_changed(
    newcomer: ConsoleHarness,
) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        form = pilot.app.screen
        assert isinstance(form, ConnectionForm)
        form.show_mistakes({"secret-key": "Amplitude refused it."}, is_answer=True)
        line(pilot, "name").value = "Another name"
        await pilot.pause()
        assert told(pilot, "secret-key") == "Amplitude refused it."
        line(pilot, "secret-key").value = "another-key"
        await until(pilot, lambda: told(pilot, "secret-key") == "")


async def test_missing_keys_are_distinguished(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await pilot.press("f2")
        await until_shown(pilot, "The API Key is missing.", "The Secret Key is missing.")


async def test_both_keys_can_be_pasted_at_once(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await paste(
            pilot, "secret-key", "API Key:\n\u200bapi-key-1 \r\n\nSecret Key\nsecret-key-2\ufeff\n"
        )
        await until_shown(pilot, "Both keys are filled in")
        assert line(pilot, "api-key").value == "api-key-1"
        assert line(pilot, "secret-key").value == "secret-key-2"
        await until_gone(pilot, "api-key-1")


async def test_a_paste_of_more_lines_is_refused(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await paste(pilot, "api-key", "one\ntwo\nthree")
        await until(pilot, lambda: told(pilot, "api-key"))
        assert told(pilot, "api-key").startswith("3 lines were pasted")
        assert line(pilot, "api-key").value == ""


async def test_a_masked_line_is_neither_copied_nor_cut(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await paste(pilot, "secret-key", "secret-key-2")
        await pilot.press("ctrl+shift+a", "ctrl+c", "ctrl+x", "super+c")
        assert pilot.app.clipboard == ""
        assert line(pilot, "secret-key").value == "secret-key-2"


async def test_a_wrong_key_and_a_wrong_secret_are_distinguished(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer, secret_key="another-secret")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "not its Secret Key" in told(pilot, "secret-key"))
        await fill(pilot, newcomer, api_key="another-key")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "does not know this API Key" in told(pilot, "api-key"))
        await pilot.press("f2")
        await until(pilot, lambda: "does not know this API Key" in told(pilot, "api-key"))
        assert newcomer.environment.connections.all() == ()


async def test_the_other_region_is_offered_where_it_knows_the_keys(
    newcomer: ConsoleHarness,
) -> None:
    european = Credentials(Secret("european-key"), Secret("european-secret"))
    use_keyring(newcomer, backends.Memory)
    with Simulator(credentials=european) as europe:
        newcomer.serve_regions(europe=europe.base_url)
        async with newcomer.open() as pilot:
            await until_shown(pilot, "Welcome.")
            await fill(pilot, newcomer, api_key="european-key", secret_key="european-secret")
            await pilot.press("f2")
            await until_shown(pilot, "Use Europe instead?", "they belong")
            await pilot.press("y")
            await saved(pilot)
            assert newcomer.environment.connections.get("Acme prod").region is Region.EUROPE


async def test_another_app_id_is_reported_and_offered(newcomer: ConsoleHarness) -> None:
    newcomer.simulator.world.create_cohort("There before", "ana@acme.example")
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer, app_id="7")
        await pilot.press("ctrl+t")
        await until_shown(pilot, "Use App ID 123456 instead?")
        await pilot.press("y")
        await until_shown(pilot, "Amplitude accepted the keys. This project has 1 cohort.")
        assert line(pilot, "app-id").value == "123456"


async def test_without_a_network_keys_can_be_kept_untested(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Memory)
    newcomer.serve_regions(north_america=NOWHERE)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("ctrl+t")
        await until_shown(pilot, "127.0.0.1:1 refused the connection")
        await pilot.press("f2")
        await until_shown(pilot, "Save without testing?")
        await pilot.press("n")
        await until_on(pilot, ConnectionForm)
        assert newcomer.environment.connections.all() == ()
        await pilot.press("f2")
        await until_shown(pilot, "Save without testing?")
        await pilot.press("y")
        await saved(pilot)
        assert newcomer.environment.connections.get("Acme prod").keyring_item


async def test_trouble_at_amplitude_is_reported_in_words(newcomer: ConsoleHarness) -> None:
    newcomer.simulator.faults.set([Rule(Answer(503))])
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("ctrl+t")
        await until_shown(pilot, "Amplitude could not answer (status 503)")


async def test_without_a_keyring_keys_can_be_used_until_one_quits(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until_on(pilot, KeyringQuestion)
        await until_shown(pilot, "This machine has no keyring, so nothing was saved.")
        await pilot.press("enter")
        await saved(pilot)
        session = services(pilot).session
        assert session is not None
        assert session.key_source is KeySource.THIS_RUN
        await until_shown(pilot, "keys: this session")
        assert newcomer.environment.connections.get("Acme prod").keyring_item is None
        await services(pilot).figures.update_sizes()
        assert newcomer.simulator.requests[-1].status == 200


async def test_going_on_without_a_keyring_can_be_declined(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until_on(pilot, KeyringQuestion)
        await pilot.press("escape")
        await until_shown(pilot, "Nothing was saved.")
        assert newcomer.environment.connections.all() == ()


async def test_a_keyring_that_asks_elsewhere_freezes_nothing(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Silent, say_after=0.0)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until_on(pilot, WaitingDialog)
        await until_shown(pilot, "Waiting for your keyring. It is asking for your password")
        backends.Silent.answered.set()
        await saved(pilot)
        assert newcomer.environment.connections.get("Acme prod").keyring_item


async def test_waiting_can_be_stopped_and_nothing_is_kept_after_all(
    newcomer: ConsoleHarness,
) -> None:
    use_keyring(newcomer, backends.Silent, say_after=0.0)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until_on(pilot, WaitingDialog)
        await pilot.press("enter")
        await until_on(pilot, KeyringQuestion)
        await until_shown(pilot, "You stopped waiting")
        await pilot.press("escape")
        await until_shown(pilot, "Nothing was changed.")
        backends.Silent.answered.set()
        await until(pilot, lambda: backends.Memory.writes and not backends.Memory.items)
        assert newcomer.environment.connections.all() == ()


async def test_one_can_quit_while_the_keyring_waits(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Silent, say_after=0.0)
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until_on(pilot, WaitingDialog)
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Discard")
        await pilot.press("y")
        await until(pilot, lambda: not pilot.app.is_running)
        assert newcomer.environment.connections.all() == ()


async def test_a_locked_keyring_is_asked_again(
    newcomer: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_keyring(newcomer, monkeypatch) as keyring:
        keyring.lock()
        async with newcomer.open() as pilot:
            await until_shown(pilot, "Welcome.")
            await fill(pilot, newcomer)
            await pilot.press("f2")
            await until_shown(pilot, "Your keyring is locked. Unlock it and try again.")
            await pilot.press("enter")
            await until_shown(pilot, "Your keyring is locked. Unlock it and try again.")
            keyring.unlock()
            await pilot.press("enter")
            await saved(pilot)
            (service,) = keyring.items()
            item = newcomer.environment.connections.get("Acme prod").keyring_item
            assert service == f"amp-console:{item}"


async def test_empty_keys_keep_the_stored_ones(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Memory)
    item = newcomer.environment.keyring.write(newcomer.simulator.credentials)
    newcomer.connect(keyring_item=item)
    async with newcomer.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(ConnectionForm(newcomer.environment.connections.get("Acme prod")))
        await until_shown(pilot, "leave empty to keep the stored one", "Base URL")
        await paste(pilot, "name", " EU")
        pilot.app.screen.query_one("#read-only", Choice).focus()
        await pilot.press("right", "f2")
        await saved(pilot)
        (connection,) = newcomer.environment.connections.all()
        assert (connection.name, connection.read_only) == ("Acme prod EU", True)
        assert connection.keyring_item == item
        session = services(pilot).session
        assert session is not None
        assert session.connection == connection


async def test_what_does_not_touch_the_keys_needs_no_keyring_and_no_network(
    newcomer: ConsoleHarness,
) -> None:
    use_keyring(newcomer, backends.Silent, say_after=0.0)
    newcomer.connect(keyring_item="abc")
    async with newcomer.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(ConnectionForm(newcomer.environment.connections.get("Acme prod")))
        await until_shown(pilot, "leave empty to keep the stored one")
        await paste(pilot, "owner", ".org")
        await pilot.press("f2")
        await saved(pilot)
        assert newcomer.environment.connections.get("Acme prod").owner_email == f"{OWNER}.org"
        assert newcomer.simulator.requests == []


async def test_saving_leaves_what_another_process_changed_meanwhile(
    newcomer: ConsoleHarness,
) -> None:
    newcomer.connect(keyring_item="abc")
    store = newcomer.environment.connections
    async with newcomer.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(ConnectionForm(store.get("Acme prod")))
        await until_shown(pilot, "leave empty to keep the stored one")
        store.change(store.get("Acme prod"), read_only=True, user_id_path="$.traits.id")
        await paste(pilot, "owner", ".org")
        await pilot.press("f2")
        await saved(pilot)
        connection = store.get("Acme prod")
        assert (connection.owner_email, connection.read_only, connection.user_id_path) == (
            f"{OWNER}.org",
            True,
            "$.traits.id",
        )
        session = services(pilot).session
        assert session is not None
        assert session.connection == connection


async def test_new_keys_replace_the_old_ones(newcomer: ConsoleHarness) -> None:
    use_keyring(newcomer, backends.Memory)
    old = Credentials(Secret("old-key"), Secret("old-secret"))
    newcomer.connect(keyring_item=newcomer.environment.keyring.write(old))
    async with newcomer.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(ConnectionForm(newcomer.environment.connections.get("Acme prod")))
        await until_shown(pilot, "leave empty to keep the stored one")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "does not know this API Key" in told(pilot, "api-key"))
        keys = newcomer.simulator.credentials
        await paste(pilot, "api-key", f"{keys.api_key.reveal()}\n{keys.secret_key.reveal()}")
        await pilot.press("f2")
        await saved(pilot)
        (text,) = backends.Memory.items.values()
        assert "old-key" not in text
        await services(pilot).figures.update_sizes()
        assert newcomer.simulator.requests[-1].status == 200


async def test_what_was_entered_is_not_lost_by_going_back(newcomer: ConsoleHarness) -> None:
    async with newcomer.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await paste(pilot, "name", "Acme")
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("n")
        await until_on(pilot, ConnectionForm)
        assert line(pilot, "name").value == "Acme"


async def test_the_environment_s_keys_are_used_and_not_stored(harness: ConsoleHarness) -> None:
    harness.simulator.world.create_cohort("There before", "ana@acme.example")
    async with harness.open() as pilot:
        await until_shown(pilot, "leave empty to use the environment's")
        await fill(pilot, harness, api_key="", secret_key="")
        await pilot.click("#advanced")
        await paste(pilot, "base-url", harness.simulator.base_url)
        await pilot.press("f2")
        await saved(pilot)
        assert (
            "The keys came from the environment" in services(pilot).notifications.entries[-1].text
        )


async def test_a_name_that_is_taken_is_reported_before_anything_is_stored(
    newcomer: ConsoleHarness,
) -> None:
    newcomer.connect()
    async with newcomer.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(ConnectionForm())
        await until_shown(pilot, "Welcome.")
        await fill(pilot, newcomer)
        await pilot.press("f2")
        await until(pilot, lambda: "Another connection is called" in told(pilot, "name"))
