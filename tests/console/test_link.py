"""Choosing one of Amplitude's cohorts, and the question before linking."""

import pytest

from amp_console.amplitude import Cohort
from amp_console.amplitude.client import AmplitudeClient
from amp_console.console.dialogs.base import Confirm
from amp_console.console.screens.audiences.link import LinkScreen, static_cohorts
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.ledger.audiences import Audience, Link
from amp_console.simulator import Answer, Rule
from amp_console.values import IdType
from tests.console.harness import (
    ConsoleHarness,
    last,
    picture,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import FRESH, HOSTILE, SHOPPERS, connect_with_audiences, select
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio


def saved(harness: ConsoleHarness, key: str) -> Audience:
    with harness.workspace(harness.environment.connections.get("Acme prod")) as workspace:
        return workspace.audience(key)


def cohort(
    harness: ConsoleHarness, name: str, size: int = 0, *, kind: str = "manual_upload"
) -> str:
    """Create another cohort in Amplitude, and return its ID."""
    world = harness.simulator.world
    people = world.resolve([f"{name[:3]}-{n}" for n in range(size)], IdType.USER_ID).found
    return world.create_cohort(name, "noor@acme.example", people, type=kind).id


async def listed(harness: ConsoleHarness) -> tuple[Cohort, ...]:
    """All cohorts that Amplitude lists."""
    async with AmplitudeClient(harness.simulator.base_url, harness.simulator.credentials) as client:
        return await client.list_cohorts()


async def test_static_cohorts_are_listed_with_owner_and_size(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    cohort_id = cohort(harness, "Webinar guests", 1067)
    cohort(harness, "Computed", 5, kind="redshift")
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "Webinar guests", "noor@acme.example", "1,067", cohort_id)
        await until_shown(pilot, "Only static cohorts", "4 static cohorts", "this audience")
        await until_shown(pilot, "Enter Link  n Unlink for a new cohort")
        await until_gone(pilot, "Computed")


async def test_archived_cohorts_are_left_out_and_the_others_come_by_name(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    world = harness.simulator.world
    for name in ("zebra", "Apple", "hidden"):
        world.create_cohort(name, "noor@acme.example", published=name != "hidden")
    names = [cohort.name for cohort in static_cohorts(await listed(harness))]
    assert names == ["Apple", "zebra"]


async def test_the_list_is_searched_by_typing(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    cohort(harness, "Webinar guests")
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "Webinar guests")
        await pilot.press("slash", *"webi", "enter")
        await until_gone(pilot, "trial_day_7")
        await until_shown(pilot, "Webinar guests")


async def test_a_cohort_that_was_searched_for_is_linked_and_the_list_is_left(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    cohort(harness, "Webinar guests", 10)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, "Webinar guests")
        await pilot.press("slash", *"webinar", "enter", "enter")
        await until_on(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: "is linked to “Webinar guests”" in last(pilot))
        await until_on(pilot, AudiencesScreen)


async def test_linking_says_who_is_added_and_keeps_the_name(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    cohort_id = cohort(harness, "A webinar's guests", 12)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, f"Link {FRESH} to a cohort", "A webinar's guests")
        await pilot.press("enter")
        await until_shown(pilot, "a cohort of 12 users owned by ", "even those who are")
        await pilot.press("n")
        await until_on(pilot, LinkScreen)
        assert saved(harness, FRESH).cohort_id is None
        await pilot.press("enter")
        await until_on(pilot, Confirm)
        await pilot.press("enter")  # the action that is named has the focus
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, "A webinar's")
        linked = saved(harness, FRESH)
        assert (linked.cohort_id, linked.link) == (cohort_id, Link.EXISTING)
        assert linked.linked_name == "A webinar's guests"


async def test_enter_links_no_cohort_that_people_would_be_removed_from(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    with harness.workspace(harness.environment.connections.get("Acme prod")) as workspace:
        workspace.read(event(f"n{n}", False, 60, audience=FRESH) for n in range(3))
    theirs = cohort(harness, "A webinar's guests", 12)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, "A webinar's guests")
        await pilot.press("enter")
        await until_shown(pilot, "It removes 3 people who left the audience", "Esc/Enter Cancel")
        await pilot.press("enter")
        await until_on(pilot, LinkScreen)
        assert saved(harness, FRESH).cohort_id is None
        await pilot.press("enter")
        await until_on(pilot, Confirm)
        await pilot.press("y")
        await until_on(pilot, AudiencesScreen)
        assert saved(harness, FRESH).cohort_id == theirs


async def test_a_cohort_that_another_audience_follows_is_taken_knowingly_only(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, SHOPPERS, "3 static cohorts")
        await pilot.press("enter")
        await until_shown(pilot, f"It is already linked to “{SHOPPERS}”", "Link anyway")


async def test_the_cohort_it_has_is_not_linked_again(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    cohort(harness, "A webinar", 12)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "this audience")
        assert "this audience" in next(at for at in picture(pilot).splitlines() if "▸ " in at)
        await pilot.press("enter")
        await until(pilot, lambda: "already linked to this cohort" in last(pilot))


async def test_a_new_one_can_be_created_instead(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, SHOPPERS)
        await pilot.press("l")
        await until_shown(pilot, "this audience")
        await pilot.press("n")
        await until_shown(
            pilot, f"Unlink “{SHOPPERS}”?", "stays in Amplitude", "Nothing is sent now", "adds "
        )
        await pilot.press(*SHOPPERS, "enter")
        await until(pilot, lambda: saved(harness, SHOPPERS).link is Link.UNLINKED)
        await until_on(pilot, AudiencesScreen)


async def test_without_a_cohort_the_key_leads_to_a_sync_that_creates_one(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, f"Link {FRESH}", "n Plan a sync to create one")
        await pilot.press("n")
        await until_shown(pilot, "Creates 1 cohort and adds 12 users")


async def test_amplitude_out_of_reach_is_reported_and_asked_again(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        harness.simulator.faults.set([Rule(Answer(503))])
        await pilot.press("l")
        await until_shown(pilot, "Could not load cohorts from Amplitude", "Press u to try again.")
        harness.simulator.faults.set([])
        await pilot.press("u")
        await until_shown(pilot, "3 static cohorts")


async def test_a_project_without_static_cohorts_says_what_to_do(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u1")
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("l")
        await until_shown(pilot, "This project has no static cohorts", "Press n")


async def test_read_only_says_so(harness: ConsoleHarness) -> None:
    connection = harness.connect(read_only=True)
    cohort(harness, "Webinar guests")
    with harness.workspace(connection) as workspace:
        workspace.enter("u1")
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("l")
        await until_shown(pilot, "Webinar guests")
        await pilot.press("enter")
        await until(pilot, lambda: "is read-only" in last(pilot))


async def test_a_hostile_name_is_shown_as_it_is(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    cohort(harness, HOSTILE)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, SHOPPERS)
        select(pilot, FRESH)
        await pilot.press("l")
        await until_shown(pilot, "[red]trial [/foo]")
        await pilot.press("enter")
        await until_shown(pilot, "“[red]trial [/foo]")
        await pilot.press("y")
        await until(pilot, lambda: "is linked to “[red]trial" in last(pilot))
        assert "\x1b" not in last(pilot)
