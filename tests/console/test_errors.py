"""Who failed and why: in two keystrokes, and what can be done about it."""

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.console import LaunchOptions
from amp_console.console.context import services_of
from amp_console.console.routes import OpenErrors
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.widgets.grid import Grid
from amp_console.ledger import Db
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.ledger.rejected import RejectedFilter, count_rejected
from amp_console.simulator import Answer, RefuseIds, Rule
from amp_console.simulator.calls import Call
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.retry import retry
from amp_console.values import IdType
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_picture,
    until_shown,
)
from tests.console.sample_audiences import (
    FRESH,
    GHOSTS,
    SHOPPERS,
    Preparation,
    broken_events,
    connect_with_audiences,
    hostile_audience,
    select,
    sync,
)
from tests.sync.workspace import Workspace, event, ndjson

pytestmark = pytest.mark.anyio


def unidentified(workspace: Workspace) -> None:
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), FRESH)


def formula(workspace: Workspace) -> None:
    """A rejected user of an audience whose key is a formula."""
    workspace.read([event("ghost-1", True, audience="=1+1")])
    sync(workspace)


@asynccontextmanager
async def errors_shown(
    harness: ConsoleHarness, *prepare: Preparation, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[Pilot[None]]:
    """Connect with audiences, open the console, and go to the errors."""
    connect_with_audiences(harness, *prepare)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        yield pilot


@asynccontextmanager
async def retry_offered(harness: ConsoleHarness) -> AsyncIterator[Pilot[None]]:
    """Open the console, and ask to retry its two rejected users."""
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "2 users")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        yield pilot


async def export_to(pilot: Pilot[None], path: str) -> None:
    """Export what is shown into this file."""
    await pilot.press("E")
    await until(pilot, lambda: pilot.app.screen.query("#answer"))
    pilot.app.screen.query_one("#answer", Input).value = path
    await pilot.press("enter")


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


async def test_two_keystrokes_from_home_to_who_failed_and_why(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "Amplitude did not know this User ID", "ghost-1", "ghost-2")


async def test_the_audience_under_the_cursor_is_looked_at(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        select(pilot, SHOPPERS)
        await pilot.press("x")
        await until_shown(pilot, f"Errors · {SHOPPERS}", "No one is rejected.")
        await pilot.press("A")
        await until_shown(pilot, "Errors · all audiences", "ghost-1")


async def test_groups_lead_to_users_and_users_to_everything(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "All reasons", "14", "No Amplitude ID in the event")
        await pilot.press("j", "j")
        await until_shown(pilot, "2 users")
        await pilot.press("enter", "enter")
        await until_shown(pilot, "why           Amplitude did not know this User ID", "status 200")
        await pilot.press(*("j" * 9))
        await until_shown(pilot, "skipped_ids")
        await pilot.press("enter")
        await until_shown(pilot, "Request ", "memberships")
        await pilot.press("escape", "f")
        await until_shown(pilot, "The addition was rejected (run 1)")
        await pilot.press("escape")
        await until_shown(pilot, "skipped_ids")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.query_one("#users").has_focus)
        await pilot.press("escape", "escape")
        await until_shown(pilot, "◎ not compared")


async def test_one_of_several_users_is_retried_alone(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "─ ghost-1", "2 users")
        await until_shown(pilot, "R Retry all 2", "Enter Users")
        await pilot.press("tab", "j")
        await until_shown(pilot, "U Retry this user", "Tab Reasons")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?", "“ghost-2” will be pending again")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again", "─ 1 user ─", "─ ghost-1")


async def test_a_small_footer_has_the_key_that_retries_the_user_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, size=(80, 24)) as pilot:
        await until_shown(pilot, "2 users")
        await pilot.press("tab")
        await until_shown(pilot, "u Ask  Enter Details  U Retry user")


async def test_the_detail_of_a_user_who_was_retried_offers_no_other_retry(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "─ ghost-1", "2 users")
        await pilot.press("tab", "enter")
        await until_shown(pilot, "U Retry  ")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again", "─ ghost-1", "f This person")
        await until_gone(pilot, "U Retry")


async def test_in_a_small_footer_the_offer_of_a_sync_leaves_room_for_a_retry(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, size=(80, 24)) as pilot:
        await until_shown(pilot, "2 users")
        await pilot.press("tab", "U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again", "s Sync  Enter Details  u Ask")
        await pilot.press("tab")
        await until_shown(pilot, "s Sync  Enter Users  R Retry 1 user")


