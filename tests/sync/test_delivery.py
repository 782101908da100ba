"""Delivery against the simulated Amplitude: the cohort ends right, whatever the network does."""

import asyncio
import itertools
import re

import msgspec
import pytest

from amp_console.ledger import deliveries
from amp_console.ledger.leases import lease
from amp_console.ledger.rejected import retry_rejected
from amp_console.ledger.run_locks import hold_run
from amp_console.ledger.runs import RunKind, RunStatus, all_runs, run_audiences
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import (
    Answer,
    Behaviour,
    Body,
    Call,
    Cut,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    Slow,
    TooLarge,
)
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.progress import Progress, RunSnapshot, nobody
from amp_console.sync.delivery.run import Delivery, Job, RunReport, begin, context_of
from amp_console.sync.delivery.uploading import LATER_LOOKS
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.read_only import ReadOnly
from amp_console.sync.timing import Stop, Timing
from amp_console.values import Credentials, IdType, Operation, Secret
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio

USERS = [f"u{n}" for n in range(40)]


def sent(simulator: Simulator, call: Call) -> list[int]:
    """How many ids each request of a kind carried."""
    return [seen.count for seen in simulator.requests if seen.call is call]


async def test_a_first_sync_makes_the_cohort_and_adds_everybody(office: Office) -> None:
    office.enter(*USERS)
    office.leave("u0", "u1")
    report = await office.sync()
    assert report.status is RunStatus.DELIVERED
    assert office.cohort() == set(USERS) - {"u0", "u1"}
    assert report.audiences[0].counts.added == 38
    made = office.simulator.world.cohort_named("shoppers")
    assert (made.id, made.owners, made.published) == (
        office.audience().cohort_id,
        ("ana@acme.example",),
        True,
    )


async def test_later_syncs_send_what_changed_and_nothing_else(office: Office) -> None:
    office.enter(*USERS)
    await office.sync()
    before = len(office.simulator.requests)
    await office.sync()
    assert len(office.simulator.requests) == before
    office.leave("u0", at=5)
    office.enter("new", at=5)
    await office.sync()
    later = office.simulator.requests[before:]
    assert [(seen.operation, seen.count) for seen in later] == [
        (Operation.REMOVE, 1),
        (Operation.ADD, 1),
    ]
    assert office.cohort() == set(USERS) - {"u0"} | {"new"}


async def test_users_amplitude_does_not_know_are_rejected_with_the_reason(office: Office) -> None:
    office.enter("u1", "ghost-1", "ghost-2")
    report = await office.sync()
    assert report.status is RunStatus.PARTIAL
    assert [(u.id, u.reason, u.operation) for u in office.rejected()] == [
        ("ghost-1", "Amplitude does not know this User ID", Operation.ADD),
        ("ghost-2", "Amplitude does not know this User ID", Operation.ADD),
    ]
    assert office.cohort() == {"u1"}


async def test_skipped_ids_that_come_back_as_numbers_are_recognized(strict: Office) -> None:
    strict.simulator.behaviour = Behaviour(numeric_skipped_ids=True)
    strict.simulator.world.add_user("u1")
    strict.enter("u1", "9", "0012", "9007199254740993")
    await strict.sync()
    assert {u.id for u in strict.rejected()} == {"9", "0012", "9007199254740993"}
    assert strict.cohort() == {"u1"}


async def test_a_number_that_may_be_either_of_two_ids_confirms_nothing(strict: Office) -> None:
    strict.simulator.behaviour = Behaviour(numeric_skipped_ids=True)
    strict.simulator.world.add_user("u1")
    strict.enter("u1", "7", "007")
    report = await strict.sync()
    assert not strict.rejected()
    assert report.audiences[0].left.add == 3


