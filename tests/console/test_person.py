"""Why is this person (not) in the cohort? Asked from anywhere, answered in a sentence."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from amp_console.console.screens.connections.mapping import MappingScreen
from amp_console.console.screens.errors.rejected_user import RejectedUserDetail
from amp_console.console.screens.person import PersonScreen
from amp_console.console.screens.runs.view import RunScreen
from amp_console.ledger.audience_queries import AudienceQuery, set_query
from amp_console.ledger.rejected import retry_rejected
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from amp_console.simulator import Answer, RefuseIds, Rule, Slow
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import IdType
from tests.console.harness import (
    ConsoleHarness,
    console,
    picture,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.sample_audiences import (
    FRESH,
    GHOSTS,
    HOSTILE,
    LAPSED,
    Preparation,
    connect_with_audiences,
    hostile_audience,
)
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio


def explained(pilot: Pilot[None]) -> str:
    """The sentence about the audience under the cursor, on one line."""
    return str(pilot.app.screen.query_one("#sentence", Static).content)


@asynccontextmanager
async def person_shown(
    harness: ConsoleHarness,
    id_: str,
    *prepare: Preparation,
    size: tuple[int, int] = (120, 36),
) -> AsyncIterator[Pilot[None]]:
    """Connect with audiences, open the console, and ask about a person."""
    connect_with_audiences(harness, *prepare)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *id_, "enter")
        yield pilot


async def test_the_answer_is_a_sentence_and_then_the_facts(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "l3") as pilot:
        await until_shown(pilot, "In the cohort: the event of 2026-05-03 19:00:00 UTC (line 4 of")
        await until_shown(
            pilot, "last known    in the cohort", "last sent by  request ", ", an addition (run "
        )
        await until_shown(pilot, "event says    a member, 2026-05-03 19:00:00 UTC")
        await pilot.press("enter")
        await until_shown(pilot, "30 added in", "2 users were rejected")


async def test_it_can_be_asked_from_anywhere(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        for place in ("2", "3", "6"):
            await pilot.press(place)
            await pilot.press("f", *"ghost-1", "enter")
            await until_shown(pilot, "The addition was rejected")


@pytest.mark.parametrize("away", [(), ("enter",)], ids=["answers", "run"])
async def test_f_puts_the_cursor_back_into_the_input_and_selects_its_text(
    harness: ConsoleHarness, away: tuple[str, ...]
) -> None:
    async with person_shown(harness, "l3") as pilot:
        await until_shown(pilot, "last known    in the cohort")
        await pilot.press(*away)
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) == bool(away))
        await pilot.press("f", *"R2!S")
        place = pilot.app.screen
        assert isinstance(place, PersonScreen)
        assert place.query_one("#who", Input).value == "R2!S"


async def test_enter_in_the_empty_input_keeps_the_cursor_there_and_says_so(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", "enter")
        await until_notified(pilot, "Type an identifier first.")
        await pilot.press(*"usr_q")
        assert pilot.app.screen.query_one("#who", Input).value == "usr_q"


async def test_an_unknown_person_gets_an_explanation(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "unknown-1") as pilot:
        await until_shown(
            pilot, "No event contains this identifier.", "case, leading zeros and spaces count"
        )


async def test_of_an_audience_of_a_query_it_says_that_its_refreshes_decide(
    harness: ConsoleHarness,
) -> None:
    def with_query(workspace: Workspace) -> None:
        query = AudienceQuery(workspace.audience(LAPSED).id, "lake", "SELECT user_id FROM t", 1)
        workspace.ledger.write(set_query, query)

    async with person_shown(harness, "l3", with_query, size=(120, 36)) as pilot:
        await until_shown(
            pilot, "last read in", "query         a refresh from lake outweighs the events before"
        )


async def test_no_age_is_told_of_a_user_in_no_event(harness: ConsoleHarness) -> None:
    """A member who is in no event has the epoch as event time, which is not an age."""

    def removed_by_repair(workspace: Workspace) -> None:
        lapsed = workspace.audience(LAPSED)
        workspace.ledger.write(
            lambda db: db.execute(
                "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                "source_id, line, delivered) VALUES (?, 1, 'by-hand', 0, 0, ?, 0, 0, 0)",
                (lapsed.id, BEFORE_ANY_EVENT),
            )
        )

    async with person_shown(harness, "by-hand", removed_by_repair, size=(120, 36)) as pilot:
        await until_shown(pilot, "Found in 1 audience", "event says    none", "not in the cohort")
        await until_gone(pilot, "days ago")
        assert "Not in the cohort, and in no event" in picture(pilot)


async def test_without_an_identifier_the_answer_names_what_the_audience_is_matched_by(
    harness: ConsoleHarness,
) -> None:
    def by_number(workspace: Workspace) -> None:
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), LAPSED)

    async with person_shown(harness, "l3", by_number, size=(120, 36)) as pilot:
        await until_shown(
            pilot,
            "should be     in the cohort, but the event carries no Amplitude ID",
        )
        assert re.search(r"▸ .* Amplitude ID +no Amplitude ID ", picture(pilot))


async def test_amplitude_is_asked_on_request(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "was rejected")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude does not know this identifier")
        await pilot.press("slash", "home", "delete", *"x", "enter", "u")
        await until_gone(pilot, "Asking")


async def test_of_the_other_identifier_it_is_told_whether_a_search_finds_it(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    (number,) = harness.simulator.world.resolve(["l3"], IdType.USER_ID).found
    async with harness.open(size=(120, 36)) as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *"l3", "enter")
        await until_shown(pilot, "In the cohort")
        await pilot.press("u")
        await until_shown(pilot, f"{number}.")
        await pilot.press("slash", *str(number), "enter")
        await until_shown(pilot, "events name the person by this one (Enter opens it)", "▸ l3")
        await pilot.press("u")
        await until_shown(pilot, "The person's User ID is l3 (known in 1 audience).")
        await pilot.press("enter")
        await until_shown(pilot, "In the cohort")


async def test_an_identifier_in_no_event_leads_to_the_one_that_amplitude_names(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    (number,) = harness.simulator.world.resolve(["l3"], IdType.USER_ID).found
    async with harness.open(size=(120, 36)) as pilot:
        await until_shown(pilot, LAPSED)
        await pilot.press("f", *str(number), "enter")
        await until_shown(pilot, "No event contains this identifier.", "Press u to ask Amplitude")
        await pilot.press("u")
        await until_shown(pilot, "events name the person by this one (Enter opens it)", "▸ l3")
        await pilot.press("enter")
        await until_shown(pilot, "In the cohort")


async def test_an_amplitude_that_is_down_is_reported_in_words(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, GHOSTS)
        harness.simulator.faults.set([Rule(Answer(503, html=True))])
        await pilot.press("f", *"t1", "enter")
        await until_shown(pilot, "In the cohort")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude could not answer (status 503)")


async def test_every_audience_that_knows_them_has_its_own_answer(harness: ConsoleHarness) -> None:
    def both(workspace: Workspace) -> None:
        workspace.read([event("l3", True, 90, audience=FRESH), event("s0", True, audience=FRESH)])

    async with person_shown(harness, "l3", both, size=(80, 24)) as pilot:
        await until_shown(pilot, "Found in 2 audiences", "no cohort", "in the cohort")
        await until_shown(pilot, "In the audience, as the event of")
        await pilot.press("enter")
        await until_shown(pilot, "No request has carried “l3” in this audience yet")
        await pilot.press("j")
        await until_shown(pilot, "In the cohort: the event of")
        await pilot.press("w")
        await until_on(pilot, RunScreen)
        await pilot.press("escape", "slash", *"x", "enter")
        await until_shown(pilot, "Not found")


async def test_what_is_shown_is_copied(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "after 1 attempt")
        await pilot.press("y")
        await until(pilot, lambda: "The addition was rejected" in console(pilot).clipboard)
        assert "line 4 of events-3.ndjson" in console(pilot).clipboard


async def test_an_answer_about_someone_else_is_not_shown(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "was rejected")
        harness.simulator.faults.set([Rule(Slow(0.3))])
        await pilot.press("u")
        await until_shown(pilot, "Asking Amplitude…")
        await pilot.press("slash", "end", "backspace", "2", "enter")
        await until_shown(pilot, "ghost-2")
        await until(pilot, lambda: all(worker.group != "ask" for worker in pilot.app.workers))
        await until_gone(pilot, "would reject it")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_hostile_identifiers_break_nothing(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open(size=size) as pilot:
        await until_shown(pilot, "[red]tr")
        pilot.app.push_screen(PersonScreen(HOSTILE))
        await until_shown(pilot, "Found in 1 audience", "In the cohort: the event of")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude knows")
        assert "\x1b" not in picture(pilot)


async def test_the_answer_about_one_person_goes_while_another_is_typed(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "was rejected")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude does not know this identifier")
        await pilot.press("slash")
        await until_shown(pilot, "was rejected")
        await pilot.press("l")
        await until_shown(pilot, "and press Enter.")
        await until_gone(pilot, "was rejected")
        await until_gone(pilot, "would reject it")


async def test_a_rejected_person_that_amplitude_knows_by_now_is_retried(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    harness.simulator.world.add_user("ghost-1")
    async with harness.open(size=(120, 36)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("f", *"ghost-1", "enter")
        await until_shown(pilot, "last known    not in the cohort", "U Retry this user")
        await pilot.press("u")
        await until_shown(pilot, "this identifier now")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?")
        await pilot.press("y")
        await until_shown(pilot, "You retried them")
        await until_gone(pilot, "U Retry this user")
        await pilot.press("s")
        await until_shown(pilot, "Before you send", "1 of them retried")


async def test_a_retry_of_someone_amplitude_does_not_know_is_warned_of(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "was rejected", "U Retry this user")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude does not know this identifier")
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?", "Asked just now, Amplitude said that it does not")


async def test_no_retry_is_offered_of_someone_that_amplitude_would_reject_again(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-1") as pilot:
        await until_shown(pilot, "was rejected", "U Retry this user")
        await pilot.press("u")
        await until_shown(pilot, "A retry would be rejected again")
        await until_gone(pilot, "U Retry this user")
        harness.simulator.world.add_user("ghost-1")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude knows this User ID.", "U Retry this user")


async def test_who_was_asked_about_is_not_offered_to_be_asked_about_again(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-9") as pilot:
        await until_shown(pilot, "Not found", "Press u to ask Amplitude")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude does not know this identifier")
        await until_gone(pilot, "Press u to ask Amplitude")
        await until_shown(pilot, "Amplitude does not know it either.")


async def test_identifiers_that_begin_with_what_was_typed_are_offered(
    harness: ConsoleHarness,
) -> None:
    def many(workspace: Workspace) -> None:
        workspace.read(event(f"ghost-2-{n:02}", True, audience=FRESH) for n in range(12))

    async with person_shown(harness, "ghost", many) as pilot:
        await until_shown(
            pilot, "No event has exactly this ID; at least 10 identifiers begin with it"
        )
        await until_gone(pilot, "ghost-2-08")
        await pilot.press("j", "enter")
        await until_shown(pilot, "Found in 1 audience", "The addition was rejected")
        assert pilot.app.screen.query_one("#who", Input).value == "ghost-2"
        await pilot.press("slash", *"ghost-2-1", "enter")
        await until_shown(pilot, "2 identifiers begin with it", "ghost-2-10", "ghost-2-11")
        await pilot.press("slash", *"nothing", "enter")
        await until_shown(pilot, "No event contains this identifier.")
        await until_gone(pilot, "begin with it")


async def test_an_identifier_in_another_case_is_offered(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "GHOST-2") as pilot:
        await until_shown(pilot, "Not found. 1 identifier differs only in case", "ghost-2")
        await pilot.press("enter")
        await until_shown(pilot, "Found in 1 audience")
        assert pilot.app.screen.query_one("#who", Input).value == "ghost-2"


async def test_pasted_spaces_are_left_out_unless_an_event_contains_them(
    harness: ConsoleHarness,
) -> None:
    def with_space(workspace: Workspace) -> None:
        workspace.read([event("spaced ", True, audience=FRESH)])

    async with person_shown(harness, " ghost-2 ", with_space) as pilot:
        who = pilot.app.screen.query_one("#who", Input)
        await until_shown(pilot, "Found in 1 audience", "the spaces around it", "were left out")
        assert who.value == "ghost-2"
        await pilot.press("slash", *"spaced", "space", "enter")
        await until_shown(pilot, "Found in 1 audience")
        assert who.value == "spaced "
        await pilot.press("slash", "space", "enter")
        await until_shown(pilot, "Type an identifier first.")


async def test_amplitude_is_asked_about_an_unknown_identifier_without_pasted_spaces(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "someone-else ") as pilot:
        await until_shown(pilot, "No event contains this identifier.")
        assert pilot.app.screen.query_one("#who", Input).value == "someone-else"
        await pilot.press("u")
        await until_shown(pilot, "Amplitude knows this User ID.")


async def test_what_amplitude_knows_of_someone_in_no_event_is_not_called_unknown(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "someone-else") as pilot:
        await until_shown(pilot, "look for their other identifier")
        await pilot.press("u")
        await until_shown(pilot, "Amplitude knows this User ID.", "no event contains it")
        await until_shown(pilot, "No imported event names them.")
        await until_gone(pilot, "look for their other identifier")


async def test_enter_looks_up_the_identifier_that_the_audience_is_matched_by(
    harness: ConsoleHarness,
) -> None:
    connection = harness.connect(amplitude_id_path="$.traits.amplitude_id")
    with harness.workspace(connection) as workspace:
        workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
        workspace.read([event("u1", True, traits={"amplitude_id": "412"})])
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("f", *"412", "enter")
        await until_shown(pilot, "is matched by User ID: look for u1.", "Enter Look up User ID")
        await pilot.press("enter")
        await until_shown(pilot, "no cohort")
        assert pilot.app.screen.query_one("#who", Input).value == "u1"


async def test_a_run_is_not_offered_where_no_request_carried_the_person(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "n1") as pilot:
        await until_shown(pilot, "no cohort", "u Ask Amplitude")
        await until_gone(pilot, "Open run")
        await pilot.press("slash", *"l3", "enter")
        await until_shown(pilot, "In the cohort", "Enter Open run")


async def test_the_amplitude_id_of_someone_whose_events_lack_it_is_not_used_and_why(
    harness: ConsoleHarness,
) -> None:
    def by_number(workspace: Workspace) -> None:
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), LAPSED)

    async with person_shown(harness, "l3", by_number) as pilot:
        await until_shown(pilot, "the event carries no Amplitude ID")
        await pilot.press("u")
        await until_shown(pilot, "can't")


async def test_a_second_rejection_says_that_retrying_did_not_help(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "ghost-1")
        await workspace.sync()
        workspace.ledger.write(retry_rejected)
        await workspace.sync()
    async with harness.open() as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("f", *"ghost-1", "enter")
        await until_shown(pilot, "was rejected twice, last by run 2", "Retrying did not help")
        await pilot.press("2")
        await until_shown(pilot, "Retrying did not help")


async def test_a_user_refused_again_gets_one_verdict_on_both_screens(
    harness: ConsoleHarness,
) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1", "bad-1")
        harness.simulator.world.add_user("bad-1")
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad-1"}), named=True)))
        await workspace.sync()
    async with harness.open(size=(160, 50)) as pilot:
        await until_shown(pilot, "shoppers")
        await pilot.press("f", *"bad-1", "enter")
        await until_shown(pilot, "was rejected", "Ask Amplitude whether it knows this identifier.")
        await pilot.press("u")
        await until(
            pilot,
            lambda: "it knows it: a retry shows whether it still" in explained(pilot),
        )
        await pilot.press("U")
        await until_shown(pilot, "Retry 1 user?", "Amplitude said that it knows this identifier")
        await pilot.press("s")
        await until_shown(pilot, "Before you send")
        await pilot.press("y")
        await until_shown(pilot, "1 rejected")
        await pilot.press("escape")
        await until_shown(pilot, "was rejected twice", "Amplitude knows this User ID.")
        verdict = "Retrying did not help: Amplitude refused this identifier again. Amplitude knows"
        await until(pilot, lambda: verdict in explained(pilot))
        assert "retry this user" not in explained(pilot)
        assert "U Retry this user" not in picture(pilot)
        await pilot.press("U")
        await until_shown(pilot, "it refused it again: a retry is unlikely to help.")
        await until_shown(pilot, "Enter Cancel")
        await pilot.press("escape")
        await pilot.press("2")
        await until_shown(pilot, "first time")
        detail = pilot.app.screen.query_one(RejectedUserDetail)
        await pilot.press("tab")
        await until_shown(pilot, " refused ")
        await until(pilot, lambda: verdict in detail.text.plain)
        assert "retry this user" not in detail.text.plain
        assert "try again" not in detail.text.plain


async def test_no_one_else_is_offered_a_retry(harness: ConsoleHarness) -> None:
    async with person_shown(harness, "l3", size=(200, 50)) as pilot:
        await until_shown(pilot, "last known    in the cohort", "u Ask Amplitude")
        assert "U Retry" not in picture(pilot)
        assert "Plan a sync" not in picture(pilot)


async def test_a_narrow_footer_offers_the_retry_and_the_next_person(
    harness: ConsoleHarness,
) -> None:
    async with person_shown(harness, "ghost-1", size=(80, 24)) as pilot:
        await until_shown(pilot, "U Retry this user", "/ Another ")


async def test_while_an_identifier_is_typed_the_footer_says_how_to_ask_and_to_leave(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(harness)
    async with harness.open(size=(120, 36)) as pilot:
        await until_shown(pilot, GHOSTS)
        await pilot.press("f", *"ghost-1")
        await until_shown(pilot, "Enter Look up", "Esc Back")
        await pilot.press("enter")
        await until_shown(pilot, "Found in 1 audience")
        await until_gone(pilot, "Look up")


async def test_the_audience_that_a_person_is_missing_from_comes_first_under_the_cursor(
    harness: ConsoleHarness,
) -> None:
    def in_another(workspace: Workspace) -> None:
        workspace.read([event("l3", True, audience="zzz")])

    async with person_shown(harness, "l3", in_another, size=(160, 36)) as pilot:
        await until_shown(pilot, "Found in 2 audiences", "▸ zzz")
        await pilot.press("k")
        await until_gone(pilot, "▸ zzz")


async def test_where_events_lack_the_identifier_a_key_leads_to_the_field_mapping(
    harness: ConsoleHarness,
) -> None:
    def by_number(workspace: Workspace) -> None:
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), LAPSED)

    async with person_shown(harness, "l3", by_number, size=(160, 36)) as pilot:
        await until_shown(pilot, "m Field mapping")
        await pilot.press("m")
        await until_on(pilot, MappingScreen)
