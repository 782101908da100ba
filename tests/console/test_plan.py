import pytest
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.screens.plan.view import PlanScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.simulator import Simulator
from tests.console.held import hold, rate_limit, start_sync
from tests.console.house import House, console, picture, until, until_said, until_shown
from tests.sync.office import event

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36)]


async def open_plan(pilot: Pilot[None], *shown: str) -> None:
    await until(pilot, lambda: console(pilot).session)
    await until_shown(pilot, "shoppers")
    await pilot.press("S")
    await until_shown(pilot, "Before you send", *shown)


@pytest.mark.parametrize("size", SIZES)
async def test_the_plan_says_what_would_be_sent(house: House, size: tuple[int, int]) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1", "u-2", "u-3")
        await office.sync()
        office.leave("u-1", at=5)
        office.enter("u-4", at=5)
        office.read([event("u-1", True, audience="trial")])
    async with house.open(size=size) as pilot:
        await open_plan(pilot, "This makes 1 cohort, adds 2 users, takes 1 user out")

        shown = picture(pilot)
        assert 'This creates the cohort "trial"' in shown
        assert "up to 100,000 ids" in shown
        assert "one request at a time for each cohort" in shown
        assert "» creates a cohort" in shown
        await pilot.press("G")
        await until_shown(pilot, 'makes the cohort "trial", owned by ana@acme.example')


@pytest.mark.parametrize("key", ["s", "y", "enter"])
async def test_confirming_sends_and_shows_the_run_in_its_place(house: House, key: str) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    async with house.open() as pilot:
        await open_plan(pilot, "adds 1 user")
        await pilot.press(key)
        await until_shown(pilot, "Everything is delivered.")

        await pilot.press("escape")

        await until_shown(pilot, "in sync")


async def test_going_back_sends_nothing(house: House, simulator: Simulator) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    async with house.open() as pilot:
        await open_plan(pilot, "adds 1 user")
        await pilot.press("escape")
        await until_shown(pilot, "not linked")

        assert console(pilot).sync is None
    assert not simulator.world.cohorts()


async def test_an_idle_plan_says_that_there_is_nothing_to_send(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
        await office.sync()
    async with house.open() as pilot:
        await open_plan(pilot, "There is nothing to send: the cohort is what the audience is.")
        await pilot.press("s")
        await pilot.press("enter")

        assert isinstance(pilot.app.screen, PlanScreen)
        assert console(pilot).sync is None


async def test_a_large_removal_is_asked_about_by_name_and_number(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter(*(f"u-{n}" for n in range(10)))
        await office.sync()
        office.leave(*(f"u-{n}" for n in range(8)), at=5)
    async with house.open() as pilot:
        await open_plan(pilot, "takes 8 users out", "takes most out")
        await pilot.press("s")
        await until_shown(pilot, '8 of 10 members leave the cohort "shoppers"', "Take 8 out")
        await pilot.press("enter")  # cancel has the focus
        assert console(pilot).sync is None

        await pilot.press("s")
        await until_shown(pilot, "Take 8 out")
        await pilot.press("y")

        await until_shown(pilot, "0 added, 8 taken out")


async def test_read_only_dims_sending_and_says_why(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    async with house.open(LaunchOptions(read_only=True)) as pilot:
        await open_plan(pilot, "adds 1 user", "READ-ONLY")
        assert pilot.app.screen.check_action("send", ()) is None

        await pilot.press("s")
        await until_said(pilot, "amp-console was started with --read-only.")
        await pilot.press("enter")

        assert console(pilot).sync is None


async def test_a_second_sync_is_refused_and_the_first_one_offered(
    house: House, simulator: Simulator
) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    held = hold(house)
    rate_limit(simulator)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited")
        first = console(pilot).sync
        await pilot.press("escape")
        await open_plan(pilot, "adds 1 user")
        await pilot.press("s")
        await until_shown(pilot, "A sync is under way", "one sync at a time")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))

        assert console(pilot).sync is first
        held.let_go()
        await until_shown(pilot, "Everything is delivered.")


async def test_the_plan_is_read_anew_when_the_ledger_moves(house: House) -> None:
    connection = house.connect()
    with house.office(connection) as office:
        office.enter("u-1")
        async with house.open() as pilot:
            await open_plan(pilot, "adds 1 user")

            office.enter("u-2", at=5)

            await until_shown(pilot, "adds 2 users")


async def test_an_obstacle_is_said_and_nothing_can_be_sent(
    house: House, simulator: Simulator
) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
        await office.sync()
        cohort_id = office.audience().cohort_id
        assert cohort_id is not None
        simulator.world.drop_cohort(cohort_id)
        office.enter("u-2", at=5)
        await office.sync()
    async with house.open() as pilot:
        await open_plan(pilot, "Nothing can be sent", "✖ can't be sent")

        assert f"Amplitude has no cohort {cohort_id} any more" in picture(pilot)
        await pilot.press("s")
        assert console(pilot).sync is None
