"""One rejected user in detail: why, what to do, and the request that sent them."""

import dataclasses
import re

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from amp_console.console import LaunchOptions
from amp_console.console.screens.errors.rejected_user import RejectedUserDetail, pretty
from amp_console.console.widgets.grid import Grid
from amp_console.engage import FieldMapping
from amp_console.simulator import RefuseIds, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import IdType
from tests.console.gate import gate_sleeps, rate_limit, start_sync
from tests.console.harness import (
    ConsoleHarness,
    console,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_shown,
)
from tests.console.sample_audiences import FRESH, GHOSTS, connect_with_audiences, sync
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio


SCROLLBAR = set("▁▂▃▄▅▆▇█")  # Textual's own


def odd_signs(pilot: Pilot[None]) -> set[str]:
    return {sign for sign in picture(pilot) if not sign.isascii()}


def refused(workspace: Workspace) -> None:
    """Amplitude refuses whatever holds this user's identifier."""
    workspace.set_faults(Rule(RefuseIds(frozenset({"bad one"}), named=True)))
    workspace.read(event(user, True, audience="refused") for user in ("good one", "bad one"))
    sync(workspace)


def unidentified(workspace: Workspace) -> None:
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), FRESH)


async def open_user(pilot: Pilot[None], name: str) -> None:
    """From home to a rejected user."""
    await until_shown(pilot, GHOSTS)
    await pilot.press("2")
    await until_shown(pilot, name)
    await pilot.press("slash", *name, "enter")
    await until_shown(pilot, "1 user")
    await until(pilot, lambda: len(pilot.app.screen.query_one("#users", Grid).rows) == 1)
    await pilot.press("enter")
    await until(pilot, lambda: is_in_detail(pilot))


def is_in_detail(pilot: Pilot[None]) -> bool:
    return isinstance(pilot.app.screen.focused, RejectedUserDetail)


async def test_how_to_see_the_request_counts_the_keys(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(230, 50)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "(Enter in this panel shows it)")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: is_in_detail(pilot))
        await until_shown(pilot, "(press Enter to see it)")
        await pilot.press("enter")
        await until_shown(pilot, "sent with the keys")


