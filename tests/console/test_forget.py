"""A deletion request in the console: typing the identifier, its progress, its result."""

import pytest
from textual.pilot import Pilot

from amp_console.simulator import Answer, Call, Rule
from tests.console.harness import ConsoleHarness, until_shown
from tests.console.sample_audiences import FRESH
from tests.console.test_person import person_shown
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio


def two_with_the_same_beginning(workspace: Workspace) -> None:
    workspace.read(event(f"ghost-{n}", True, audience=FRESH) for n in (1, 2))


async def confirm(pilot: Pilot[None], id_: str) -> None:
    await pilot.press("D")
    await until_shown(pilot, "Forget this person?", f"User ID {id_}: removed from the cohort of")
    await pilot.press(*id_)
    await until_shown(pilot, "It matches.")
    await pilot.press("enter")


async def test_someone_is_forgotten_once_the_identifier_was_typed_again(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "l3") as pilot:
        await until_shown(pilot, "last known    in the cohort")
        await confirm(pilot, "l3")
        await until_shown(pilot, "Deletion request", "Forgot 1 person.")
        await pilot.press("escape")
        await until_shown(pilot, "No event contains this identifier.")
    members = harness.simulator.world.members
    assert not any("l3" in members(cohort.id) for cohort in harness.simulator.world.cohorts())


async def test_no_one_is_forgotten_by_the_beginning_of_an_identifier(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-", two_with_the_same_beginning) as pilot:
        await until_shown(pilot, "2 identifiers begin with it", "ghost-1")
        await pilot.press("D")
        await until_shown(pilot, "Press Enter to open the marked one first.")


async def test_without_the_identifier_nothing_is_done(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "l3") as pilot:
        await until_shown(pilot, "last known    in the cohort")
        await pilot.press("D")
        await until_shown(pilot, "Forget this person?")
        await pilot.press(*"l4", "enter", "escape")
        await until_shown(pilot, "last known    in the cohort")


async def test_what_was_not_removed_is_said_with_its_reason(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "l3") as pilot:
        await until_shown(pilot, "last known    in the cohort")
        rule = Rule(Answer(status=500), frozenset({Call.MEMBERSHIP}))
        harness.simulator.faults.set([rule])
        await confirm(pilot, "l3")
        await until_shown(pilot, "Not erased: User ID l3", "None of their data was erased.")


async def test_a_read_only_connection_forgets_no_one(harness: ConsoleHarness) -> None:
    harness.connect(read_only=True)
    async with harness.open() as pilot:
        await pilot.press("f", *"u1", "enter")
        await until_shown(pilot, "No event contains this identifier.")
        await pilot.press("D")
        await until_shown(pilot, "is read-only.")
