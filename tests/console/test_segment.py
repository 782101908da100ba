"""Segment in the console: three sizes side by side, audiences only in Segment, and one person."""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from amp_console.connections import NamedSource, SegmentSpace, save_space
from amp_console.console.environment import SegmentTokens
from amp_console.console.widgets.grid import Grid
from amp_console.engage import FieldMapping
from amp_console.ledger.segment_audiences import keep_audiences
from amp_console.simulator import Canned, ListedAudience, Simulator, Size
from amp_console.simulator.segment import PROFILES_TOKEN, TOKEN, ListedDestination
from amp_console.sync.audience_queries import set_query
from amp_console.values import SegmentAudience, now_in_microseconds
from tests.connections import backends
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
from tests.console.keyrings import use_keyring
from tests.console.sample_audiences import (
    FRESH,
    GHOSTS,
    LAPSED,
    SHOPPERS,
    connect_with_audiences,
    select,
    sync,
)
from tests.sync.warehouses import sqlite_warehouse
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio
SPACE = "spa_1"  # that of the sample's events
MINUTE = 60_000_000  # microseconds
SIZES = [(80, 24), (120, 36), (200, 50)]


def listed(key: str, size: float | None, **more: str) -> ListedAudience:
    counted = {} if size is None else {"size": Size(size)}
    return ListedAudience(key=key, id=f"aud_{key}", name=key, **more, **counted)  # type: ignore[arg-type]


def read_before(workspace: Workspace, now: int) -> None:
    """Store an answer by Segment from 11 minutes ago: only the shoppers, 20 of them."""
    found = SegmentAudience(f"aud_{SHOPPERS}", SHOPPERS, SHOPPERS, True, "Live", 20, "USERS", None)
    workspace.ledger.write(keep_audiences, SPACE, (found,), now - 11 * MINUTE)


def connect(harness: ConsoleHarness, simulator: Simulator, *, was_read: bool = True) -> None:
    """Connect a space with the four audiences and one more, and its tokens."""
    connection = connect_with_audiences(harness)
    now = now_in_microseconds()  # after the syncs of the sample
    if was_read:
        with harness.workspace(connection) as workspace:
            read_before(workspace, now)
    space = SegmentSpace(id=SPACE, base_url=simulator.base_url)
    harness.environment.connections.put_space(connection, space)
    tokens = SegmentTokens(TOKEN, PROFILES_TOKEN)
    timing = dataclasses.replace(harness.environment.timing, now=lambda: now)
    harness.environment = dataclasses.replace(
        harness.environment, segment_tokens=tokens, timing=timing
    )
    simulator.segment.id = SPACE
    simulator.segment.audiences = [
        listed(SHOPPERS, 22),
        listed(LAPSED, 10),
        listed(GHOSTS, 5, status="Failed"),
        listed(FRESH, None, status="Computing"),
        listed("win_back", 3_418),
    ]


async def at(pilot: Pilot[None], audience: str) -> None:
    """Move home's cursor to an audience, and wait for its detail."""
    await until_shown(pilot, audience)
    select(pilot, audience)
    await until(pilot, lambda: pilot.app.screen.query_one("#detail").border_title == audience)