class TestTrouble:
    @pytest.mark.parametrize(
        "trouble",
        [
            Answer(429),
            Answer(429, retry_after="7"),
            Answer(500),
            Answer(502, html=True),
            Answer(504),
            Reset(),
            Reset(applied=True),
            Cut(),
        ],
        ids=str,
    )
    async def test_is_waited_out_and_the_cohort_is_right(
        self, office: Office, trouble: Answer | Reset | Cut
    ) -> None:
        office.limit(first_batch=5, largest_batch=5, quiet_time=0)
        office.trouble(Rule(trouble, every=3))
        office.enter(*USERS)
        office.leave(*USERS[:10])
        report = await office.sync()
        assert report.status is RunStatus.DELIVERED
        assert office.cohort() == set(USERS[10:])
        assert report.audiences[0].counts.retries > 0
        assert len(office.waits.seconds) > 0
        office.enter(*USERS[:3], at=9)
        office.leave(*USERS[-3:], at=9)
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == set(USERS[:3]) | set(USERS[10:-3])
        assert len(office.simulator.world.cohorts()) == 1

    async def test_a_wait_that_amplitude_names_is_kept(self, office: Office) -> None:
        office.enter("u1")
        rule = Rule(Answer(429, retry_after="7"), calls=frozenset({Call.MEMBERSHIP}), times=1)
        office.trouble(rule)
        await office.sync()
        assert office.waits.seconds == [7.0]

    async def test_without_one_the_waits_grow_with_jitter(self, office: Office) -> None:
        office.enter("u1")
        rule = Rule(Answer(429), calls=frozenset({Call.MEMBERSHIP}), times=4)
        office.trouble(rule)
        await office.sync()
        waits = office.waits.seconds
        assert [0.5 * 2**n / 2 <= wait <= 0.5 * 2**n for n, wait in enumerate(waits)] == [True] * 4

    async def test_when_the_tries_are_used_up_the_users_stay_pending(self, office: Office) -> None:
        office.limit(tries=3)
        office.enter("u1", "u2")
        office.trouble(Rule(Answer(500), calls=frozenset({Call.MEMBERSHIP})))
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 2
        assert "Gave up after trouble 3 times in a row" in report.audiences[0].note
        office.trouble()
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {"u1", "u2"}

    async def test_a_wait_longer_than_the_limit_is_not_begun(self, office: Office) -> None:
        office.limit(longest_wait=60.0)
        office.enter("u1")
        rule = Rule(Answer(429, retry_after="3600"), calls=frozenset({Call.MEMBERSHIP}))
        office.trouble(rule)
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert office.waits.seconds == []

    async def test_batches_shrink_until_they_are_taken(self, office: Office) -> None:
        office.limit(first_batch=40)
        office.enter("first")
        await office.sync()
        office.trouble(Rule(TooLarge(above=12)))
        office.enter(*USERS)
        await office.sync()
        assert office.cohort() == {"first", *USERS}
        assert sent(office.simulator, Call.MEMBERSHIP)[1:4] == [40, 20, 10]

    async def test_batches_grow_while_answers_are_clean(self, office: Office) -> None:
        office.limit(first_batch=5, largest_batch=20)
        office.enter(*USERS)
        await office.sync()
        assert sent(office.simulator, Call.MEMBERSHIP) == [5, 10, 20, 5]


@pytest.mark.parametrize(("leaving", "is_asked"), [(5, False), (6, True)])
async def test_taking_out_more_than_half_is_asked_for(
    office: Office, leaving: int, is_asked: bool
) -> None:
    office.enter(*USERS[:10])
    await office.sync()
    office.leave(*USERS[:leaving], at=9)
    assert bool(office.plan().concerns) == is_asked