async def test_reasons_said_on_the_invalid_events_do_not_stay_with_the_users(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, broken_events) as pilot:
        await until_shown(pilot, "2 users", "press v for 2 invalid events")
        await pilot.press("v", "enter", "enter")
        await until_shown(pilot, "Press m to see the first of these events")
        await pilot.press("R")
        await until_shown(pilot, "can't be retried", "(1 more in the log")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "All reasons")
        # At once: a warning would go by itself after some seconds.
        assert services_of(pilot.app.screen).notifications.shown.current is None


async def test_the_key_of_one_user_does_nothing_among_the_reasons(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "─ ghost-1", "2 users", "retry this user")
        assert pilot.app.screen.query_one("#groups").has_focus
        assert "U Retry" not in picture(pilot)
        await pilot.press("U")
        await until_shown(pilot, "Press Enter to go to the users of this reason, and U retries one")
        await pilot.press("enter", "U")
        await until_shown(pilot, "Retry 1 user?", "“ghost-1” will be pending again")


async def test_help_and_footer_name_the_other_list_and_one_key_says_that_all_is_shown(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "─ ghost-1", "Enter Users")
        await pilot.press("A")
        await until_shown(pilot, "The errors of all audiences are shown already.")
        await pilot.press("tab")
        await until_shown(pilot, "Tab Reasons")
        await pilot.press("question_mark")
        await until_shown(pilot, "Users / reasons", "Sort; reverse the order")
        assert "All audiences" not in picture(pilot)


async def test_retrying_one_user_says_what_else_the_next_sync_delivers(
    harness: ConsoleHarness,
) -> None:
    def more(workspace: Workspace) -> None:
        workspace.read([event(f"new-{n}", True, audience=GHOSTS) for n in range(3)])

    async with errors_shown(harness, more) as pilot:
        await until_shown(pilot, "─ ghost-1", "2 users")
        await pilot.press("tab", "U")
        await until_shown(pilot, "will try this user again and send 3")
        await pilot.press("y")
        await until_notified(
            pilot, "1 user pending again. The next sync also delivers 3 other pending changes."
        )
        await until_shown(pilot, f"s Plan a sync of {GHOSTS}")
        await pilot.press("s")
        await until_shown(pilot, f"Sync {GHOSTS}: 4 changes, 1 of them retried", "Adds 4 users")


async def test_a_retry_that_plans_a_sync_leaves_the_counting_to_the_plan(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(
        harness, lambda workspace: workspace.read([event("new", True, audience=GHOSTS)])
    )
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "─ ghost-1", "2 users")
        await pilot.press("tab", "U")
        await until_shown(pilot, "will try this user again and send 1")
        await pilot.press("s")
        await until_shown(pilot, f"Sync {GHOSTS}: 2 changes, 1 of them retried", "1 user pending")
        assert "also delivers" not in picture(pilot)


async def test_a_group_is_retried_and_synced(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "All reasons")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await until_shown(
            pilot, "a/Enter Ask Amplitude  y Retry  s Retry and plan a sync  Esc Cancel"
        )
        await pilot.press("n")
        await until_shown(pilot, "All reasons", "? Help")
        assert await services(pilot).session.read(count_rejected) == 2  # type: ignore[union-attr]
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await pilot.press("y")
        await until_shown(pilot, "2 users pending again", "No one is rejected.")
        await pilot.press("1")
        await until_shown(pilot, "newsletter")
        await pilot.press("2")  # what was retried is remembered
        await until_shown(pilot, "No one is rejected.", f"Plan a sync of {GHOSTS}")
        await pilot.press("s")
        await until_shown(pilot, GHOSTS, "+2")


