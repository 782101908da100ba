import pytest
from textual.pilot import Pilot

from amp_console.console import LaunchOptions
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.ledger.leases import lease, note_holder
from amp_console.ledger.runs import all_runs
from amp_console.ledger.standing import outstanding
from amp_console.simulator import Answer, Call, Simulator
from tests.console.held import hold, rate_limit, start_sync
from tests.console.house import NOW, House, console, picture, until, until_shown
from tests.sync.office import event

pytestmark = pytest.mark.anyio

SIZES = [(80, 24), (120, 36)]
HOSTILE = ("[/foo]", "[red]alert", "\x1b[31mred\x07", "\u202eolleh", "👩‍👩‍👧 family", "n" * 300)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_ends_with_what_it_changed_and_what_to_look_at(
    house: House, size: tuple[int, int]
) -> None:
    with house.office(house.connect()) as office:
        office.enter("ghost-1", *(f"u-{n}" for n in range(20)))
    async with house.open(size=size) as pilot:
        await start_sync(pilot, "partial", "Delivered, except 1 rejected user.")

        shown = picture(pilot)
        assert "20 added, 0 taken out in" in shown
        assert "1 user was rejected: press x to see who and why." in shown
        assert "21/21" in shown
        await until_shown(pilot, "Rejected (1)")
        assert "Amplitude does" in picture(pilot)


async def test_the_funnel_counts_in_segments_words(house: House) -> None:
    with house.office(house.connect()) as office:
        office.read([event("u-1", True), event("ghost-1", True), {"type": "page"}])
    async with house.open() as pilot:
        await start_sync(pilot, "partial")

        words, numbers = _funnel(picture(pilot))
        assert words.startswith("events read filtered pending pending retry failed delivery")
        assert words.endswith("successful delivery")
        assert numbers == ["3", "1", "0", "0", "1", "1"]


def _funnel(shown: str) -> tuple[str, list[str]]:
    rows = shown.splitlines()
    at = next(index for index, row in enumerate(rows) if "events read" in row)
    words = " ".join(rows[at].strip("│ ").split())
    return words, [item.strip() for item in rows[at + 1].strip("│ ").split("→")]


async def test_a_rate_limit_is_counted_down_and_waited_out(
    house: House, simulator: Simulator
) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1", "u-2")
    held = hold(house)
    rate_limit(simulator, 12)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited", "again in 1", " s (2nd")
        assert "running" in picture(pilot)
        assert _funnel(picture(pilot))[1][3] == "2"  # pending retry

        held.let_go()

        await until_shown(pilot, "Everything is delivered.", "(1 retry)")


async def test_a_run_is_paused_and_goes_on(house: House, simulator: Simulator) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    held = hold(house)
    rate_limit(simulator)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited")
        await pilot.press("p")
        await until_shown(pilot, "paused", "until you press p again", "Go on")

        held.let_go()
        await pilot.pause()
        assert not _work(pilot).is_over
        await pilot.press("p")

        await until_shown(pilot, "Everything is delivered.")


async def test_a_run_is_left_and_come_back_to(house: House, simulator: Simulator) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    held = hold(house)
    rate_limit(simulator)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, AudiencesScreen))
        await until_shown(pilot, "» sync")

        await pilot.press("w")
        await until_shown(pilot, "rate limited")
        held.let_go()

        await until_shown(pilot, "Everything is delivered.")


async def test_cancelling_asks_and_leaves_the_rest_pending(
    house: House, simulator: Simulator
) -> None:
    connection = house.connect()
    with house.office(connection) as office:
        office.enter("u-1", "u-2")
    hold(house)
    rate_limit(simulator)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited")
        await pilot.press("c")
        await until_shown(pilot, "Cancel this run?", "2 users not delivered yet stay pending")
        await pilot.press("enter")  # the no has the focus
        assert not _work(pilot).stop.is_asked

        await pilot.press("c")
        await until_shown(pilot, "Cancel this run?")
        await pilot.press("y")

        await until_shown(pilot, "Stopped as you asked: 2 users stay pending.")
        await pilot.press("p")
        await until_shown(pilot, "This run has finished")
    with house.office(connection) as office:
        assert office.ledger.read(outstanding, office.audience()).add == 2


async def test_amplitude_goes_down_in_the_middle(house: House, simulator: Simulator) -> None:
    with house.office(house.connect()) as office:
        office.enter(*(f"u-{n}" for n in range(50)))
    simulator.faults.add(Answer(503, html=True), Call.MEMBERSHIP)
    async with house.open() as pilot:
        await start_sync(pilot, "stopped", "50 users still pending")

        shown = picture(pilot)
        assert "Gave up after trouble 8 times in a row" in shown
        assert "The next sync delivers what is pending." in shown
        assert "✖ 503" in shown


async def test_refused_keys_are_told_in_words(house: House, simulator: Simulator) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    house.environ["AMP_CONSOLE_SECRET_KEY"] = "f" * 32
    async with house.open() as pilot:
        await start_sync(pilot, "failed", "Amplitude refused the keys")

        assert "press x" not in picture(pilot)
        assert "The next sync delivers" not in picture(pilot)