class TestCulprits:
    @pytest.mark.parametrize("named", [True, False])
    async def test_are_found_and_the_rest_is_delivered(self, office: Office, named: bool) -> None:
        office.enter(*USERS)
        bad = frozenset({"u3", "u17", "u18"})
        office.trouble(Rule(RefuseIds(bad, named=named)))
        report = await office.sync()
        assert office.cohort() == set(USERS) - bad
        assert {u.id for u in office.rejected()} == bad
        assert all(u.code == "refused_by_amplitude" for u in office.rejected())
        assert report.status is RunStatus.PARTIAL

    async def test_among_the_first_upload_do_not_stop_the_cohort(self, office: Office) -> None:
        office.enter("bad", "u1")
        office.trouble(Rule(RefuseIds(frozenset({"bad"}))))
        await office.sync()
        assert office.cohort() == {"u1"}
        assert [u.id for u in office.rejected()] == ["bad"]

    async def test_a_refusal_of_everything_makes_nobody_a_culprit(self, office: Office) -> None:
        office.enter(*USERS)
        await office.sync()
        office.leave(*USERS, at=9)
        office.trouble(Rule(RefuseIds(frozenset(USERS))))
        before = len(office.simulator.requests)
        report = await office.sync()
        assert len(office.simulator.requests) - before < 60, "not each of them was asked about"
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 40
        assert office.rejected() == []
        assert "refuses every request" in report.audiences[0].note

    @pytest.mark.parametrize("named", [True, False])
    async def test_are_those_alone_who_are_refused_again(self, office: Office, named: bool) -> None:
        """A first refusal names two; the second one is about one of them."""
        office.enter(*USERS)
        await office.sync()
        office.enter("bad", "good", at=9)
        office.trouble(
            Rule(RefuseIds(frozenset({"bad", "good"}), named=True), times=1),
            Rule(RefuseIds(frozenset({"bad"}), named=named)),
        )
        await office.sync()
        assert [u.id for u in office.rejected()] == ["bad"]
        assert office.cohort() == {*USERS, "good"}

    async def test_can_be_tried_again(self, office: Office) -> None:
        office.enter("u1", "bad")
        office.trouble(Rule(RefuseIds(frozenset({"bad"}))))
        await office.sync()
        office.trouble()
        from amp_console.ledger.rejected import retry_rejected

        office.ledger.write(retry_rejected)
        await office.sync()
        assert office.cohort() == {"u1", "bad"}

    async def test_are_told_by_a_control_request_where_nothing_else_is_left_to_send(
        self, office: Office
    ) -> None:
        office.enter("u1")
        await office.sync()
        office.enter("bad", at=9)
        office.trouble(Rule(RefuseIds(frozenset({"bad"}))))
        before = len(office.simulator.requests)
        report = await office.sync()
        assert [u.id for u in office.rejected()] == ["bad"]
        sent = office.simulator.requests[before:]
        assert [(seen.call, seen.status) for seen in sent] == [
            (Call.MEMBERSHIP, 400),
            (Call.LIST, 200),
            (Call.MEMBERSHIP, 200),  # adds u1, who is in already
            (Call.MEMBERSHIP, 400),
        ]
        assert (report.audiences[0].counts.added, report.audiences[0].counts.rejected) == (0, 1)
        assert office.cohort() == {"u1"}

    async def test_are_told_by_a_removal_where_nobody_is_in_the_cohort(
        self, office: Office
    ) -> None:
        office.enter("u1")
        await office.sync()
        office.leave("u1", at=5)
        await office.sync()
        office.enter("bad", at=9)
        office.trouble(Rule(RefuseIds(frozenset({"bad"}))))
        await office.sync()
        assert [u.id for u in office.rejected()] == ["bad"]
        assert office.simulator.requests[-2].operation is Operation.REMOVE
        assert office.cohort() == set()

    async def test_stay_pending_where_there_is_nobody_to_check_with(self, office: Office) -> None:
        there = office.simulator.world.create_cohort("There before", "ana@acme.example")
        office.enter("bad")
        office.change(SettingsChange(cohort_id=there.id))
        office.trouble(Rule(RefuseIds(frozenset({"bad"}))))
        report = await office.sync()
        assert (report.audiences[0].left.pending, office.rejected()) == (1, [])
        assert "refuses every request for this cohort: Some ids" in report.audiences[0].note
        office.trouble()
        await office.sync()
        assert office.cohort() == {"bad"}

    @pytest.mark.parametrize("refused", range(1, 30, 4))
    @pytest.mark.parametrize("named", [True, False])
    async def test_are_none_where_everything_is_refused_for_a_while(
        self, office: Office, refused: int, named: bool
    ) -> None:
        """Amplitude itself refuses so many requests, whatever they carry."""
        office.enter(*USERS)
        await office.sync()
        office.leave(*USERS[:6], at=9)
        office.enter(*(f"new-{n}" for n in range(6)), at=9)
        everybody = frozenset(USERS) | {f"new-{n}" for n in range(6)}
        office.trouble(Rule(RefuseIds(everybody, named=named), times=refused))
        for _ in range(refused + 1):
            report = await office.sync()
            assert office.rejected() == []
            if report.status is RunStatus.DELIVERED:
                break
        assert office.cohort() == {*USERS[6:], *(f"new-{n}" for n in range(6))}


