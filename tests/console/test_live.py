"""Live in the console: following begins, is watched, and ends with everything delivered."""

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console import Opening
from amp_console.console.live_work import LiveWork
from amp_console.console.look import ASCII
from amp_console.console.screens.live_rows import audience_row
from amp_console.ledger import runs
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import AudienceCounts, RunKind
from amp_console.ledger.sources import Tally
from amp_console.simulator import Answer, Rule
from amp_console.sync.live_progress import LiveAudience
from tests.console.house import NOW, House, console, picture, until, until_said, until_shown
from tests.sync.office import event

pytestmark = pytest.mark.anyio

HOSTILE = "[red]x [/foo] \x1b[2J"


def lines(*users: str) -> str:
    return "".join(json.dumps(event(user, True)) + "\n" for user in users)


async def follow(pilot: Pilot[None], path: Path, key: str = "N") -> LiveWork:
    """Begin to follow a path."""
    await until(pilot, lambda: console(pilot).session is not None)
    await pilot.press("6")
    await until_shown(pilot, "Nothing is followed.")
    await pilot.press(key)
    await until_shown(pilot, "Which folder, or which file that grows?")
    await pilot.press(*str(path), "enter")
    await until(pilot, lambda: console(pilot).following is not None)
    work = console(pilot).following
    assert work is not None
    return work


def members(house: House) -> set[str]:
    world = house.simulator.world
    found = [each for each in world.cohorts() if each.name == "shoppers"]
    return world.members(found[0].id) if found else set()


async def test_what_arrives_is_seen_and_is_in_its_cohort(house: House, tmp_path: Path) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1", "u2"))
    async with house.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(house) == {"u1", "u2"})
        with file.open("a") as more:
            more.write(lines("u3"))
        await until(pilot, lambda: members(house) == {"u1", "u2", "u3"})
        await until_shown(pilot, "» live", "shoppers", "follows", "live.ndjson", "» 1 live", "lag")
        await pilot.press("e")
        await until(pilot, lambda: work.is_over)
        await until_shown(pilot, "ended", "3 events read")
        assert work.report is not None
        assert work.report.pending == 0


async def test_audiences_without_a_cohort_wait(house: House, tmp_path: Path) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    async with house.open() as pilot:
        work = await follow(pilot, file, "n")
        await until_shown(pilot, "waits: no cohort yet")
        work.cancel()
        await until(pilot, lambda: work.is_over)
    assert house.simulator.world.cohorts() == []


async def test_a_pause_takes_events_in_and_sends_nothing(house: House, tmp_path: Path) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    async with house.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(house) == {"u1"})
        await pilot.press("p")
        await until_shown(pilot, "paused: events are taken in", "p Go on")
        with file.open("a") as more:
            more.write(lines("u2"))
        await until(pilot, lambda: work.snapshot and work.snapshot.tally.read == 2)
        assert members(house) == {"u1"}
        await pilot.press("p")
        await until(pilot, lambda: members(house) == {"u1", "u2"})
        await pilot.press("p", "e")
        await until(pilot, lambda: work.is_over)


async def test_quitting_asks_and_delivers_first(house: House, tmp_path: Path) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    async with house.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: members(house) == {"u1"})
        await pilot.press("ctrl+q")
        await until_shown(pilot, "Audiences are followed live")
        with file.open("a") as more:
            more.write(lines("u2"))
        await pilot.press("s")
        await until(pilot, lambda: work.is_over)
    assert members(house) == {"u1", "u2"}


async def test_what_can_not_be_followed_is_told(house: House) -> None:
    house.connect()
    async with house.open() as pilot:
        await follow(pilot, Path("/nowhere/at/all.ndjson"))
        await until_shown(pilot, "failed", "does not exist, nor does its folder")


async def test_refused_keys_end_it_and_say_so(house: House, tmp_path: Path) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    house.simulator.faults.set([Rule(Answer(403, words="Invalid API Key"))])
    async with house.open() as pilot:
        work = await follow(pilot, file)
        await until(pilot, lambda: work.is_over)
        await until(pilot, lambda: "Amplitude refused the keys" in " ".join(picture(pilot).split()))


async def test_keys_that_do_nothing_say_why(house: House, tmp_path: Path) -> None:
    house.connect()
    async with house.open(Opening(read_only=True)) as pilot:
        await until(pilot, lambda: console(pilot).session is not None)
        await pilot.press("6")
        await until_shown(pilot, "Nothing is followed.")
        await pilot.press("n", "e", "w")
        await until_said(
            pilot,
            "The connection is read-only: nothing is sent.",
            "Nothing is followed: there is nothing to end.",
            "No session was begun since the console was opened.",
        )


async def test_another_process_that_is_live_is_told_of(house: House) -> None:
    with house.office(house.connect()) as office, hold_run(office.ledger.path) as lock:
        office.ledger.write(runs.begin_run, Tally(), NOW, lock, RunKind.LIVE)
        async with house.open() as pilot:
            await until(pilot, lambda: console(pilot).session is not None)
            await pilot.press("6")
            await until_shown(pilot, "is live: its run 1 is under 3.")
            await pilot.press("3")
            await until_shown(pilot, "live", "running")


def test_a_row_shows_hostile_names_as_they_are() -> None:
    of = LiveAudience(1, "k", HOSTILE, 3, 1.5, AudienceCounts(added=1_000), "")
    row = audience_row(of, ASCII)
    assert [cell.text for cell in row.cells[:4]] == [HOSTILE, "3", "1.5 s", "1,000"]


async def test_what_goes_wrong_is_told_and_kept_in_the_event_log(
    house: House, tmp_path: Path
) -> None:
    house.connect()
    file = tmp_path / "live.ndjson"
    file.write_text("{broken\n" * 200 + lines("u1"))
    async with house.open() as pilot:
        await follow(pilot, file)
        await until_said(pilot, "100% of the last 201 events were invalid")
