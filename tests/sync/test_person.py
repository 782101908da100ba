"""Why a person is, or is not, in a cohort: each way to stand, told in a sentence that is true."""

import pytest

from amp_console.amplitude import AmplitudeClient
from amp_console.ledger import deliveries, runs
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Call, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.person import (
    PersonAnswer,
    PersonVerdict,
    Recognition,
    explain_person,
    recognise,
)
from amp_console.values import IdType, Operation
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio


def answer(office: Office, text: str) -> PersonAnswer:
    found = office.ledger.read(explain_person, text)
    assert len(found) == 1, found
    return found[0]


async def test_whom_amplitude_confirmed_is_in(office: Office) -> None:
    office.enter("u1")
    await office.sync()
    found = answer(office, "u1")
    assert found.verdict is PersonVerdict.IN
    assert found.sentence.startswith("In the cohort: the event of 2026-05-03 19:00:00 UTC (line 1")
    assert found.sentence.endswith("Amplitude confirmed adding them (run 1).")
    assert found.record.request is not None


async def test_who_left_and_was_removed_is_out(office: Office) -> None:
    office.enter("u1", "u2")
    await office.sync()
    office.leave("u1")
    await office.sync()
    found = answer(office, "u1")
    assert found.verdict is PersonVerdict.OUT
    assert "Amplitude confirmed removing them (run 2)" in found.sentence


async def test_who_left_before_a_sync_took_them_never_was_in(office: Office) -> None:
    office.enter("u1", "ghost-1", "u2")
    office.leave("u1")
    await office.sync()
    office.leave("ghost-1")
    await office.sync()
    for user in ("u1", "ghost-1"):
        assert answer(office, user).sentence.endswith("and they never were in the cohort."), user


async def test_no_sync_is_promised_for_an_audience_that_is_switched_off(office: Office) -> None:
    office.enter("u1", "u2")
    office.change(SettingsChange(enabled=False))
    off = "no sync takes the audience while it is switched off"
    assert off in answer(office, "u1").sentence
    office.change(SettingsChange(enabled=True))
    await office.sync()
    office.change(SettingsChange(enabled=False))
    office.leave("u1", at=5)
    office.enter("u3", at=5)
    assert off in answer(office, "u1").sentence
    assert off in answer(office, "u3").sentence


async def test_who_is_pending_waits_for_the_next_sync(office: Office) -> None:
    office.enter("u1", "u2")
    await office.sync()
    office.enter("u3", at=5)
    office.leave("u1", at=5)
    assert answer(office, "u3").verdict is PersonVerdict.ENTERS
    assert "the next sync adds them" in answer(office, "u3").sentence
    assert answer(office, "u1").verdict is PersonVerdict.LEAVES
    assert answer(office, "u1").sentence.startswith("Still in the cohort")


async def test_of_a_cohort_that_others_filled_nobody_is_sure(office: Office) -> None:
    cohort = office.simulator.world.create_cohort("theirs", "noor@acme.example")
    office.enter("u1")
    office.change(SettingsChange(cohort_id=cohort.id))
    office.leave("u1")
    assert answer(office, "u1").sentence.startswith("Maybe still in the cohort")


async def test_whose_answer_was_lost_is_unsure(office: Office) -> None:
    office.enter("u1", "u2")
    await office.sync()
    office.enter("u3", at=5)
    office.limit(tries=1)
    office.trouble(Rule(Reset(applied=True), calls=frozenset({Call.MEMBERSHIP})))
    await office.sync()
    assert "Whether an earlier request got through is unknown" in answer(office, "u3").sentence


async def carried(office: Office, run_id: int) -> PersonAnswer:
    """Somebody whom a request of this run carries that has no answer yet."""
    office.enter("u3", at=5)
    of, now = office.audience().id, office.timing.now()
    office.ledger.write(deliveries.take, run_id, of, IdType.USER_ID, Operation.ADD, 10, now)
    return answer(office, "u3")