PAGES = {
    "page": Body("<html><title>Blocked</title><p>Ask IT for access</p></html>", 403, "text/html"),
    "page of a login": Body("<form>Sign in</form>", 401, "text/html"),
    "nothing": Body("", 400, "text/plain"),
    "text": Body("Payment Required", 402, "text/plain"),
    "page of no cohort": Body("<h1>Cohort $cohort_id not found</h1>", 404, "text/html"),
    "text of a proxy": Body("Proxy Authentication Required", 407, "text/plain"),
    "large": Body("<h1>Request Entity Too Large</h1>", 413, "text/html"),
    "JSON of a gateway": Body('{"message":"Forbidden"}', 403),
    "JSON of a filter": Body('{"blocked":true,"ids":$ids}', 451),
    "null": Body("null", 400),
    "empty object": Body("{}", 200),
    "failure": Body('{"success":false}', 200),
    "error": Body('{"error":{"message":"Try later"}}', 200),
    "page with 200": Body("<html>Welcome to the hotel</html>", 200, "text/html"),
    "another cohort": Body(
        '{"cohort_id":"zzzz9999","memberships_result":[{"skipped_ids":[],"operation":"ADD"},'
        '{"skipped_ids":[],"operation":"REMOVE"}]}'
    ),
    "no result": Body('{"cohort_id":"$cohort_id","memberships_result":null}'),
    "empty result": Body('{"cohort_id":"$cohort_id","memberships_result":[]}'),
    "text for a result": Body('{"cohort_id":"$cohort_id","memberships_result":"done"}'),
    "stranger skipped": Body(
        '{"cohort_id":"$cohort_id","memberships_result":[{"operation":"$operation",'
        '"skipped_ids":["somebody else"]}]}'
    ),
}


class TestAnswersOnTheWay:
    """Answers that are not Amplitude's, or not to this request, change nothing."""

    @pytest.mark.parametrize("body", PAGES.values(), ids=PAGES)
    async def test_leave_everybody_pending_and_nothing_broken(
        self, office: Office, body: Body
    ) -> None:
        office.limit(tries=3, first_batch=8)
        office.enter(*USERS[:12])
        await office.sync()
        office.leave(*USERS[:6], at=9)
        office.enter("new", at=9)
        office.trouble(Rule(body))
        for _ in range(2):
            report = await office.sync()
            assert report.status is RunStatus.STOPPED
            assert (report.keys_refused, office.rejected()) == (None, [])
            assert report.audiences[0].left.pending == 7
            assert report.audiences[0].note.startswith("Gave up after trouble 3 times in a row.")
            assert office.audience().broken is None
        assert office.cohort() == set(USERS[:12])
        office.trouble()
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {*USERS[6:12], "new"}

    @pytest.mark.parametrize("body", PAGES.values(), ids=PAGES)
    async def test_make_no_cohort_and_reject_nobody(self, office: Office, body: Body) -> None:
        office.limit(tries=3)
        office.enter("u1", "u2")
        office.trouble(Rule(body, frozenset({Call.UPLOAD})))
        report = await office.sync()
        assert (report.audiences[0].left.pending, office.rejected()) == (2, [])
        assert (office.audience().cohort_id, report.keys_refused) == (None, None)
        assert report.audiences[0].note
        office.trouble()
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {"u1", "u2"}

    async def test_are_quoted(self, office: Office) -> None:
        office.limit(tries=1)
        office.enter("u1")
        office.trouble(Rule(PAGES["page"]))
        note = (await office.sync()).audiences[0].note
        assert "A proxy or another server answered instead of Amplitude (status 403)" in note
        assert "Ask IT for access" in note

    async def test_of_a_cohort_that_was_there_before_links_nothing(self, office: Office) -> None:
        office.limit(tries=1)
        there = office.simulator.world.create_cohort("shoppers", "ana@acme.example")
        office.enter("u1")
        answer = f'{{"cohortId":"{there.id}","metadata":{{"matched":1,"totals":1}}}}'
        office.trouble(Rule(Body(answer), frozenset({Call.UPLOAD})))
        await office.sync()
        assert office.audience().cohort_id is None

    async def test_that_hide_what_was_applied_are_made_good(self, office: Office) -> None:
        office.enter(*USERS)
        office.trouble(Rule(Body("{}", applied=True), frozenset({Call.MEMBERSHIP}), times=2))
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == set(USERS)