async def test_an_audience_that_segment_itself_delivers_needs_a_decision(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.destinations = {
        item.id: [ListedDestination(enabled=item.key == SHOPPERS)]
        for item in simulator.segment.audiences
    }
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await pilot.press("u")
        await until_shown(pilot, "Segment delivers it to Amplitude, too")
        await at(pilot, LAPSED)
        await until_gone(pilot, "to Amplitude, too")


async def test_home_shows_three_sizes_with_the_age_of_segments(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await until_shown(
            pilot,
            "Segment 20 · members 22 · cohort size unknown",
            "members 11 min ago: press u to ask again.",
            "differs     2 fewer in Segment",
            "in Segment  Live (read 11 min ago)",
        )
        assert simulator.segment.requests == []
        await pilot.press("u")
        await until_notified(
            pilot, "3 cohorts in Amplitude, 5 audiences in Segment (1 not in the ledger: press 7)."
        )
        await until_shown(pilot, "Segment 22 · members 22 · cohort 20", "Live (read just now)")
        await until_gone(pilot, "fewer in Segment")
        await at(pilot, LAPSED)
        await until_shown(pilot, "Segment 10 · members 7 · cohort 7", "≠ Segment +3")
        await until_shown(pilot, "3 more in Segment", "what to do  Press i to import the missing")
        await until_shown(pilot, "counted 3 more members: see below.")
        await at(pilot, GHOSTS)
        await until_shown(pilot, "Segment 5 · members 5 · cohort 3", "in Segment  Failed (read")
        await until_shown(pilot, "compute the audience: see below.", "Open it in Segment to see")
        assert "Failed in Segment" not in picture(pilot)
        await at(pilot, FRESH)
        await until_shown(
            pilot, "Segment unknown · members 12 · no cohort", "Computing (read just now)"
        )


async def test_beside_a_cohort_that_is_right_it_is_said_what_segment_counts_otherwise(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, LAPSED)
        await pilot.press("u")
        await until_shown(pilot, "Segment 10 · members 7 · cohort 7", "≠ Segment +3")
        await pilot.press("r", "r")
        await until_shown(pilot, "● same")
        await pilot.press("1")
        await until_shown(
            pilot,
            "● in sync  ≠ Segment +3",
            "next        The cohort matches the events imported so far,",
            "but Segment counted 3 more members: see below.",
        )
    async with harness.open(size=(66, 24)) as pilot:
        await until_shown(pilot, "● in sync  ≠ Segment")


async def test_the_key_for_what_to_do_next_comes_first_in_the_footer(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(80, 24)) as pilot:
        await at(pilot, LAPSED)
        await until_shown(pilot, "◎ not compared", " u Update sizes  r Reconcile  ")
        await pilot.press("u")
        await until_shown(pilot, " r Reconcile  s Sync")
        await at(pilot, SHOPPERS)
        await until_shown(pilot, " s Sync  ")


async def test_sizes_that_changes_have_overtaken_are_said_to_be_of_before(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, LAPSED)
        await pilot.press("u")
        await until_shown(pilot, "Segment 10 · members 7 · cohort 7", "≠ Segment +3")
        with harness.workspace(harness.environment.connections.pick(None)) as workspace:
            workspace.read([event("late-1", True, audience=LAPSED)])
            sync(workspace)
        await until_shown(pilot, "members 8 · cohort 7 (just now,")
        await until_shown(pilot, "just now, changed since · press u to check")


async def test_a_mark_says_by_how_many_segment_differs_only_until_members_move(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await until_shown(pilot, "≠ Segment −2", "Segment 20 · members 22")
        with harness.workspace(harness.environment.connections.pick(None)) as workspace:
            now = datetime.now(UTC).isoformat()
            workspace.read([{**event("late-1", True, audience=SHOPPERS), "timestamp": now}])
        services(pilot).publish_ledger_change()
        await until_shown(
            pilot,
            "≠ Segment differed 11 min ago",
            "Segment 20, members 22 (11 min ago)",
            "23 now",  # perhaps on the next line: the list may take room from the detail
            "differs     2 fewer in Segment 11 min ago",
        )
        await until_gone(pilot, "≠ Segment −2")


async def test_of_an_audience_of_a_query_segment_only_has_one_with_its_key(
    harness: ConsoleHarness, simulator: Simulator, tmp_path: Path
) -> None:
    connect(harness, simulator)
    lake = NamedSource(name="lake", url=sqlite_warehouse(tmp_path).url)
    connection = msgspec.structs.replace(
        harness.environment.connections.pick(None), sources=(lake,)
    )
    harness.environment.connections.save(connection)
    with harness.workspace(connection) as workspace:
        set_query(workspace.ledger, connection, SHOPPERS, "lake", "SELECT user_id FROM vips")
    async with harness.open(size=(120, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await until_shown(
            pilot,
            "11 min ago: press u to ask again.",
            "differs     2 fewer in Segment",
            "in Segment  Live (read 11 min ago)",
            "The members come from a query.",
        )
        await pilot.press("u")
        await until_shown(pilot, "Live (read just now)")


async def test_a_mark_of_segment_comes_before_what_has_a_column_of_its_own(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.audiences = [listed(FRESH, 12, status="Failed")]
    async with harness.open(size=(180, 45)) as pilot:
        await until_shown(pilot, FRESH)
        await pilot.press("u")
        await until_shown(pilot, "◌ no cohort  ✖ Segment failed")


async def test_who_is_to_be_checked_in_segment_is_marked_and_found_by_a_filter(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    async with harness.open(size=(160, 45)) as pilot:
        await until_shown(pilot, SHOPPERS)
        await pilot.press("u")
        await until_shown(pilot, "· 2 audiences to check in Segment · 16 changes pending")
        shown = picture(pilot)
        assert re.search(rf"{LAPSED}.* 7 .*≠ Segment \+3", shown)
        assert re.search(rf"{GHOSTS}.* 5 .*✖ Segment failed", shown)
        assert not re.search(rf"{GHOSTS}.*▲ 5 ", shown), "its sizes are equal"
        assert not re.search(rf"({SHOPPERS}|{FRESH}).*≠ Segment", shown)
        await pilot.press("slash", *"segment", "enter")
        await until_shown(pilot, "2 of 4 audiences", LAPSED, GHOSTS)


@pytest.mark.parametrize("size", SIZES)
async def test_the_size_in_segment_is_a_column_that_is_chosen(
    harness: ConsoleHarness, simulator: Simulator, size: tuple[int, int]
) -> None:
    connect(harness, simulator)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, SHOPPERS, "pending")
        grid = pilot.app.screen.query_one("#list", Grid)
        assert "Segment" not in [column.label for column in grid.columns]
        await pilot.press("u", "v", "c")
        await until_shown(pilot, "Show or hide")
        await pilot.press("G", "space", "enter")
        await until_gone(pilot, "Show or hide")
        await until(pilot, lambda: segment_column(grid)[SHOPPERS] == "22")
        assert segment_column(grid) == {
            SHOPPERS: "22",
            LAPSED: "≠ 10",
            GHOSTS: "5",
            FRESH: "unknown",
        }
        assert services(pilot).views.current.columns == ()


def segment_column(grid: Grid) -> dict[str, str]:
    rows = [grid.rows.get(index) for index in range(len(grid.rows))]
    return {row.cells[0].text: row.cells[-1].text for row in rows if row is not None}


async def test_without_a_space_home_says_nothing_of_segment(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await pilot.press("u")
        await until_notified(pilot, "Sizes are up to date: 3 cohorts in Amplitude.")
        assert "Segment" not in picture(pilot)
        await pilot.press("v", "c")
        await until_shown(pilot, "Show or hide", "Last sync")
        assert "Segment" not in picture(pilot)


async def test_what_segment_said_before_stays_with_its_age_where_it_does_not_answer(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.instead = [Canned(401, b"{}")]
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await pilot.press("u")
        await until_notified(
            pilot,
            "Segment refused the request",
            "The previous sizes are still shown, with their age.",
        )
        await until_shown(pilot, "Segment 20 · members 22 · cohort 20", "Live (read 11 min ago)")


async def test_a_space_that_was_never_read_has_no_size_of_zero(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator, was_read=False)
    simulator.segment.instead = [Canned(404, b"{}")]
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await until_shown(pilot, "Segment unknown · members 22", "never read: press u")
        await pilot.press("u")
        await until_notified(pilot, "No sizes have been read from Segment yet.")
        await until_shown(pilot, "Segment unknown · members 22", "never read: press u")


async def test_the_token_is_read_from_the_keyring(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    use_keyring(harness, backends.Memory)
    environment = dataclasses.replace(harness.environment, segment_tokens=None)
    harness.environment = environment
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await pilot.press("u")
        await until_notified(pilot, "No token of Segment's Public API is stored.")
        assert simulator.segment.requests == []
    connection = environment.connections.pick(None)
    assert connection.segment is not None
    save_space(
        environment.connections, environment.keyring, connection, connection.segment, token=TOKEN
    )
    async with harness.open(size=(200, 50)) as pilot:
        await at(pilot, SHOPPERS)
        await pilot.press("u")
        await until_shown(pilot, "Segment 22 · members 22 · cohort 20")
    backends.Memory.clear()


async def test_a_connection_that_is_closed_while_segment_is_asked_ends_the_asking(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    use_keyring(harness, backends.Silent)
    harness.environment = dataclasses.replace(harness.environment, segment_tokens=None)
    space = SegmentSpace(id=SPACE, base_url=simulator.base_url, token_item="lost")
    connections = harness.environment.connections
    connections.put_space(connections.pick(None), space)
    async with harness.open() as pilot:
        await until_shown(pilot, SHOPPERS, "pending")
        await pilot.press("u")
        await until(pilot, backends.Silent.asked.is_set)
        await services(pilot).sessions.close()
        backends.Silent.answered.set()
        await until(pilot, lambda: not services(pilot).segment.is_asking)
        assert pilot.app.is_running
    backends.Memory.clear()


async def to_sources(pilot: Pilot[None], *shown: str) -> None:
    await until(pilot, lambda: services(pilot).session)
    await pilot.press("7")
    await until_shown(pilot, "▸7 S", *shown)
    await pilot.press("G")


@pytest.mark.parametrize("size", SIZES)
async def test_a_space_is_a_source_that_lists_what_the_ledger_has_never_seen(
    harness: ConsoleHarness, simulator: Simulator, size: tuple[int, int]
) -> None:
    connect(harness, simulator)
    async with harness.open(size=size) as pilot:
        await to_sources(pilot, SPACE, "Segment space", "● ok", "1 in Segment", "11 min ago")
        await until_shown(pilot, "1 audience, 0 of them not in the ledger", "Press u to ask")
        assert "not in the ledger:" not in picture(pilot)
        await pilot.press("u")
        await until_shown(
            pilot,
            "5 audiences, 1 of them not in the ledger",
            "In Segment, not in the ledger:",
            "win_back · win_back · Live · 3,418",
            "by query",
        )
        if size[0] > 80:
            assert "by bucket" in picture(pilot)
            assert "by file" in picture(pilot)


async def test_a_space_that_does_not_answer_is_in_trouble_and_keeps_what_it_said(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.instead = [Canned(404, b"{}")]
    async with harness.open(size=(200, 50)) as pilot:
        await to_sources(pilot, SPACE)
        await pilot.press("u")
        await until_shown(pilot, "✖ trouble", "11 min ago", "1 in Segment", "simulated")
        await until_notified(pilot, "The previous sizes are still shown, with their age.")
        await pilot.press("u")
        await until_shown(pilot, "● ok", "just now", "5 in Segment")
        for key, reason in {"T": "that tests the token", "D": "segment disconnect"}.items():
            await pilot.press(key)
            await until_notified(pilot, reason)


async def test_a_space_that_a_shell_connects_is_a_source(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connection = harness.connect()
    async with harness.open(size=(80, 24)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("7")
        await until_shown(pilot, "No source yet.", "amp-console segment connect --space ID")
        space = SegmentSpace(id=SPACE, base_url=simulator.base_url)
        harness.environment.connections.put_space(connection, space)
        services(pilot).publish_ledger_change()
        await until_shown(pilot, SPACE, "not read yet", "lists         unknown", "none stored")
        assert services(pilot).segment.space == space


async def ask_about(pilot: Pilot[None], who: str, *shown: str) -> None:
    await until(pilot, lambda: services(pilot).session)
    await pilot.press("f", *who, "enter")
    await until_shown(pilot, *shown, "p Ask Segment")
    await pilot.press("p")


@pytest.mark.parametrize("size", SIZES)
async def test_segment_is_asked_about_a_person_beside_ledger_and_cohort(
    harness: ConsoleHarness, simulator: Simulator, size: tuple[int, int]
) -> None:
    connect(harness, simulator)
    simulator.segment.profiles["l3"] = {LAPSED: False}
    async with harness.open(size=size) as pilot:
        await ask_about(pilot, "l3", "In the cohort")
        await until_flowing(
            pilot,
            "Segment, asked just now: Segment does not have them in the audience. The ledger says "
            "that they belong in the cohort and were last known to be in it. The two disagree",
        )
        await pilot.press("y")
        await until(pilot, lambda: "just now: Segment does not have them" in pilot.app.clipboard)
        await pilot.press("slash", *"l4", "enter")
        await until_gone(pilot, "Segment, asked")


async def test_a_person_that_segment_or_the_ledger_does_not_know(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.profiles["only-there"] = {"win_back": True}
    async with harness.open() as pilot:
        await ask_about(pilot, "l3", "In the cohort")
        await until_flowing(pilot, "Segment has no profile of their User ID.")
        await pilot.press("slash", *"only-there", "enter")
        await until_shown(pilot, "No event contains this identifier.")
        await pilot.press("p")
        await until_shown(pilot, "Segment, asked just now: Segment has them in win_back.")


async def test_segment_is_not_asked_about_a_person_without_a_user_id(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    with harness.workspace(harness.environment.connections.pick(None)) as workspace:
        workspace.files = 100
        workspace.mapping = FieldMapping.parse(user_id="$.nowhere", amplitude_id="$.userId")
        workspace.read([event("4711", True, audience=LAPSED)])
    async with harness.open() as pilot:
        await ask_about(pilot, "4711", "Found in 1 audience")
        await until_flowing(pilot, "no event contains one for this Amplitude ID.")
        assert simulator.segment.requests == []


async def test_where_segment_does_not_answer_it_is_unknown_and_says_why(
    harness: ConsoleHarness, simulator: Simulator
) -> None:
    connect(harness, simulator)
    simulator.segment.instead = [Canned(401, b"{}")]
    async with harness.open() as pilot:
        await ask_about(pilot, "l3", "In the cohort")
        await until_flowing(
            pilot, "Whether Segment has them in the audience now is unknown. Segment refused"
        )


async def test_without_a_token_of_the_profile_api_segment_is_not_offered(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("f", *"l3", "enter")
        await until_shown(pilot, "In the cohort", "u Ask Amplitude")
        assert "Ask Segment" not in picture(pilot)


async def until_flowing(pilot: Pilot[None], text: str) -> None:
    """Wait until the last panel shows a text, however its lines are wrapped."""
    await until_picture(
        pilot,
        lambda shown: text in " ".join(" ".join(map(last_panel, shown.splitlines())).split()),
    )


def last_panel(line: str) -> str:
    return (line.split("│")[-2:] or [""])[0]