async def test_whom_an_open_request_carries_is_on_the_way(office: Office) -> None:
    office.enter("u1", "u2")
    await office.sync()
    with hold_run(office.ledger.path) as lock:
        run_id = office.ledger.write(runs.begin_run, ReadCounts(), office.timing.now(), lock)
        found = await carried(office, run_id)
    assert (found.verdict, found.record.delivered) == (PersonVerdict.ON_THE_WAY, None)
    assert found.sentence.startswith("Being added right now (run 2)")


async def test_whom_a_dead_process_left_in_a_request_is_unsure(office: Office) -> None:
    office.enter("u1", "u2")
    await office.sync()
    with hold_run(office.ledger.path) as lock:
        run_id = office.ledger.write(runs.begin_run, ReadCounts(), office.timing.now(), lock)
    found = await carried(office, run_id)
    assert (found.verdict, found.record.delivered) == (PersonVerdict.ENTERS, None)
    assert "Whether an earlier request got through is unknown" in found.sentence


async def test_who_is_rejected_is_told_why(office: Office) -> None:
    office.enter("u1", "ghost-1")
    await office.sync()
    found = answer(office, "ghost-1")
    assert found.verdict is PersonVerdict.REJECTED
    assert "Amplitude does not know this User ID" in found.sentence
    assert "(run 1)" in found.sentence


async def test_without_a_cohort_the_next_sync_makes_one(office: Office) -> None:
    office.enter("u1")
    assert answer(office, "u1").verdict is PersonVerdict.NO_COHORT


async def test_a_broken_link_says_so(office: Office) -> None:
    office.enter("u1")
    await office.sync()
    cohort = office.audience().cohort_id
    assert cohort is not None
    office.simulator.world.drop_cohort(cohort)
    office.enter("u2", at=5)
    await office.sync()
    assert answer(office, "u2").verdict is PersonVerdict.BROKEN


def test_without_the_identifier_it_says_which_is_missing(office: Office) -> None:
    office.enter("u1")
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    found = answer(office, "u1")
    assert found.verdict is PersonVerdict.NO_IDENTIFIER
    assert "matched by Amplitude ID" in found.sentence


def test_the_other_identifier_is_named(office: Office) -> None:
    office.mapping = office.mapping.parse("$.userId", "$.traits.amplitude_id")
    office.read([event("u1", True, traits={"amplitude_id": "412"})])
    found = answer(office, "412")
    assert found.verdict is PersonVerdict.OTHER_ID_TYPE
    assert found.sentence == "The audience is matched by User ID: look for u1."


def test_every_audience_that_knows_them_answers(office: Office) -> None:
    office.read([event("u1", True, audience=key) for key in ("one", "two")])
    found = office.ledger.read(explain_person, "u1")
    assert [item.record.audience.key for item in found] == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["U1", "u", "", "u1 ", "%", "_1", "'; DROP TABLE member; --", "\0"]
)
def test_identifiers_are_matched_exactly(office: Office, text: str) -> None:
    office.enter("u1")
    assert office.ledger.read(explain_person, text) == []


@pytest.mark.parametrize("text", ["é😀", "a\0b", "[red]", "007", "x" * 300, "שלום", "a'b\"c"])
def test_odd_identifiers_are_found(office: Office, text: str) -> None:
    office.enter(text)
    assert answer(office, text).record.id == text


async def asked(office: Office, text: str) -> Recognition:
    async with AmplitudeClient(office.simulator.base_url, office.simulator.credentials) as client:
        return await recognise(client, text)


async def test_amplitude_is_asked_for_either_identifier(office: Office) -> None:
    number = str(office.simulator.world.add_user("u1"))
    assert (await asked(office, "u1")).amplitude_id == number
    assert (await asked(office, number)).user_id == "u1"


async def test_one_that_only_begins_so_is_not_them(office: Office) -> None:
    office.simulator.world.add_user("ghost-u1234")
    found = await asked(office, "ghost-u12")
    assert not found.is_known
    assert "it would skip it" in found.sentence


async def test_a_search_that_fails_says_so(office: Office) -> None:
    office.trouble(Rule(Answer(500)))
    with pytest.raises(Exception, match="trouble answering"):
        await asked(office, "u1")