class TestCreation:
    @pytest.mark.parametrize(
        ("override", "prefix", "name"),
        [
            (None, False, "shoppers"),
            (None, True, "[Segment] shoppers"),
            ("VIPs", False, "VIPs"),
            ("VIPs", True, "[Segment] VIPs"),
        ],
    )
    async def test_names_the_cohort_as_set(
        self, office: Office, override: str | None, prefix: bool, name: str
    ) -> None:
        office.connection = msgspec.structs.replace(office.connection, prefix=prefix)
        office.enter("u1")
        office.change(
            SettingsChange(cohort_name=override),
        )
        await office.sync()
        assert office.simulator.world.cohort_named(name).id == office.audience().cohort_id

    async def test_the_owner_is_the_override_else_the_connections(self, office: Office) -> None:
        office.enter("u1")
        wish = SettingsChange(owner_email="ben@acme.example")
        office.change(wish)
        await office.sync()
        made = office.simulator.world.cohort_named("shoppers")
        assert made.owners == ("ben@acme.example",)

    async def test_never_puts_a_stranger_in(self, office: Office) -> None:
        office.enter(*USERS, "ghost-1")
        await office.sync()
        assert office.ever() == set(USERS)

    async def test_goes_on_to_other_members_where_the_first_are_unknown(
        self, office: Office
    ) -> None:
        office.enter(*(f"ghost-{n:03}" for n in range(150)), "u1")
        await office.sync()
        assert office.cohort() == {"u1"}
        assert len(office.rejected()) == 150

    @pytest.mark.parametrize("refuses", [True, False])
    async def test_of_members_who_are_all_unknown_rejects_them(
        self, office: Office, refuses: bool
    ) -> None:
        office.simulator.behaviour = Behaviour(refuses_all_invalid=refuses)
        office.enter("ghost-1", "ghost-2")
        report = await office.sync()
        assert {u.id for u in office.rejected()} == {"ghost-1", "ghost-2"}
        assert report.audiences[0].left.pending == 0

    async def test_by_amplitude_id_falls_back_to_user_ids(self, office: Office) -> None:
        office.simulator.behaviour = Behaviour(uploads_by_amplitude_id=False)
        number = office.simulator.world.add_user("u1")
        office.mapping = office.mapping.parse("$.userId", "$.traits.amplitude_id")
        office.read([event("u1", True, traits={"amplitude_id": number})])
        office.change(
            SettingsChange(id_type=IdType.AMPLITUDE_ID),
        )
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {"u1"}

    async def test_an_owner_amplitude_refuses_leaves_everybody_pending(
        self, office: Office
    ) -> None:
        office.enter(*USERS)
        wish = SettingsChange(owner_email="nobody@elsewhere.example")
        office.change(wish)
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 40
        assert office.rejected() == []
        assert "Check the cohort owner's email" in report.audiences[0].note

    @pytest.mark.parametrize("trouble", [Reset(applied=True), Cut()], ids=str)
    async def test_whose_answer_is_lost_makes_no_second_cohort(
        self, office: Office, trouble: Reset | Cut
    ) -> None:
        office.trouble(Rule(trouble, calls=frozenset({Call.UPLOAD}), times=1))
        office.enter(*USERS)
        await office.sync()
        assert len(office.simulator.world.cohorts()) == 1
        assert office.cohort() == set(USERS)

    async def test_that_timed_out_is_found_once_it_was_made(self, office: Office) -> None:
        """The upload is applied after we stopped waiting for its answer."""
        office.limit(timeout=0.2)
        office.trouble(Rule(Slow(1.0), calls=frozenset({Call.UPLOAD}), times=1))

        async def until_it_was_made(seconds: float) -> None:
            while seconds == LATER_LOOKS[0] and not office.simulator.world.cohorts():
                await asyncio.sleep(0)

        office.timing = Timing(sleep=until_it_was_made)
        office.enter(*USERS)
        await office.sync()
        assert len(office.simulator.world.cohorts()) == 1
        assert office.cohort() == set(USERS)

    async def test_that_fails_each_time_is_given_up_though_lists_are_answered(
        self, office: Office
    ) -> None:
        office.trouble(Rule(Answer(500), calls=frozenset({Call.UPLOAD})))
        office.enter("u1")
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert len(sent(office.simulator, Call.UPLOAD)) == office.connection.limits.tries

    async def test_after_a_crash_adopts_the_cohort_that_was_made(self, office: Office) -> None:
        """The process dies after the upload was applied: the answer never reaches the ledger."""
        office.limit(tries=1)
        office.trouble(Rule(Reset(applied=True), calls=frozenset({Call.UPLOAD}), times=1))
        office.enter(*USERS)
        assert (await office.sync()).status is RunStatus.STOPPED
        assert office.audience().cohort_id is None
        office.leave("u0", at=9)
        await office.sync()
        assert len(office.simulator.world.cohorts()) == 1
        assert office.cohort() == set(USERS) - {"u0"}

    async def test_leaves_a_cohort_of_the_same_name_alone(self, office: Office) -> None:
        office.enter("u1")
        await office.sync()
        others = office.audience().cohort_id
        office.change(SettingsChange(unlink=True))
        await office.sync()
        assert office.audience().cohort_id != others
        assert len(office.simulator.world.cohorts()) == 2


