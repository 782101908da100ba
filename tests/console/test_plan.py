from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from amp_console.console import LaunchOptions
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.person import PersonScreen
from amp_console.console.screens.plan.view import PlanScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.simulator import Simulator
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.values import IdType
from tests.console.gate import blocked_reads, rate_limited_sync
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_said,
    until_shown,
)
from tests.console.sample_audiences import SHOPPERS, connect_with_audiences
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36)]


async def open_plan(pilot: Pilot[None], *shown: str) -> None:
    await until(pilot, lambda: services(pilot).session)
    await until_shown(pilot, "shoppers")
    await pilot.press("S")
    await until_on(pilot, PlanScreen)
    await until_shown(pilot, *(shown or ("Before you send",)))


@pytest.mark.parametrize("size", SIZES)
async def test_the_plan_says_what_would_be_sent(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2", "u-3")
        await workspace.sync()
        workspace.leave("u-1", at=5)
        workspace.enter("u-4", at=5)
        workspace.read([event("u-1", True, audience="trial")])
    async with harness.open(size=size) as pilot:
        await open_plan(
            pilot,
            "Creates 1 cohort, adds 2 users and removes 1 user",
            "This creates the cohort “trial”",
            "up to 10,000 IDs",
            "one request at a time for each cohort",
            "◌ creates a cohort",
        )
        await until_shown(pilot, "creates the cohort “trial”, owned by ana@acme.example")
        await until_shown(pilot, "then adds 1")


async def test_a_plan_on_a_small_screen_names_some_users_and_the_way_back(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2", "u-3")
        await workspace.sync()
        workspace.leave("u-1", at=5)
        workspace.enter("u-4", "u-5" + "x" * 200, at=5)
    async with harness.open(size=(80, 24)) as pilot:
        await open_plan(pilot, "Adds 2 users and removes 1 user")
        await until_shown(
            pilot,
            "Removes, for example: u-1 ",
            "Adds, for example: u-4, u-5xx",
            "y Send  Enter Users ",
            "Esc Cancel  ^p Commands  ? Help",
        )
        assert "at the same time" not in picture(pilot)  # it syncs one cohort
        await pilot.resize_terminal(120, 36)
        await until_shown(pilot, "─ 2 to add, 1 to remove ─", "y Send  Enter Users")
        await until_shown(pilot, "Removes, for example: u-1 ")
        await until_gone(pilot, "Adds, for example")
        await until_shown(pilot, "Tab Next panel")
        await pilot.resize_terminal(80, 24)
        await until_gone(pilot, "Next panel")  # there is only one


async def test_confirming_sends_and_shows_the_run_in_its_place(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    async with harness.open() as pilot:
        await open_plan(pilot, "adds 1 user")
        await pilot.press("y")
        await until_shown(pilot, "All changes to shoppers were delivered.")

        await pilot.press("escape")

        await until_shown(pilot, "not compared")


async def test_going_back_sends_nothing(harness: ConsoleHarness, simulator: Simulator) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    async with harness.open() as pilot:
        await open_plan(pilot, "adds 1 user")
        await pilot.press("escape")
        await until_shown(pilot, "no cohort")

        assert services(pilot).jobs.sync is None
    assert not simulator.world.cohorts()


async def test_an_idle_plan_says_that_there_is_nothing_to_send(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
    async with harness.open() as pilot:
        await open_plan(pilot, "Nothing to send: no change is pending.")
        await until_gone(pilot, "y Send")
        await pilot.press("y")
        await until_notified(pilot, "Nothing to send: no change is pending.")
        await pilot.press("enter")

        assert isinstance(pilot.app.screen, PlanScreen)
        assert services(pilot).jobs.sync is None


async def test_nothing_to_send_does_not_claim_that_everyone_is_in_the_cohort(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.map_amplitude_ids()
        workspace.enter("u-1")  # with no Amplitude ID
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    async with harness.open() as pilot:
        await open_plan(pilot, "Nothing to send: no change is pending, and 1 member can't be sent.")
        assert not [text for text in ("Before you send", "Enter") if text in picture(pilot)]
        await pilot.press("enter")


async def test_a_large_removal_is_asked_about_by_name_and_number(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*(f"u-{n}" for n in range(10)))
        await workspace.sync()
        workspace.leave(*(f"u-{n}" for n in range(8)), at=5)
    async with harness.open() as pilot:
        await open_plan(pilot, "emoves 8 users", "removes most")
        await pilot.press("y")
        await until_shown(pilot, "8 of 10 cohort members", "Remove most members?")
        await pilot.press("enter")  # cancel has the focus
        assert services(pilot).jobs.sync is None

        await pilot.press("y")
        await until_shown(pilot, "Remove most members?", "Type “shoppers” to continue")
        await pilot.press(*"shoppers", "enter")

        await until_shown(pilot, "→ 8 removed in")


async def test_a_removal_that_becomes_large_during_the_question_is_asked_about_too(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    users = [f"u-{n}" for n in range(10)]
    with harness.workspace(connection) as workspace:
        for key in ("shoppers", "trial"):
            workspace.read(event(user, True, audience=key) for user in users)
        await workspace.sync()
        workspace.read(event(user, False, 5) for user in users[:8])
    async with harness.open() as pilot:
        await open_plan(pilot, "emoves 8 users", "removes most")
        await pilot.press("y")
        await until_shown(pilot, "Type “shoppers” to continue")
        with harness.workspace(connection) as workspace:
            workspace.read(event(user, False, 5, audience="trial") for user in users)
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "removes all", "Type “shoppers” to continue")
        await pilot.press(*"shoppers", "enter")
        again, jobs = "Type “remove” to continue", services(pilot).jobs
        await until(pilot, lambda: again in picture(pilot) or jobs.sync is not None)
        assert jobs.sync is None
        await pilot.press(*"remove", "enter")
        await until(pilot, lambda: jobs.sync is not None)


async def test_a_name_with_a_dash_that_keyboards_lack_can_be_typed(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*(f"u-{n}" for n in range(10)))
        change(
            workspace.ledger,
            workspace.connection,
            workspace.audience(),
            SettingsChange(cohort_name="Risk – “CS”"),
        )
        await workspace.sync()
        workspace.leave(*(f"u-{n}" for n in range(8)), at=5)
    async with harness.open() as pilot:
        await open_plan(pilot, "removes most")
        await pilot.press("y")
        await until_shown(
            pilot, "Type “Risk – “CS”” to continue (a plain hyphen or quote will do):"
        )
        await pilot.press(*'risk - "cs"')
        await until_shown(pilot, "It does not match yet: capitals count.")
        await pilot.press("ctrl+u")
        await pilot.press(*'Risk - "C', "enter")
        await until_shown(pilot, "It does not match yet.", "\n Esc Cancel")
        await pilot.press(*'S"')
        await until_shown(pilot, "It matches.", "Enter Remove 8")
        await pilot.press("enter")
        await until_shown(pilot, "→ 8 removed in")


async def test_a_plan_that_removes_all_members_says_so_with_who_enters(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*(f"u-{n}" for n in range(10)))
        await workspace.sync()
        workspace.leave(*(f"u-{n}" for n in range(10)), at=5)
        workspace.enter("u-new", at=5)
    async with harness.open() as pilot:
        await open_plan(pilot, "removes all 10 cohort members", "▲ removes all")
        await pilot.press("y")
        await until_shown(pilot, "Remove all members?")
        await until_shown(pilot, "Removes all 10 cohort members from “shoppers” and adds 1 user.")


async def test_after_a_switch_the_plan_says_whose_members_go_and_that_they_go_first(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    with harness.workspace(connection) as workspace:
        workspace.map_amplitude_ids()
        workspace.read(event(f"u-{n}", True, traits={"amplitude_id": 1000 + n}) for n in range(4))
        await workspace.sync()
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    async with harness.open() as pilot:
        await open_plan(pilot, "removes all 4 cohort members delivered by User ID")
        adds = "adds 4 users by Amplitude ID"
        for panel in ("#of-audience", "#concerns"):
            assert adds in str(pilot.app.screen.query_one(panel, Static).content)
        await pilot.press("y")
        await until_shown(pilot, "Removals are sent first", adds)
        assert "check the events" not in picture(pilot)


async def test_of_a_cohort_of_others_the_question_says_that_their_users_stay(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        cohort = workspace.simulator.world.create_cohort("Handmade", "ana@acme.example")
        workspace.enter("u-1", "u-2")
        workspace.change(SettingsChange(cohort_id=cohort.id, linked_name="Handmade"))
        await workspace.sync()
        workspace.leave("u-1", "u-2", at=5)
    async with harness.open() as pilot:
        await open_plan(pilot, "removes all 2 cohort members known to the ledger")
        await pilot.press("y")
        await until_shown(pilot, "Remove all delivered members?", "did not add stay in it.")


async def test_a_plan_names_the_other_audience_with_the_key_of_a_new_cohort(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.read([event("u-1", True, personas={"computation_id": "aud_2"})])
    async with harness.open() as pilot:
        await until_shown(pilot, "same key", "link a cohort instead")  # in the detail of home
        await pilot.press("s")
        same_key = "“shoppers (aud_shoppers)” has the same key but another computation ID"
        await until_shown(pilot, "creates a cohort", same_key, "l Link")
        await pilot.press("l")
        await until_shown(pilot, "to a cohort", "Linked to")


async def test_read_only_dims_sending_and_says_why(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await open_plan(pilot, "adds 1 user", "READ-ONLY", "was started with --read-only.")
        assert pilot.app.screen.check_action("send", ()) is None

        await pilot.press("y")
        await until_notified(pilot, "amp-console was started with --read-only.")
        await pilot.press("enter")

        assert services(pilot).jobs.sync is None


async def test_a_second_sync_is_refused_and_the_first_one_offered(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1") as (pilot, gate):
        first = services(pilot).jobs.sync
        await pilot.press("escape")
        await open_plan(pilot, "Adds 1 user")
        await pilot.press("y")
        await until_shown(pilot, "A sync is running", "one sync at a time")
        await pilot.press("y")
        await until_on(pilot, RunScreen)

        assert services(pilot).jobs.sync is first
        gate.open()
        await until_shown(pilot, "All changes to shoppers were delivered.")


async def test_an_obstacle_is_said_and_nothing_can_be_sent(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        cohort_id = workspace.audience().cohort_id
        assert cohort_id is not None
        simulator.world.drop_cohort(cohort_id)
        workspace.enter("u-2", at=5)
        await workspace.sync()
    async with harness.open() as pilot:
        await open_plan(
            pilot,
            "Sync shoppers: can't run ",
            "Nothing can be sent: 1 change stays pending.",
            "✖ can't be sent",
            " l Link  Enter Users ",
            "Esc Cancel  ^p Commands",
        )
        assert "Before you send" not in picture(pilot)
        await until_shown(pilot, f"Amplitude has no cohort {cohort_id} anymore")
        await pilot.press("y")
        assert services(pilot).jobs.sync is None
        await pilot.press("l")
        await until_shown(pilot, "Link shoppers to a cohort")


async def test_what_an_operator_has_to_read_comes_first_in_a_plan(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for audience in ("a-routine", "b-idle", "d-emptied", "e-gone"):
            workspace.read(event(f"u{n}", True, audience=audience) for n in range(3))
        await workspace.sync()
        simulator.world.drop_cohort(workspace.audience("e-gone").cohort_id or "")
        workspace.read([event("u4", True, 5, audience="e-gone")])
        await workspace.sync()
        workspace.read([event("u4", True, 5, audience="a-routine")])
        workspace.read(event(f"u{n}", False, 5, audience="d-emptied") for n in range(3))
        workspace.read([event("u1", True, audience="c-new")])
    async with harness.open() as pilot:
        await until_shown(pilot, "a-routine")
        await pilot.press("S")
        await until_shown(pilot, "Before you send", "▸ e-gone", "l Link")
        shown = picture(pilot)
        rows = [shown.index(f"{name} ") for name in ("e-gone", "d-emptied", "c-new", "a-routine")]
        assert rows == sorted(rows)
        assert shown.index("b-idle ") > rows[-1]
        await pilot.press("j")
        await until_gone(pilot, "l Link")


async def test_enter_shows_the_users_of_a_plan_on_a_small_terminal_too(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
    async with harness.open(size=(80, 24)) as pilot:
        await open_plan(pilot, "Creates 1 cohort")
        await pilot.press("enter")
        await until_shown(pilot, "Who: shoppers", "─ 2 to add ─", "▸ +  u-1")
        await pilot.press("escape")
        await until_shown(pilot, "Before you send")
        assert isinstance(pilot.app.screen, PlanScreen)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)


async def test_the_people_of_a_plan_are_named_and_enter_opens_one(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.leave("u-1", at=5)
        workspace.enter("u-2", at=5)
    async with harness.open() as pilot:
        await open_plan(pilot, "─ Who: shoppers ─", "−  u-1", "+  u-2", "1 to add, 1 to remove")
        shown = picture(pilot)
        assert shown.index("+  u-2") < shown.index("−  u-1")
        await pilot.press("enter", "enter")  # the list of users begins with the first of them
        await until_on(pilot, PersonScreen)
        await until_shown(pilot, "Found in 1 audience")
        assert services(pilot).jobs.sync is None


async def test_a_key_that_repeats_does_not_send_the_plan_it_has_opened(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    seconds = [0.0]
    timing = replace(harness.environment.timing, monotonic=lambda: seconds[0])
    harness.environment = replace(harness.environment, timing=timing, confirm_after=0.4)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "pending")
        await pilot.press("S")
        await until_shown(pilot, "Before you send")
        plan = pilot.app.screen
        assert isinstance(plan, PlanScreen)
        await until(pilot, lambda: plan._plan is not None)
        await pilot.press("enter", "y")
        await until_shown(
            pilot, "The plan had only just appeared, so nothing was sent.", "Press y again"
        )
        assert services(pilot).jobs.sync is None
        seconds[0] = 0.5
        await pilot.press("y")
        await until(pilot, lambda: services(pilot).jobs.sync is not None)


async def test_a_plan_that_is_still_being_read_is_not_sent_and_its_key_says_why(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS)
        why = "Nothing was sent: the plan is still being read."
        with blocked_reads(pilot):
            await pilot.press("S")
            await until_on(pilot, PlanScreen)
            await pilot.press("y")
            await until_notified(pilot, why)
        await until_shown(pilot, "Before you send", why)
        assert services(pilot).jobs.sync is None


async def test_what_an_obstacle_keeps_back_is_counted_as_home_and_the_run_count_it(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        simulator.world.drop_cohort(workspace.audience().cohort_id or "")
        workspace.enter("u-2", at=5)
        await workspace.sync()
        workspace.read([event("u-1", True, audience="trial")])
    async with harness.open() as pilot:
        await open_plan(
            pilot,
            "Creates 1 cohort and adds 1 user",
            "(at least 2 requests). 1 user can't be sent.",
        )
        await until_shown(pilot, "Sync 2 audiences: 1 of 2 changes ")
        await pilot.press("y")
        await until_shown(pilot, "2 to deliver = 1 pending")
        await pilot.press("1")
        await until_shown(pilot, "1 change pending")


async def test_a_plan_that_is_read_keeps_its_numbers(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("u-2")
        async with harness.open() as pilot:
            await open_plan(pilot, "Sync shoppers: 1 change ", "Adds 1 user (at least 1 request")
            workspace.enter("u-3", "u-4")
            await until_shown(
                pilot,
                "Adds 1 user (at least 1 request",
                "2 more changes have arrived since; sending includes them.",
                "Press u to update the plan.",
            )
            await pilot.press("u")
            await until_shown(pilot, "Adds 3 users", "Sync shoppers: 3 changes ")
            await until_gone(pilot, "to update the plan")


async def test_a_plan_that_is_sent_with_more_changes_counts_them(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("u-2")
        async with harness.open() as pilot:
            await open_plan(pilot, "Adds 1 user")
            workspace.enter("u-3")
            await until_shown(pilot, "1 more change has arrived since; sending includes it.")
            await pilot.press("y")
            await until_shown(pilot, "All changes to shoppers were delivered.")
            sync = services(pilot).jobs.sync
            assert sync is not None
            assert sync.operation.planned == 1
            await until_shown(
                pilot,
                "All changes to shoppers were delivered.",
                "2/2",
                "1 more change than planned",
            )


async def test_a_plan_that_does_something_else_by_now_is_shown_again(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1", "u-2", "u-3")
        await workspace.sync()
        workspace.leave("u-1", at=5)
        async with harness.open() as pilot:
            await open_plan(pilot, "Removes 1 user")
            workspace.leave("u-2", at=6)
            await until_shown(pilot, "Removes 2 users", "removes most")


async def test_f_opens_the_person_under_the_cursor_and_esc_comes_back_to_the_plan(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
    async with harness.open(size=(160, 40)) as pilot:
        await open_plan(pilot, "─ 2 to add ─")
        plan = pilot.app.screen
        await pilot.press("enter", "home", "f")
        await until_shown(pilot, "Found in 1 audience", "u-1")
        await pilot.press("escape")
        await until_shown(pilot, "Before you send")
        assert pilot.app.screen is plan


async def test_what_is_said_of_an_audience_has_room_in_a_small_terminal(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    kinds = ("newsletter", "shoppers", "lapsed", "churners", "abandoners", "trial")
    names = [f"people_of_the_{kind}_who_came_in_from_the_first_form" for kind in kinds]
    with harness.workspace(connection) as workspace:
        for name in names:
            workspace.read(event(f"u-{n}", True, audience=name) for n in range(40))
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "people_of_the_trial")
        await pilot.press("S")
        await until_shown(pilot, "creates a cohort")
        with harness.workspace(connection) as workspace:
            workspace.read([event("u-99", True, audience=names[0])])
        await until_shown(pilot, "1 more change has arrived")
        await until_said(pilot, "matched by User ID.")
