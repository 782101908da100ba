"""The settings of an audience: defaults and overrides, mistakes, the ID type, disabling."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console import audience_changes
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.runs import RunJob, SyncOperation
from amp_console.console.screens.audiences.link import LinkScreen
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.audiences.settings import AudienceSettings
from amp_console.console.screens.connections.list import ConnectionsScreen
from amp_console.console.widgets.fields import Choice
from amp_console.engage import FieldMapping
from amp_console.ledger import open_ledger
from amp_console.ledger.audiences import Audience, Link
from amp_console.ledger.counts import OtherIdType, other_id_type
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.delivery.plan import plan_sync
from amp_console.values import IdType
from tests.console.harness import (
    ConsoleHarness,
    console,
    last,
    picture,
    services,
    until,
    until_on,
    until_shown,
)
from tests.console.keyrings import paste, told
from tests.console.sample_audiences import (
    FRESH,
    HOSTILE,
    LAPSED,
    SHOPPERS,
    connect_with_audiences,
    hostile_audience,
    select,
    sync,
)
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio
AMPLITUDE_PATH = "$.traits.amplitude_id"


def with_both_ids(harness: ConsoleHarness) -> Audience:
    """A synced audience of six, four of which came with an Amplitude ID as well."""
    connection = harness.connect(amplitude_id_path=AMPLITUDE_PATH)
    with harness.workspace(connection) as workspace:
        workspace.mapping = FieldMapping.parse("$.userId", AMPLITUDE_PATH)
        known = [{"amplitude_id": 1000 + n} if n < 4 else {} for n in range(6)]
        workspace.read(event(f"u{n}", True, traits=item) for n, item in enumerate(known))
        sync(workspace)
        return workspace.audience()


def saved(harness: ConsoleHarness, key: str = "shoppers") -> Audience:
    """An audience as the ledger has it."""
    with harness.workspace(harness.environment.connections.get("Acme prod")) as workspace:
        return workspace.audience(key)


async def test_a_size_says_when_it_was_read_and_is_not_shown_after_a_run(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    later = time.time_ns() // 1_000  # sizes older than the last run are ignored
    timing = replace(harness.environment.timing, now=lambda: later)
    harness.environment = replace(harness.environment, timing=timing)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        select(pilot, LAPSED)
        await pilot.press("u")
        figures = services(pilot).figures
        await until(pilot, lambda: figures.sizes)
        await pilot.press("e")
        await until_shown(pilot, "Settings of", "in Amplitude, read just now")
        figures.note_sizes(figures.sizes, 1)
        await until_shown(pilot, "press u under Audiences to check")


@contextmanager
def other_process(harness: ConsoleHarness, known: Audience) -> Iterator[None]:
    """Another process holds the audience."""
    path = harness.environment.folders.ledger(harness.environment.connections.get("Acme prod").id)
    with open_ledger(path) as ledger, ledger.lease(known.id):
        yield


async def opened(pilot: Pilot[None], audience_id: int) -> None:
    await until(pilot, lambda: services(pilot).session)
    pilot.app.push_screen(AudienceSettings(audience_id))
    await until_shown(pilot, "Settings of", "by our ledger")


async def test_each_field_shows_what_is_used_when_it_is_empty(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("e")
        await until_shown(pilot, f"Settings of {FRESH}", "no cohort: the next sync creates one")
        shown = picture(pilot)
        assert "default: newsletter" in shown
        assert "default: ana@acme.example" in shown
        assert "none: amp-console chooses a user of Amplitude if needed" in shown
        await paste(pilot, "owner", "noor@acme.example")
        await until_shown(pilot, "override")
        await pilot.press("f2")
        await until_on(pilot, AudiencesScreen)
        assert saved(harness, FRESH).owner_email == "noor@acme.example"
        assert last(pilot) == f"Saved the settings of “{FRESH}”."


async def test_the_prefix_stands_in_the_default_name(harness: ConsoleHarness) -> None:
    connection = harness.connect(prefix=True)
    with harness.workspace(connection) as workspace:
        workspace.enter("u1")
        known = workspace.audience()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(AudienceSettings(known.id))
        await until_shown(pilot, "[Segment] shoppers")


async def test_an_empty_field_is_the_default_again(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    connection = harness.environment.connections.get("Acme prod")
    with harness.workspace(connection) as workspace:
        change(workspace.ledger, connection, known, SettingsChange(cohort_name="Big ones"))
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        assert pilot.app.screen.query_one("#cohort-name", Input).value == "Big ones"
        pilot.app.screen.query_one("#cohort-name", Input).value = ""
        await pilot.press("f2")
        await until(pilot, lambda: last(pilot).startswith("Saved"))
        assert saved(harness).cohort_name is None


async def test_mistakes_are_reported_at_their_fields(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await paste(pilot, "owner", "no-one")
        await paste(pilot, "cohort-name", "  ")
        await pilot.press("f2")
        await until(pilot, lambda: "isn't an email address" in told(pilot, "owner"))
        assert told(pilot, "cohort-name").startswith("This contains only spaces.")
        assert saved(harness) == known
        await paste(pilot, "owner", "noor@acme.example")
        await until(pilot, lambda: told(pilot, "owner") == "")
        assert told(pilot, "cohort-name").startswith("This contains only spaces.")


async def test_another_id_type_is_explained_before_it_is_kept(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await opened(pilot, known.id)
        await pilot.press("right", "f2")
        await until_on(pilot, Confirm)
        await until_shown(pilot, "This replaces the cohort's members", "removes all 6")
        await until_shown(pilot, "adds 4 by Amplitude ID", "2 people without")
        await pilot.press("enter")
        await until_on(pilot, AudienceSettings)
        assert saved(harness).id_type is IdType.USER_ID
        await pilot.press("f2")
        await until_on(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: last(pilot).startswith("Saved"))
        assert saved(harness).id_type is IdType.AMPLITUDE_ID


async def test_without_a_path_to_it_an_amplitude_id_is_said_to_be_nowhere(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    known = saved(harness, SHOPPERS)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await pilot.press("right", "f2")
        await until_shown(pilot, "No path to the Amplitude ID is set")


async def test_an_audience_that_is_being_synced_elsewhere_is_left_alone(
    harness: ConsoleHarness,
) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        with other_process(harness, known):
            await paste(pilot, "seed", "u1")
            await pilot.press("f2")
            await until(pilot, lambda: "is delivering this audience" in last(pilot))
        assert isinstance(pilot.app.screen, AudienceSettings)
        assert pilot.app.screen.query_one("#seed", Input).value == "u1"
        await pilot.press("f2")
        await until(pilot, lambda: last(pilot).startswith("Saved"))


async def test_an_audience_that_is_being_synced_here_is_left_alone_too(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    known = saved(harness, FRESH)
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        app = console(pilot)
        assert app.services.session is not None
        plan = await app.services.session.read(plan_sync, app.services.session.connection, [known])
        app.services.jobs.sync = work = RunJob(
            app.services.session,
            SyncOperation(plan),
            app.services.timing,
            app.services.publish,
        )
        work.pause()
        work.start()
        await until(pilot, lambda: work.snapshot)
        await opened_unlinked(pilot, known.id)
        await paste(pilot, "seed", "u1")
        await pilot.press("f2")
        await until(pilot, lambda: last(pilot) == audience_changes.BUSY_HERE)
        work.resume()
        await until(pilot, lambda: work.is_over)
        await pilot.press("f2")
        await until(pilot, lambda: last(pilot).startswith("Saved"))
        assert saved(harness, FRESH).seed_user == "u1"


async def opened_unlinked(pilot: Pilot[None], audience_id: int) -> None:
    pilot.app.push_screen(AudienceSettings(audience_id))
    await until_shown(pilot, "Settings of", "no cohort: the next sync creates one")


async def test_a_read_only_connection_says_why_nothing_can_be_saved(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect(read_only=True)
    with harness.workspace(connection) as workspace:
        workspace.enter("u1")
        known = workspace.audience()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        pilot.app.push_screen(AudienceSettings(known.id))
        await until_shown(pilot, "Settings of shoppers")
        for key in ("f2", "f3", "f4"):
            services(pilot).notifications.entries.clear()
            await pilot.press(key)
            await until(pilot, lambda: "is read-only" in last(pilot))


async def test_unlinking_asks_and_keeps_the_cohort(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await opened(pilot, known.id)
        await pilot.press("f4")
        await until_shown(pilot, "Unlink “shoppers”?", "stays in Amplitude", "Type “shoppers” to")
        await pilot.press("enter")  # cancel has the focus
        await until_on(pilot, AudienceSettings)
        assert saved(harness).link is not Link.UNLINKED
        await pilot.press("f4")
        await until_on(pilot, Confirm)
        await until_shown(pilot, "Type “shoppers” to continue", "\n Esc/Enter Cancel")
        await pilot.press(*"shoppers")
        await until_shown(pilot, "\n Enter Unlink  Esc Cancel")
        await pilot.press("enter")
        await until_shown(pilot, "no cohort (unlinked): the next sync creates one")
        assert saved(harness).link is Link.UNLINKED
        assert known.cohort_id is not None
        assert len(harness.simulator.world.members(known.cohort_id)) == 6


async def test_another_cohort_is_chosen_from_here(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await pilot.press("f3")
        await until_on(pilot, LinkScreen)
        await until_shown(pilot, "this audience")


async def test_an_audience_is_switched_off_and_on_at_home(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "pending")
        select(pilot, SHOPPERS)
        await pilot.press("t")
        await until_shown(pilot, "○ disabled")
        assert (
            last(pilot)
            == f"“{SHOPPERS}” is disabled: Sync all skips it and live sessions send nothing "
            "for it; its changes stay pending. To enable it again, press t on its row."
        )
        await pilot.press("t")
        await until(
            pilot, lambda: "is enabled: Sync all and live sessions include it" in last(pilot)
        )


async def test_what_is_typed_survives_a_look_at_the_ledger(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await paste(pilot, "cohort-name", "Half typed")
        services(pilot).publish_ledger_change()
        await pilot.pause()
        assert pilot.app.screen.query_one("#cohort-name", Input).value == "Half typed"
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")


async def test_no_key_leads_away_from_what_was_entered_without_a_question(
    harness: ConsoleHarness,
) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await pilot.press("right", "5")
        await until_shown(pilot, "Discard changes?")
        await pilot.press("n")
        await until_on(pilot, AudienceSettings)
        await pilot.press("left", "5")
        await until_on(pilot, ConnectionsScreen)


async def test_choices_are_made_by_mouse_too(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    async with harness.open() as pilot:
        await opened(pilot, known.id)
        await pilot.click("#enabled", offset=(3, 0))
        choice = pilot.app.screen.query_one("#enabled", Choice)
        assert choice.value == "no"
        await pilot.click("#save")
        await until(pilot, lambda: last(pilot).startswith("Saved"))
        assert not saved(harness).enabled


async def test_a_hostile_name_is_shown_as_it_is(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, hostile_audience)
    known = saved(harness, HOSTILE)
    async with harness.open(size=(80, 24)) as pilot:
        await opened(pilot, known.id)
        await until_shown(pilot, "[red]trial [/foo]")
        assert "\x1b" not in picture(pilot)
        await pilot.press("f4")
        await until_shown(pilot, "Unlink “[red]trial", "Type “unlink” to continue")
        await pilot.press(*"unlink", "enter")
        await until(pilot, lambda: "is unlinked" in last(pilot))
        assert "\x1b" not in last(pilot)


def test_what_the_other_id_type_would_do_is_what_it_does(harness: ConsoleHarness) -> None:
    known = with_both_ids(harness)
    with harness.workspace(harness.environment.connections.get("Acme prod")) as workspace:
        said = workspace.ledger.read(other_id_type, known)
        assert said == OtherIdType(leave=6, enter=4, unknown=2)
        assert _plan_after_switch(workspace, known) == (said.enter, said.leave, said.unknown)


def _plan_after_switch(workspace: Workspace, known: Audience) -> tuple[int, int, int]:
    change(
        workspace.ledger, workspace.connection, known, SettingsChange(id_type=IdType.AMPLITUDE_ID)
    )
    (plan,) = workspace.plan().audiences
    return plan.add, plan.remove, plan.unidentified