class TestEmptyAudience:
    async def test_is_made_from_the_seed_user_who_is_gone_afterwards(self, office: Office) -> None:
        office.leave("u1")
        office.change(SettingsChange(seed_user="seed"))
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == set()
        assert office.ever() == {"seed"}

    async def test_finds_a_seed_by_searching(self, strict: Office) -> None:
        office = strict
        office.simulator.world.add_user(None)
        office.simulator.world.add_user("zoe")
        office.leave("u1")
        await office.sync()
        assert office.cohort() == set()
        assert office.ever() == {"zoe"}

    async def test_removes_the_seed_in_the_next_run_if_it_failed(self, office: Office) -> None:
        office.limit(tries=2)
        office.leave("u1")
        office.change(SettingsChange(seed_user="seed"))
        office.trouble(Rule(Answer(500), calls=frozenset({Call.MEMBERSHIP})))
        assert (await office.sync()).status is RunStatus.STOPPED
        assert office.cohort() == {"seed"}
        office.trouble()
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == set()

    async def test_says_so_when_nobody_can_be_found(self, strict: Office) -> None:
        office = strict
        office.leave("u1")
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert "Set a seed user" in report.audiences[0].note


class TestLink:
    async def test_to_a_cohort_that_was_there_sends_leavers_too(self, office: Office) -> None:
        office.enter("u1", "u2")
        await office.sync()
        cohort_id = office.audience().cohort_id
        office.leave("u2", at=9)
        office.change(SettingsChange(cohort_id=cohort_id))
        await office.sync()
        assert office.cohort() == {"u1"}

    @pytest.mark.parametrize("status", [400, 404])
    async def test_to_a_cohort_that_is_gone_is_broken(self, office: Office, status: int) -> None:
        office.simulator.behaviour = Behaviour(unknown_cohort_status=status)
        office.enter("u1")
        await office.sync()
        office.simulator.world.drop_cohort(office.audience().cohort_id or "")
        office.enter("u2", at=9)
        report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert "Link another cohort, or unlink it" in (office.audience().broken or "")
        assert report.audiences[0].left.pending == 1
        assert report.audiences[0].counts.is_stuck
        assert office.ledger.read(run_audiences, 2)[0].counts == report.audiences[0].counts
        assert office.rejected() == []

    async def test_that_is_broken_sends_nothing_until_mended(self, office: Office) -> None:
        office.enter("u1")
        await office.sync()
        office.simulator.world.drop_cohort(office.audience().cohort_id or "")
        office.enter("u2", at=9)
        await office.sync()
        before = len(office.simulator.requests)
        await office.sync()
        assert len(office.simulator.requests) == before
        office.change(SettingsChange(unlink=True))
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {"u1", "u2"}

    async def test_a_single_404_of_a_cohort_that_is_listed_breaks_nothing(
        self, office: Office
    ) -> None:
        office.enter("u1")
        office.trouble(Rule(Answer(404), calls=frozenset({Call.MEMBERSHIP}), times=1))
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == {"u1"}


