import pytest

from amp_console.console.glyphs import PLAIN
from amp_console.console.screens.runs.list import row
from amp_console.console.screens.runs.view import RunScreen
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.split import Split
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.runs import RunKind, all_runs, begin_run
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call, Simulator
from amp_console.sync.delivery.retry import retry_these
from amp_console.values import IdType
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_on,
    until_shown,
)
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)])
async def test_runs_are_listed_with_what_they_did(
    harness: ConsoleHarness, simulator: Simulator, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
        await workspace.sync()
        workspace.enter("u-2", at=5)
        workspace.set_faults()
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        await workspace.sync()
    async with harness.open(size=size) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "▲ partial", "◐ incomplete", "2 runs", "· run 2")
        await until_shown(pilot, "Reason", "1 rejected", "1 pending:")

        await pilot.press("/", *"partial", "enter")
        await until_gone(pilot, "incomplete")
        await pilot.press("w")

        await until_shown(pilot, "run 1", "Delivered, except 1 rejected user.")
        assert isinstance(pilot.app.screen, RunScreen)


@pytest.mark.parametrize("size", [(80, 24), (130, 40)], ids=str)
async def test_a_run_says_how_many_it_added_and_removed_in_one_column(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
        await workspace.sync()
        workspace.leave("u-1", at=5)
        workspace.enter("u-3", "u-4", "u-5", at=5)
        await workspace.sync()
    async with harness.open(size=size) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "Changed", "+3 −1", "+2 ")


@pytest.mark.parametrize(
    ("size", "details"),
    [((80, 24), ("All changes to shoppers were delivered.",)), ((120, 36), ("Requests", "✔ 200"))],
    ids=["80x24", "120x36"],
)
async def test_many_runs_leave_room_for_the_one_under_the_cursor(
    harness: ConsoleHarness, size: tuple[int, int], details: tuple[str, ...]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for n in range(13):
            workspace.enter(f"u-{n}", at=n)
            await workspace.sync()
    async with harness.open(size=size) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "13 runs", "· run 13", *details)


