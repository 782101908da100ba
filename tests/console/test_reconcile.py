"""Reconciling in the console: seeing how a cohort differs, who it is, and putting it right."""

import asyncio
import csv
import dataclasses
import re
import threading
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from amp_console.connections import Connection
from amp_console.console import LaunchOptions
from amp_console.console.glyphs import PLAIN
from amp_console.console.jobs.reconcile import CompareOperation
from amp_console.console.routes import OpenReconcile, OpenReconcileAll
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.reconcile.choice import ChoiceDialog
from amp_console.console.screens.reconcile.reasons import BUSY
from amp_console.console.screens.reconcile.repair import NOTHING_LEFT, start
from amp_console.console.screens.reconcile.rows import KINDS, Parts, headline, shares, verdict
from amp_console.console.screens.reconcile.view import EARLIER, PRUNED, ReconcileScreen
from amp_console.console.widgets.grid import Cell, Grid, Row
from amp_console.console.widgets.grid.columns import ColumnLayout
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.cohorts import break_link
from amp_console.ledger.comparisons import KEPT, Comparison, DifferenceKind, Resolved
from amp_console.ledger.runs import RunKind, all_runs
from amp_console.simulator import Answer, Behavior, Call, Cut, Rule, Simulator, Slow
from amp_console.values import IdType, now_in_microseconds
from tests.console.gate import gate_sleeps
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_picture,
    until_said,
    until_shown,
)
from tests.console.sample_audiences import sync
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio

USERS = [f"u{n:02}" for n in range(20)]
NASTY = ("[red]", "[/foo]", "emoji😀", "عربي", "tab\there", "x" * 300)


def drifted(
    harness: ConsoleHarness,
    out: tuple[str, ...] = ("u00", "u01"),
    into: tuple[str, ...] = ("stranger",),
) -> Connection:
    """An audience that was delivered, and whose cohort has been changed since."""
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.timing = dataclasses.replace(workspace.timing, now=lambda: NOW - 1)
        workspace.enter(*USERS)
        sync(workspace)
        workspace.remove_in_amplitude(*out)
        workspace.add_in_amplitude(*into)
    return connection


async def compare(pilot: Pilot[None]) -> None:
    await until_shown(pilot, "shoppers")
    await pilot.press("r")
    await until_shown(pilot, "Not compared yet.")
    await pilot.press("r")
    await until_over(pilot)


async def compare_with(pilot: Pilot[None], file: Path) -> None:
    """Ask for a comparison with a list."""
    await until_shown(pilot, "shoppers")
    await pilot.press("r")
    await until_shown(pilot, "Not compared yet.")
    await pilot.press("L")
    await name_list(pilot, file)


async def name_list(pilot: Pilot[None], file: Path) -> None:
    """Enter the path of a list."""
    await until_shown(pilot, "List to compare with")
    pilot.app.screen.query_one(Input).value = str(file)
    await pilot.press("enter")


async def until_over(pilot: Pilot[None]) -> None:
    """Wait until the last job is over, and its result shown."""
    app = console(pilot)
    await until(
        pilot,
        lambda: app.services.jobs.reconciling is not None and app.services.jobs.reconciling.is_over,
    )
    await until(pilot, lambda: all(worker.is_finished for worker in app.workers))
    await pilot.pause()


def cohort(harness: ConsoleHarness) -> set[str]:
    world = harness.simulator.world
    return world.members(world.cohort_named("shoppers").id)