async def test_without_keys_nothing_begins(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Simulator() as simulator:
        house = House(tmp_path_factory.mktemp("h"), simulator, has_keys=False)
        with house.office(house.connect()) as office:
            office.enter("u-1")
        async with house.open() as pilot:
            await start_sync(pilot, "No keys are stored")
            await pilot.press("escape")
            await until_shown(pilot, "failed", "No request was sent.")

            failure = _work(pilot).failure
            assert failure is not None
            assert failure in " ".join(_words(picture(pilot)))
            await pilot.press("l")
            await until_shown(pilot, "The run has not begun.")


def _words(shown: str) -> list[str]:
    return shown.replace("│", " ").split()


async def test_a_cohort_that_is_gone_is_said_for_its_audience(
    house: House, simulator: Simulator
) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
        await office.sync()
        cohort_id = office.audience().cohort_id
        assert cohort_id is not None
        simulator.world.drop_cohort(cohort_id)
        office.enter("u-2", at=5)
    async with house.open() as pilot:
        await start_sync(pilot, "stopped", f"Amplitude has no cohort {cohort_id} any more")
        shown = picture(pilot)
        assert "shoppers: Amplitude has no cohort" in shown
        assert "Link another cohort, or unlink it" in shown
        assert "The next sync delivers" not in shown
    async with house.open(LaunchOptions(run_id=2)) as pilot:
        await until_shown(pilot, "run 2", "shoppers: Amplitude has no cohort")
        assert "The next sync delivers" not in picture(pilot)


async def test_an_audience_that_another_process_syncs_is_left_to_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = house.connect()
    with house.office(connection) as office:
        office.enter("u-1")
        audience = office.audience()
        with monkeypatch.context() as another:
            another.setattr("os.getpid", lambda: -1)
            office.ledger.write(note_holder, audience.id, NOW)
        path = office.ledger.path
    async with house.open() as pilot:
        with lease(path, audience.id):
            await start_sync(pilot, "stopped", "Another amp-console")

            assert "is syncing this audience" in picture(pilot)


async def test_requests_are_logged_and_each_is_shown_whole(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1", "u-2", "ghost-1")
    async with house.open() as pilot:
        await start_sync(pilot, "partial")
        await pilot.press("l")
        await until_shown(pilot, "Amplitude said", "create")
        await until(pilot, lambda: console(pilot).screen.query_one("#full-log").has_focus)

        await pilot.press("enter")

        await until_shown(pilot, "add 3 users by User ID", '"cohort_id"', '"u-2"', "Answer")
        assert isinstance(pilot.app.screen, RequestView)
        await pilot.press("y")
        await until_shown(pilot, "Copied")
        assert "skip_invalid_ids" in (house.premises.folders.data / "copied.txt").read_text()
        await pilot.press("escape", "escape")
        await until_shown(pilot, "Rejected (1)")


async def test_keys_are_in_no_picture_and_in_no_copy(house: House, simulator: Simulator) -> None:
    keys = simulator.credentials
    with house.office(house.connect()) as office:
        office.enter("u-1")
    async with house.open() as pilot:
        await start_sync(pilot, "delivered")
        await pilot.press("l", "enter")
        await until_shown(pilot, "Answer")
        await pilot.press("y")
        await until_shown(pilot, "Copied")

        seen = picture(pilot) + (house.premises.folders.data / "copied.txt").read_text()
        assert keys.api_key.reveal() not in seen
        assert keys.secret_key.reveal() not in seen


async def test_enter_on_an_audience_shows_its_requests_alone(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
        office.read([event("u-1", True, audience="trial")])
    async with house.open() as pilot:
        await start_sync(pilot, "delivered")
        await pilot.press("enter")

        await until_shown(pilot, "Requests of shoppers")
        assert "trial" not in picture(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_looks_the_same_after_a_restart(house: House, size: tuple[int, int]) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1", "ghost-1")
        report = await office.sync()
    async with house.open(LaunchOptions(run_id=report.run_id), size) as pilot:
        await until_shown(pilot, "Delivered, except 1 rejected user.", "1 added", "✔ 200")

        assert f"run {report.run_id}" in picture(pilot)
        assert "Pause" not in picture(pilot)
        assert "Cancel" not in picture(pilot)
        await pilot.press("p")
        await until_shown(pilot, "This run has finished")


async def test_a_run_that_does_not_exist_is_said_to(house: House) -> None:
    house.connect()
    async with house.open(LaunchOptions(run_id=404)) as pilot:
        await until_shown(pilot, "There is no run 404.")


async def test_hostile_names_break_nothing(house: House) -> None:
    with house.office(house.connect()) as office:
        for name in HOSTILE:
            office.read([event("u-1", True, audience=name)])
    async with house.open() as pilot:
        await until_shown(pilot, "[red]alert")
        await pilot.press("S")
        await until_shown(pilot, "This makes 6 cohorts", "[/foo]")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and _work(pilot).is_over)
        await until_shown(pilot, "[/foo]", "[red]alert")

        assert "\x1b" not in picture(pilot)
        assert "\u202e" not in picture(pilot)


async def test_no_timer_runs_once_the_run_is_over(house: House) -> None:
    with house.office(house.connect()) as office:
        office.enter("u-1")
    async with house.open() as pilot:
        await start_sync(pilot, "Everything is delivered.")

        place = pilot.app.screen
        assert isinstance(place, RunScreen)
        assert place._timer is None


async def test_a_run_given_up_in_the_middle_is_over_in_the_history_too(
    house: House, simulator: Simulator
) -> None:
    connection = house.connect()
    with house.office(connection) as office:
        office.enter("u-1")
    hold(house)
    rate_limit(simulator)
    async with house.open() as pilot:
        await start_sync(pilot, "rate limited")
        _work(pilot).give_up()
        await until_shown(pilot, "Stopped before the last answer came.")
    with house.office(connection) as office:
        assert str(office.ledger.read(all_runs)[0].status) == "stopped"


def _work(pilot: Pilot[None]) -> SyncJob:
    work = console(pilot).sync
    assert work is not None
    return work