class TestIdType:
    async def test_changed_after_a_sync_swaps_the_ids(self, office: Office) -> None:
        first, second = (office.simulator.world.add_user(u) for u in ("u1", "u2"))
        office.mapping = office.mapping.parse("$.userId", "$.traits.amplitude_id")
        office.read(
            [
                event("u1", True, traits={"amplitude_id": first}),
                event("u2", True, traits={"amplitude_id": second}),
                event("u3", True),
            ]
        )
        await office.sync()
        assert office.cohort() == {"u1", "u2", "u3"}
        office.change(
            SettingsChange(id_type=IdType.AMPLITUDE_ID),
        )
        report = await office.sync()
        assert office.cohort() == {"u1", "u2"}
        assert [(u.id, u.reason) for u in office.rejected()] == [
            ("u3", "No Amplitude ID in the event")
        ]
        assert report.status is RunStatus.PARTIAL


class TestRun:
    async def test_refused_keys_stop_everything(self, office: Office) -> None:
        office.read(event("u1", True, audience=name) for name in ("a", "b", "c", "d", "e", "f"))
        wrong = Credentials(Secret("wrong-api-key"), Secret("wrong-secret-key"))
        office.simulator.credentials = wrong
        report = await office.sync()
        assert "Amplitude refused the keys" in (report.keys_refused or "")
        assert report.status is RunStatus.STOPPED
        assert len(office.simulator.requests) <= office.connection.limits.parallel_cohorts

    async def test_several_cohorts_go_side_by_side_but_one_request_each(
        self, office: Office
    ) -> None:
        names = "abcdef"
        office.read(event(user, True, audience=name) for name in names for user in USERS)
        office.limit(first_batch=10, largest_batch=10)
        report = await office.sync()
        assert report.status is RunStatus.DELIVERED
        assert all(office.cohort(name) == set(USERS) for name in names)
        assert not [seen for seen in office.simulator.requests if seen.status == 429]

    async def test_an_audience_another_process_syncs_is_left_to_it(self, office: Office) -> None:
        office.enter("u1")
        with lease(office.ledger.path, office.audience().id):
            report = await office.sync()
        assert report.status is RunStatus.STOPPED
        assert "Another amp-console" in report.audiences[0].note
        assert office.simulator.requests == []

    async def test_what_is_set_until_the_lease_is_held_counts(self, office: Office) -> None:
        office.enter("u1")
        names: list[str | None] = []

        async def work(lane: AudienceWorker) -> None:
            names.append(lane.audience.cohort_name)

        async with office.means() as means:
            with hold_run(office.ledger.path) as lock:
                run_id = office.ledger.write(begin, ReadCounts(), 1, lock, RunKind.SYNC)
                desk = context_of(means, run_id, Progress(run_id, (), means.timing, nobody))
                lane = AudienceWorker(desk, office.audience())
                office.change(SettingsChange(cohort_name="Set meanwhile"))
                job = Job(RunKind.SYNC, (), work, lambda *_: RunStatus.DELIVERED)
                assert await Delivery(desk, job).turn(lane) == ""
        assert names == ["Set meanwhile"]

    @pytest.mark.parametrize("leaves_meanwhile", [False, True])
    async def test_what_a_killed_process_left_open_is_delivered(
        self, office: Office, leaves_meanwhile: bool
    ) -> None:
        office.enter("u1")
        await office.sync()
        office.enter("u2", at=5)
        of = office.audience().id
        office.ledger.write(deliveries.take, 9, of, IdType.USER_ID, Operation.ADD, 10, 1)
        if leaves_meanwhile:
            office.leave("u2", at=9)
        await office.sync()
        assert office.cohort() == ({"u1"} if leaves_meanwhile else {"u1", "u2"})
        last = Operation.REMOVE if leaves_meanwhile else Operation.ADD
        assert office.simulator.requests[-1].operation is last

    async def test_stops_when_asked_and_goes_on_next_time(self, office: Office) -> None:
        office.limit(first_batch=5, largest_batch=5)
        office.enter(*USERS)
        office.timing = Timing(office.timing.now, itertools.count().__next__, office.waits)
        stop = Stop()

        def stop_soon(now: RunSnapshot) -> None:  # each is shown: a second passes at every look
            if now.done:
                stop.ask()

        report = await office.sync(stop, stop_soon)
        assert report.was_stopped
        assert report.status is RunStatus.STOPPED
        assert 0 < report.audiences[0].left.pending < 40
        assert (await office.sync()).status is RunStatus.DELIVERED
        assert office.cohort() == set(USERS)

    async def test_of_a_read_only_connection_sends_nothing(self, office: Office) -> None:
        office.enter("u1")
        office.connection = msgspec.structs.replace(office.connection, read_only=True)
        with pytest.raises(ReadOnly, match="Nothing was sent"):
            await office.sync()
        assert office.simulator.requests == []

    async def test_is_kept_in_the_history(self, office: Office) -> None:
        office.enter("u1", "ghost-1")
        await office.sync()
        (run,) = office.ledger.read(all_runs)
        assert (run.status, run.added, run.rejected) == (RunStatus.PARTIAL, 1, 1)
        assert run.requests == 2  # an upload that creates the cohort, and the members

    async def test_shows_snapshots_that_end_with_everything_done(self, office: Office) -> None:
        seen: list[RunSnapshot] = []
        office.enter(*USERS)
        report: RunReport = await office.sync(observe=seen.append)
        assert (seen[-1].done, seen[-1].total) == (40, 40)
        assert all(audience.is_over for audience in seen[-1].audiences)
        assert report.elapsed >= seen[0].elapsed

    async def test_notes_never_hold_the_keys(self, office: Office) -> None:
        office.enter("u1")
        office.limit(tries=1)
        office.trouble(Rule(Answer(500)))
        report = await office.sync()
        keys = office.simulator.credentials
        assert not re.search(keys.api_key.reveal(), report.audiences[0].note)


