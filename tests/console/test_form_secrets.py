"""No key leaves the masked inputs: with markers as keys, every written byte is searched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import Connection
from amp_console.console.dialogs.keyring import KeyringQuestion, KeysDialog
from amp_console.console.screens.connections.form import TESTING, ConnectionForm
from amp_console.simulator import Answer, Rule, Simulator
from amp_console.values import Credentials, Secret
from tests.console.harness import (
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_on,
    until_shown,
)
from tests.console.keyrings import backends, fill, paste, use_keyring
from tests.test_secrets import API_KEY, SECRET_KEY, shapes

pytestmark = pytest.mark.anyio


class Crash(Exception):
    """An unforeseen error."""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ConsoleHarness]:
    with Simulator(credentials=Credentials(Secret(API_KEY), Secret(SECRET_KEY))) as simulator:
        harness = ConsoleHarness(tmp_path / "harness", simulator, has_keys=False)
        harness.serve_regions()
        yield harness


class Evidence:
    """Everything that was written: pictures, notifications, copied texts, and the home folder."""

    def __init__(self, harness: ConsoleHarness) -> None:
        self._house = harness
        self._texts: list[str] = []

    def take(self, pilot: Pilot[None]) -> None:
        """Record the screen as text, as a picture, and as the repr of its widgets."""
        app = console(pilot)
        self._texts += [picture(pilot), app.export_screenshot(), app.clipboard]
        self._texts += [happening.text for happening in app.services.notifications.entries]
        self._texts += [repr(widget) for widget in app.screen.walk_children()]

    def add(self, text: str) -> None:
        """Remember a text."""
        self._texts.append(text)

    def holds_no_key(self) -> None:
        """Fail if a key is found, in whatever form."""
        files = [item.read_bytes() for item in self._house.home.rglob("*") if item.is_file()]
        assert files or self._texts
        for shape in shapes():
            assert not any(shape in text.encode() for text in self._texts), shape
            assert not any(shape in content for content in files), shape


async def test_the_forms_keep_the_keys_to_themselves(harness: ConsoleHarness) -> None:
    use_keyring(harness, backends.Memory)
    evidence = Evidence(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, harness, owner="no-one")
        await pilot.press("f2")
        await until_shown(pilot, "Not saved.")
        evidence.take(pilot)
        await paste(pilot, "secret-key", f"{API_KEY}\n{SECRET_KEY}")
        await pilot.press("shift+tab", "ctrl+shift+a", "ctrl+c", "ctrl+x")
        await paste(pilot, "api-key", f"{API_KEY}\n{SECRET_KEY}\n{SECRET_KEY}")
        evidence.take(pilot)
        await paste(pilot, "owner", "@acme.example")
        for rule in (Rule(Answer(500)), Rule(Answer(403)), Rule(Answer(502, html=True))):
            harness.simulator.faults.set([rule])
            await pilot.press("ctrl+t")
            await until(pilot, lambda: not _is_testing(pilot))
            evidence.take(pilot)
        harness.simulator.faults.set([])
        await pilot.press("f2")
        await until(pilot, harness.environment.connections.all)
        await until(pilot, lambda: not isinstance(pilot.app.screen, ConnectionForm))
        evidence.take(pilot)
        await pilot.press("5")
        await until_shown(pilot, "Acme prod")
        await pilot.press("T", "y")
        await until_shown(pilot, "Amplitude accepted the keys")
        evidence.take(pilot)
    assert any(SECRET_KEY in text for text in backends.Memory.items.values())
    evidence.holds_no_key()


def _is_testing(pilot: Pilot[None]) -> bool:
    return TESTING in picture(pilot)


async def test_keys_for_this_run_are_written_nowhere(harness: ConsoleHarness) -> None:
    evidence = Evidence(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, harness)
        await pilot.press("f2")
        await until_on(pilot, KeyringQuestion)
        evidence.take(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: services(pilot).session)
        await services(pilot).figures.update_sizes()
        evidence.take(pilot)
    evidence.holds_no_key()


async def test_typed_keys_are_masked_too(harness: ConsoleHarness) -> None:
    harness.environment.connections.save(
        Connection(name="Acme", app_id=7, owner_email="ana@acme.example")
    )
    evidence = Evidence(harness)
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("u")
        await until_on(pilot, KeysDialog)
        await paste(pilot, "api-key", API_KEY)
        await paste(pilot, "secret-key", SECRET_KEY)
        await pilot.press("ctrl+c", "ctrl+x")
        evidence.take(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: harness.simulator.requests)
        evidence.take(pilot)
    evidence.holds_no_key()


async def test_a_crash_prints_where_it_was_and_no_key(
    harness: ConsoleHarness, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Crash):
        await _crash(harness)
    printed = "".join(capfd.readouterr())
    assert "raise Crash" in printed
    evidence = Evidence(harness)
    evidence.add(printed)
    evidence.holds_no_key()


async def _crash(harness: ConsoleHarness) -> None:
    """Crash with both keys on the form, and with one of them in a variable."""
    async with harness.open() as pilot:
        await until_shown(pilot, "Welcome.")
        await fill(pilot, harness)
        form = pilot.app.screen

        def crash() -> None:
            typed = form.query_one("#secret-key", Input).value
            assert typed == SECRET_KEY
            raise Crash

        form.call_later(crash)
        await until(pilot, lambda: not pilot.app.is_running)
