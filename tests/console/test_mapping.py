"""The fields of the identifiers: tried on a sample, and kept."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from amp_console.console.screens.connections.mapping import MappingScreen
from amp_console.sync.connection_options import read_options
from tests.console.harness import picture, until, until_shown
from tests.console.host import ScreenHost, hosted
from tests.console.keyrings import paste, told
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[ScreenHost, Pilot[None]]]:
    async with hosted(folder, MappingScreen) as (host, pilot):
        await until_shown(pilot, "Result", "u-10442")
        yield host, pilot


def amplitude_id_path(host: ScreenHost) -> str | None:
    """The path in the settings."""
    return host.services.environment.connections.get("Acme prod").amplitude_id_path


def found(pilot: Pilot[None]) -> str:
    """The result of the test."""
    return str(pilot.app.screen.query_one("#found-text", Static).render())


def sample(pilot: Pilot[None], text: str) -> None:
    pilot.app.screen.query_one("#event", TextArea).load_text(text)


async def test_the_sample_is_tried_at_once_and_at_every_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot):
        await until_shown(pilot, "high_value_shoppers", "enters the audience", "no path is set")
        await paste(pilot, "amplitude-id", "$.traits.amplitude_id")
        await until_shown(pilot, "418203995117")


async def test_an_amplitude_id_that_is_no_number_is_warned_of(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot):
        await paste(pilot, "amplitude-id", "$.userId")
        await until(pilot, lambda: "Amplitude's own IDs are numbers" in found(pilot))


async def test_a_path_that_is_none_is_reported_at_its_field(tmp_path: Path) -> None:
    async with opened(tmp_path) as (host, pilot):
        await paste(pilot, "amplitude-id", "traits.x")
        await until(pilot, lambda: told(pilot, "amplitude-id").startswith("Not a path."))
        assert told(pilot, "user-id") == ""
        await pilot.press("f2")
        await until(pilot, lambda: host.services.notifications.entries)
        assert "Not saved." in host.services.notifications.entries[-1].text
        assert amplitude_id_path(host) is None


async def test_it_is_said_why_an_event_is_filtered_or_cannot_be_used(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (_, pilot):
        for text, words in (
            (json.dumps(event("u1", False)), "leaves the audience"),
            (json.dumps(event(None, True)), "invalid: no usable identifier at $.userId"),
            (json.dumps({"type": "track", "userId": "u1"}), "filtered: not an audience event"),
            ("{broken", "This is not JSON."),
            ("\n", "Paste an event to try the paths on it."),
            ("[1, 2]", "not one event"),
            ("x" * 100_001, "too large for a sample"),
            (json.dumps(event("[red]u[/foo]\x1b[2J" + "long " * 60, True)), "[red]u[/foo]\\x1b[2J"),
        ):
            sample(pilot, text)
            await until(pilot, lambda words=words: words in found(pilot))  # type: ignore[misc]
        assert "\x1b" not in picture(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: "enters the audience" in found(pilot))


async def test_paths_are_kept_and_used_from_then_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as (host, pilot):
        await paste(pilot, "amplitude-id", "$.traits.amplitude_id")
        await pilot.press("f2")
        await until(pilot, lambda: not isinstance(pilot.app.screen, MappingScreen))
        assert amplitude_id_path(host) == "$.traits.amplitude_id"
        session = host.services.session
        assert session is not None
        options = read_options(session.connection)
        assert str(options.mapping) == "$.userId or $.traits.amplitude_id"


async def test_nothing_typed_is_lost_by_going_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, pilot):
        await paste(pilot, "amplitude-id", "$.x")
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("y")
        await until(pilot, lambda: not isinstance(pilot.app.screen, MappingScreen))