async def test_esc_clears_the_filter_of_users_first(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await open_user(pilot, "ghost-2")
        await pilot.press("escape")
        await until(pilot, lambda: not is_in_detail(pilot))
        await pilot.press("escape")
        await until_shown(pilot, "ghost-1", "2 users")


async def test_an_unknown_user_is_shown_with_request_and_answer(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(80, 24)) as pilot:
        await open_user(pilot, "ghost-2")
        await until_shown(pilot, "why           Amplitude did not know this User ID", "What to do")
        await until_shown(pilot, "Amplitude has to receive an event", "with 5 users")
        await pilot.press(*("j" * 20))
        await until_shown(pilot, '"ghost-2"')
        assert re.search(r"sent \d{4}-\d\d-\d\d [\d:]{8} UTC", said(pilot))
        await pilot.press("y")
        await until(pilot, lambda: '"skipped_ids": [' in console(pilot).clipboard)


async def test_a_user_read_again_without_a_change_lays_nothing_out(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("2")
        await until_shown(pilot, "─ ghost-1", "status 200")
        detail = pilot.app.screen.query_one(RejectedUserDetail)
        layouts = list[Screen[object]]()
        pilot.app.screen.screen_layout_refresh_signal.subscribe(detail, layouts.append)
        await detail.load(detail.user)
        await pilot.pause()
        assert not layouts


async def test_a_refused_user_comes_with_amplitudes_words(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, refused)
    async with harness.open() as pilot:
        await open_user(pilot, "bad one")
        why = "why           Amplitude refused this ID as invalid (Some ids are invalid)"
        await until_shown(pilot, why, "status 400")
        advice = "If it does, a retry shows whether"
        await until_shown(pilot, advice)
        await pilot.press("f")
        await until_shown(pilot, "last known    not in the cohort")
        await until_shown(pilot, "If it does, a retry shows whether")


async def test_who_has_no_identifier_was_never_sent(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, unidentified)
    async with harness.open() as pilot:
        await open_user(pilot, "n11")
        await until_shown(
            pilot, "why           No Amplitude ID in the event", "Set the field of the"
        )
        await until_gone(pilot, "tries")
        await until_gone(pilot, "Enter Request")
        await pilot.press("U")
        await until_shown(pilot, "Not retried")
        await pilot.press("enter")
        await until_shown(pilot, "No request ever included this user.")


async def test_once_the_id_type_is_switched_the_reason_of_the_other_one_is_gone(
    harness: ConsoleHarness,
) -> None:
    connection = connect_with_audiences(harness, unidentified)
    harness.simulator.world.add_user("n11")
    async with harness.open(size=(200, 50)) as pilot:
        await open_user(pilot, "n11")
        await pilot.press("u")
        await until(pilot, lambda: "amp-console can't use it" in said(pilot))
        with harness.workspace(connection) as workspace:
            workspace.change(SettingsChange(id_type=IdType.USER_ID), FRESH)
        await until(pilot, lambda: "Now In the audience, as the event" in said(pilot))
        assert "No Amplitude ID" not in said(pilot)
        assert "can't use it" not in said(pilot)
        assert "Amplitude knows this User ID." in said(pilot)
        await pilot.press("f")
        await until_shown(pilot, "Found in 1 audience", "Amplitude knows this User ID.")
        assert "can't use it" not in " ".join(picture(pilot).split())


async def test_advice_to_switch_the_id_type_says_that_members_are_replaced(
    harness: ConsoleHarness,
) -> None:
    path = "$.traits.amplitude_id"
    with harness.workspace(harness.connect(amplitude_id_path=path)) as workspace:
        workspace.mapping = FieldMapping.parse("$.userId", path)
        with_ids = [{"amplitude_id": 1000 + n} if n < 4 else {} for n in range(6)]
        workspace.read(event(f"u{n}", True, traits=ids) for n, ids in enumerate(with_ids))
        sync(workspace)
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
        sync(workspace)
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("2")
        await until_shown(pilot, "u4", "The newest event has no Amplitude ID")
        await until(pilot, lambda: "removes all 4 members delivered by Amplitude ID" in said(pilot))
        assert "adds 6 by User ID" in said(pilot)


async def test_while_a_job_runs_all_members_are_not_counted_again_for_each_change(
    harness: ConsoleHarness,
) -> None:
    def read(*people: str) -> None:
        with harness.workspace(connection) as workspace:
            workspace.mapping = FieldMapping.parse("$.userId", "$.traits.amplitude_id")
            workspace.files += 10
            workspace.read(event(who, True) for who in people)
            workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))

    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    read("u0", "u1")
    with harness.workspace(connection) as workspace:
        workspace.files = 100
        workspace.read([event("waiting", True, audience="waiters")])
    gate = gate_sleeps(harness)
    rate_limit(harness.simulator)
    async with harness.open(size=(200, 50)) as pilot:
        await until_shown(pilot, "waiters")
        await start_sync(pilot, "trying again")
        await pilot.press("2")
        await until(pilot, lambda: "adds 2 members by User ID" in said(pilot))
        read("u2")
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "3 users")
        assert "adds 2 members by User ID" in said(pilot)
        gate.open()
        await until(pilot, lambda: "adds 3 members by User ID" in said(pilot))