async def test_a_sync_is_offered_only_where_someone_was_retried(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "ghost-1")
        await pilot.press("tab", "U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, f"s Plan a sync of {GHOSTS}")
        session = services(pilot).session
        assert session is not None
        others = [item.id for item in await session.read(all_audiences) if item.name != GHOSTS]
        services(pilot).navigate(OpenErrors(others[0]))
        await until_shown(pilot, "No one is rejected.")
        assert "Plan a sync" not in picture(pilot)


async def test_marked_users_alone_are_retried(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-2")
        await pilot.press("tab", "space", "R")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again")
        await until_gone(pilot, "ghost-1 ")


async def test_what_cannot_be_retried_says_why(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "No Amplitude ID in the event")
        await pilot.press("j")
        await until_shown(pilot, "12 users")
        await pilot.press("R")
        await until_shown(pilot, "Not retried: the ID is missing, so there is nothing to send.")


async def test_invalid_events_are_listed_with_file_and_line(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, broken_events) as pilot:
        await pilot.press("v")
        await until_shown(pilot, "Invalid events", "no usable identifier", "m Field mapping")
        await until_shown(pilot, "2 events")
        await pilot.press("enter")
        await until_shown(pilot, "line 1", "line 2", "no usable identifier at $.userId")
        await pilot.press("enter")
        await until_notified(pilot, "Press m to see the first of these events")
        await pilot.press("escape", "slash", *"nothing")
        await until_shown(pilot, "0 events")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "All reasons")


async def test_a_narrow_list_of_invalid_events_shows_the_names_of_files_and_the_lines_whole(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "08-webhook-batch.ndjson"
    file.write_text("{\n")
    async with errors_shown(
        harness, lambda workspace: workspace.read_file(file), size=(80, 24)
    ) as pilot:
        await until_shown(pilot, "All reasons")
        await pilot.press("v")
        where = "08-webhook-batch.ndjson, line 1"
        await until_picture(pilot, lambda shown: shown.count(where) == 2)  # in list and detail


async def test_the_mapping_is_tried_on_the_invalid_event_that_led_to_it(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "lost.ndjson"
    lines = [event("u-1", True), event(None, True, traits={"customer": "c-7"})]
    file.write_text(ndjson(lines))
    async with errors_shown(harness, lambda workspace: workspace.read_file(file)) as pilot:
        await pilot.press("v")
        await until_shown(pilot, "1 invalid event", "m Field mapping")
        await pilot.press("m")
        await until_shown(pilot, "lost.ndjson, line 2", '"customer": "c-7"', "invalid: no usable")
        await pilot.press("escape")
        file.unlink()
        await until_shown(pilot, "1 invalid event")
        await pilot.press("m")
        await until_notified(pilot, "Could not show the event.", "lost.ndjson does not exist")
        await until_shown(pilot, "Sample event: paste one of yours", "u-10442")


async def test_the_mapping_is_tried_on_the_event_of_a_user_without_the_identifier(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "No Amplitude ID in the event")
        await pilot.press("j", "tab")
        await until_shown(pilot, "12 users", "─ n0 ─", "m Field mapping")
        await pilot.press("m")
        await until_shown(pilot, ".ndjson, line ", '"userId": "n0"', "enters the audience")


async def test_a_filter_looks_for_part_of_the_identifier(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-2")
        await pilot.press("slash", *"T-2")
        await until_gone(pilot, "ghost-1 ")
        await until_shown(pilot, "1 user", "ghost-2")


async def test_what_is_shown_is_exported(harness: ConsoleHarness, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    async with errors_shown(harness, broken_events) as pilot:
        await until_shown(pilot, "ghost-2")
        await export_to(pilot, str(tmp_path / "no/such/folder.csv"))
        await until_notified(pilot, "can't be written")
        await export_to(pilot, str(file))
        await until_notified(pilot, "Wrote 2 rows")
    assert [(row["kind"], row["id"]) for row in rows_of(file)] == [
        ("rejected", "ghost-1"),
        ("rejected", "ghost-2"),
    ]
    assert file.stat().st_mode & 0o077 == 0


async def test_a_hundred_thousand_errors_are_paged(harness: ConsoleHarness) -> None:
    def many(workspace: Workspace) -> None:
        audience_id = workspace.audience(GHOSTS).id

        def fill(db: Db) -> None:
            rejection = db.execute("SELECT max(id) FROM rejection").fetchone()[0]
            db.executemany(
                "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                "source_id, line, delivered, rejection_id) VALUES (?, 1, ?, 1, 1, 1, 1, 1, 0, ?)",
                [(audience_id, f"many-{n:06}", rejection) for n in range(100_000)],
            )

        workspace.ledger.write(fill)

    connect_with_audiences(harness, many)
    async with harness.open() as pilot:
        await until_shown(pilot, "100,002")
        await pilot.press("2")
        await until_shown(pilot, "100,002 users", "ghost-1")
        await pilot.press("tab", "G")
        await until_shown(pilot, "many-099999")
        grid = pilot.app.screen.query_one("#users", Grid)
        assert len(grid.rows.shown._pages) <= 3  # type: ignore[attr-defined]
        await pilot.press("g", "pagedown", "pagedown")
        assert grid.cursor > 10
        await until_shown(pilot, f"▸ many-{grid.cursor - 2:06}", f"─ many-{grid.cursor - 2:06} ─")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_hostile_text_breaks_nothing(harness: ConsoleHarness, size: tuple[int, int]) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, "[red]tr")
        await pilot.press("2")
        await until_shown(pilot, "ghost-[/bold]", "ghost-[red]")
        await pilot.press("tab", "G", "enter")
        await until_shown(pilot, "why ")
        assert "\x1b" not in picture(pilot)
        await pilot.press("y", "f")
        await until_shown(pilot, "Found in")
        await pilot.press("escape", "escape", "escape", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ErrorsScreen))


async def test_a_retry_leads_to_the_plan_of_a_sync_at_once(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "14 users")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 of 14 users?", f"They will be pending again in {GHOSTS}.")
        await until_shown(pilot, "12 more users are not retried: no Amplitude ID in the event.")
        await pilot.press("s")
        await until_shown(pilot, "Before you send", GHOSTS, "+2")
        await pilot.press("escape")
        await until_gone(pilot, "Amplitude did not know")


async def test_marks_of_one_reason_are_not_retried_under_another(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await pilot.press("j", "j")
        await until_shown(pilot, f"Amplitude did not know this User ID · {GHOSTS}", "2 users")
        await pilot.press("tab", "space")
        await until_shown(pilot, "2 users · 1 marked")
        await pilot.press("tab", "k")
        await until_shown(pilot, f"No Amplitude ID in the event · {FRESH}", "12 users ─")
        assert not pilot.app.screen.query_one("#users", Grid).marks


async def test_users_of_all_reasons_say_theirs(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified, size=(80, 30)) as pilot:
        await until_shown(pilot, "14 users")
        await pilot.press("tab", "G")
        await until_shown(pilot, "ghost-1 ")
        line = next(item for item in picture(pilot).splitlines() if "ghost-1 " in item)
        assert "unknown to Amplitude" in line
        assert GHOSTS in line


async def test_a_narrow_list_of_all_reasons_shows_identifiers_of_20_characters(
    harness: ConsoleHarness,
) -> None:
    first, second = "ghost-07dab8ac8da62d", "ghost-07dab8ac8da62e"
    key, more = "high_value_shoppers", ["u-1", *(f"ghost-{n}" for n in range(10, 22))]
    with harness.workspace(harness.connect()) as workspace:
        workspace.read([event(id_, True, audience=key) for id_ in (first, second, *more)])
        await workspace.sync()
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad-1"}), named=True)))
        workspace.read([event("bad-1", True, at=5, audience=key)])
        await workspace.sync()
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "15 rejected")
        await pilot.press("2")
        await until_shown(pilot, "All reasons", "15 users", first, second)


async def test_nothing_rejected_says_what_else_there_is_to_see(harness: ConsoleHarness) -> None:
    harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await until_shown(pilot, "No audience yet.")
        await pilot.press("2")
        await until_shown(pilot, "No one is rejected.", "No event was invalid.")
        for key in ("R", "E", "slash"):
            await pilot.press(key)
        await until(pilot, lambda: len(services(pilot).notifications.entries) == 3)
        await pilot.press("v")
        await until_shown(pilot, "Broken lines, and events without a usable identifier")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "No audience yet.")


async def test_a_filter_that_matches_no_one_says_so(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-2")
        await pilot.press("slash", *"%_[x", "enter")
        await until_shown(pilot, "0 users", "No user matches “%_[x”.")


async def test_errors_of_a_run_are_those_its_requests_brought(harness: ConsoleHarness) -> None:
    with harness.workspace(connect_with_audiences(harness, unidentified)) as workspace:
        workspace.read([event(None, True, 300)])
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        pilot.app.push_screen(ErrorsScreen(run_id=1))
        await until_shown(pilot, "Errors · run 1", "ghost-1", "2 users")
        assert "1 invalid event" not in picture(pilot)  # events belong to no run
        await pilot.press("A")
        await until_shown(
            pilot, "Errors · all audiences", "14 users", "press v for 1 invalid event"
        )


async def test_errors_of_an_audience_say_that_events_were_invalid(harness: ConsoleHarness) -> None:
    with harness.workspace(connect_with_audiences(harness)) as workspace:
        workspace.read([event(None, True, 300)])
        ghosts = workspace.audience(GHOSTS).id
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        pilot.app.push_screen(ErrorsScreen(ghosts))
        await until_shown(pilot, f"Errors · {GHOSTS}", "press v for 1 invalid event (all")


async def test_a_sync_elsewhere_moves_what_is_shown(harness: ConsoleHarness) -> None:
    connection = connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "2 users")
        with harness.workspace(connection) as workspace:
            workspace.read([event("ghost-3", True, 90, audience=GHOSTS)])
            sync(workspace)
        await until_shown(pilot, "ghost-3", "3 users")


async def test_who_may_only_read_retries_no_one(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await until_shown(pilot, GHOSTS, "READ-ONLY")
        await pilot.press("2")
        await until_shown(pilot, "All reasons", "ghost-2", "2 users")
        await pilot.press("R")
        await until_notified(pilot, "amp-console was started with --read-only.")


async def test_cells_are_safe_for_a_spreadsheet_unless_exact_ones_are_chosen(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    file = tmp_path / "users.csv"
    async with errors_shown(harness, formula) as pilot:
        await until_shown(pilot, "=1+1", "3 users")
        await export_to(pilot, str(file))
        await until_notified(pilot, "Wrote 3 rows")
        assert "'=1+1" in {row["audience"] for row in rows_of(file)}
        await pilot.press("E")
        await until(pilot, lambda: pilot.app.screen.query("#answer"))
        pilot.app.screen.query_one("#answer", Input).value = str(file)
        await pilot.press("tab", "space")
        pilot.app.screen.query_one("#answer", Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: "=1+1" in {row["audience"] for row in rows_of(file)})


async def test_invalid_events_are_exported_as_they_are_filtered(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    broken, file = tmp_path / "broken.ndjson", tmp_path / "invalid.csv"
    broken.write_text("not json\n[/foo]\n")
    async with errors_shown(
        harness, broken_events, lambda workspace: workspace.read_file(broken)
    ) as pilot:
        await pilot.press("v")
        await until_shown(pilot, "4 events")
        await pilot.press("slash", *"broken", "enter")
        await until_shown(pilot, "E Export  Enter Events")
        await until_shown(pilot, "2 events")
        await export_to(pilot, "\0")
        await until_shown(pilot, "This is not a valid file name.")
        await pilot.press("escape")
        await export_to(pilot, str(file))
        await until_notified(pilot, "Wrote 2 rows")
    assert [row["line"] for row in rows_of(file)] == ["1", "2"]


async def test_keys_pressed_in_a_hurry_open_a_user_of_the_reason_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "14 users")
        await pilot.press("G", "enter", "enter")
        await until_shown(pilot, "why           Amplitude did not know this User ID")


async def test_a_sync_that_takes_everyone_leaves_the_keys_on_the_reasons(
    harness: ConsoleHarness,
) -> None:
    connection = connect_with_audiences(harness, unidentified)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2", "tab")
        await until_shown(pilot, "14 users")
        assert pilot.app.screen.query_one("#users").has_focus
        with harness.workspace(connection) as workspace:
            workspace.change(SettingsChange(id_type=IdType.USER_ID), FRESH)
            retry(workspace.ledger, connection, RejectedFilter())
        await until_shown(pilot, "No one is rejected.")
        await until(pilot, lambda: pilot.app.screen.query_one("#groups").has_focus)


async def test_another_reason_begins_at_its_first_user(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "14 users", "R Retry 2 of 14")
        await pilot.press("j")
        await until_shown(pilot, "12 users", "No Amplitude ID in the event · ")
        await pilot.press("tab", "j", "j")
        await until(pilot, lambda: pilot.app.screen.query_one("#users", Grid).cursor == 2)
        await pilot.press("tab", "j")
        await until_shown(pilot, "─ 2 users", "▹ ghost-1")


async def test_no_retry_is_offered_where_there_is_nothing_to_send(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(
            pilot, "R Retry 2 of 14", "12 users can't be retried: no Amplitude ID in the event"
        )
        await pilot.press("j")
        await until_shown(pilot, "12 users", "No Amplitude ID in the event · ")
        await until_gone(pilot, "R Retry")
        await pilot.press("R")
        await until_shown(pilot, "Set its field (press m), and import the events again.")
        await pilot.press("k", "e")
        await until_shown(pilot, "each belongs to one audience.")
        await pilot.press("j")
        await until_shown(pilot, "m Field mapping", "e Settings")
        await pilot.press("e")
        await until_shown(pilot, "Settings of")
        await pilot.press("left", "f2")
        await until_notified(pilot, "The next sync adds its users by User ID.")
        await until_shown(pilot, f"s Plan a sync of {FRESH}")
        await pilot.press("s")
        await until_shown(pilot, f"Sync {FRESH}: 12 changes")


async def test_tab_is_not_offered_where_no_users_are_listed(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, broken_events) as pilot:
        await until_shown(pilot, "Enter Users", "press v for 2 invalid events")
        await pilot.press("v")
        await until_shown(pilot, "v Users")
        await until_gone(pilot, "Enter Users")


async def test_a_user_without_the_identifier_is_told_its_path_and_the_other_id_type(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    with harness.workspace(connection) as workspace:
        workspace.read([event("u1", True, audience=FRESH)])
        unidentified(workspace)
    async with harness.open() as pilot:
        await until_shown(pilot, "= 1 missing ID", "▲ 1 missing Amplitude ID")
        await pilot.press("2", "j")
        await until_shown(pilot, "─ No Amplitude ID in the event · newsletter")
        await until_shown(pilot, "has no Amplitude ID at $.traits.amplitude_id.", "by User ID")


async def test_the_key_of_the_screen_shows_all_errors_again(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        pilot.app.push_screen(ErrorsScreen(run_id=1, invalid=True))
        await until_shown(pilot, "Invalid events")
        await pilot.press("2")
        await until_shown(pilot, "Errors · all audiences", "ghost-1")
        await until_gone(pilot, "All audiences")


async def test_amplitude_is_asked_about_the_user_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, size=(120, 40)) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        assert "u Ask Amplitude" not in picture(pilot)
        await pilot.press("tab", "j")
        await until_shown(pilot, "─ ghost-2", "u Ask Amplitude")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude, asked just now", "does not know this identifier")
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude knows this User ID.", "for the rejection is gone")
        await pilot.press("f")
        await until_shown(pilot, "Person", "Amplitude knows this User ID.", "rejection is gone")
        await pilot.press("escape")
        await until_shown(pilot, "asked just now")
        await pilot.press("k")
        await until_gone(pilot, "asked just now")


async def test_before_a_retry_amplitude_can_be_asked_and_only_those_it_knows_are_retried(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?", "Amplitude did not know any of them")
        await until_shown(pilot, "Ask Amplitude [a]")
        await pilot.press("a")
        await until_notified(pilot, "Amplitude still knows none of these users. Nothing was")
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await pilot.press("a")
        await until_shown(
            pilot, "Retry 1 user?", "Amplitude now knows 1 of the 2 rejected as unknown"
        )
        await until_gone(pilot, "Ask Amplitude [a]")
        await pilot.press("s")
        await until_shown(pilot, "1 of them retried")
        await pilot.press("y")
        await until_shown(pilot, "This run rejected no one.")
        await pilot.press("2")
        await until_shown(pilot, "1 user ", "ghost-1")
        await until_gone(pilot, "ghost-2")


@pytest.mark.parametrize("size", [(80, 24), (130, 40)], ids=str)
async def test_the_list_says_about_which_users_amplitude_was_asked_and_keeps_it(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    async with errors_shown(harness, size=size) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        users = pilot.app.screen.query_one("#users", Grid)

        def columns() -> list[str]:
            return [users.columns[item.at].label for item in users.fitting.fit(users.size.width)]

        assert "Amplitude" not in columns()
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?")
        await pilot.press("a")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("escape")
        await until_shown(pilot, "unknown  ", "known now")
        await pilot.press("1", "2", "tab")
        await until_shown(pilot, "unknown  ", "known now")
        users = pilot.app.screen.query_one("#users", Grid)
        assert "Audience" in columns()
        await until_gone(pilot, "U Retry")
        await pilot.press("j")
        await until_shown(pilot, "U Retry user" if size == (80, 24) else "U Retry this user")
        await pilot.press("enter")
        await until_shown(pilot, "Amplitude, asked just now", ": retry this user")


async def test_what_amplitude_said_of_a_user_goes_when_it_rejects_them_again(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        await pilot.press("tab", "u")
        await until_shown(pilot, "unknown  ")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?", "Asked just now, Amplitude said that it does not")
        await pilot.press("s")
        await until_shown(pilot, "Before you send")
        await pilot.press("y")
        await until_shown(pilot, "1 rejected")
        await pilot.press("2")
        await until_shown(pilot, "ghost-1", "2 users")
        await until_gone(pilot, "unknown  ")


async def test_find_a_person_gives_the_answer_that_errors_was_given(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        await pilot.press("tab", "u")
        await until_shown(pilot, "unknown  ")
        await pilot.press("1", "f", *"ghost-1", "enter")
        await until_shown(pilot, "Asked just now.", "A retry would be rejected again")


async def test_amplitude_is_asked_about_the_marked_users(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("tab", "a")
        await until_shown(pilot, "u Ask about 2 marked")
        await pilot.press("u")
        await until_shown(pilot, "unknown  ", "known now")
        await until_shown(pilot, "Amplitude knows 1 of these 2 users now.")
        await until_gone(pilot, "Asking Amplitude about 2 users")
        session = services(pilot).session
        assert session is not None
        logged = await session.read(log_page, LogFilter("Asking Amplitude"))
        assert not logged, "the log keeps what passes"


async def test_amplitude_is_asked_about_all_users_of_a_reason(harness: ConsoleHarness) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "14 users", "u Ask about 2")
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("u")
        await until_notified(pilot, "knows 1 of these 2 users now. It was not asked about 12 more")
        await pilot.press("j")
        await until_gone(pilot, "u Ask")
        await pilot.press("j")
        await until_shown(pilot, "unknown  ", "known now", "u Ask about 2")


async def test_a_retry_leaves_out_users_that_amplitude_has_said_it_does_not_know(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, size=(130, 40)) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        await pilot.press("tab", "a", "u")
        await until_notified(pilot, "Amplitude knows none of these 2 users now.")
        await until_gone(pilot, "R Retry 2 marked")
        await pilot.press("R")
        await until_shown(pilot, "Retry 2 users?", "A retry is unlikely to help")
        await pilot.press("escape")
        await pilot.press("escape", "U")
        await until_shown(pilot, "a retry is unlikely to help.", "Enter Ask Amplitude")
        await pilot.press("escape", "a", "R")
        await until_shown(pilot, "Retry 2 users?", "A retry is unlikely to help")
        assert "did not know any" not in picture(pilot)
        harness.simulator.world.add_user("ghost-2")
        await pilot.press("escape", "u")
        await until_notified(pilot, "Amplitude knows 1 of these 2 users now.")
        await until_shown(pilot, "R Retry 1 of 2 marked", "u Ask about 2 marked")
        await pilot.press("escape", "tab")
        await until_shown(pilot, "R Retry 1 of 2  ", "1 likely rejected again")
        await pilot.resize_terminal(80, 24)
        await until_shown(pilot, "1 likely rejected again")
        await pilot.resize_terminal(130, 40)
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 of 2 users?", "1 user is not retried: Amplitude does not")
        await until_shown(pilot, "“ghost-2” will be pending again")
        await until_gone(pilot, "a Ask Amplitude")
        await pilot.press("y")
        await until_shown(pilot, "1 user pending again")


async def test_amplitude_is_not_asked_about_marked_users_who_were_never_sent(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, unidentified) as pilot:
        await until_shown(pilot, "14 users")
        await pilot.press("tab", "a")
        await until_shown(pilot, "u Ask about 2 marked")
        await pilot.press("u")
        text = "none of these 2 users now. It was not asked about 12 more: no Amplitude ID in the"
        await until_notified(pilot, text)
        await pilot.press("tab", "j", "tab", "a", "u")
        await until_notified(pilot, "Not asked: the IDs of these users are missing")


async def test_the_last_attempt_of_a_user_tried_once_is_the_first(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        for row in pilot.app.screen.query_one("#users", Grid).rows.known:
            *_, since, last = row.cells
            assert since.text == last.text


async def test_a_retry_says_once_who_is_retried_and_who_stays_rejected(
    harness: ConsoleHarness,
) -> None:
    def refused(workspace: Workspace) -> None:
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad-1", "bad-2"}), named=True)))
        users = ("good-1", "bad-1", "bad-2")
        workspace.read(event(user, True, audience="refused") for user in users)
        sync(workspace)

    connect_with_audiences(harness, refused)
    async with harness.open(size=(120, 40)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "4 users")
        await pilot.press("R")
        await until_shown(pilot, "Retry 4 users?")
        await pilot.press("a")
        await until_shown(
            pilot,
            "Amplitude knows none of the 2 rejected as unknown: they stay",
            "The 2 rejected for another reason will be pending again in",
        )


def rejected_in_three(workspace: Workspace) -> None:
    """A user that Amplitude does not know, in two audiences more."""
    workspace.read(event("ghost-1", True, audience=key) for key in ("second", "third"))
    workspace.read(event("u01", True, audience=key) for key in ("second", "third"))
    sync(workspace)


async def test_a_user_rejected_in_several_audiences_is_searched_for_once_and_counts_in_each(
    harness: ConsoleHarness,
) -> None:
    async with errors_shown(harness, rejected_in_three) as pilot:
        await until_shown(pilot, "4 users")
        await pilot.press("slash", *"ghost-1", "enter")
        await until_shown(pilot, "3 users")
        harness.simulator.world.add_user("ghost-1")
        await pilot.press("R")
        await until_shown(pilot, "Retry 3 users?")
        asked = len([item for item in harness.simulator.requests if item.call is Call.SEARCH])
        await pilot.press("a")
        await until_shown(pilot, "Amplitude now knows all 3 rejected as unknown.")
        await until_shown(pilot, "Retry 3 users?")
        searches = [item for item in harness.simulator.requests if item.call is Call.SEARCH]
        assert len(searches) == asked + 1
        await pilot.press("y")
        await until_notified(pilot, "3 users pending again.")


def refused_twice(workspace: Workspace) -> None:
    """Amplitude refuses two users, and one of them again."""
    workspace.set_faults(Rule(RefuseIds(frozenset({"bad-1", "bad-2"}), named=True)))
    workspace.read(event(user, True, audience="refused") for user in ("good-1", "bad-1", "bad-2"))
    sync(workspace)
    retry(workspace.ledger, workspace.connection, RejectedFilter(text="bad-1"))
    sync(workspace)


async def test_a_retry_leaves_out_those_that_amplitude_refused_more_than_once(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, refused_twice)
    async with harness.open(size=(130, 40)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "4 users", "R Retry 3 of 4", "1 likely rejected again")
        await pilot.press("slash", *"bad", "enter")
        await until_shown(pilot, "2 users")
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 of 2 users?", "“bad-2” will be pending again")
        await until_shown(pilot, "1 user is not retried: Amplitude refused this user more than")
        await pilot.press("escape", "slash", *"-1", "enter")
        await until_shown(pilot, "1 user")
        await until_gone(pilot, "R Retry")
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 user?", "unlikely to help: Amplitude refused this user")


async def test_a_run_that_only_left_users_refused_again_does_not_show_the_retry_key(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, refused_twice)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("3")
        await until_shown(pilot, "x Errors", "b Play back")
        await pilot.press("tab")
        await until_shown(pilot, "E Export")
        assert "R Retry" not in picture(pilot)
        await pilot.press("escape", "w")
        await until_shown(pilot, "E Export")
        assert "R Retry" not in picture(pilot)
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 user?", "unlikely to help: Amplitude refused")


async def test_a_single_user_who_is_not_named_is_this_user(harness: ConsoleHarness) -> None:
    def one_is_rejected(workspace: Workspace) -> None:
        retry(workspace.ledger, workspace.connection, RejectedFilter(text="ghost-2"))

    connect_with_audiences(harness, one_is_rejected)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2", "R")
        await until_shown(
            pilot, f"This user will be pending again in {GHOSTS}.", "try this user again"
        )


async def test_amplitude_is_not_offered_to_be_asked_about_users_it_knows_and_refuses(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, refused_twice)
    async with harness.open(size=(120, 40)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "4 users")
        await pilot.press("slash", *"bad-1", "enter")
        await until_shown(pilot, "1 user")
        await pilot.press("a", "u")
        await until_gone(pilot, "R Retry")
        await pilot.press("R")
        await until_shown(pilot, "Retry 1 user?", "Amplitude knows this user (asked")
        assert "Ask Amplitude" not in picture(pilot)


async def test_users_that_someone_else_has_retried_meanwhile_are_not_retried_again(
    harness: ConsoleHarness,
) -> None:
    async with retry_offered(harness) as pilot:
        session = services(pilot).session
        assert session is not None
        retry(session.ledger, session.connection, RejectedFilter())
        await pilot.press("s")
        await until_notified(pilot, "No one was retried: these users are no longer rejected.")
        await until_shown(pilot, "No one is rejected.")
        await until_gone(pilot, "Before you send")


async def test_those_rejected_while_a_retry_is_confirmed_stay_rejected(
    harness: ConsoleHarness,
) -> None:
    async with retry_offered(harness) as pilot:
        session = services(pilot).session
        assert session is not None
        with harness.workspace(session.connection) as workspace:
            workspace.read(
                [event("u01", True, audience="new"), event("ghost-9", True, audience="new")]
            )
            sync(workspace)
        await pilot.press("y")
        await until_notified(pilot, "2 users pending again.")
        await until_shown(pilot, "ghost-9", "1 user")


async def test_when_amplitude_cannot_be_asked_no_one_is_retried(harness: ConsoleHarness) -> None:
    async with errors_shown(harness) as pilot:
        await until_shown(pilot, "ghost-1", "2 users")
        harness.simulator.faults.set([Rule(Answer(503))])
        await pilot.press("tab", "U")
        await until_shown(pilot, "Retry 1 user?", "Amplitude did not know this user")
        await pilot.press("a")
        await until_notified(pilot, "(status 503)", "Nothing was retried.")
        await until_shown(pilot, "2 users")
