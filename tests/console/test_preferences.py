"""The operator's preferences: colors, signs and keys."""

import dataclasses
import tomllib
from collections.abc import Sequence

import pytest
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.appearance import DARK, LIGHT
from amp_console.console.environment import DemoSession, DemoTrouble
from amp_console.console.screens.audiences.settings import AudienceSettings
from tests.console.harness import (
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
from tests.console.sample_audiences import SHOPPERS, connect_with_audiences, select

pytestmark = pytest.mark.anyio


def like(harness: ConsoleHarness, *lines: str) -> None:
    """Add to the settings."""
    file = harness.environment.folders.config_file
    before = file.read_text() if file.exists() else ""
    file.write_text(before + "\n[console]\n" + "\n".join(lines) + "\n")


def kept(harness: ConsoleHarness) -> object:
    """The theme in the settings."""
    text = harness.environment.folders.config_file.read_text()
    return tomllib.loads(text).get("console", {}).get("theme")


def log(pilot: Pilot[None]) -> Sequence[str]:
    """The texts in the log."""
    return [happening.text for happening in services(pilot).notifications.entries]


async def at_rest(pilot: Pilot[None]) -> None:
    """Wait until all background work is done."""
    await pilot.pause()
    await until(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))


class Empty(DemoSession):
    """An empty demo."""

    has_traffic = False

    def open(self) -> None: ...

    def is_ready(self) -> bool:
        return True

    def progress(self) -> float:
        return 1.0

    def troubles(self) -> tuple[DemoTrouble, ...]:
        return ()

    def toggle(self, name: str) -> str:
        return name


# Colors and signs.


