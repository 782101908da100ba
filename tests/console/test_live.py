"""Live in the console: a session starts, is watched, and ends with everything delivered."""

import hashlib
import hmac
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import pytest
from msgspec import structs
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Input, Static

from amp_console.console import LaunchOptions
from amp_console.console.badges import states_now
from amp_console.console.dialogs.form import Mistake, ask_path
from amp_console.console.dialogs.live import FollowRequest, follow_dialog
from amp_console.console.glyphs import ASCII, PLAIN
from amp_console.console.jobs.live import LiveJob, OpenSource, paths
from amp_console.console.screens.live.actions import begin, follow_path
from amp_console.console.screens.live.headline import behind, shared_folder, since, trouble
from amp_console.console.screens.live.rows import (
    audience_row,
    detail_text,
    first_live,
    problems_first,
    source_rows,
)
from amp_console.console.screens.live.view import LiveScreen
from amp_console.console.screens.runs.panels import RequestsPanel
from amp_console.console.session import Session
from amp_console.console.widgets.fields import Tick
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.path_input import PathInput
from amp_console.ledger import runs
from amp_console.ledger.event_log import LogEntry, LogFilter, LogKind, log_page
from amp_console.ledger.outcomes import GOES_LIVE, NO_COHORT, PAUSED
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.alerts import Alert
from amp_console.sync.live.progress import LiveAudience, LivePhase, LiveSnapshot, WaitReason
from amp_console.sync.queries.status import AudienceSummary, Status, audience_summaries
from amp_console.sync.sources.protocols import EventStream, SourceStatus
from amp_console.sync.sources.watcher import MAX_SHOWN, PathWatcher
from amp_console.values import IdType
from tests.console.harness import (
    NOW,
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_picture,
    until_said,
    until_shown,
)
from tests.ports import free_port
from tests.sync.workspace import event, lines

pytestmark = pytest.mark.anyio

SECRET = "not-a-secret"  # obviously fake
HOSTILE = "[red]x [/foo] \x1b[2J"


@pytest.fixture(autouse=True)
def quick(harness: ConsoleHarness) -> None:
    """Redraw the session more often than an operator could see."""
    harness.timers_faster = 4.0


def connected_log(harness: ConsoleHarness, folder: Path, *users: str) -> Path:
    """Connect, and return a log in which these users enter."""
    harness.connect()
    file = folder / "live.ndjson"
    file.write_text(lines(*users))
    return file


async def end(pilot: Pilot[None]) -> None:
    """End the session, and confirm it."""
    await pilot.press("c")
    await until_shown(pilot, "End the live session?")
    await pilot.press("y")


async def cancelled(pilot: Pilot[None], work: LiveJob) -> None:
    """End the session without a question, and wait until it is over."""
    work.cancel()
    await until(pilot, lambda: work.is_over)


async def answer(pilot: Pilot[None], text: str) -> None:
    """Answer a question at once: typing a path takes seconds."""
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")


async def ask_to_follow(pilot: Pilot[None]) -> None:
    """Open the dialog that asks what to follow."""
    await until(pilot, lambda: services(pilot).session is not None)
    await pilot.press("4")
    await until_shown(pilot, "No live session.")
    await pilot.press("n")
    await until_shown(pilot, "Folder, file or bucket to follow")


async def follow(pilot: Pilot[None], path: Path | str, *, create: bool = True) -> LiveJob:
    """Start to follow a path, in a session that creates cohorts by default."""
    await ask_to_follow(pilot)
    pilot.app.screen.query_one("#create", Tick).value = create
    await answer(pilot, str(path))
    await until(pilot, lambda: services(pilot).jobs.live is not None)
    work = services(pilot).jobs.live
    assert work is not None
    return work


def queue(work: LiveJob) -> int | None:
    """How many changes of the only audience are not delivered; None before it is known."""
    now = work.snapshot
    return now.audiences[0].queue if now and now.audiences else None


def members(harness: ConsoleHarness) -> set[str]:
    world = harness.simulator.world
    found = [cohort for cohort in world.cohorts() if cohort.name == "shoppers"]
    return world.members(found[0].id) if found else set()