async def test_a_refused_removal_by_the_former_identifier_holds_up_no_one_when_it_is_retried(
    office: Office,
) -> None:
    office.map_amplitude_ids()
    known = {user: str(office.simulator.world.add_user(user)) for user in ("u0", "u1", "u2")}

    def enter(*users: str) -> None:
        office.read(event(user, True, traits={"amplitude_id": known[user]}) for user in users)

    enter("u0", "u1")
    await office.sync()
    office.trouble(Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP})))
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    await office.sync()
    assert [item.id for item in office.rejected()] == ["u1"]

    office.ledger.write(retry_rejected)
    enter("u2")
    report = await office.sync()
    assert report.audiences[0].left.pending == 0, report.audiences[0].note
    assert [item.id for item in office.rejected()] == ["u1"]
    assert office.cohort() == {"u0", "u1", "u2"}


async def test_a_refused_removal_holds_up_no_one_while_no_one_is_known_to_be_delivered(
    office: Office,
) -> None:
    office.enter("u0", "u1")
    await office.sync()
    cohort_id = office.audience().cohort_id
    office.leave("u1")
    office.enter("u2", at=2)
    office.change(SettingsChange(cohort_id=cohort_id))  # now all of them are unknown
    office.trouble(Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP})))
    report = await office.sync()
    assert report.audiences[0].left.pending == 0, report.audiences[0].note
    assert [item.id for item in office.rejected()] == ["u1"]
    assert office.cohort() == {"u0", "u1", "u2"}


async def test_a_refused_user_who_is_in_the_cohort_is_removed_when_they_leave(
    office: Office,
) -> None:
    refuse = Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP}))
    office.enter("u0", "u1")
    office.trouble(refuse)
    await office.sync()  # the upload that makes the cohort adds both
    assert [item.id for item in office.rejected()] == ["u1"]
    assert office.cohort() == {"u0", "u1"}
    office.leave("u1")
    await office.sync()
    assert [item.id for item in office.rejected()] == ["u1"]
    office.trouble()
    office.ledger.write(retry_rejected)
    await office.sync()
    assert office.cohort() == {"u0"}