async def test_a_cohort_is_compared_and_repaired(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(
            pilot,
            "different",
            "20 in the audience, 19 in the cohort.",
            "2 missing from the cohort: delivered earlier.",
            "1 extra in the cohort: never in the audience.",
            "2 of 3 differences are pending now",
            "1 of 500 downloads used",
            "u00",
        )
        assert cohort(harness) == {*USERS[2:], "stranger"}
        await pilot.press("p")
        await until_shown(pilot, "Add 2 missing", "Remove 1 extra")
        await until_shown(pilot, "Comparing again uses 1 more download: 1 of 500")
        await until_shown(
            pilot, "Enter Add and remove", "space Compare again: no  ↑↓ Choose  Esc Cancel"
        )
        await pilot.press("space")
        await until_shown(pilot, "afterwards: yes [space]")
        assert isinstance(pilot.app.screen, ChoiceDialog)
        labels = [key.label for key in pilot.app.screen.footer_keys()]
        assert labels[-3:] == ["Compare again: yes", "Choose", "Cancel"]
        await pilot.press("enter")
        await until_shown(pilot, "Adds 2 users to “shoppers” and removes 1 user from it.")
        await until_shown(pilot, "a colleague")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(
            pilot, "same", "2 added, 1 removed. Compared again: same.", "No differences"
        )
        assert cohort(harness) == set(USERS)
        kinds = [run.kind for run in await services(pilot).session.read(all_runs)]  # type: ignore[union-attr]
        assert kinds == [RunKind.REPAIR, RunKind.COMPARE, RunKind.SYNC]


async def test_after_a_comparison_every_place_says_the_same_numbers(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open(size=(160, 40)) as pilot:
        await compare(pilot)
        await until_shown(pilot, "2 of 3 differences are pending now", "(t under Audiences)")
        await pilot.press("1")
        await until_shown(
            pilot,
            "1 with differing users",
            "▲ 3 differ  ◐ 2 pending",
            "run 2: 3 users differed (2 made",
            "the oldest event",
        )


async def test_amplitudes_size_is_beside_what_was_delivered_before_a_comparison(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("u")
        await until_shown(pilot, "▲ 1 fewer in Amplitude")
        await pilot.press("r")
        await until_shown(pilot, "20 by our ledger, 19 in Amplitude, read just now")


async def test_who_is_pending_is_no_difference(harness: ConsoleHarness) -> None:
    connection = drifted(harness, out=(), into=())
    with harness.workspace(connection) as workspace:
        workspace.read([event(f"new-{n}", True, 90, audience="shoppers") for n in range(3)])
        workspace.read([event(USERS[0], False, 91, audience="shoppers")])
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(
            pilot,
            "◐ as expected, 4 pending  22 in the audience, 20 in the cohort.",
            "4 pending: not yet sent. The next sync, or a repair, adds 3 and removes 1.",
            "0 missing",
            "0 extra   ▒ 4 pending: not yet sent",
            "█▒▒",
            "4 people",
            "new-0",
            "to add",
            "to remove",
        )
        await until_gone(pilot, "Missing from the cohort")
        await pilot.press("p")
        await until_shown(pilot, "4 changes not sent yet: the next sync or live session sends them")
        await until_shown(pilot, "Add 3 users", "Remove 1 user")
        await pilot.press("escape")
        await until_on(pilot, ReconcileScreen)
        with harness.workspace(connection) as workspace:
            sync(workspace)
        await until_shown(pilot, "4 sent")
        await pilot.press("3")
        await until_shown(pilot, "compare", "same")
        await until_gone(pilot, "different")


async def test_what_comparing_makes_pending_is_said_before_and_after(
    harness: ConsoleHarness,
) -> None:
    connection = drifted(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        # The line about downloads, where a job shows its progress, comes last.
        await until_shown(pilot, "corrects what amp-console believes", "of 500 downloads used")
        await pilot.press("r")
        await until_over(pilot)
        await until_shown(pilot, "2 of 3 differences are pending now", "u00")
        await pilot.press("p")
        await until_shown(pilot, "2 of 3 differences are pending already", "or without a repair.")
        await until_shown(
            pilot, "Enter Add and remove  space Compare again: no  ↑↓ Choose  Esc Cancel"
        )
        await pilot.press("escape")
        with harness.workspace(connection) as workspace:
            sync(workspace)
        await until_shown(pilot, "2 of 3 differences were repaired since.")
        await until_gone(pilot, "pending now")
        await pilot.press("p")
        await until_shown(pilot, "Remove 1 extra")
        assert "missing" not in picture(pilot).split("Repair: shoppers")[1].split("Cancel")[0]


async def test_who_is_missing_because_amplitude_rejected_them_leads_to_the_reason(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter(*USERS, "ghost-1")
        sync(workspace)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(
            pilot,
            "as expected, 1 rejected",
            "1 rejected by Amplitude, so not in the cohort.",
            "ghost-1",
        )
        await until_gone(pilot, "Missing from the cohort")
        await pilot.press("p")
        await until_shown(pilot, "A repair tries again to add 1 rejected user.", "Add 1 user")
        await pilot.press("escape", "x")
        await until_shown(pilot, "Amplitude did not know", "ghost-1")


async def test_only_the_marked_people_are_repaired(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(pilot, "u01")
        await pilot.press("enter", "j", "space")
        await until_shown(pilot, "1 marked")
        await pilot.press("p")
        await until_shown(pilot, "Only the marked people.")
        assert isinstance(pilot.app.screen, ChoiceDialog)
        assert not pilot.app.screen.query("#both, #remove")
        await pilot.press("enter")
        await until_shown(pilot, "Adds 1 user to “shoppers”.")
        await pilot.press("y")
        await until_over(pilot)
        assert cohort(harness) == {*USERS[1:], "stranger"}
        await until_shown(pilot, "1 of 3 differences was repaired since.", "repaired")


async def test_what_a_repair_has_sent_is_repaired_once_amplitude_confirms_it(
    tmp_path: Path,
) -> None:
    is_answered = threading.Event()

    async def hold(_: float) -> None:
        await asyncio.to_thread(is_answered.wait)

    with Simulator(sleep=hold) as simulator:
        harness = ConsoleHarness(tmp_path / "harness", simulator)
        drifted(harness)
        async with harness.open() as pilot:
            await compare(pilot)
            additions = Rule(Slow(1), calls=frozenset({Call.MEMBERSHIP}), every=2, times=1)
            simulator.faults.set([additions])  # the removal is sent first
            await pilot.press("p")
            await until_shown(pilot, "Add 2 and remove 1")
            await pilot.press("enter")
            await until_shown(pilot, "Repair “shoppers”?")
            await pilot.press("y")
            try:
                await until_shown(
                    pilot,
                    "adding 2",
                    "A repair is running: 1 of 3 differences repaired so far.",
                    "» repairing  When compared: 20 in the audience, 19 in the cohort.",
                    "2 still missing   █ 18 in both   ▓ 0 still extra",
                )
                assert "1/3" not in picture(pilot)
                assert "p Repair" not in picture(pilot)
                assert "again to be sure" not in picture(pilot)
                assert "pending now" not in picture(pilot)
            finally:
                is_answered.set()
            await until_over(pilot)
            await until_shown(pilot, "3 of 3 differences were repaired since.", "● repaired")
            await until_shown(pilot, "0 still missing   █ 20 in both by now   ▓ 0 still extra")
            await until_gone(pilot, "A repair removes them")
            await until_shown(pilot, "When compared: 20 in the audience, 19 in the cohort.")
            await until_gone(pilot, "p Repair")
            await pilot.press("p")
            await until_notified(pilot, NOTHING_LEFT)


async def test_a_large_removal_wants_the_name_typed(harness: ConsoleHarness) -> None:
    drifted(harness, into=tuple(f"s{n}" for n in range(9)))
    async with harness.open() as pilot:
        await compare(pilot)
        await pilot.press("p")
        await until_shown(pilot, "Remove 9 extra")
        await pilot.press("down", "down", "enter")
        await until_shown(pilot, "removes 9 of 27 cohort members", "Type “shoppers” to continue")
        await pilot.press("enter")  # cancel has the focus
        await until_on(pilot, ReconcileScreen)
        await pilot.press("p")
        await until_shown(pilot, "Remove 9 extra")
        await pilot.press("down", "down", "enter")
        await until_shown(pilot, "Type “shoppers” to continue")
        await pilot.press(*"shopper", "enter")
        assert pilot.app.screen.query_one("#typed", Input).value == "shopper"
        await pilot.press("s", "enter")
        await until_over(pilot)
        assert cohort(harness) == set(USERS[2:])


async def test_leaving_a_dialog_sends_nothing(harness: ConsoleHarness) -> None:
    drifted(harness)
    before = cohort(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await pilot.press("p")
        await until_shown(pilot, "Add 2 and remove 1")
        await pilot.press("escape")
        await pilot.press("p")
        await until_shown(pilot, "Add 2 and remove 1")
        await pilot.press("enter")
        await until_shown(pilot, "and removes")
        await pilot.press("n")
        await pilot.pause()
    assert cohort(harness) == before


async def test_a_repair_is_chosen_without_a_letter_that_means_something_else_below(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    before = cohort(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await pilot.press("p")
        await until_shown(pilot, "Enter Add and remove")
        await pilot.press(*"abruv")
        assert isinstance(pilot.app.screen, ChoiceDialog)
        await until_shown(pilot, "afterwards: no")
        await pilot.press("down")
        await until_shown(pilot, "Enter Add  ")
        await pilot.press("down")
        await until_shown(pilot, "y/Enter Remove  ")
        await pilot.press("y")
        await until_shown(
            pilot, "Removes 1 user from “shoppers”.", "y Send 1 request  Esc/Enter Cancel"
        )
        await pilot.press("enter")
        await until_on(pilot, ReconcileScreen)
        assert cohort(harness) == before


async def test_a_comparison_is_there_after_a_restart(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "2 missing", "1 extra", "u00")


async def test_a_comparison_that_is_shown_is_replaced_only_once_that_is_confirmed(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(pilot, "2 missing", "1 of 500 downloads used")
        await pilot.press("r")
        await until_shown(pilot, "Compare again?", "This uses 1 more download: 1 of 500")
        await until_shown(pilot, "It replaces the comparison shown, which stays under Runs.")
        await pilot.press("escape")
        await until_on(pilot, ReconcileScreen)
        assert "1 of 500 downloads used" in picture(pilot)
        await pilot.press("L")
        await until_shown(pilot, "Comparing uses 1 download: 1 of 500")
        await pilot.press("escape")
        await until_on(pilot, ReconcileScreen)
        await pilot.press("r")
        await until_shown(pilot, "Compare again?")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "2 of 500 downloads used", "run 3")


async def test_no_number_of_downloads_is_shown_while_one_begins(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "downloads 0/500", "0 of 500 downloads used")
        seen = set[str]()
        figures, app = services(pilot).figures, services(pilot)

        def see(_: object) -> None:
            if app.jobs.reconciling is not None:
                seen.add(str(figures.quota))

        app.changes.subscribe(pilot.app.screen, see)
        await pilot.press("r")
        await until_over(pilot)
        await until_shown(pilot, "downloads 1/500", "1 of 500 downloads used")
        assert {text.partition(" ")[0] for text in seen} <= {"None", "1"}


async def test_a_broken_link_has_one_number_and_can_be_unlinked_for_what_it_is(
    harness: ConsoleHarness,
) -> None:
    connection = drifted(harness, out=(), into=())
    with harness.workspace(connection) as workspace:
        harness.simulator.world.drop_cohort(harness.simulator.world.cohort_named("shoppers").id)
        workspace.read([event(f"new-{n}", True, 90, audience="shoppers") for n in range(3)])
        sync(workspace)
    async with harness.open() as pilot:
        said = "no longer in Amplitude; it had 20 members by"
        await until_shown(pilot, "broken link", said)
        await pilot.press("r")
        await until_shown(pilot, "= 20 delivered to the cohort that is gone + 3 pending", said)
        await pilot.press("escape")
        await until_shown(pilot, "broken link")
        await pilot.press("e")
        await until_shown(pilot, "Unlink", said)
        await pilot.press("f4")
        await until_shown(pilot, "Amplitude no longer has this cohort, so nothing changes there.")
        await until_shown(pilot, "23 users, who are pending until then.")
        assert "stays in Amplitude" not in picture(pilot)
        await pilot.press("y")
        await until_notified(pilot, "is unlinked. The next sync creates a new cohort: s under")


async def test_a_list_is_compared_with(harness: ConsoleHarness) -> None:
    drifted(harness, out=(), into=())
    listed = harness.home / "list.txt"
    listed.write_text("".join(f"{user}\n" for user in USERS[1:]))
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "Not compared yet.")
        await pilot.press("L")
        await until_shown(pilot, "Compare with a list")
        await pilot.press(*str(listed), "enter")
        await until_over(pilot)
        await until_shown(pilot, "1 extra in the cohort: not in the list.", "list.txt")


async def test_a_list_that_cannot_be_read_is_reported(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "Not compared yet.")
        await pilot.press("L")
        await until_shown(pilot, "Compare with a list")
        await pilot.press(*"/nowhere.csv", "enter")
        await until_over(pilot)
        await until_shown(pilot, "/nowhere.csv does not exist.")
        assert (
            harness.simulator.world.size(harness.simulator.world.cohort_named("shoppers").id) == 19
        )


@pytest.mark.parametrize(
    ("behavior", "rules", "words"),
    [
        (Behavior(downloads_per_month=0), (), "This month's downloads are used up"),
        (None, (Rule(Answer(403), frozenset({Call.DOWNLOAD_START})),), "Amplitude refused the"),
        (None, (Rule(Answer(500), frozenset({Call.DOWNLOAD_STATUS})),), "Gave up after"),
        (None, (Rule(Cut(), frozenset({Call.DOWNLOAD_FILE})),), "Gave up after"),
    ],
)
async def test_what_keeps_a_cohort_from_being_read_is_reported(
    harness: ConsoleHarness, behavior: Behavior | None, rules: tuple[Rule, ...], words: str
) -> None:
    drifted(harness)
    if behavior is not None:
        harness.simulator.behavior = behavior
    harness.simulator.faults.set(rules)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_said(pilot, words)


async def test_a_comparison_can_be_cancelled(harness: ConsoleHarness) -> None:
    drifted(harness)
    harness.simulator.behavior = Behavior(job_polls=10_000)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "Not compared yet.")
        await pilot.press("r")
        await until_shown(pilot, "waiting for Amplitude's export", "Cancel", "» comparing")
        await pilot.press("c")
        await until_shown(pilot, "Cancel this comparison?", "y/Enter Cancel the comparison")
        await pilot.press("n")
        await until_on(pilot, ReconcileScreen)
        assert not services(pilot).jobs.reconciling.is_ending  # type: ignore[union-attr]
        await pilot.press("c")
        await until_shown(pilot, "Cancel this comparison?")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "Stopped; the rest stays pending.")
        harness.simulator.behavior = Behavior()
        await pilot.press("r")
        await until_over(pilot)
        await until_shown(pilot, "2 missing", "1 of 500 downloads used")


async def test_read_only_compares_and_says_why_nothing_is_repaired(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await compare(pilot)
        await until_shown(pilot, "2 missing")
        await pilot.press("p")
        await until_notified(pilot, "amp-console was started with --read-only.")


async def test_before_the_first_comparison_only_what_can_be_done_is_offered(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "Not compared yet.", "r Compare  L Compare with a list       ")
        assert "p Repair" not in picture(pilot)
        await pilot.press("p")
        await until_notified(pilot, "Compare first: press r.")
        await pilot.press("r")
        await until_over(pilot)
        shown = "r Compare  Enter People  p Repair  L Compare with a list"
        await until_shown(pilot, "2 missing", shown, "/ Filter")


async def test_keys_that_do_nothing_say_why(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*USERS)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("r")
        await until_shown(pilot, "It has no cohort, so there is nothing to compare.")
        await pilot.press("r", "p", "E")
        await until_notified(
            pilot, "It has no cohort: the next sync creates one.", "Compare first: press r."
        )


async def test_differences_are_written_into_a_file(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted(harness)
    monkeypatch.chdir(harness.home)
    async with harness.open() as pilot:
        await compare(pilot)
        await pilot.press("E")
        await until_shown(pilot, "Export the differences")
        await pilot.press("enter")
        await until_notified(pilot, "Wrote 3 rows to")
    with Path(harness.home / "differences.csv").open(newline="") as file:
        assert [row["identifier"] for row in csv.DictReader(file)] == ["u00", "u01", "stranger"]


async def test_hostile_identifiers_break_nothing(harness: ConsoleHarness) -> None:
    drifted(harness, into=NASTY)
    async with harness.open(size=(80, 24)) as pilot:
        await compare(pilot)
        await pilot.press("j", "enter")
        await until_shown(pilot, "[red]", "[/foo]")
        await pilot.press("G")
        await until_shown(pilot, "tab\\there")


async def test_a_person_leads_to_why(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(pilot, "u00")
        await pilot.press("enter", "enter")
        await until_shown(pilot, "u00", "the next sync adds them again")


async def test_people_are_filtered(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(pilot, "u00", "u01")
        await pilot.press("slash", *"01", "enter")
        await until(pilot, lambda: "1 person" in picture(pilot))
        assert len(pilot.app.screen.query_one("#people", Grid).rows) == 1


async def test_several_are_compared_and_repaired_together(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("shoppers", "tests"):
            workspace.read(event(user, True, audience=key) for user in USERS)
        sync(workspace)
        workspace.remove_in_amplitude("u00")
        workspace.add_in_amplitude("stranger", key="tests")
        workspace.enter("lonely")
    later = now_in_microseconds()  # than the syncs, so that sizes are newer
    timing = dataclasses.replace(harness.environment.timing, now=lambda: later)
    harness.environment = dataclasses.replace(harness.environment, timing=timing)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers", "tests")
        await pilot.press("a", "r")
        await until_shown(pilot, "not compared", "Comparing takes 2 downloads.")
        await services(pilot).figures.update_sizes()
        services(pilot).publish_ledger_change()
        sizes = re.compile("shoppers +— +[0-9]+ +— ")
        await until(pilot, lambda: sizes.search(picture(pilot)))
        await pilot.press("r")
        await until_shown(pilot, "Compare 2 audiences?", "This uses 2 of the month's downloads.")
        await pilot.press("y")
        await until_over(pilot)
        # One user was not sent yet, and the comparison found another one missing.
        both = re.compile("shoppers +21 +19 +1 +0 +2 .*▲ 1 difference ")
        await until_picture(pilot, lambda seen: "Extra  Pending" in seen and both.search(seen))
        await pilot.press("a", "p")
        await until_shown(pilot, "Add 2 users", "Remove 1 user")
        await until_shown(
            pilot,
            "1 change not sent yet",
            "1 of 2 differences is pending",
            "2 more downloads",
            "shoppers: add 2",
            "tests: remove 1",
            "asked again.",
        )
        await pilot.press("enter")
        await until_shown(pilot, "Repair 2 audiences?")
        await pilot.press("y")
        await until_over(pilot)
        everyone_is_in = re.compile("shoppers +21 +21 +0 +0 .*● repaired")
        await until_picture(pilot, everyone_is_in.search)
        await until_gone(pilot, "▲")
        assert cohort(harness) == {*USERS, "lonely"}


async def test_without_marks_a_repair_is_of_the_audience_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("shoppers", "tests"):
            workspace.read(event(user, True, audience=key) for user in USERS)
        sync(workspace)
        workspace.remove_in_amplitude("u00")
        workspace.add_in_amplitude("stranger", key="tests")
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers", "tests")
        await pilot.press("a", "r")
        await until_shown(pilot, "r Compare all 2", "Enter Details")
        await pilot.press("r")
        await until_shown(pilot, "Compare 2 audiences?")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "p Repair shoppers", "Enter Who differs")
        await pilot.press("j")
        await until_shown(pilot, "p Repair tests")
        await pilot.press("p")
        await until_shown(pilot, "Repair: tests", "Remove 1 extra")
        await pilot.press("enter")
        await until_shown(pilot, "Repair “tests”?")
        await pilot.press("y")
        await until_over(pilot)
        assert cohort(harness) == set(USERS) - {"u00"}, "shoppers stays as it was"
        await until_gone(pilot, "p Repair")
        await pilot.press("p")
        await until_notified(pilot, "Every difference that can be repaired is repaired.")
        await pilot.press("a")
        await until_shown(pilot, "r Compare 2 marked", "p Repair 2 marked")


def compared_with_differences() -> Comparison:
    return Comparison(
        id=1,
        run_id=1,
        audience_id=1,
        cohort_id="26umsb5",
        id_type=IdType.USER_ID,
        at=0,
        against=None,
        against_at=None,
        applies=None,
        in_audience=12,
        in_cohort=10,
        in_both=9,
        missing=3,
        missing_drifted=1,
        missing_rejected=0,
        has_left=0,
        strangers=1,
        cohort_no_id=0,
        audience_no_id=0,
        pending=2,
    )


def test_what_was_repaired_and_what_is_pending_still_are_both_said() -> None:
    compared = compared_with_differences()
    repaired = {DifferenceKind.MISSING: 1, DifferenceKind.STRANGER: 1}
    words = verdict(compared, Resolved(repaired, sent=0), PLAIN)
    assert words == ("◐ repaired, 2 pending", "warn")
    assert verdict(compared, Resolved(repaired, sent=2), PLAIN) == ("● repaired", "good")


def test_members_without_an_identifier_are_members_too() -> None:
    same = msgspec.structs.replace(
        compared_with_differences(), in_audience=9, in_cohort=9, missing=0, missing_drifted=0,
        strangers=0, pending=0, audience_no_id=3,
    )  # fmt: skip
    said = headline(same, None, PLAIN, 100).plain
    assert "same, 3 not comparable  12 in the audience, 9 in the cohort." in said
    assert "3 people in the audience without a User ID" in said


async def test_the_row_of_an_audience_and_its_detail_give_one_verdict(
    harness: ConsoleHarness,
) -> None:
    connection = drifted(harness, out=(), into=())
    with harness.workspace(connection) as workspace:
        workspace.read([event("new-1", True, 90, audience="shoppers")])
    async with harness.open(size=(160, 40)) as pilot:
        await compare(pilot)
        await until_shown(pilot, "◐ as expected, 1 pending")
        await pilot.press("1")
        await until_shown(pilot, "as expected, 1 pending then")
        services(pilot).navigate(OpenReconcileAll((1,)))
        await until_picture(pilot, lambda seen: seen.count("◐ as expected, 1 pending") == 2)
        with harness.workspace(connection) as workspace:
            sync(workspace)
        await until_picture(pilot, lambda seen: seen.count("● same, 1 sent since") == 2)
        await until_shown(
            pilot,
            "Pending when compared         1, all sent",
            "When compared: 21 in the",
            "21 in both by now",
            "Enter shows who they are.",
        )
        await until_gone(pilot, "as expected, 1 pending")
        assert "not yet sent" not in picture(pilot)
        services(pilot).navigate(OpenReconcile(1))
        await until_shown(pilot, "All were sent since.", "✔ added")
        assert "The next sync" not in picture(pilot)


async def test_a_first_comparison_under_way_is_not_called_missing(
    harness: ConsoleHarness,
) -> None:
    connection = drifted(harness)
    with harness.workspace(connection) as workspace:
        workspace.read([event("u1", True, audience="tests")])
        sync(workspace)
    gate = gate_sleeps(harness)
    harness.simulator.behavior = Behavior(job_polls=2)
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "shoppers", "tests")
        await pilot.press("a", "r")
        await until_shown(pilot, "not compared", "Not compared yet: press r.")
        await pilot.press("r")
        await until_shown(pilot, "Compare 2 audiences?")
        await pilot.press("y")
        await until_shown(pilot, "The first comparison is under way.")
        await until_gone(pilot, "ot compared yet")
        await pilot.press("enter")
        await until_shown(pilot, "Reconcile · shoppers", "The first comparison is under way.")
        await until_gone(pilot, "Not compared yet.")
        gate.open()
        await until_over(pilot)
        await until_shown(pilot, "20 in the audience")


async def test_an_incomplete_list_is_used_only_where_the_operator_insists(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    drifted(harness)
    file = tmp_path / "list.csv"
    file.write_text("user_id,city\n" + "".join(f"{user},Graz\n" for user in USERS) + ",Linz\n")
    async with harness.open() as pilot:
        await compare_with(pilot, file)
        await until_shown(pilot, "Compare with an incomplete list?", "1 row was refused")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "with list.csv")


async def test_of_an_incomplete_list_it_is_asked_once_and_nothing_begins_beside_another_comparison(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = drifted(harness)
    with harness.workspace(connection) as workspace:
        audience = workspace.audience()
    file = tmp_path / "list.csv"
    file.write_text("user_id,city\nu01,Graz\n,Linz\n")
    gate = gate_sleeps(harness)
    harness.simulator.behavior = Behavior(job_polls=2)
    async with harness.open() as pilot:
        await compare_with(pilot, file)
        await until_shown(pilot, "Compare with an incomplete list?")
        session = services(pilot).session
        assert session is not None
        start(services(pilot), session, CompareOperation([audience]))
        other = services(pilot).jobs.reconciling
        await pilot.press("y")
        await until_notified(pilot, BUSY)
        assert services(pilot).jobs.reconciling is other
        gate.open()
        await until_over(pilot)
        await pilot.press("L")
        await name_list(pilot, file)
        await until_shown(pilot, "Compare with an incomplete list?")
        await pilot.press("escape")
        await until_on(pilot, ReconcileScreen)
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await pilot.press("r")
        await until_on(pilot, ReconcileScreen)
        await pilot.pause()
        assert "Compare with an incomplete list?" not in picture(pilot)


async def test_a_list_that_shares_no_identifier_is_applied_once_its_name_is_typed(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    drifted(harness)
    before = cohort(harness)
    file = tmp_path / "strangers.txt"
    file.write_text("x-1\nx-2\n")
    async with harness.open() as pilot:
        await compare_with(pilot, file)
        await until_over(pilot)
        await until_shown(pilot, "with strangers.txt")
        await pilot.press("p")
        await until_shown(pilot, "Add 2 missing")
        await pilot.press("enter")
        await until_shown(pilot, "No identifier in strangers.txt occurs in the cohort")
        await until_shown(pilot, "Type “strangers.txt” to continue:")
        assert pilot.app.screen.query_one("#yes", Button).disabled
        assert cohort(harness) == before
        await pilot.press(*"strangers", "full_stop", *"txt", "enter")
        await until_over(pilot)
        await until(pilot, lambda: cohort(harness) == {"x-1", "x-2"})


async def test_a_past_comparison_is_found_among_the_runs(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await pilot.press("3")
        await until_shown(pilot, "compare", "different")
        await pilot.press("enter")
        await until_shown(pilot, "Comparison", "1 cohort compared: 3 users differ.")


async def test_runs_say_how_many_differed_in_a_comparison_and_lead_to_who(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open(size=(200, 40)) as pilot:
        await compare(pilot)
        await pilot.press("3")
        await until_shown(
            pilot,
            "▲ different",
            "3 users differ",
            "1 cohort compared: 3 users differ. Press d to see who.",
            "different: 2 missing, 1 extra",
        )
        await pilot.press("d")
        await until_on(pilot, ReconcileScreen)
        await until_shown(pilot, "run 2 · cohort", "u00", "u01")


async def test_an_earlier_comparison_is_shown_and_not_repaired(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open(size=(160, 40)) as pilot:
        await compare(pilot)
        await until_shown(pilot, "u00")
        await pilot.press("r", "y")
        await until_over(pilot)
        await until_shown(pilot, "run 3 · cohort")
        await pilot.press("3")
        await until_shown(pilot, "3 runs")
        await pilot.press("j")
        await until_shown(pilot, "─ Comparison · 1 audience · run 2 ─")
        await pilot.press("d")
        await until_shown(pilot, "run 2 · cohort", "This is an earlier comparison.")
        await pilot.press("p")
        await until_notified(pilot, "This is an earlier comparison.")
        assert isinstance(pilot.app.screen, ReconcileScreen)


async def test_of_a_comparison_long_ago_the_numbers_are_kept_and_not_who_it_was(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(drifted(harness)) as workspace:
        for _ in range(KEPT + 1):
            await workspace.compare()
    async with harness.open(size=(250, 40)) as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("3")
        await until_shown(pilot, f"{KEPT + 2} runs")
        await pilot.press("G", "k")
        await until_shown(pilot, "─ Comparison · 1 audience · run 2 ─", "3 users differ")
        await until_gone(pilot, "0 read")
        await pilot.press("d")
        await until_shown(pilot, "2 missing", "Who differed is kept")


async def test_the_comparison_after_a_repair_is_found_in_runs_and_for_the_person(
    harness: ConsoleHarness,
) -> None:
    drifted(harness)
    async with harness.open(size=(200, 50)) as pilot:
        await compare(pilot)
        await pilot.press("p")
        await until_shown(pilot, "Enter Add and remove")
        await pilot.press("space")
        await until_shown(pilot, "afterwards: yes [space]")
        await pilot.press("enter")
        await until_shown(pilot, "Adds 2 users", "compares again, which uses 1 more download.")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "ompared again: ")
        await pilot.press("3")
        await until_shown(
            pilot,
            "repaired",
            "1 cohort compared again after the repair: no user differs.",
            "done; compared again: same",
        )
        await pilot.press("d")
        await until_shown(pilot, "run 3 · cohort", "No differences")
        await pilot.press("escape")
        await until_shown(pilot, "3 runs")
        await pilot.press("f", *"u00", "enter")
        await until_shown(
            pilot, "run 3: no difference", "run 2: missing from the cohort", "In the cohort:"
        )


async def test_a_comparison_is_no_sync_of_the_audience(harness: ConsoleHarness) -> None:
    drifted(harness)
    async with harness.open(size=(200, 50)) as pilot:
        await compare(pilot)
        await pilot.press("1")
        await until_shown(pilot, "Last sync", "compared    just now, run 2: 3 users differed")
        await until_gone(pilot, "run 2  ")
        session = services(pilot).session
        assert session is not None
        (known,) = await session.read(all_audiences)
        last = await session.read(all_runs)
        assert known.last_sync_at == last[1].ended_at


async def test_a_cohort_that_is_gone_costs_no_download(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("shoppers", "tests"):
            workspace.read(event(user, True, audience=key) for user in USERS)
        sync(workspace)
        workspace.ledger.write(break_link, workspace.audience("tests").id, "Amplitude has none.")
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "tests")
        await pilot.press("a", "r")
        await until_shown(pilot, "Comparing takes 1 download.", "✖ broken link")
        await pilot.press("r")
        await until_shown(pilot, "Compare 1 audience?", "This uses 1 of the month's downloads.")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "● same", "1 of 500 downloads used")
        await pilot.press("escape", "3")
        await until_shown(pilot, "● same")


@pytest.mark.parametrize(
    "counts", [(1, 10**6, 1), (5, 5, 5), (0, 7, 0), (9, 0, 1), (0, 0, 0), (0, 9, 0, 1)]
)
def test_the_bar_has_its_width_and_shows_every_group_with_people(
    counts: tuple[int, ...],
) -> None:
    parts = shares(Parts(*counts), 60)
    assert sum(parts) == 60
    assert all(part > 0 for part, count in zip(parts, Parts(*counts), strict=True) if count)


@pytest.mark.parametrize("width", [40, 76])
def test_what_a_difference_means_is_read_whole(width: int) -> None:
    """Most importantly, that a repair removes users."""
    cells = (
        "Extra: never in the audience",
        "37",
        "",
        "No events: a repair removes them.",
    )
    layout = ColumnLayout(KINDS)
    layout.measure([Row(1, tuple(map(Cell, cells)))])
    shown = {KINDS[item.at].label: item.width for item in layout.fit(width)}
    assert ("" in shown) is (width == 76)
    assert shown.get("", 99) >= len(cells[-1])
    assert shown["Difference"] >= len(cells[0])


def test_sentences_about_a_comparison_are_broken_beside_their_sign() -> None:
    found = headline(compared_with_differences(), None, PLAIN, 40).plain.splitlines()
    assert len(found) > 3
    assert {line[:4].strip() for line in found[1:]} == {"→", ""}


async def test_a_list_that_only_the_ledger_disagrees_with_is_followed_by_a_repair(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    drifted(harness, out=("u00",), into=("brand-new",))
    file = tmp_path / "list.txt"
    file.write_text("".join(f"{user}\n" for user in [*USERS[1:], "brand-new"]))
    before = cohort(harness)
    async with harness.open() as pilot:
        await compare_with(pilot, file)
        await until_over(pilot)
        await until_shown(pilot, "The ledger and the list disagree about 2 people", "p Repair")
        await pilot.press("p")
        await until_shown(pilot, "as the list says for 2 people that the", "Nothing is sent.")
        await until_shown(pilot, "Make the ledger follow the list", "Enter Follow the list")
        await pilot.press("enter")
        await until_shown(pilot, "Makes the ledger follow list.txt for 2 people")
        await pilot.press("y")
        await until_over(pilot)
        await until_shown(pilot, "Nothing was sent. The ledger follows the list now.")
        await until_shown(pilot, "follows the list now for 2 of the 2 people")
        await until_gone(pilot, "p Repair")
        assert cohort(harness) == before
        await pilot.press("1")
        await until_shown(pilot, "pending     none", "run 3       nothing to send")


async def test_marks_go_once_those_of_the_marked_audiences_that_can_be_are_compared(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("shoppers", "tests"):
            workspace.read(event(user, True, audience=key) for user in USERS)
        sync(workspace)
        workspace.read([event("u1", True, audience="unsent")])
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "shoppers", "tests", "unsent")
        await pilot.press("a")
        await until_shown(pilot, "s Sync 3 marked")
        await pilot.press("r")
        await until_shown(pilot, "r Compare all 2")
        await pilot.press("escape")
        await until_shown(pilot, "s Sync 3 marked")
        await pilot.press("r")
        await until_shown(pilot, "r Compare all 2")
        await pilot.press("r")
        await until_shown(
            pilot, "Compare 2 audiences?", "1 audience without a cohort in Amplitude can't be"
        )
        await pilot.press("y")
        await until_over(pilot)
        await pilot.press("1")
        await until_shown(pilot, "s Sync  ")
        await until_gone(pilot, "marked")


async def test_no_more_is_compared_than_was_confirmed(harness: ConsoleHarness) -> None:
    """A colleague has since given the third one a cohort; each uses one monthly download."""
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        for key in ("shoppers", "tests"):
            workspace.read(event(user, True, audience=key) for user in USERS)
        sync(workspace)
        workspace.read([event("u1", True, audience="unsent")])
    async with harness.open(size=(160, 40)) as pilot:
        await until_shown(pilot, "shoppers", "tests", "unsent")
        await pilot.press("a", "r")
        await until_shown(pilot, "r Compare all 2")
        await pilot.press("r")
        await until_shown(pilot, "Compare 2 audiences?")
        with harness.workspace(connection) as workspace:
            await workspace.sync()
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "Comparing takes 3 downloads.")
        await pilot.press("y")
        await until(pilot, lambda: services(pilot).jobs.reconciling)
        job = services(pilot).jobs.reconciling
        assert job is not None
        assert len(job.audience_ids) == 2
        await until_over(pilot)


async def test_a_comparison_that_is_pruned_while_it_is_shown_gives_way_to_the_last_one(
    harness: ConsoleHarness,
) -> None:
    connection = drifted(harness)
    async with harness.open() as pilot:
        await compare(pilot)
        await until_shown(pilot, "different")
        await pilot.press("r")
        await until_shown(pilot, "Compare again?")
        await pilot.press("y")
        await until_over(pilot)
        services(pilot).navigate(OpenReconcile(1, 1))
        await until_shown(pilot, EARLIER)
        with harness.workspace(connection) as workspace:
            workspace.ledger.write(
                lambda db: db.execute("DELETE FROM comparison WHERE id = 1").rowcount
            )
        services(pilot).publish_ledger_change()
        await until_notified(pilot, PRUNED)
        await until_shown(pilot, "run 3")
        await until_gone(pilot, EARLIER)