async def test_beside_a_run_the_list_has_room_for_whole_reasons(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("u-2", at=5)
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        await workspace.sync()
    async with harness.open(size=(280, 45)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "▸   2", "1 pending: Gave up after 8 failures in a row. Amplitude")


async def test_a_run_of_many_audiences_has_its_whole_border_in_a_small_window(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for n in range(6):
            workspace.read([event("u-1", True, audience=f"audience-{n}")])
        await workspace.sync()
        for n in range(6):
            workspace.ledger.write(break_link, n + 1, "Amplitude has no cohort anymore. " * 5)
            workspace.read([event("u-2", True, 5, audience=f"audience-{n}")])
        for _ in range(8):
            await workspace.sync()
    async with harness.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "· run 9", "incomplete", "Audience  ")
        shown = picture(pilot).splitlines()
        assert shown[-2].startswith("╰") or shown[-3].startswith("╰")
        assert sum(line.startswith("│ ▹ audience") for line in shown) == 1


async def test_why_users_are_pending_is_read_whole_in_a_small_window(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        for _ in range(7):
            await workspace.sync()
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        workspace.enter("u-2", at=5)
        await workspace.sync()
    async with harness.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(
            pilot, "· run 8", "shoppers: Gave up after 8 failures", "Try again later."
        )


async def test_a_run_that_read_nothing_counts_no_events(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
        await workspace.sync()
        await workspace.sync()
    async with harness.open(size=(120, 36)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "run 2", "0 to deliver")
        assert "read for all audiences" not in picture(pilot)


async def test_a_run_tells_long_after_how_many_were_left_pending(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("u-2", "u-3", at=5)
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        await workspace.sync()
        simulator.faults.clear()
        await workspace.sync()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "3 runs")
        await pilot.press("down")
        await until_shown(pilot, "run 2", "Ended with 2 changes still pending.", "0/2")


async def test_a_run_whose_process_died_is_distinguished_from_one_that_continues(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        ledger = workspace.ledger
        with ledger.hold_run() as lock:
            ledger.write(begin_run, ReadCounts(), NOW - 60 * 1_000_000, lock)
        with ledger.hold_run() as lock:
            ledger.write(begin_run, ReadCounts(), NOW - 1_000_000, lock)
            async with harness.open(size=(80, 24)) as pilot:
                await until(pilot, lambda: services(pilot).session)
                await pilot.press("3")
                await until_shown(pilot, "interrupted", "running", "2 runs")
                await pilot.press("enter")
                await until_shown(pilot, "run 2", "Another amp-console (process", "is running it.")
                await pilot.press("escape")
                await until_shown(pilot, "2 runs")
                await pilot.press("down", "enter")
                await until_shown(pilot, "run 1", "Interrupted: its amp-console ended during")


async def test_without_room_for_the_run_one_key_opens_it(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
    async with harness.open(size=(80, 14)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "Enter Open", "1 run")
        assert pilot.app.screen.query_one(Split).is_alone
        assert "w Whole run" not in picture(pilot)


async def test_without_runs_it_says_what_to_do(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "No run yet.", "then s to sync one")

        await pilot.press("x")

        await until_shown(pilot, "There is no run here to open.")


async def test_of_the_users_that_a_run_rejected_it_says_how_many_still_are(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1", "ghost-2", "ghost-3")
        await workspace.sync()
        users = [(workspace.audience().id, IdType.USER_ID, "ghost-2")]
        retry_these(workspace.ledger, workspace.connection, users)
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(
            pilot,
            "Delivered, except 3 rejected users.",
            "Rejected by this run (3)",
            "1 more retried or changed since",
            "3 users were rejected; 1 has since been retried or changed: press x for the others.",
        )


async def test_the_run_under_the_cursor_is_shown_below_the_list(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
        await workspace.sync()
        workspace.enter("u-2", "u-3", at=5)
        await workspace.sync()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "2 runs", "─ Sync · 1 audience · run 2 ─", "2/2")
        await pilot.press("slash", *"partial", "enter", "j")
        await until_shown(pilot, "─ Sync · 1 audience · run 1 ─", "unknown to Amplitude")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.query_one("#bars").has_focus)
        await pilot.press("tab", "enter")
        await until_shown(pilot, "Request ", "memberships")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: pilot.app.screen.query_one("#list").has_focus)
        assert pilot.app.screen.query_one(FilterBar).value == "partial"
        await pilot.press("enter", "enter")
        await until_on(pilot, RunScreen)
        await pilot.press("escape")
        await until_shown(pilot, "2 runs", "─ Sync · 1 audience · run 1 ─")
        assert pilot.app.screen.query_one("#bars").has_focus


async def test_a_bar_has_the_same_width_whichever_run_was_shown_before(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.read([event("u-1", True, audience="high_value_shoppers")])
        await workspace.sync()
        workspace.read([event("u-2", True, audience="high_value_shoppers")])
        workspace.set_faults()
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        await workspace.sync()
    async with harness.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "· run 2 ", "0/1")  # its long words take room from its bar
        await pilot.press("j")
        await until_shown(pilot, "· run 1 ", "1/1")
        assert picture(pilot).count(PLAIN.full) == 8


async def test_a_comparison_counts_no_requests_as_it_sends_nothing(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        await workspace.compare()
        found = workspace.ledger.read(all_runs)
    requests = {run.kind: row(run, PLAIN, 0, is_shared=False).cells[-1].text for run in found}
    assert requests == {RunKind.SYNC: "2", RunKind.COMPARE: PLAIN.dash}


async def test_what_a_run_has_not_got_is_not_offered_and_its_key_says_why(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        await workspace.compare()
    async with harness.open() as pilot:
        await pilot.press("3")
        await until_shown(pilot, "d Who differs")
        await until_gone(pilot, "b Play back")
        await pilot.press("b")
        await until_shown(pilot, "Run 2 has sent no request")
        await pilot.press("x")
        await until_shown(pilot, "Run 2 left no user rejected.")
        await pilot.press("j")
        await until_shown(pilot, "b Play back")


async def test_a_repair_that_did_not_compare_again_says_what_the_size_tells(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
        await workspace.sync()
        for removed, others in (("u-1", ()), ("u-2", ("stranger",))):
            workspace.remove_in_amplitude(removed)
            found = await workspace.compare()
            workspace.add_in_amplitude(*others)
            await workspace.apply(found, verify=False)
    async with harness.open(size=(160, 45)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "the sizes differ: 2 expected, Amplitude says 3")
        await pilot.press("down", "down")
        await until_shown(pilot, "done; same size; compare again to be sure")


async def test_a_run_is_not_dealt_with_by_a_later_one_that_could_not_send_either(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        simulator.world.drop_cohort(str(workspace.audience().cohort_id))
        workspace.enter("u-2", at=5)
        await workspace.sync()
        await workspace.sync()
    async with harness.open(size=(160, 45)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3", "down")
        await until_shown(pilot, "· run 2", "shoppers: Amplitude has no cohort")
        assert "dealt with since" not in picture(pilot)


async def test_a_run_says_that_a_later_one_dealt_with_what_it_left(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("u-2", at=5)
        simulator.faults.add(Answer(500), Call.MEMBERSHIP)
        await workspace.sync()
        workspace.set_faults()
        await workspace.sync()
    async with harness.open(size=(160, 45)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, "· run 3")
        await pilot.press("down")
        await until_shown(pilot, "· run 2", "What it left pending has been dealt with since.")
        await pilot.press("down")
        await until_shown(pilot, "· run 1")
        await until_gone(pilot, "dealt with since")