async def test_the_settings_choose_theme_and_signs(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    like(harness, 'theme = "nord"', "ascii = true")

    async with harness.open() as pilot:
        await until_shown(pilot, "~ 4 pending")

        assert pilot.app.theme == "nord"
        assert pilot.app.has_class("-ascii")
        assert log(pilot) == []


async def test_the_command_line_is_stronger_and_is_not_kept(harness: ConsoleHarness) -> None:
    harness.connect()
    like(harness, 'theme = "nord"')

    async with harness.open(LaunchOptions(theme="dracula")) as pilot:
        await until_shown(pilot, "Acme prod")

        assert pilot.app.theme == "dracula"
    assert kept(harness) == "nord"


@pytest.mark.parametrize("name", ["no-such-theme", "[/red]\x1b[2J", ""])
async def test_an_unknown_theme_is_reported_with_some_that_are_known(
    harness: ConsoleHarness, name: str
) -> None:
    harness.connect()
    like(harness, 'theme = "nord"')

    async with harness.open(LaunchOptions(theme=name)) as pilot:
        await until_shown(pilot, "There is no theme called", "gruvbox")

        assert pilot.app.theme == "nord"
        assert "\x1b" not in "".join(log(pilot))
    async with harness.open(LaunchOptions(theme="gruvbux")) as pilot:
        await until(pilot, lambda: "Some themes: gruvbox, " in "".join(log(pilot)))


async def test_a_chosen_theme_is_kept(harness: ConsoleHarness) -> None:
    connection = harness.connect()

    async with harness.open() as pilot:
        await until_shown(pilot, "Acme prod")
        assert kept(harness) is None
        services(pilot).appearance.switch_theme()
        await until(pilot, lambda: kept(harness) == LIGHT)
        services(pilot).appearance.switch_theme()
        await until(pilot, lambda: kept(harness) == DARK)

        await pilot.press("ctrl+p")
        await pilot.press(*"Theme")
        await until_shown(pilot, "Choose other colors")
        await pilot.press("enter", *"dracula")
        await until(pilot, lambda: picture(pilot).count("dracula") == 2)  # typed, and found
        await pilot.press("enter")
        await until(pilot, lambda: kept(harness) == "dracula")

    assert harness.environment.connections.all() == (connection,)


async def test_a_theme_that_the_settings_name_is_not_written_again(harness: ConsoleHarness) -> None:
    harness.connect()
    like(harness, f'theme = "{LIGHT}"')
    file = harness.environment.folders.config_file
    before = file.stat().st_ino  # writing replaces the file

    async with harness.open(LaunchOptions(theme=DARK)) as pilot:
        await until_shown(pilot, "Acme prod")
        services(pilot).appearance.switch_theme()
        await until(pilot, lambda: console(pilot).theme == LIGHT)
        await at_rest(pilot)

    assert file.stat().st_ino == before


async def test_a_demo_keeps_no_theme(harness: ConsoleHarness) -> None:
    harness.connect()
    harness.environment = dataclasses.replace(harness.environment, demo=Empty())

    async with harness.open() as pilot:
        await until_shown(pilot, "Acme prod")
        services(pilot).appearance.switch_theme()
        await at_rest(pilot)

    assert kept(harness) is None


async def test_a_theme_that_cannot_be_saved_is_used_and_reported(harness: ConsoleHarness) -> None:
    harness.connect()
    file = harness.environment.folders.config_file
    file.write_text("console = 5\n" + file.read_text())

    async with harness.open() as pilot:
        await until(pilot, lambda: "It must be a section" in "".join(log(pilot)))
        services(pilot).appearance.switch_theme()
        await until(pilot, lambda: "can't be saved" in log(pilot)[-1])

        assert pilot.app.theme == LIGHT
    assert file.read_text().startswith("console = 5\n")


async def test_broken_settings_do_not_stop_the_console(harness: ConsoleHarness) -> None:
    harness.environment.folders.config_file.write_text("[console")

    async with harness.open() as pilot:
        await until_notified(pilot, "can't be used: Expected")


# Keys.


async def test_a_key_of_the_settings_takes_the_place_of_the_usual_one(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    like(harness, "[console.keys]", 'audiences.sync = "f6,z"', '"go.person" = "ctrl+f"')

    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "f6 Sync")
        select(pilot, SHOPPERS)
        await pilot.press("question_mark")
        await until_shown(pilot, "Help · Audiences")
        help_ = picture(pilot)
        await pilot.press("escape", "s")
        await until_shown(pilot, "Audiences")
        await until_gone(pilot, "Before you send")
        await pilot.press("z")
        await until_shown(pilot, "Before you send")

        assert any("f6" in line and "Sync" in line for line in help_.splitlines())
        assert log(pilot) == []


async def test_help_says_what_letters_mean_unless_the_settings_moved_some(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    like(harness, "[console.keys]", 'audiences.sync = "z"')
    async with harness.open(size=(120, 50)) as pilot:
        await until_shown(pilot, "z Sync")
        await pilot.press("question_mark")
        await until_shown(pilot, "Members are everyone who should be")
        assert "Most letters mean the same" not in picture(pilot)


async def test_a_dimmed_action_says_why_on_its_new_key(harness: ConsoleHarness) -> None:
    harness.connect()
    like(harness, "[console.keys]", 'audiences.sync = "f6"')

    async with harness.open() as pilot:
        await until_shown(pilot, "No audience yet.")
        await pilot.press("s")
        assert log(pilot) == []
        await pilot.press("f6")

        await until(pilot, lambda: len(log(pilot)) == 1)


async def test_two_keys_may_be_swapped(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    like(harness, "[console.keys]", 'audiences.sync = "e"', 'audiences.edit = "s"')

    async with harness.open() as pilot:
        await until_shown(pilot, "pending", "e Sync")
        await pilot.press("e")

        await until_shown(pilot, "Sync trial_day_7")
        await pilot.press("escape")
        await until_shown(pilot, "e Sync")
        await pilot.press("s")
        await until_on(pilot, AudienceSettings)
        assert log(pilot) == []


async def test_an_action_that_shares_a_key_keeps_it_when_the_other_moves(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    like(harness, "[console.keys]", 'run.pause = "z"')

    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).appearance.keys)

        assert services(pilot).appearance.keys == {"run.pause": "z", "run.resume": "p"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('audiences.snyc = "r"', "there is no action with this ID. Did you mean audiences.sync?"),
        ('"[/red]" = "r"', "console.keys.[/red]: there is no action with this ID."),
        ('audiences.sync = "ctl+r"', "“ctl+r” is not a key"),
        ('audiences.sync = "x"', "in “Audiences”, x is the key of “Errors” (audiences.errors)"),
        ('audiences.sync = "f"', "f is the key of “Find a person” (go.person)"),
        ('audiences.sync = "ctrl+p"', "ctrl+p is the key of"),
        ('audiences.sync = "a"', "a is the key of “Mark all” (grid.mark_all)"),
        ('"go.person" = "x"', "x is the key of “Errors”"),
        ('"run.retry" = "v"', "v is the key of “Requests” (run.log)"),
        ('copy = "c"', "in “Live”, c is the key of “End session” (live.end)"),
        ('audiences.sync = "z"\naudiences.edit = "z"', "audiences.edit: in “Audiences”, z is the"),
    ],
)
async def test_a_key_that_is_unavailable_is_reported_and_the_usual_one_stays(
    harness: ConsoleHarness, line: str, words: str
) -> None:
    harness.connect()
    like(harness, "[console.keys]", line)

    async with harness.open() as pilot:
        await until(pilot, lambda: log(pilot))

        (only,) = log(pilot)
        assert words in only
        assert set(services(pilot).appearance.keys) <= {"audiences.sync"}
        assert ("z" in services(pilot).appearance.keys.values()) == ('"z"' in line)


async def test_several_complaints_are_one_notification_and_each_a_line_of_the_log(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    like(harness, "ascii = 1", "[console.keys]", 'audiences.sync = "x"', 'nothing = "z"')

    async with harness.open() as pilot:
        await until_shown(pilot, "3 settings are invalid")
        await pilot.press("6")

        await until_shown(pilot, "console.ascii = 1", "console.keys.audiences.sync", "nothing")


async def test_the_list_of_themes_begins_on_the_current_one_and_shows_each_it_comes_to(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    async with harness.open(LaunchOptions(theme="nord")) as pilot:
        await until_shown(pilot, "No audience yet")
        pilot.app.action_themes()  # type: ignore[attr-defined]
        await until_shown(pilot, "▹ nord", "in use", "✓")
        await pilot.press("down")
        await until(pilot, lambda: pilot.app.theme != "nord")
        assert kept(harness) is None
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.theme == "nord")
        assert kept(harness) is None