class Clock:
    """A clock that advances by a number of seconds at each reading."""

    def __init__(self) -> None:
        self.now = self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def test_where_counting_all_members_takes_long_it_is_not_done_for_each_change(
    harness: ConsoleHarness,
) -> None:
    def read(*people: str) -> None:
        with harness.workspace(connection) as workspace:
            workspace.mapping = FieldMapping.parse("$.userId", "$.traits.amplitude_id")
            workspace.files += 10 * len(people)
            workspace.read(event(who, True) for who in people)
            workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))

    clock = Clock()
    timing = dataclasses.replace(harness.environment.timing, monotonic=clock)
    harness.environment = dataclasses.replace(harness.environment, timing=timing)
    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    read("u0", "u1")
    async with harness.open(size=(200, 50)) as pilot:
        await until_shown(pilot, "shoppers")
        clock.step = 100
        await pilot.press("2")
        await until(pilot, lambda: "adds 2 members by User ID" in said(pilot))
        clock.step = 0
        read("u2")
        services(pilot).publish_ledger_change()
        await until_shown(pilot, "3 users")
        assert "adds 2 members by User ID" in said(pilot)
        clock.now += 1e6
        services(pilot).publish_ledger_change()
        await until(pilot, lambda: "adds 3 members by User ID" in said(pilot))


def said(pilot: Pilot[None]) -> str:
    """The text of the detail, without line breaks."""
    return " ".join(pilot.app.screen.query_one(RejectedUserDetail).text.plain.split())


async def test_a_retried_user_says_how_they_stand_by_now(harness: ConsoleHarness) -> None:
    connection = connect_with_audiences(harness, refused)
    async with harness.open() as pilot:
        await open_user(pilot, "bad one")
        await until_shown(pilot, "What to do")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "Now", "Not in the cohort yet")
        await pilot.press("U")
        await until_notified(pilot, "have been retried")
        with harness.workspace(connection) as workspace:
            workspace.set_faults()
            sync(workspace)
        await until_shown(pilot, "In the cohort: the event of")


async def test_who_may_only_read_retries_no_one(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await open_user(pilot, "ghost-2")
        await pilot.press("U")
        await until_notified(pilot, "amp-console was started with --read-only.")


async def test_without_odd_signs_everything_is_ascii(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open(LaunchOptions(ascii_only=True), size=(80, 24)) as pilot:
        await open_user(pilot, "ghost-2")
        await until_shown(pilot, "What to do", "Enter Request")
        assert odd_signs(pilot) <= SCROLLBAR
        await pilot.press("f")
        await until_shown(pilot, "Found in 1 audience")
        assert odd_signs(pilot) <= SCROLLBAR


async def test_from_a_user_to_the_person_and_back(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await open_user(pilot, "ghost-2")
        await pilot.press("f")
        await until_shown(pilot, "Person", "Found in 1 audience")
        await pilot.press("escape")
        await until(pilot, lambda: is_in_detail(pilot))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ('{"a":["é"]}', '{\n  "a": [\n    "é"\n  ]\n}'),
        ('{"a": cut o', '{"a": cut o'),
        ("<html>busy</html>", "<html>busy</html>"),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
)
def test_answers_are_laid_out_where_they_are_json(answer: str, shown: str) -> None:
    assert pretty(answer) == shown


async def test_details_show_the_newest_attempt_after_a_sync_that_rejected_the_user_again(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await open_user(pilot, "ghost-1")
        await until_shown(pilot, "1 attempt", "(run 1)")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("s")
        await until_shown(pilot, "Before you send", "Adds 1 user")
        await pilot.press("y")
        await until_shown(pilot, "1 rejected")
        await pilot.press("escape")
        await until_shown(pilot, "2 attempts", "(run 2)")
        assert is_in_detail(pilot)


def share_a_key(workspace: Workspace) -> None:
    """A second audience has the key of the one whose user was refused."""
    refused(workspace)
    workspace.read([event("other one", True, audience="refused", personas={"computation_id": "b"})])


async def test_an_audience_that_shares_its_key_is_named_by_its_id_alone(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness, share_a_key)
    async with harness.open(size=(230, 50)) as pilot:
        await open_user(pilot, "bad one")
        await until_shown(pilot, "refused (aud_refused)")
        assert "(key aud_refused)" not in picture(pilot)
