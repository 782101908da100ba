import asyncio
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console import LaunchOptions
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.runs.detail import NOT_COMPARED
from amp_console.console.screens.runs.panels import RequestsPanel
from amp_console.console.screens.runs.view import RunScreen
from amp_console.console.widgets.grid import Grid
from amp_console.ledger import open_ledger
from amp_console.ledger.counts import outstanding
from amp_console.ledger.leases import note_holder
from amp_console.ledger.runs import all_runs
from amp_console.simulator import Answer, Call, RefuseIds, Rule, Simulator
from tests.console.gate import blocked_reads, gate_sleeps, rate_limit, rate_limited_sync, start_sync
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
from tests.sync.workspace import event

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36)]
HOSTILE = ("[/foo]", "[red]alert", "\x1b[31mred\x07", "\u202eolleh", "👩‍👩‍👧 family", "n" * 300)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_ends_with_what_it_changed_and_what_to_look_at(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("ghost-1", *(f"u-{n}" for n in range(20)))
    async with harness.open(size=size) as pilot:
        await start_sync(
            pilot,
            "partial",
            "Delivered, except 1 rejected user.",
            "20 added in",
            "1 user was rejected: press x to see who and why.",
            "20/21",
            "done; 1 rejected",
        )
        await until_shown(pilot, "Rejected by this run (1)")
        await until_shown(pilot, "unknown to")


async def test_a_run_that_rejected_no_one_leads_to_who_is_rejected(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("ghost-1", "u-1")
        await workspace.sync()
        workspace.enter("u-2")
    async with harness.open() as pilot:
        await start_sync(
            pilot,
            "Everything that could be sent is delivered. Not sent: 1 user that earlier runs "
            "rejected.",
            "Errors lists",
            "who is left now.",
        )
        await pilot.press("x")
        await until_shown(pilot, "No user's last rejection was by this run.")
        await until_shown(pilot, "Press A to show 1 other user.")
        await pilot.press("A")
        await until_shown(pilot, "ghost-1")


async def test_the_funnel_counts_in_segments_words(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.read([event("u-1", True), event("ghost-1", True), {"type": "page"}])
    async with harness.open() as pilot:
        await start_sync(pilot, "partial")

        await until_shown(
            pilot,
            "events  3 read for all audiences since the last sync = 1 filtered + 0 invalid + ",
            "changes 2 to deliver = 0 pending + 0 pending retry + 1 rejected by this run + ",
        )


async def test_a_run_of_some_audiences_counts_no_events_of_others(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.read([event("u-1", True), event("u-2", True)])
        workspace.read([event("v-1", True, audience="others")])
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers", "▸ others")
        await pilot.press("down", "s")
        await until_shown(pilot, "Sync shoppers: 2 changes", "Before you send")
        await until(pilot, lambda: console(pilot).screen.check_action("send", ()))
        await pilot.press("y")
        await until_shown(pilot, "All changes to shoppers were delivered.")
        await until_shown(pilot, "changes 2 to deliver")
        assert "read for all audiences" not in picture(pilot)
        await pilot.press("3")
        await until_shown(pilot, "1 run", "changes 2 to deliver")
        assert "read for all audiences" not in picture(pilot)


async def test_a_run_of_several_audiences_counts_changes(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
        workspace.read([event("u-1", True, audience="others")])
    async with harness.open(size=(120, 36)) as pilot:
        await start_sync(pilot, "All changes to 2 audiences were delivered.")
        await until_shown(
            pilot, "3 read for all audiences since the last sync", "changes 3 to deliver = 0 pend"
        )


@pytest.mark.parametrize("size", SIZES)
async def test_users_in_parentheses_are_those_that_amplitude_refused(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.enter("bad-1", "u-2", at=5)
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad-1"}), named=True)))
        await workspace.sync()
    async with harness.open(LaunchOptions(run_id=2), size=size) as pilot:
        await until_shown(pilot, "✖ 400", "(n): not delivered, sent again later", "(+2)")
        await pilot.press("v")
        await until_shown(pilot, "✔ 200", "add", "(+2)")


async def test_a_rate_limit_is_counted_down_and_waited_out(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
    gate = gate_sleeps(harness)
    rate_limit(simulator, 12)
    async with harness.open() as pilot:
        await start_sync(pilot, "rate limited", "again in 1", " s (2nd")
        await until_shown(pilot, "running")
        await until_shown(pilot, "2 to deliver = 0 pending + 2 pending retry")
        await until_shown(pilot, "No one rejected so far.")

        gate.open()

        await until_shown(pilot, "All changes to shoppers were delivered.", "(1 retry)")
        await until_shown(pilot, "This run rejected no one.")


async def test_a_run_says_that_changes_arrived_after_its_plan(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
        workspace.leave("u-2", "u-3")
    gate = gate_sleeps(harness)
    rate_limit(simulator)
    async with harness.open() as pilot:
        await start_sync(pilot, "rate limited")
        with harness.workspace(connection) as workspace:
            workspace.files = 10
            workspace.enter("u-2", "u-3", at=5)
        gate.open()

        why = "2 more changes than planned: they arrived after the plan was made."
        await until_shown(pilot, why, "changes 3 to deliver = 0 pending")
        await pilot.press("3")
        await until_shown(pilot, "1 run", why)


async def test_users_that_a_request_did_not_deliver_are_in_parentheses(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2")
    async with harness.open() as pilot:
        await start_sync(pilot, "All changes to shoppers were delivered.")
        await until_shown(pilot, f"create{'(2)':>11}", f"add{'+2':>14}")
        await until_shown(pilot, "2 · (n): not delivered, sent again later")


@pytest.mark.parametrize("size", SIZES)
async def test_a_request_that_rejected_users_says_how_many(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("ghost-1", "ghost-2", "u-1")
        await workspace.sync()
    async with harness.open(LaunchOptions(run_id=1), size=size) as pilot:
        await until_picture(pilot, lambda shown: re.search(r"\+3 .*▲ 200 +2 ", shown))
        assert re.search(r"\(3\) .*✔ 200", picture(pilot))


async def test_a_run_is_paused_and_continues(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1") as (pilot, gate):
        await pilot.press("p")
        await until_shown(pilot, "paused  Nothing is sent. Press p to resume.", "0 of 1 changes")
        await until_gone(pilot, "again in")  # nothing is sent, however long the wait was

        gate.open()
        await pilot.pause()
        assert not _work(pilot).is_over
        await pilot.press("3")
        await until_shown(pilot, "◐ paused", "Nothing is sent. Press w, then p, to resume.")
        await pilot.press("p", "w")
        await until_on(pilot, RunScreen)
        await pilot.press("p")

        await until_shown(pilot, "All changes to shoppers were delivered.")


async def test_home_says_that_a_run_is_paused_with_its_numbers_and_what_is_pending_since(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1", "u-2") as (pilot, _):
        await pilot.press("p")
        await until_shown(pilot, "paused  Nothing is sent.", "0 of 2 changes")
        with harness.workspace(connection) as workspace:
            workspace.enter("u-3")
        await pilot.press("1")

        await pilot.press("4")
        await until_shown(pilot, "No live session.")
        await pilot.press("n")
        await until_shown(pilot, "A sync is under way: its audiences go live once it has finished")
        await pilot.press("escape", "1")
        await until_shown(pilot, "» sync paused 0%  ◐ 3 pending", "press w, then p to resume it")
        await until_shown(pilot, "sync paused 0%, 0 of 2 changes, 1 more pending since  run 1")
        assert "sync 0%" not in picture(pilot)


async def test_a_run_is_left_and_come_back_to(harness: ConsoleHarness) -> None:
    async with rate_limited_sync(harness, harness.connect(), "u-1") as (pilot, gate):
        await pilot.press("escape")
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, "» sync")

        await pilot.press("w")
        await until_shown(pilot, "rate limited")
        gate.open()

        await until_shown(pilot, "All changes to shoppers were delivered.")


async def test_cancelling_asks_and_leaves_the_rest_pending(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1", "u-2") as (pilot, _):
        await pilot.press("c")
        await until_shown(pilot, "Cancel this run?", "Users who are not delivered by then stay")
        await pilot.press("n")
        assert not _work(pilot).stop.is_asked
        with harness.workspace(connection) as workspace:
            workspace.files = 10
            workspace.enter("u-3", at=5)

        await pilot.press("c")
        await until_shown(pilot, "Cancel this run?")
        await pilot.press("y")

        await until_shown(pilot, "Stopped as you asked: 3 changes stay pending.")
        await until_gone(pilot, "than planned")
        await pilot.press("p")
        await until_shown(pilot, "This run has finished")
    with harness.workspace(connection) as workspace:
        assert workspace.ledger.read(outstanding, workspace.audience()).add == 3


async def test_amplitude_goes_down_in_the_middle(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*(f"u-{n}" for n in range(50)))
    simulator.faults.add(Answer(503, html=True), Call.MEMBERSHIP)
    async with harness.open() as pilot:
        await start_sync(
            pilot,
            "incomplete",
            "50 changes still pending",
            "Gave up after 8 failures in a row",
            "The next sync delivers what is pending.",
            "✖ 503",
        )


async def test_refused_keys_are_reported_in_words_and_once(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    harness.environ["AMP_CONSOLE_SECRET_KEY"] = "f" * 32
    async with harness.open() as pilot:
        await start_sync(pilot, "incomplete", "Amplitude refused the keys")
        await until_picture(
            pilot,
            lambda shown: (
                "stopped: see above" in shown and shown.count("Amplitude refused the keys") == 1
            ),
        )
        shown = " ".join(_words(picture(pilot)))
        assert "changed nothing in Amplitude" in shown
        assert "No request was sent" not in shown
        assert "None." in shown  # of the requests
        await pilot.press("3")
        await until_shown(pilot, "1 run", "stopped: see above")
        shown = picture(pilot)
        assert "No request was sent" not in shown
        assert shown.index("1 run") < shown.rindex("Amplitude refused the keys")
        assert shown.count("Amplitude refused the keys") == 2  # in the list, and in the detail

        await until_gone(pilot, "press x")
        await until_gone(pilot, "The next sync delivers")


async def test_without_keys_nothing_begins(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Simulator() as simulator:
        harness = ConsoleHarness(tmp_path_factory.mktemp("h"), simulator, has_keys=False)
        with harness.workspace(harness.connect()) as workspace:
            workspace.enter("u-1")
        async with harness.open() as pilot:
            await start_sync(pilot, "No keys are stored")
            await pilot.press("escape")
            await until_shown(pilot, "failed", "No request was sent.")

            failure = _work(pilot).failure
            assert failure is not None
            assert failure in " ".join(_words(picture(pilot)))
            await pilot.press("v")
            await until_shown(pilot, "The run has not started.")


def _words(shown: str) -> list[str]:
    return shown.replace("│", " ").split()


async def test_a_cohort_that_is_gone_is_said_for_its_audience(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        cohort_id = workspace.audience().cohort_id
        assert cohort_id is not None
        simulator.world.drop_cohort(cohort_id)
        workspace.enter("u-2", at=5)
    async with harness.open() as pilot:
        await start_sync(pilot, "incomplete", f"Amplitude has no cohort {cohort_id} anymore")
        await until_said(pilot, "Press 1 for Audiences, then l.")
        shown = picture(pilot)
        assert "shoppers: Amplitude has no cohort" in shown
        assert "The next sync delivers" not in shown
    async with harness.open(LaunchOptions(run_id=2)) as pilot:
        await until_shown(pilot, "run 2", "shoppers: Amplitude has no cohort")
        await until_gone(pilot, "The next sync delivers")


async def test_advice_on_a_link_goes_from_a_run_once_the_link_is_gone(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        simulator.world.drop_cohort(str(workspace.audience().cohort_id))
        workspace.enter("u-2", at=5)
    advice = "Press 1 for Audiences, then l"
    async with harness.open() as pilot:
        await start_sync(pilot, "incomplete", advice)
        await pilot.press("1", "l")
        await until_shown(pilot, "Unlink")
        await pilot.press("n")
        await until_shown(pilot, "Nothing is sent now.")
        assert "can't delete cohorts" not in picture(pilot)  # this one is gone
        await pilot.press("y")
        await until_notified(pilot, "is unlinked")
        await pilot.press("1", "3")
        await until_shown(pilot, "incomplete")
        await until_gone(pilot, advice)
        await pilot.press("w")
        await until_shown(pilot, "Amplitude has no cohort")
        await until_gone(pilot, advice)


async def test_an_audience_that_another_process_syncs_is_left_to_it(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
        audience = workspace.audience()
        with monkeypatch.context() as another:
            another.setattr("os.getpid", lambda: -1)
            workspace.ledger.write(note_holder, audience.id, NOW)
        url = workspace.ledger.url
    async with harness.open() as pilot:
        with open_ledger(url) as other, other.lease(audience.id):
            await start_sync(pilot, "incomplete", "Another amp-console", "is syncing this audience")


async def test_requests_are_logged_and_each_is_shown_whole(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "u-2", "ghost-1")
    async with harness.open() as pilot:
        await start_sync(pilot, "partial")
        await pilot.press("v")
        await until_shown(pilot, "Amplitude said", "create")
        await until(pilot, lambda: console(pilot).screen.query_one("#full-log").has_focus)

        await pilot.press("enter")

        await until_shown(pilot, "add 3 users by User ID", '"cohort_id"', '"u-2"', "Answer")
        await until_shown(pilot, "▲ 200  applied, except 1 rejected user")
        assert isinstance(pilot.app.screen, RequestView)
        await pilot.press("y")
        await until_shown(pilot, "Copied")
        assert "skip_invalid_ids" in (harness.environment.folders.data / "copied.txt").read_text()
        await pilot.press("escape", "escape")
        await until_shown(pilot, "Rejected by this run (1)")


async def test_the_answer_of_a_long_request_is_a_key_away_in_a_small_terminal(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter(*(f"user-{n}" for n in range(30)))
    async with harness.open(size=(100, 30)) as pilot:
        await start_sync(pilot, "● delivered")
        await pilot.press("v")
        await until(pilot, lambda: console(pilot).screen.query_one("#full-log").has_focus)
        await pilot.press("enter")
        await until_on(pilot, RequestView)
        await until_shown(pilot, "more below: ↓ Esc closes", '"user-0"')
        assert "Answer" not in picture(pilot)
        await pilot.press("G")
        await until_shown(pilot, "Answer", '"user-29"')
        await until_gone(pilot, "more below")
        await pilot.press("pageup")
        await until_shown(pilot, "more below")
        await pilot.press(*["j"] * 20, "space")
        await until_shown(pilot, "Answer")
        await pilot.press("g")
        await until_shown(pilot, "more below", '"user-0"')


async def test_keys_are_in_no_picture_and_in_no_copy(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    keys = simulator.credentials
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    async with harness.open() as pilot:
        await start_sync(pilot, "● delivered")
        await pilot.press("v")
        await until(pilot, lambda: console(pilot).screen.query_one("#full-log").has_focus)
        await pilot.press("enter")
        await until_shown(pilot, "Answer")
        await pilot.press("y")
        await until_shown(pilot, "Copied")

        seen = picture(pilot) + (harness.environment.folders.data / "copied.txt").read_text()
        assert keys.api_key.reveal() not in seen
        assert keys.secret_key.reveal() not in seen


async def test_the_log_can_be_switched_while_its_requests_are_read(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
    async with harness.open() as pilot:
        await start_sync(pilot, "● delivered")
        session = services(pilot).session
        assert session is not None
        with ExitStack() as count:
            count.enter_context(blocked_reads(pilot))
            pilot.app.screen.reload()  # type: ignore[attr-defined]
            await pilot.pause()
            counted = asyncio.ensure_future(session.read(lambda _: None))
            await pilot.pause()
            with blocked_reads(pilot):  # the first page
                count.close()
                await counted
                await pilot.pause()
                await pilot.press("v")
        await until_shown(pilot, "Amplitude said", "create")


async def test_enter_on_an_audience_shows_its_requests_alone(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        workspace.read([event("u-1", True, audience="trial")])
    async with harness.open() as pilot:
        await start_sync(pilot, "● delivered")
        await pilot.press("enter")

        await until_shown(pilot, "Requests of shoppers")
        await until_gone(pilot, "trial")
        panel = pilot.app.screen.query_one(RequestsPanel)
        labels = [column.label for column in panel.shown_log.columns]
        assert labels[:4] == [
            "Time",
            "Operation",
            "Users",
            "Answer",
        ]  # its title names the audience
        row = panel.shown_log.row
        assert row is not None
        assert len(row.cells) == len(labels)
        await pilot.press("d")
        await until_notified(pilot, NOT_COMPARED)
        await pilot.press("question_mark")
        await until_shown(pilot, "Help · Run")
        assert "Who differs" not in picture(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_looks_the_same_after_a_restart(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
        report = await workspace.sync()
    async with harness.open(LaunchOptions(run_id=report.run_id), size) as pilot:
        await until_shown(pilot, "Delivered, except 1 rejected user.", "1 added", "✔ 200")

        await until_shown(pilot, f"run {report.run_id}")
        await until_gone(pilot, "Pause")
        await until_gone(pilot, "Cancel")
        await pilot.press("p")
        await until_shown(pilot, "This run has finished")


async def test_a_run_that_does_not_exist_is_said_to(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(LaunchOptions(run_id=404)) as pilot:
        await until_shown(pilot, "There is no run 404.")


async def test_hostile_names_break_nothing(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for name in HOSTILE:
            workspace.read([event("u-1", True, audience=name)])
    async with harness.open() as pilot:
        await until_shown(pilot, "[red]alert")
        await pilot.press("S")
        await until_shown(pilot, "Creates 6 cohorts", "[/foo]")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and _work(pilot).is_over)
        await until_shown(pilot, "[/foo]", "[red]alert")

        assert "\x1b" not in picture(pilot)
        assert "\u202e" not in picture(pilot)


async def test_a_run_given_up_in_the_middle_is_over_in_the_history_too(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect()
    async with rate_limited_sync(harness, connection, "u-1") as (pilot, _):
        _work(pilot).give_up()
        await until_shown(pilot, "Stopped before the last answer arrived.")
    with harness.workspace(connection) as workspace:
        assert str(workspace.ledger.read(all_runs)[0].status) == "stopped"


def _work(pilot: Pilot[None]) -> SyncJob:
    work = services(pilot).jobs.sync
    assert work is not None
    return work


async def test_a_finished_run_offers_to_retry_and_export_who_was_rejected(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "rejected.csv"
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
    async with harness.open() as pilot:
        await start_sync(pilot, "Delivered, except 1 rejected user.")
        await until_shown(pilot, "R Retry  E Export")
        await pilot.press("question_mark")
        await until_shown(pilot, "R         Retry", "E         Export")
        await pilot.press("escape", "ctrl+p", *"pending again")
        await until_shown(pilot, "Make rejected users pending again")
        await pilot.press("escape", "E")
        await until(pilot, lambda: pilot.app.screen.query("#answer"))
        pilot.app.screen.query_one("#answer", Input).value = str(file)
        await pilot.press("enter")
        await until_notified(pilot, "Wrote 1 row")
        assert "ghost-1" in file.read_text()
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("s")
        await until_shown(pilot, "Adds 1 user (at least 1 request).")


async def test_a_comparison_that_has_ended_says_that_it_only_read(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        report = await workspace.compare_report()
    async with harness.open(LaunchOptions(run_id=report.run.run_id)) as pilot:
        await until_shown(pilot, "same", "A comparison only reads: nothing in Amplitude has")
        await until_shown(pilot, "A comparison downloads cohorts, and changes")
        await until_gone(pilot, "No request")


async def test_a_small_terminal_shows_requests_below_a_run_of_many_audiences(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
        workspace.read([{"type": "page"}, {"type": "identify"}])
        for n in range(7):
            workspace.read([event("u-1", True, audience=f"others_{n}")])
        await workspace.sync()
        workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
        workspace.enter("u-2", "ghost-2", at=9)
        workspace.read(event("u-2", True, 9, audience=f"others_{n}") for n in range(7))
        workspace.read([event("ghost-2", True, 9, audience="others_1"), {"type": "identify"}])
    async with harness.open(size=(80, 24)) as pilot:
        await start_sync(pilot, "incomplete", "press x to see who and why.")
        await until(pilot, lambda: pilot.app.screen.query_one("#log", Grid).region.height > 1)
        await until_shown(pilot, "✔ 200")


async def test_the_lines_of_a_sentence_about_a_run_begin_below_its_first_word(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
        workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
        workspace.enter("u-2", at=9)
        await workspace.sync()
    async with harness.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3", "w")
        await until_shown(pilot, "│   → ", "│     stay pending. Link")