async def test_what_arrives_is_seen_and_is_in_its_cohort(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1", "u2")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await until_shown(pilot, "2 events read", "2 written earlier", "2 members updated")
        with file.open("a") as more:
            more.write(lines("u3"))
        await until(pilot, lambda: members(harness) == {"u1", "u2", "u3"})
        await until_shown(pilot, "3 events read", "2 written earlier")
        await until_shown(pilot, "shoppers", "live.ndjson", "» live: 1 audience", "lag")
        await end(pilot)
        await until(pilot, lambda: work.is_over)
        await until_shown(pilot, "ended", "3 events read")
        assert work.report is not None
        assert work.report.pending == 0


async def test_members_without_an_identifier_are_counted_as_their_errors_are(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    known = {"traits": {"shoppers": True, "amplitude_id": 1001}}
    with harness.workspace(connection) as workspace:
        workspace.map_amplitude_ids()
        workspace.read([event("u-1", True, traits={"amplitude_id": 1001}), event("before", True)])
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    file = tmp_path / "live.ndjson"
    file.write_text(json.dumps({**event("u-1", True), **known}) + "\n")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until_shown(pilot, "1 event read", "2 Errors 1", "rejected 0 · requests")
        with file.open("a") as more:
            more.write(lines("without"))
        await until_shown(pilot, "2 Errors 2", "rejected 0 · missing IDs 1 · requests")
        await cancelled(pilot, work)
        await until_shown(pilot, "ended at", "rejected 0 · missing IDs 1 · requests")


async def test_the_list_and_the_detail_show_the_lag_of_one_moment(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    harness.environment = replace(harness.environment, live_tick_seconds=1_000.0)
    async with harness.open(size=(160, 40)) as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await until(pilot, lambda: work.snapshot and work.snapshot.audiences)
        now, screen = work.snapshot, pilot.app.screen
        assert now is not None
        assert isinstance(screen, LiveScreen)
        await screen.load()
        late = structs.replace(now.audiences[0], queue=5, lag=9.0, phase=LivePhase.LIVE)
        while lag_of_list(screen) != "9.0 s":  # the session may already have a newer snapshot
            work.snapshot = structs.replace(now, audiences=(late,))
            screen.on_grid_moved()
            assert "9.0 s" not in lag_of_list(screen) + detail_of(screen)
            await screen.load()
        assert "lag 9.0 s" in detail_of(screen)


def lag_of_list(screen: LiveScreen) -> str:
    row = screen.query_one("#list", Grid).row
    return "" if row is None else row.cells[2].text


def detail_of(screen: LiveScreen) -> str:
    return str(screen.query_one("#detail-text").render())


async def test_audiences_without_a_cohort_wait(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file, create=False)
        await until_shown(pilot, "waiting: no cohort")
        await cancelled(pilot, work)
    assert harness.simulator.world.cohorts() == []


async def test_a_pause_takes_events_in_and_sends_nothing(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await pilot.press("P")
        await until_shown(pilot, "paused: events are read", "p Resume")
        await pilot.press("w")
        await until_shown(pilot, "◐ paused", "Paused in this console: events are read, and nothing")
        await pilot.press("3")
        await until_picture(pilot, lambda seen: seen.count("◐ paused") == 2)
        assert "» running" not in picture(pilot)
        await pilot.press("4")
        with file.open("a") as more:
            more.write(lines("u2"))
        await until(pilot, lambda: work.snapshot and work.snapshot.tally.read == 2)
        assert members(harness) == {"u1"}
        await pilot.press("P")
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await pilot.press("P")
        await end(pilot)
        await until(pilot, lambda: work.is_over)


@pytest.mark.parametrize("by", ["this console", "another process"])
async def test_of_a_connection_that_becomes_read_only_nothing_more_is_sent(
    harness: ConsoleHarness, tmp_path: Path, by: str
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await pilot.press("5")
        await until_shown(pilot, "Acme prod")
        if by == "this console":
            await pilot.press("W")
        else:
            store = harness.environment.connections
            store.change(store.get("Acme prod"), read_only=True)
        await until_notified(pilot, "is read-only now: nothing is sent")
        await until_shown(pilot, "read-only")
        await pilot.press("4")
        with file.open("a") as more:
            more.write(lines("u2"))
        await until(pilot, lambda: work.snapshot and work.snapshot.tally.read == 2)
        for key in ("P", "p"):
            services(pilot).notifications.entries.clear()
            await pilot.press(key)
            await until_notified(pilot, "The connection “Acme prod” is read-only.")
        assert work.is_paused
        await cancelled(pilot, work)
        store = harness.environment.connections
        store.change(store.get("Acme prod"), read_only=False)
        await until_notified(pilot, "can send and change things now")
    assert members(harness) == {"u1"}


async def test_what_a_session_follows_already_is_not_offered_and_not_followed_twice(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    harness.environment = replace(harness.environment, live_folder=str(file))
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await pilot.press("n")
        await until_shown(pilot, "In addition to", file.name)
        assert pilot.app.screen.query_one(Input).value == ""
        await answer(pilot, f"{file}")
        await until_shown(pilot, "! The session follows ", " already.")
        assert work.names == [str(file)]
        await cancelled(pilot, work)


async def test_one_audience_is_paused_by_itself(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await until_shown(pilot, "▸ shoppers")
        await pilot.press("p")
        await until_shown(
            pilot, "paused: nothing is sent", "p Resume audience", "» live", "c End session"
        )
        await pilot.press("s")  # which plans a sync elsewhere: here it sends nothing
        with file.open("a") as more:
            more.write(lines("u2"))
        await until_shown(pilot, "2 events read")
        assert members(harness) == {"u1"}
        await pilot.press("1")
        await until_shown(pilot, "◐ paused  ◐ 1 pending", "Press 4 to resume it")
        await pilot.press("4")
        await until_shown(pilot, "p Resume audience")
        await pilot.press("p")
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await until_shown(pilot, "p Pause", "» live")
        await cancelled(pilot, work)


async def test_last_changes_name_person_and_audience_in_full(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path)
    entered = event("usr_07dab8ac8da62da7", True, audience="cart_abandoners_eu")
    file.write_text(json.dumps(entered) + "\n")
    async with harness.open(size=(120, 36)) as pilot:
        work = await follow(pilot, file)
        await until_picture(pilot, lambda seen: re.search("62da7 +cart_abandoners_eu", seen))
        await cancelled(pilot, work)


async def test_changes_that_became_pending_add_up(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    connection = harness.connect()
    with harness.workspace(connection) as workspace:
        workspace.enter("u0")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u0", "u1"})
        with file.open("a") as more:
            more.write(lines("u1", "u2"))
        await until_shown(
            pilot,
            "changes 1 pending at the start + 2 since then = 3 delivered",
        )
        with harness.workspace(connection) as workspace:  # another process
            workspace.files = 10
            workspace.enter("v1", "v2")
        await until_shown(
            pilot, "+ 4 since then, not only from its events = 5 delivered", "3 events read in"
        )
        await cancelled(pilot, work)


async def test_a_folder_counts_its_files_that_are_not_listed(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(MAX_SHOWN + 3):
        (folder / f"{n}.ndjson").write_text(lines("u1"))
    harness.connect()
    async with harness.open() as pilot:
        work = await follow(pilot, folder)
        await until_shown(pilot, "100 newest of 103")
        await pilot.resize_terminal(80, 24)
        await until_shown(pilot, "files 103")
        await cancelled(pilot, work)


async def test_what_was_paused_when_it_ends_is_pending(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await until_shown(pilot, "▸ shoppers")
        await pilot.press("p")
        with file.open("a") as more:
            more.write(lines("u2"))
        await until(pilot, lambda: queue(work) == 1)
        await end(pilot)
        await until(pilot, lambda: work.is_over)
        await until_shown(
            pilot, "ended", "1 change pending at its end: “shoppers” 1 (paused)", "was paused"
        )
        assert picture(pilot).count("pending at its end") == 2  # once in the sum of changes
    assert members(harness) == {"u1"}


async def test_what_is_past_after_the_end_is_stamped_and_the_rest_is_read_again(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u2"))
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        async with harness.open() as pilot:
            work = await follow(pilot, file, create=False)
            await until(pilot, lambda: members(harness) == {"u1", "u2"} and queue(work) == 0)
            await until_shown(pilot, "events read: 1 “entered” 0 “left”")
            await until_gone(pilot, "previous minute")
            await end(pilot)
            await until_shown(
                pilot, "ended at ", "1 audience at the end of the session (",
                "At the end of the session:", "pending 0", "No change is pending now",
            )  # fmt: skip
            await until_gone(pilot, "lag")
            workspace.enter("u3", "u4")
            await until_shown(pilot, "first sends 2 pending changes of 1 audience", "pending 0")


async def test_audiences_are_shown_while_a_session_starts(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u2"))
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
    release = Event()

    log = paths(str(file))

    def open_late(session: Session) -> EventStream:
        release.wait(60)
        return log.open(session)

    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(pilot, "No live session.", "will be live")
        await pilot.press("enter")
        await until_shown(pilot, "A live session shows more about an audience")
        begin(services(pilot), OpenSource(log.names, open_late), create=False)
        await until_shown(pilot, "» starting", "1 audience", "▸ shoppers", "will be live")
        await until_gone(pilot, "No audiences yet")
        release.set()
        await until_shown(pilot, "1 event read in")
        work = services(pilot).jobs.live
        assert work is not None
        await cancelled(pilot, work)


async def test_an_audience_that_waits_goes_live_once_its_cohort_may_be_made(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file, create=False)
        await until_shown(pilot, "waiting: no cohort", "s Create its cohort")
        await pilot.press("s")
        await until_shown(pilot, "Creates a cohort for “shoppers” and delivers 1 change.")
        await pilot.press("y")
        await until(pilot, lambda: members(harness) == {"u1"})
        await until_shown(pilot, "» live: 1 audience")
        await until_gone(pilot, "Create its cohort")
        await cancelled(pilot, work)


async def test_an_audience_with_the_key_of_another_can_be_linked_instead(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
    file = tmp_path / "live.ndjson"
    anew = event("u2", True, personas={"computation_id": "aud_2"})
    file.write_text(json.dumps(anew) + "\n")
    async with harness.open() as pilot:
        work = await follow(pilot, file, create=False)
        await until_shown(pilot, "waiting: no cohort", "s Create its cohort")
        await pilot.press("s")
        await until_shown(pilot, "Create the cohort?", "▸ Cancel [Esc]", "Link a cohort [l]")
        asked = str(pilot.app.screen.query_one("#text", Static).content)
        assert "“shoppers (aud_shoppers)” has the same key but another computation ID." in asked
        await pilot.press("l")
        await until_shown(pilot, "to a cohort", "Linked to")
        await cancelled(pilot, work)


async def test_an_audience_that_is_linked_goes_live_at_once(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    cohort = harness.simulator.world.create_cohort("Handmade", "ana@acme.example")
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file, create=False)
        await until_shown(pilot, "waiting: no cohort", "s Create its cohort")
        await pilot.press("s")
        await until_shown(pilot, "Link a cohort")
        await pilot.press("l")
        await until_shown(pilot, "Handmade")
        await pilot.press("enter")
        await until_shown(pilot, "Link “shoppers”?")
        await pilot.press("y")
        await until(pilot, lambda: harness.simulator.world.members(cohort.id) == {"u1"})
        await cancelled(pilot, work)


async def test_an_audience_is_switched_off_and_on_again(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await until_shown(pilot, "▸ shoppers")
        await pilot.press("t")
        await until_notified(pilot, "“shoppers” is disabled: Sync all skips it")
        with file.open("a") as more:
            more.write(lines("u2"))
        await until_shown(pilot, "waiting: disabled")
        await pilot.press("t")
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await cancelled(pilot, work)


async def test_the_audiences_say_which_of_them_are_live(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"} and queue(work) == 0)
        await pilot.press("1")
        await until_shown(pilot, "1 audience · nothing needs attention", "» live: 1 audience")
        work.cancel()
        await until_gone(pilot, "» live")
        await until_shown(pilot, "1 audience · nothing needs attention", "◎ not compared")


async def test_the_last_changes_and_the_sources_are_seen(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("user-one") + '{"half')
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until_shown(
            pilot,
            "Last changes",
            "user-one",
            "events read: 1 “entered” 0 “left”",
            "live.ndjson",
        )
        await pilot.resize_terminal(80, 24)
        await until_gone(pilot, "Last changes")
        await until_gone(pilot, "─ Sources ─")
        await pilot.press("v")
        await until_shown(pilot, "Last changes", "user-one", "Sources")
        await until_gone(pilot, "Deliveries")
        await pilot.press("v")
        await until_shown(pilot, "Deliveries")
        await cancelled(pilot, work)


@pytest.mark.parametrize("key", ["enter", "f"])
async def test_the_person_under_the_cursor_of_the_last_changes_is_opened(
    harness: ConsoleHarness, tmp_path: Path, key: str
) -> None:
    file = connected_log(harness, tmp_path, "first-of-all", "second")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until_shown(pilot, "first-of-all", "▹", "second")
        pilot.app.screen.query_one("#changes Grid").focus()
        await pilot.press("down")
        with file.open("a") as more:
            more.write(lines("third", "fourth"))
        await until_shown(pilot, "fourth", "third")
        await until_picture(pilot, lambda seen: "first-of-all" in marked(seen))
        await pilot.press(key)
        await until_shown(pilot, "first-of-all", "shoppers", "Person")
        await pilot.press("escape")
        await until_shown(pilot, "Last changes")
        pilot.app.screen.query_one("#list").focus()
        await until_picture(pilot, lambda seen: "▹" in newest(seen, "fourth"))
        await cancelled(pilot, work)


def marked(seen: str) -> str:
    """The line with the cursor of the list that has the focus."""
    return next((line for line in seen.splitlines() if "▸ " in line), "")


def newest(seen: str, user: str) -> str:
    """The line of a user."""
    return next((line for line in seen.splitlines() if user in line), "")


async def test_the_list_of_sources_follows_the_newest_while_its_cursor_is_at_the_top(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "one.ndjson").write_text(lines("u1"))
    async with harness.open() as pilot:
        work = await follow(pilot, folder)
        await until_shown(pilot, "▹ one.ndjson")
        (folder / "two.ndjson").write_text(lines("u2"))
        await until_shown(pilot, "▹ two.ndjson")
        pilot.app.screen.query_one("#files").focus()
        await pilot.press("down")
        await until_shown(pilot, "▸ one.ndjson")
        (folder / "three.ndjson").write_text(lines("u3"))
        await until_shown(pilot, "three.ndjson", "▸ one.ndjson")
        await pilot.press("g")
        await until_shown(pilot, "▸ three.ndjson")
        await cancelled(pilot, work)


async def test_an_audience_is_shown_with_its_changes_and_deliveries(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "user-one")
    async with harness.open(size=(200, 40)) as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"user-one"} and queue(work) == 0)
        await until_shown(
            pilot, "Its last changes", "Deliveries", "events read: 1 “entered” 0 “left”"
        )
        await until_shown(pilot, "95% delivered within")
        panel = pilot.app.screen.query_one(RequestsPanel)
        request_count = len(panel.shown_log.rows)
        await until(pilot, lambda: "» sent" not in picture(pilot) and request_count > 0)
        await pilot.press("enter", "tab", "enter")
        await until_shown(pilot, "Request ", "memberships")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: pilot.app.screen.query_one("#list").has_focus)
        await pilot.resize_terminal(80, 24)
        await until_gone(pilot, "─ Sources ─")
        await until_shown(pilot, "Deliveries")
        await cancelled(pilot, work)


async def test_webhooks_are_received(harness: ConsoleHarness) -> None:
    harness.connect()
    harness.environ["AMP_CONSOLE_WEBHOOK_SECRET"] = SECRET
    port = free_port()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(pilot, "No live session.")
        await pilot.press("l")
        await until_shown(pilot, "Listen on address", "Create missing cohorts")
        pilot.app.screen.query_one("#create", Tick).value = True
        await answer(pilot, "nowhere")
        await until_shown(pilot, "Enter an address and a port, e.g. 127.0.0.1:8766.")
        await answer(pilot, f"127.0.0.1:{port}")
        await until_shown(pilot, f"127.0.0.1:{port}", "webhooks")
        text = json.dumps(event("u1", True)).encode()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
            refused = await client.post("/", content=text)
            assert refused.status_code == 401
            await until_notified(pilot, "The last request was refused (401).")
            signature = hmac.new(SECRET.encode(), text, hashlib.sha1).hexdigest()
            taken = await client.post("/", content=text, headers={"X-Signature": signature})
            assert taken.status_code == 200
        await until(pilot, lambda: members(harness) == {"u1"})
        await end(pilot)
        work = services(pilot).jobs.live
        assert work is not None
        await until(pilot, lambda: work.is_over)


async def test_a_source_is_not_added_to_a_session_that_is_ending_by_then(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")

    async def another() -> FollowRequest:
        return FollowRequest(str(tmp_path), create=False)

    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: queue(work) == 0)
        work.cancel()
        await follow_path(services(pilot), another())
        assert work.names == [str(file)]
        await until_notified(pilot, "The session is ending. Start another one afterwards.")
        await until(pilot, lambda: work.is_over)


async def test_others_are_let_in_only_with_a_secret(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(pilot, "No live session.")
        await pilot.press("l")
        await until_shown(pilot, "Listen on address")
        await answer(pilot, "0.0.0.0:8766")
        await until_shown(pilot, "failed", "there is no shared secret")


async def test_quitting_asks_and_delivers_first(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await pilot.press("ctrl+q")
        await until_shown(pilot, "A live session is running", "y/Enter Stop and quit")
        assert not pilot.app.screen.query("#wait")  # it would never end on its own
        with file.open("a") as more:
            more.write(lines("u2"))
        await pilot.press("y")
        await until(pilot, lambda: work.is_over)
    assert members(harness) == {"u1", "u2"}


async def test_a_path_that_cannot_be_followed_begins_no_session(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await ask_to_follow(pilot)
        await answer(pilot, "/nowhere/at/all.ndjson")
        await until_shown(pilot, "does not exist, nor does its folder")
        await pilot.press("enter", "x")  # not accepted the second time; an edit clears it
        await until_gone(pilot, "does not exist, nor does its folder")
        assert services(pilot).jobs.live is None


async def test_why_a_session_never_began_is_in_the_log(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await follow(pilot, "s3://no-such-bucket-here?endpoint=nonsense")
        await until_shown(pilot, "failed")
        await pilot.press("6")
        await until_shown(pilot, "✖", "endpoint nonsense is not the address")


async def until_objected(pilot: Pilot[None], text: str) -> None:
    """Wait until the form objects with a text, wherever a long path in it wraps."""
    await until(pilot, lambda: text in str(pilot.app.screen.query_one(Mistake).content))


async def test_a_path_where_nothing_is_yet_is_followed_once_that_is_confirmed(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        workspace.enter("u2")
    absent = tmp_path / "absent.ndjson"
    async with harness.open() as pilot:
        await ask_to_follow(pilot)
        await answer(pilot, str(absent))
        await until_objected(pilot, "absent.ndjson does not exist yet")
        await until_shown(pilot, "first sends 1")
        assert services(pilot).jobs.live is None
        other = absent.with_name("other.ndjson")
        await answer(pilot, str(other))  # confirming one path confirms no other
        await until_objected(pilot, "other.ndjson does not exist yet")
        await pilot.press("enter")
        await until(pilot, lambda: services(pilot).jobs.live is not None)
        work = services(pilot).jobs.live
        assert work is not None
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        other.write_text(lines("u3"))
        await until(pilot, lambda: members(harness) == {"u1", "u2", "u3"})
        await cancelled(pilot, work)


async def test_enter_twice_confirms_nothing_that_could_not_be_read(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    harness.environment = replace(harness.environment, confirm_after=60.0)
    async with harness.open() as pilot:
        await ask_to_follow(pilot)
        await answer(pilot, str(tmp_path / "absent.ndjson"))
        await until_objected(pilot, "absent.ndjson does not exist yet")
        await pilot.press("enter")
        await pilot.pause()
        assert services(pilot).jobs.live is None
        await until_objected(pilot, "absent.ndjson does not exist yet")


async def test_a_letter_replaces_the_path_that_is_put_forward(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until_shown(pilot, "amp-console")
        pilot.app.push_screen(follow_dialog("/logs", lambda _: Content(""), is_first=True))
        await until_shown(pilot, "/logs")
        await pilot.press("~")
        assert pilot.app.screen.query_one(PathInput).value == "~"


async def test_refused_keys_end_it_and_say_so(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = connected_log(harness, tmp_path, "u1")
    harness.simulator.faults.set([Rule(Answer(403, words="Invalid API Key"))])
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: work.is_over)
        await until_said(pilot, "Amplitude refused the keys")
        await until_shown(pilot, "Press 5 for Connections, then T to test the keys.")


async def test_read_only_no_session_is_promised_and_keys_say_why(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(
            pilot, "No live session.", "was started with --read-only.", "1  read-only"
        )
        assert "first sends" not in picture(pilot)
        await pilot.press("n", "c", "w")
        await until_notified(
            pilot,
            "amp-console was started with --read-only.",
            "No live session here: there is nothing to end.",
            "No live session has run since the console was opened.",
        )


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_before_a_session_it_says_which_audiences_would_be_live(
    harness: ConsoleHarness, tmp_path: Path, size: tuple[int, int]
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        workspace.read([event(user, True, 1, audience="waiters") for user in ("w1", "w2")])
        file = tmp_path / "live.ndjson"
        file.write_text(lines("u2"))
        ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
        PathWatcher(ingestor, [file]).scan()
    async with harness.open(size=size) as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(
            pilot, "No live session.", "2 audiences", "will be live", "will wait: no cohort",
            "n follows a folder", "Followed before:", "first sends 1 pending change of 1 audience.",
        )  # fmt: skip
        await until_gone(pilot, "v Last changes")
        shown = [
            line.split()
            for line in picture(pilot).splitlines()
            if "will be live" in line or "will wait:" in line
        ]
        assert ["2" in line for line in shown] == [True, False]  # waiting audiences come first
        assert ["1" in line for line in shown] == [False, True]
        await pilot.press("n")
        await until_shown(pilot, "Folder, file or bucket to follow", "first sends 1")
        pilot.app.screen.query_one("#create", Tick).toggle()
        await until_shown(pilot, "first sends 3")
        await pilot.press("escape", "l")
        await until_shown(pilot, "Listen on address", "Listen [F2]")


async def test_the_question_follows_the_box_that_a_session_under_way_has_not(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session is not None)

        def more(create: bool) -> Content:
            return Content("Creates cohorts." if create else "Creates nothing.")

        pilot.app.push_screen(follow_dialog("/logs", more, is_first=True))
        await until_shown(pilot, "Folder, file or bucket to follow", "Creates nothing.")
        pilot.app.screen.query_one("#create", Tick).focus()
        await pilot.press("space")
        await until_shown(pilot, "Creates cohorts.")
        await pilot.press("escape")
        await until_gone(pilot, "Creates cohorts.")
        pilot.app.push_screen(follow_dialog("/logs", more, is_first=False))
        await until_shown(pilot, "Folder, file or bucket to follow", "Creates nothing.")
        assert not pilot.app.screen.query("#create")


async def test_the_question_and_the_screen_below_it_say_one_number(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1")
        await workspace.sync()
        async with harness.open() as pilot:
            await until(pilot, lambda: services(pilot).session is not None)
            await pilot.press("4")
            await until_shown(pilot, "No live session.", "will be live")
            for key, question in (
                ("n", "Folder, file or bucket to follow"),
                ("l", "Listen on address"),
            ):
                await pilot.press(key)
                await until_shown(pilot, question)
                workspace.enter(f"by-{key}")
                many = "first sends 1 " if key == "n" else "first sends 2 "
                await until_shown(pilot, f"│ A new session {many}")
                asked = pilot.app.screen.query_one("#question", Static)
                await until(pilot, partial(says, asked, many))
                await pilot.press("escape")


async def test_tab_moves_on_from_a_path_that_was_put_forward_and_completes_what_is_typed(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "one.ndjson").touch()
    async with harness.open() as pilot:
        await until_shown(pilot, "amp-console")
        pilot.app.push_screen(ask_path("Follow", "Path to follow.", str(folder), "Follow"))
        await until_shown(pilot, "Path to follow.")
        line = pilot.app.screen.query_one(PathInput)
        await until(pilot, partial(lists, line, "one.ndjson"))
        await pilot.press("tab")
        assert (line.value, line.has_focus) == (str(folder), False)
        line.focus()
        await pilot.press("end", "/")
        await until(pilot, lambda: line.listing.entries and line.value.endswith("/"))
        await pilot.press("tab")
        assert (line.value, line.has_focus) == (str(folder / "one.ndjson"), True)


def says(text: Static, words: str) -> bool:
    """Whether a text has these words."""
    return words in str(text.content)


def lists(line: PathInput, name: str) -> bool:
    """Whether a path's files are known."""
    return [entry.name for entry in line.listing.entries] == [name]


async def test_a_large_removal_waits_until_its_name_is_typed(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u1", "u2", "u3")
        workspace.read([event(f"b{n}", True, audience="buyers") for n in range(3)])
        await workspace.sync()
        workspace.leave("u1", "u2")
        workspace.enter("u4")
        workspace.read([event("b3", True, 1, audience="buyers")])
        workspace.read([event("b0", False, 2, audience="buyers")])
    file = tmp_path / "live.ndjson"
    file.touch()
    async with harness.open(size=(100, 30)) as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(pilot, "No live session.", "will wait: large removal")
        await pilot.press("n")
        await until_shown(
            pilot, "first sends 2 pending changes of 1 audience.", "  buyers  +1  −1",
            "“shoppers” waits until you confirm with s that it removes 2 of 3",
        )  # fmt: skip
        await answer(pilot, str(file))
        await until_shown(pilot, "waiting: large removal")
        assert members(harness) == {"u1", "u2", "u3"}
        work = services(pilot).jobs.live
        assert work is not None
        assert work.snapshot is not None
        assert problems_first(work.snapshot.audiences)[0].name == "shoppers"
        await pilot.press("g")
        await until_shown(pilot, "s Confirm its removal")
        await pilot.press("s")
        await until_shown(pilot, "Remove most members?", "Type “shoppers” to continue:")
        await pilot.press(*"shoppers", "enter")
        await until(pilot, lambda: members(harness) == {"u3", "u4"})
        await cancelled(pilot, work)


async def test_as_many_audiences_are_live_as_it_said_before(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("calm", "shoppers"):
            workspace.read([event("u1", True, audience=key)])
        await workspace.sync()
        workspace.read([event("w1", True, audience="waiters")])
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u2"))
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session is not None)
        await pilot.press("4")
        await until_shown(pilot, "No live session.", "3 audiences", "will wait: no cohort")
        assert picture(pilot).count("» will be live") == 2
        work = await follow(pilot, file, create=False)
        await until(pilot, lambda: members(harness) == {"u1", "u2"})
        await until_shown(
            pilot, "3 audiences · 2 live", "» live: 2 audiences", "waiting: no cohort"
        )
        await pilot.press("1")
        await until_picture(pilot, lambda seen: seen.count("» live  ◎ not compared") == 2)
        await cancelled(pilot, work)


async def test_state_audiences_sources_and_deliveries_are_seen_at_every_size(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        for key in ("a", "b", "c", "d"):
            workspace.read([event("u0", True, audience=key)])
        await workspace.sync()
        workspace.enter("u0")
    read = "events read: 1 “entered” 0 “left”", "events read: +1 −0"  # without room for words
    file = tmp_path / "live.ndjson"
    file.write_text(lines("user-one"))
    async with harness.open(size=(80, 24)) as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u0", "user-one"})
        await until_shown(pilot, "by this session: added 2")
        await pilot.press("G")
        for size in ((80, 24), (100, 30), (120, 36), (200, 50)):
            await pilot.resize_terminal(*size)
            await until_shown(
                pilot, "▸ shoppers", "1 event read in", "by this session: added 2",
                "live.ndjson", "Deliveries", "+2  ", "✔ 200",
            )  # fmt: skip
            await until_picture(pilot, lambda seen: any(said in seen for said in read))
            # The top line, the session, five audiences.
            await until_picture(pilot, lambda seen: seen.count("» live") == 7)
        await cancelled(pilot, work)


def test_the_age_of_the_last_event_never_needs_a_wider_column() -> None:
    ages = [since(seconds / 4) for seconds in range(4 * 3_600 * 30)]
    assert {len(age) for age in ages} <= set(range(3, 11))
    assert ages[4 * 75] == "1 min ago"


def test_a_number_stays_beside_its_name() -> None:
    counts = AudienceCounts(added=1_705, removed=284, rejected=12)
    for width in range(20, 60):
        found = detail_text(LiveAudience(1, "k", "A", 214, 3.4, counts, ""), ASCII, width)
        shown = [line.plain for line in found.wrap(width)]
        for figure in ("pending 214", "lag 3.4 s", "added 1,705", "removed 284", "rejected 12"):
            assert any(figure in line for line in shown), (width, figure)


def test_how_long_deliveries_take_is_said_once_it_was_measured() -> None:
    def said(lag_95: float, queue: int) -> list[str]:
        counts = AudienceCounts(added=1)
        audiences = (LiveAudience(1, "k", "A", queue, 6.0, counts, ""),)
        return [
            text.plain for text in behind(LiveSnapshot(1, 1.0, ReadCounts(), lag_95, audiences))
        ]

    assert said(0.0, 214) == ["lag 6.0 s since read", "pending 214"]
    assert said(0.02, 0) == ["lag none", "95% delivered within 0.1 s of reading", "pending 0"]


def test_how_long_deliveries_take_says_that_waits_are_not_counted() -> None:
    now = LiveSnapshot(1, 1.0, ReadCounts(), 3.2, (), omits_waits=True)
    assert "95% delivered within 3.2 s, not counting waits for you" in [
        text.plain for text in behind(now)
    ]


async def test_another_process_that_is_live_is_watched(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace, workspace.ledger.hold_run() as lock:
        workspace.enter("u1")
        audience_id = workspace.audience().id
        run = workspace.ledger.write(runs.begin_run, ReadCounts(), NOW, lock, RunKind.LIVE)
        async with harness.open() as pilot:
            await until(pilot, lambda: services(pilot).session is not None)
            await pilot.press("4")
            await until_shown(pilot, "live in another amp-console", "run 1", "0 events read")
            counts = AudienceCounts(added=4_711, requests=3, note="Amplitude is not there.")
            workspace.ledger.write(runs.keep_tally, run, ReadCounts(5_000, 4_999, 0, 1))
            workspace.ledger.write(runs.record_audience, run, audience_id, counts, NOW)
            await until_shown(pilot, "5,000 events read, 1 invalid", "4,711", "Amplitude is not")
            await pilot.press("c")
            await until_notified(pilot, "No live session here: there is nothing to end.")
            await pilot.press("w")
            await until_shown(pilot, "run 1")


def test_a_row_shows_hostile_names_as_they_are() -> None:
    live_audience = LiveAudience(1, "k", HOSTILE, 3, 1.5, AudienceCounts(added=1_000), "")
    row = audience_row(live_audience, ASCII)
    assert [cell.text for cell in row.cells[:4]] == [HOSTILE, "3", "1.5 s", "1,000"]


async def test_what_goes_wrong_is_reported_and_kept_in_the_event_log(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = tmp_path / "live.ndjson"
    file.write_text("{broken\n" * 200 + lines("u1"))
    async with harness.open() as pilot:
        await follow(pilot, file)
        await until_notified(pilot, "100% of the last 201 events were invalid")


async def test_alerts_are_notices_of_the_desktop_where_that_is_wished(
    harness: ConsoleHarness,
) -> None:
    harness.connect()
    with harness.environment.folders.config_file.open("a") as settings:
        settings.write("\n[console]\nnotify = true\n")
    written: list[str] = []
    async with harness.open() as pilot:
        driver = pilot.app._driver
        assert driver is not None
        driver.write = written.append  # type: ignore[assignment, method-assign]
        services(pilot).alerts.report(Alert("It is late.\x07\x1b]0;mine\x07"))
        services(pilot).alerts.report(Alert("It is over.", is_over=True))
    assert "\x1b]9;It is late.\\x07\\x1b]0;mine\\x07\x07" in written
    assert not any("It is over." in item and "]9;" in item for item in written)


async def test_one_key_ends_nothing_without_asking(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await pilot.press("c")
        await until_shown(pilot, "End the live session?", "It stops reading events for every")
        await until_shown(pilot, "To stop sending for one audience only, pause it under Live (p).")
        await pilot.press("n")
        assert not work.is_ending
        await end(pilot)
        await until(pilot, lambda: work.is_over)


async def test_a_session_is_ended_from_its_run_and_from_every_place(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await until_shown(pilot, "» live: 1 audience")
        await pilot.press("w")
        await until_shown(pilot, "Live · 1 audience · run 1", "c End session")
        await pilot.press("p")
        await until_notified(pilot, "Press 4 for Live")
        await pilot.press("c")
        await until_shown(pilot, "End the live session?")
        await pilot.press("escape", "1")
        await until_shown(pilot, "▸1 Audiences")
        await pilot.press("ctrl+p", *"end session")
        await until_shown(pilot, "Ask, then end the live session")
        await pilot.press("enter")
        await until_shown(pilot, "End the live session?")
        await pilot.press("y")
        await until(pilot, lambda: work.is_over)
        await pilot.press("ctrl+p", *"end session")
        await until_gone(pilot, "Ask, then end the live session")


async def test_files_and_webhooks_are_followed_at_once(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = connected_log(harness, tmp_path, "u1")
    port = free_port()
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(harness) == {"u1"})
        await pilot.press("l")
        await until_shown(pilot, "Listen on address", "Accept only one event per request")
        pilot.app.screen.query_one(Tick).value = True
        await answer(pilot, f"127.0.0.1:{port}")
        await until_shown(pilot, f"127.0.0.1:{port}", "live.ndjson")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
            array = json.dumps([event("u2", True)]).encode()
            assert (await client.post("/", content=array)).status_code == 400
            assert (await client.post("/", content=array[1:-1])).status_code == 200
        await until_shown(pilot, "1 refused (1 an array, with single events only)")
        await pilot.press("l")
        await answer(pilot, f"127.0.0.1:{port}")
        await until_notified(pilot, "Can't listen on")
        with file.open("a") as more:
            more.write(lines("u3"))
        await until(pilot, lambda: members(harness) == {"u1", "u2", "u3"})
        await end(pilot)
        await until(pilot, lambda: work.is_over)
        assert work.report is not None
        assert len(work.report.last.sources) == 2


async def test_head_and_table_agree_and_nothing_is_live_after_the_end(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u0")
        await workspace.sync()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1") + lines("w1", "w2").replace("shoppers", "waiters"))
    async with harness.open() as pilot:
        work = await follow(pilot, file, create=False)
        await until(pilot, lambda: members(harness) == {"u0", "u1"})
        await until_shown(
            pilot, "» live: 1 audience", "pending 2, all of them waiting", "waiting: no cohort"
        )
        await pilot.press("1")
        await until_shown(pilot, "no cohort", "» live: 1 audience")
        states = {
            known.audience.key: [str(state.status) for state in states_now(services(pilot), known)]
            for known in await _summaries(pilot)
        }
        assert states == {
            "shoppers": ["live", "not compared"],
            "waiters": ["no cohort", "pending"],
        }
        work.pause()
        first = (await _summaries(pilot))[0]
        paused = [state.status for state in states_now(services(pilot), first)]
        assert Status.PAUSED in paused
        assert Status.LIVE not in paused
        work.resume()
        await pilot.press("4")
        await until_shown(pilot, "pending 2, all of them waiting")
        await end(pilot)
        await until(pilot, lambda: work.is_over)
        await until_shown(
            pilot, "ended at ", "3 events read", "2 changes pending at its end", "waited: no cohort"
        )
        await until_shown(pilot, "2 pending at its end")
        await until_shown(pilot, "A new session does not send 2 pending changes: no cohort.")
        ended = next(it.text for it in await _log_entries(pilot) if " ended: run " in it.text)
        assert ended.startswith("Live session of 2 audiences ended: run 2. ")
        assert ended.endswith("Pending: 2 of “waiters” (no cohort).")
        await until_gone(pilot, "» live")
        await until_gone(pilot, "live: 1")
        await pilot.press("3")
        await until_shown(pilot, "live", "○ ended", "2 pending: no cohort")


async def _log_entries(pilot: Pilot[None]) -> list[LogEntry]:
    session = services(pilot).session
    assert session is not None
    return await session.read(log_page, LogFilter(kinds=(LogKind.LIVE,)), 0, 9)


async def _summaries(pilot: Pilot[None]) -> list[AudienceSummary]:
    session = services(pilot).session
    assert session is not None
    return await session.read(audience_summaries, session.connection)


async def test_a_session_that_begins_is_not_that_of_another_process(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = tmp_path / "live.ndjson"
    file.touch()
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: work.run_id is not None)
        work.snapshot = None  # as until its first second is over
        screen = pilot.app.screen
        assert isinstance(screen, LiveScreen)
        await screen.load()
        work.snapshot = None
        await screen.load()
        await until_gone(pilot, "another amp-console")
        await cancelled(pilot, work)


async def test_a_session_without_a_live_audience_is_a_session(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    harness.connect()
    file = tmp_path / "live.ndjson"
    file.touch()
    async with harness.open() as pilot:
        work = await follow(pilot, file)
        await until_shown(pilot, "» live session", "» live · 0 events read", "lag none · pending 0")
        await cancelled(pilot, work)


async def test_every_session_of_other_processes_is_seen(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    with harness.workspace(harness.connect()) as workspace, workspace.ledger.hold_run() as lock:
        workspace.enter("u1")
        audience_id = workspace.audience().id
        for n in (1, 2):
            run = workspace.ledger.write(runs.begin_run, ReadCounts(), NOW, lock, RunKind.LIVE)
            workspace.ledger.write(
                runs.record_audience, run, audience_id, AudienceCounts(added=100 * n), NOW
            )
        for _ in range(25):  # a long session is not among the last runs
            ended = workspace.ledger.write(runs.begin_run, ReadCounts(), NOW, lock)
            workspace.ledger.write(runs.end_run, ended, RunStatus.DELIVERED, "", NOW)
        async with harness.open() as pilot:
            await until(pilot, lambda: services(pilot).session is not None)
            await pilot.press("4")
            await until_shown(pilot, "run 1, since", "run 2, since", "2 audiences", "100", "200")
            await pilot.press("down", "w")
            await until_shown(pilot, "run 2")
            await pilot.press("escape")
            file = tmp_path / "live.ndjson"
            file.touch()
            await pilot.press("n")
            await until_shown(pilot, "Folder, file or bucket to follow")
            await answer(pilot, str(file))
            await until_shown(pilot, "» live · 0 events read", "run 1, since", "run 2, since")
            work = services(pilot).jobs.live
            assert work is not None
            await cancelled(pilot, work)


def test_ages_of_sources_advance_between_snapshots() -> None:
    now = LiveSnapshot(1, 9.0, ReadCounts(), 0.0, (), (SourceStatus("a", last=90.0),), now=100.0)
    ages = [source_rows([now], clock, ASCII)[0].cells[5].text for clock in (100.0, 112.0)]
    assert ages == ["10 s ago", "22 s ago"]


async def test_a_question_that_is_not_on_the_screen_yet_is_not_renewed() -> None:
    ask_path("Follow", lambda: Content("Sends 540 changes."), "", "Follow").ask_again()


def test_an_ended_session_says_what_an_audience_waited_for_and_not_that_it_does() -> None:
    paused = LiveAudience(1, "k", "A", 3, 0.0, AudienceCounts(), PAUSED, is_paused=True)
    unlinked = LiveAudience(2, "l", "B", 3, 0.0, AudienceCounts(), NO_COHORT)

    assert audience_row(paused, ASCII).cells[-1].text == "paused"
    assert audience_row(paused, ASCII, is_over=True).cells[-1].text == "was paused"
    assert audience_row(unlinked, ASCII, is_over=True).cells[-1].text == "waited: no cohort"
    ended = detail_text(paused, ASCII, 40, is_over=True).plain
    assert "was paused" in ended
    assert "nothing is sent" not in ended


def test_an_audience_that_a_run_delivers_has_a_short_status_and_a_whole_sentence() -> None:
    said = f"A run of this console is delivering this audience. {GOES_LIVE}"
    busy = LiveAudience(3, "m", "C", 3, 0.0, AudienceCounts(), said)
    assert audience_row(busy, ASCII).cells[-1].text == "waiting for a run"
    assert said in detail_text(busy, ASCII, 100).plain


def test_the_audiences_of_a_session_that_need_someone_come_first() -> None:
    def named(name: str, state: str = "", waits_for: str = "") -> LiveAudience:
        return LiveAudience(1, name, name, 0, 0.0, AudienceCounts(), state, waits_for=waits_for)

    found = problems_first(
        [
            named("a"),
            named("failing", "Gave up after 8 failures in a row."),
            named("b", NO_COHORT, WaitReason.NO_COHORT),
            named("c", "Gone.", WaitReason.BROKEN),
            named("d"),
        ]
    )
    assert [audience.name for audience in found] == ["c", "b", "a", "failing", "d"]


def test_events_read_are_shown_whole_in_a_narrow_panel() -> None:
    audience = LiveAudience(
        1, "k", "A", 0, 0.0, AudienceCounts(), "", entered=(12_345,), left=(6_789,)
    )

    shown = detail_text(audience, ASCII, 28).plain
    assert "events read: +12,345 -6,789" in shown  # in one line: a second one may be hidden
    assert max(len(line) for line in shown.splitlines()) <= 28


def test_files_of_one_folder_have_it_in_the_title_and_no_column() -> None:
    one = (SourceStatus("/logs/a", size=9), SourceStatus("/logs/b", size=9))
    two = (*one, SourceStatus("/other/c", size=9))

    def folders(sources: tuple[SourceStatus, ...]) -> list[str]:
        now = LiveSnapshot(1, 9.0, ReadCounts(), 0.0, (), sources)
        return [row.cells[-1].text for row in source_rows([now], 9.0, ASCII)]

    assert (shared_folder(one), folders(one)) == ("/logs", ["", ""])
    assert (shared_folder(two), folders(two)) == ("", ["/logs", "/logs", "/other"])


@pytest.mark.parametrize("is_awaited", [False, True])
def test_at_the_end_trouble_stays_unless_it_was_awaited_that_it_passes(is_awaited: bool) -> None:
    source = SourceStatus("/x.txt", trouble="Not readable.", is_awaited=is_awaited)
    now = LiveSnapshot(1, 9.0, ReadCounts(), 0.0, (), (source,))

    assert "/x.txt  Not readable." in str(trouble(now, ASCII))
    over = structs.replace(now, is_over=True)
    assert (trouble(over, ASCII) is None) == is_awaited
    shown = source_rows([over], 9.0, ASCII)[0].cells[-1].text
    assert (shown != "Not readable.") == is_awaited


def test_a_source_that_is_awaited_is_no_failure_and_comes_after_one() -> None:
    absent = SourceStatus("/absent", trouble="It does not exist yet.", is_awaited=True)
    failing = SourceStatus("/closed", trouble="It can't be read.")
    now = LiveSnapshot(1, 9.0, ReadCounts(), 0.0, (), (absent,))

    assert str(trouble(now, PLAIN)) == "◌ /absent  It does not exist yet."
    both = structs.replace(now, sources=(absent, failing))
    assert str(trouble(both, PLAIN)) == "✖ /closed  It can't be read."


def test_the_first_audience_that_something_is_sent_for_is_the_one_to_watch() -> None:
    unlinked = LiveAudience(
        1, "k", "A", 3, 0.0, AudienceCounts(), NO_COHORT, LivePhase.WAITING, waits_for=NO_COHORT
    )
    quiet = LiveAudience(2, "l", "B", 0, 0.0, AudienceCounts(), "")
    busy = LiveAudience(3, "m", "C", 5, 0.0, AudienceCounts(), "")

    assert first_live([quiet, busy, unlinked]) == 2
    assert first_live([unlinked, quiet]) == 0
