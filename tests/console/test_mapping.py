"""Where events carry the identifiers: tried on a sample, and kept."""

import json

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.connections.mapping import MappingScreen
from amp_console.sync.connection_options import read_options
from tests.console.harness import ConsoleHarness, picture, services, until, until_shown
from tests.console.keyrings import paste, told
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio


async def opened(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: services(pilot).session)
    pilot.app.push_screen(MappingScreen())
    await until_shown(pilot, "What is found in it", "u-10442")


def found(pilot: Pilot[None]) -> str:
    """What the trial says."""
    return str(pilot.app.screen.query_one("#found-text", Static).render())


def sample(pilot: Pilot[None], text: str) -> None:
    pilot.app.screen.query_one("#event", TextArea).load_text(text)


async def test_the_sample_is_tried_at_once_and_at_every_key(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_shown(pilot, "high_value_shoppers", "enters the audience", "no path is set")
        await paste(pilot, "amplitude-id", "$.traits.amplitude_id")
        await until_shown(pilot, "418203995117")


async def test_a_path_that_is_none_is_told_at_its_field(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await opened(pilot)
        await paste(pilot, "amplitude-id", "traits.x")
        await until(pilot, lambda: told(pilot, "amplitude-id").startswith("Not a path."))
        assert told(pilot, "user-id") == ""
        await pilot.press("f2")
        await until(pilot, lambda: services(pilot).notifications.entries)
        assert "Nothing was saved" in services(pilot).notifications.entries[-1].text
        assert harness.environment.connections.get("Acme prod").amplitude_id_path is None


async def test_it_is_said_why_an_event_is_filtered_or_can_not_be_used(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await opened(pilot)
        for text, words in (
            (json.dumps(event("u1", False)), "leaves the audience"),
            (json.dumps(event(None, True)), "invalid: no usable identifier at $.userId"),
            (json.dumps({"type": "track", "userId": "u1"}), "filtered: not an audience event"),
            ("{broken", "This is not JSON."),
            ("[1, 2]", "not one event"),
            ("x" * 100_001, "too much for a sample"),
            (json.dumps(event("[red]u[/foo]\x1b[2J" + "long " * 60, True)), "[red]u[/foo]\\x1b[2J"),
        ):
            sample(pilot, text)
            await until(pilot, lambda words=words: words in found(pilot))  # type: ignore[misc]
        assert "\x1b" not in picture(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: "enters the audience" in found(pilot))


async def test_paths_are_kept_and_used_from_then_on(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await opened(pilot)
        await paste(pilot, "amplitude-id", "$.traits.amplitude_id")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, AudiencesScreen))
        kept = harness.environment.connections.get("Acme prod")
        assert kept.amplitude_id_path == "$.traits.amplitude_id"
        session = services(pilot).session
        assert session is not None
        options = read_options(session.connection)
        assert str(options.mapping) == "$.userId or $.traits.amplitude_id"


async def test_nothing_typed_is_lost_by_going_back(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await opened(pilot)
        await paste(pilot, "amplitude-id", "$.x")
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, AudiencesScreen))
