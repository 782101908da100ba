"""Notifications have a separate line: they cover no warning and no number."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from amp_console.console.frame import NoticeLine
from amp_console.console.notifications import Notice, Notices
from amp_console.sync.timing import Timing
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_shown,
)
from tests.console.sample_audiences import GHOSTS, SHOPPERS, connect_with_audiences

pytestmark = pytest.mark.anyio
SECOND = 1_000_000  # microseconds


class Later:
    """Runs delayed calls on request."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, _: float, call: Callable[[], None]) -> None:
        self.calls.append(call)


def test_the_worst_notification_is_shown_and_the_newest_of_several() -> None:
    notices = Notices(Later(), lambda: None)
    notices.post("Copied.", "information")
    notices.post("Amplitude refused the keys.", "error")
    notices.post("Amplitude can't be reached.", "error")
    notices.post("Saved.", "information")
    assert notices.current == Notice("Amplitude can't be reached.", "error", more=3)


def test_each_notification_goes_after_its_time_and_one_said_twice_counts_once() -> None:
    later, changes = Later(), list[Notice | None]()
    notices = Notices(later, lambda: changes.append(notices.current))
    notices.post("Copied.", "information")
    notices.post("Copied.", "information")
    notices.post("Read-only.", "warning")
    expire, _, expire_other, _ = later.calls
    expire_other()
    expire()
    assert changes == [
        Notice("Copied.", "information"),
        Notice("Read-only.", "warning", more=1),
        Notice("Copied.", "information"),
        None,
    ]


def test_a_lasting_one_is_shown_until_it_is_withdrawn() -> None:
    later = Later()
    notices = Notices(later, lambda: None)
    notices.post("Press a letter.", "information", is_lasting=True)
    for call in later.calls:
        call()
    assert notices.current == Notice("Press a letter.", "information")
    notices.withdraw("Press a letter.")
    assert notices.current is None


def test_one_that_was_cleared_takes_none_with_it_that_came_later() -> None:
    later = Later()
    notices = Notices(later, lambda: None)
    notices.post("Copied.", "information")
    notices.clear()
    notices.post("Copied.", "information")
    later.calls[0]()
    assert notices.current == Notice("Copied.", "information")


def test_what_was_seen_goes_with_its_screen_and_what_was_just_said_goes_along() -> None:
    later = Later()
    notices = Notices(later, lambda: None)
    notices.post("Read-only.", "warning")
    settle = later.calls[1]
    settle()
    notices.post("Switched to Acme.", "information")
    notices.leave_screen()
    assert notices.current == Notice("Switched to Acme.", "information")


def covered(pilot: Pilot[None]) -> list[object]:
    """The widgets that the line of notifications covers."""
    screen = pilot.app.screen
    line = screen.query_one(NoticeLine).region
    outer = set(screen.query_one(NoticeLine).ancestors_with_self)
    return [
        item
        for item in screen.query("*")
        if item not in outer and item.region and item.region.overlaps(line)
    ]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_no_notification_covers_the_warnings_of_a_plan(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("S")
        await until_shown(pilot, "Before you send", "creates the cohort")
        services(pilot).notifications.post(
            "The ledger is locked by another process. Nothing was lost. " * 5, "error"
        )
        services(pilot).notifications.post("Copied.")
        await until_shown(pilot, "✖ The ledger is locked", "(1 more in the log: press 6)")
        assert covered(pilot) == []
        for text in ("Before you send", "creates the cohort", "Help"):
            assert text in picture(pilot)
        services(pilot).notifications.shown.clear()
        await until_gone(pilot, "✖ The ledger")


async def test_the_hint_at_others_is_not_broken(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, GHOSTS)
        post = services(pilot).notifications.post
        post("Nothing was sent, because the ledger is locked by another process.", "error")
        post("Copied.")
        await until_shown(pilot, "another process.", " (1 more in the log: press 6)")


async def test_one_said_over_a_dialog_is_seen_too(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("i")
        await until_shown(pilot, "Import")
        console(pilot).notify("Textual says so, too.", severity="warning")
        await until_shown(pilot, "! Textual says so, too.")
        assert covered(pilot) == []


async def test_ages_advance_and_a_moment_has_one_age_on_a_screen(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    moment = [NOW]
    timing: Timing = replace(harness.environment.timing, now=lambda: moment[0])
    harness.environment = replace(harness.environment, timing=timing)
    with harness.workspace(harness.environment.connections.pick(None)) as workspace:
        runs = workspace.ledger.read(
            lambda db: [row[0] for row in db.execute("SELECT max(last_sync_at) FROM audience")]
        )
    moment[0] = runs[0] + 30 * SECOND
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "run 1")
        moment[0] = runs[0] + 49 * SECOND
        await until(
            pilot,
            lambda: picture(pilot).count("s ago") == picture(pilot).count("49 s ago") == 5,
        )
        moment[0] = runs[0] + 130 * SECOND
        await until(pilot, lambda: picture(pilot).count("2 min ago") == 5)
        await pilot.press("3")
        await until_shown(pilot, "2 min ago")
        moment[0] = runs[0] + 190 * SECOND
        await until_shown(pilot, "3 min ago")
