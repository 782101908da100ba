"""Why a person is, or is not, in a cohort: a true sentence for each situation."""

import pytest

from amp_console.amplitude.client import AmplitudeClient
from amp_console.ledger import deliveries, runs
from amp_console.ledger.counts import headcount
from amp_console.ledger.rejected import RejectedFilter, rejected_users
from amp_console.ledger.repairs import make_chosen_pending
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.retry import retry
from amp_console.sync.queries.person import (
    PersonStatus,
    PersonVerdict,
    UserLookup,
    explain_person,
    look_up_user,
)
from amp_console.values import IdType, Operation
from tests.sync.test_snapshots import AT, read
from tests.sync.workspace import BOTH, Workspace, event

pytestmark = pytest.mark.anyio


def answer(workspace: Workspace, text: str) -> PersonStatus:
    found = workspace.ledger.read(explain_person, text, workspace.ledger.dead_runs())
    assert len(found) == 1, found
    return found[0]


async def test_a_user_that_amplitude_confirmed_is_in(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    found = answer(workspace, "u1")
    assert found.verdict is PersonVerdict.IN
    assert found.sentence.startswith("In the cohort: the event of 2026-05-03 19:00:00 UTC (line 1")
    assert found.sentence.endswith("Amplitude confirmed adding them (run 1).")
    assert found.record.request is not None


async def test_who_left_and_was_removed_is_out(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.leave("u1")
    await workspace.sync()
    found = answer(workspace, "u1")
    assert found.verdict is PersonVerdict.OUT
    assert "Amplitude confirmed removing them (run 2)" in found.sentence


async def test_someone_missing_from_a_list_is_not_said_to_have_left_by_an_event(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    reader, report = read(workspace, b"user_id\nu2\n", taken_at=AT + 60_000_000)
    assert report.snapshot is not None
    assert report.snapshot.removal is not None
    reader.confirm(report.snapshot.removal)
    said = "(part-0.csv) does not have them, and"
    assert "the list of 2026-05-03 " in answer(workspace, "u1").sentence
    assert said in answer(workspace, "u1").sentence
    await workspace.sync()
    assert f"{said} Amplitude confirmed removing them" in answer(workspace, "u1").sentence


async def test_who_left_before_a_sync_took_them_never_was_in(workspace: Workspace) -> None:
    workspace.enter("u1", "ghost-1", "u2")
    workspace.leave("u1")
    await workspace.sync()
    workspace.leave("ghost-1")
    await workspace.sync()
    for user in ("u1", "ghost-1"):
        assert answer(workspace, user).sentence.endswith("and they were never in the cohort."), user


async def test_no_sync_is_promised_for_an_audience_that_is_switched_off(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "u2")
    workspace.change(SettingsChange(enabled=False))
    off = "no sync includes the audience while it is disabled"
    assert off in answer(workspace, "u1").sentence
    workspace.change(SettingsChange(enabled=True))
    await workspace.sync()
    workspace.change(SettingsChange(enabled=False))
    workspace.leave("u1", at=5)
    workspace.enter("u3", at=5)
    assert off in answer(workspace, "u1").sentence
    assert off in answer(workspace, "u3").sentence


async def test_who_is_pending_waits_for_the_next_sync(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.enter("u3", at=5)
    workspace.leave("u1", at=5)
    assert answer(workspace, "u3").verdict is PersonVerdict.ENTERS
    assert "the next sync adds them" in answer(workspace, "u3").sentence
    assert answer(workspace, "u1").verdict is PersonVerdict.LEAVES
    assert answer(workspace, "u1").sentence.startswith("Still in the cohort")


async def test_a_user_that_a_comparison_found_is_told_as_long_as_it_is_the_newest(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.simulator.world.add_user("by-hand")
    workspace.add_in_amplitude("by-hand")
    found = await workspace.compare()
    told = answer(workspace, "by-hand")
    assert (told.verdict, told.since, told.event_says) == (PersonVerdict.EXTRA, found.at, "none")
    assert told.sentence.startswith("In the cohort when it was compared (")
    assert "in no event" in told.sentence
    workspace.remove_in_amplitude("by-hand")
    await workspace.compare()
    assert workspace.ledger.read(explain_person, "by-hand") == []


async def test_a_user_that_a_repair_removed_is_told_by_which_run(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.simulator.world.add_user("by-hand")
    workspace.add_in_amplitude("by-hand")
    await workspace.apply(await workspace.compare())
    told = answer(workspace, "by-hand")
    assert told.verdict is PersonVerdict.OUT
    assert "they were found in it when it was compared (" in told.sentence
    assert told.sentence.endswith(", run 2) and removed by run 3, a repair.")
    assert told.record.request is not None
    assert told.since == told.record.request.settled_at


async def test_a_pending_removal_of_a_user_in_no_event_has_no_age(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.simulator.world.add_user("by-hand")
    workspace.add_in_amplitude("by-hand")
    compared = await workspace.compare()
    workspace.ledger.write(make_chosen_pending, compared, BOTH, workspace.timing.now())
    told, audience = answer(workspace, "by-hand"), workspace.audience()
    assert (told.verdict, told.since, told.event_says) == (PersonVerdict.LEAVES, None, "none")
    count = workspace.ledger.read(headcount, audience, workspace.timing.now())
    assert count.pending_since is None


async def test_a_user_who_only_served_to_create_the_cohort_is_reported(
    workspace: Workspace,
) -> None:
    workspace.simulator.world.add_user("seed")
    workspace.enter("u1")
    workspace.leave("u1")
    workspace.change(SettingsChange(seed_user="seed"))
    await workspace.sync()
    told = answer(workspace, "seed")
    assert told.sentence == (
        "Not in the cohort, and in no event: they were used to create the cohort and removed by "
        "run 1."
    )


async def test_that_a_repaired_user_had_disappeared_is_reported(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.remove_in_amplitude("u1")
    found = await workspace.compare()
    told = answer(workspace, "u1")
    assert told.sentence.startswith("Missing from the cohort: the event of 2026-05-03")
    assert "They were missing from the cohort when it was compared" in told.sentence
    assert told.since == found.at
    await workspace.apply(found)
    told = answer(workspace, "u1")
    assert told.verdict is PersonVerdict.IN
    assert "Amplitude confirmed adding them (run 3, a repair). They had been missing" in (
        told.sentence
    )
    assert told.record.request is not None
    assert told.since == told.record.request.settled_at


async def test_no_member_of_a_cohort_that_others_filled_is_certain(workspace: Workspace) -> None:
    cohort = workspace.simulator.world.create_cohort("theirs", "noor@acme.example")
    workspace.enter("u1")
    workspace.change(SettingsChange(cohort_id=cohort.id))
    workspace.leave("u1")
    assert answer(workspace, "u1").sentence.startswith("Maybe still in the cohort")


async def test_whose_answer_was_lost_is_unsure(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    workspace.enter("u3", at=5)
    workspace.limit(tries=1)
    workspace.set_faults(Rule(Reset(applied=True), calls=frozenset({Call.MEMBERSHIP})))
    await workspace.sync()
    assert (
        "It is unknown whether an earlier request got through" in answer(workspace, "u3").sentence
    )


async def in_open_request(workspace: Workspace, run_id: int) -> PersonStatus:
    """The status of a user in a request of this run that has no answer yet."""
    workspace.enter("u3", at=5)
    audience_id, now = workspace.audience().id, workspace.timing.now()
    workspace.ledger.write(
        deliveries.open_batch, run_id, audience_id, IdType.USER_ID, Operation.ADD, 10, now
    )
    return answer(workspace, "u3")


async def test_a_user_that_an_open_request_carries_is_on_the_way(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    with workspace.ledger.hold_run() as lock:
        run_id = workspace.ledger.write(runs.begin_run, ReadCounts(), workspace.timing.now(), lock)
        found = await in_open_request(workspace, run_id)
    assert (found.verdict, found.record.delivered) == (PersonVerdict.ON_THE_WAY, None)
    assert found.sentence.startswith("Being added right now (run 2)")


async def test_a_user_that_a_dead_process_left_in_a_request_is_unsure(workspace: Workspace) -> None:
    workspace.enter("u1", "u2")
    await workspace.sync()
    with workspace.ledger.hold_run() as lock:
        run_id = workspace.ledger.write(runs.begin_run, ReadCounts(), workspace.timing.now(), lock)
    found = await in_open_request(workspace, run_id)
    assert (found.verdict, found.record.delivered) == (PersonVerdict.ENTERS, None)
    assert "It is unknown whether an earlier request got through" in found.sentence


async def test_who_is_rejected_is_told_why(workspace: Workspace) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    found = answer(workspace, "ghost-1")
    assert found.verdict is PersonVerdict.REJECTED
    assert "Amplitude did not know this User ID" in found.sentence
    assert "(run 1)" in found.sentence


async def test_who_is_retried_is_not_promised_to_be_added(workspace: Workspace) -> None:
    workspace.enter("u1", "ghost-1")
    await workspace.sync()
    assert retry(workspace.ledger, workspace.connection, RejectedFilter()) == 1
    found = answer(workspace, "ghost-1")
    assert found.verdict is PersonVerdict.ENTERS
    assert "Amplitude rejected them before (run 1)" in found.sentence
    assert "the next sync tries again" in found.sentence


async def test_without_a_cohort_the_next_sync_makes_one(workspace: Workspace) -> None:
    workspace.enter("u1")
    assert answer(workspace, "u1").verdict is PersonVerdict.NO_COHORT


async def test_a_broken_link_says_so(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    cohort = workspace.audience().cohort_id
    assert cohort is not None
    workspace.simulator.world.drop_cohort(cohort)
    workspace.enter("u2", at=5)
    await workspace.sync()
    assert answer(workspace, "u2").verdict is PersonVerdict.BROKEN


def test_without_the_identifier_it_says_which_is_missing(workspace: Workspace) -> None:
    workspace.enter("u1")
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    found = answer(workspace, "u1")
    assert found.verdict is PersonVerdict.NO_IDENTIFIER
    assert "matched by Amplitude ID" in found.sentence
    assert found.belongs == "in the cohort, but the event carries no Amplitude ID"
    (error,) = workspace.ledger.read(rejected_users)
    assert found.rejected == error.reason == "No Amplitude ID in the event"
    assert found.answer == "no Amplitude ID"
    assert found.sentence.startswith("Not in the cohort: ")


async def test_without_the_identifier_it_says_that_they_are_in_the_cohort_by_the_other(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    found = answer(workspace, "u1")
    assert (found.answer, found.delivered) == ("no Amplitude ID", "in the cohort")
    assert found.sentence.startswith("Still in the cohort by User ID: the audience is matched by ")
    assert "carries only a User ID, so the next sync removes them." in found.sentence


def test_the_other_identifier_is_named(workspace: Workspace) -> None:
    workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
    workspace.read([event("u1", True, traits={"amplitude_id": "412"})])
    found = answer(workspace, "412")
    assert found.verdict is PersonVerdict.OTHER_ID_TYPE
    assert found.sentence == "The audience is matched by User ID: look for u1."


def test_every_audience_that_knows_them_answers(workspace: Workspace) -> None:
    workspace.read([event("u1", True, audience=key) for key in ("one", "two")])
    found = workspace.ledger.read(explain_person, "u1")
    assert [item.record.audience.key for item in found] == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["U1", "u", "", "u1 ", "%", "_1", "'; DROP TABLE member; --", "\0"]
)
def test_identifiers_are_matched_exactly(workspace: Workspace, text: str) -> None:
    workspace.enter("u1")
    assert workspace.ledger.read(explain_person, text) == []


@pytest.mark.parametrize("text", ["é😀", "[red]", "007", "x" * 300, "שלום", "a'b\"c"])
def test_odd_identifiers_are_found(workspace: Workspace, text: str) -> None:
    workspace.enter(text)
    assert answer(workspace, text).record.id == text


async def asked(workspace: Workspace, text: str) -> UserLookup:
    async with AmplitudeClient(
        workspace.simulator.base_url, workspace.simulator.credentials
    ) as client:
        return await look_up_user(client, text)


async def test_amplitude_is_asked_for_either_identifier(workspace: Workspace) -> None:
    number = str(workspace.simulator.world.add_user("u1"))
    assert (await asked(workspace, "u1")).amplitude_id == number
    assert (await asked(workspace, number)).user_id == "u1"


async def test_one_that_only_begins_so_is_not_them(workspace: Workspace) -> None:
    workspace.simulator.world.add_user("ghost-u1234")
    found = await asked(workspace, "ghost-u12")
    assert not found.is_known
    assert "would reject it" in found.sentence


async def test_a_search_that_fails_says_so(workspace: Workspace) -> None:
    workspace.set_faults(Rule(Answer(500)))
    with pytest.raises(Exception, match="could not answer"):
        await asked(workspace, "u1")
