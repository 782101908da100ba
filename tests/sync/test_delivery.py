"""Delivery against the simulated Amplitude: the cohort ends correct, whatever the network does."""

import asyncio
import dataclasses
import itertools
import re
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec
import pytest

from amp_console.amplitude import MembersChanged
from amp_console.amplitude.client import AmplitudeClient
from amp_console.connections.read_only import ReadOnly
from amp_console.ledger import deliveries
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.rejected import retry_rejected
from amp_console.ledger.runs import RunKind, RunStatus, all_runs, run_audiences
from amp_console.simulator import (
    Answer,
    Behavior,
    Body,
    Call,
    Cut,
    Late,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    Slow,
    TooLarge,
)
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.cohort_upload import LATER_CHECKS
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import RunReport, deliver, open_run, take_turn
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.timing import Stop, Timing
from amp_console.values import Credentials, IdType, Operation, Secret
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio

USERS = [f"u{n}" for n in range(40)]


def sent(simulator: Simulator, call: Call) -> list[int]:
    """How many ids the requests of a kind contained."""
    return [seen.count for seen in simulator.requests if seen.call is call]


async def test_a_first_sync_creates_the_cohort_and_adds_all_members(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    workspace.leave("u0", "u1")
    report = await workspace.sync()
    assert report.status is RunStatus.DELIVERED
    assert workspace.cohort() == set(USERS) - {"u0", "u1"}
    assert report.audiences[0].counts.added == 38
    made = workspace.simulator.world.cohort_named("shoppers")
    assert (made.id, made.owners, made.published) == (
        workspace.audience().cohort_id,
        ("ana@acme.example",),
        True,
    )


async def test_later_syncs_send_what_changed_and_nothing_else(workspace: Workspace) -> None:
    workspace.enter(*USERS)
    await workspace.sync()
    before = len(workspace.simulator.requests)
    await workspace.sync()
    assert len(workspace.simulator.requests) == before
    workspace.leave("u0", at=5)
    workspace.enter("new", at=5)
    await workspace.sync()
    later = workspace.simulator.requests[before:]
    assert [(seen.operation, seen.count) for seen in later] == [
        (Operation.REMOVE, 1),
        (Operation.ADD, 1),
    ]
    assert workspace.cohort() == set(USERS) - {"u0"} | {"new"}


async def test_users_amplitude_does_not_know_are_rejected_with_the_reason(
    workspace: Workspace,
) -> None:
    workspace.enter("u1", "ghost-1", "ghost-2")
    report = await workspace.sync()
    assert report.status is RunStatus.PARTIAL
    assert [(u.id, u.reason, u.operation) for u in workspace.rejected()] == [
        ("ghost-1", "Amplitude did not know this User ID", Operation.ADD),
        ("ghost-2", "Amplitude did not know this User ID", Operation.ADD),
    ]
    assert workspace.cohort() == {"u1"}


async def test_skipped_ids_that_come_back_as_numbers_are_recognized(
    registered_only: Workspace,
) -> None:
    registered_only.simulator.behavior = Behavior(numeric_skipped_ids=True)
    registered_only.simulator.world.add_user("u1")
    registered_only.enter("u1", "9", "0012", "9007199254740993")
    await registered_only.sync()
    assert {u.id for u in registered_only.rejected()} == {"9", "0012", "9007199254740993"}
    assert registered_only.cohort() == {"u1"}


async def test_a_number_that_may_be_either_of_two_ids_confirms_nothing(
    registered_only: Workspace,
) -> None:
    registered_only.simulator.behavior = Behavior(numeric_skipped_ids=True)
    registered_only.simulator.world.add_user("u1")
    registered_only.enter("u1", "7", "007")
    report = await registered_only.sync()
    assert not registered_only.rejected()
    assert report.audiences[0].left.add == 3


async def sync_waiting(
    workspace: Workspace, seconds: float, states: list[str], stop: Stop | None = None
) -> RunReport:
    """Sync, waiting so long for another process's leases; collect the snapshots."""

    def observe(snapshot: RunSnapshot) -> None:
        states.extend(audience.state for audience in snapshot.audiences)

    workspace.show_every_step()
    async with workspace.opened(stop, observe) as context:
        waiting = dataclasses.replace(context, lease_wait=seconds)
        return await deliver(workspace.plan(), waiting)


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
        self, workspace: Workspace, trouble: Answer | Reset | Cut
    ) -> None:
        workspace.limit(first_batch=5, largest_batch=5, quiet_time=0)
        workspace.set_faults(Rule(trouble, every=3))
        workspace.enter(*USERS)
        workspace.leave(*USERS[:10])
        report = await workspace.sync()
        assert report.status is RunStatus.DELIVERED
        assert workspace.cohort() == set(USERS[10:])
        assert report.audiences[0].counts.retries > 0
        assert len(workspace.waits.seconds) > 0
        workspace.enter(*USERS[:3], at=9)
        workspace.leave(*USERS[-3:], at=9)
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == set(USERS[:3]) | set(USERS[10:-3])
        assert len(workspace.simulator.world.cohorts()) == 1

    async def test_a_wait_that_amplitude_names_is_kept(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        rule = Rule(Answer(429, retry_after="7"), calls=frozenset({Call.MEMBERSHIP}), times=1)
        workspace.set_faults(rule)
        await workspace.sync()
        assert workspace.waits.seconds == [7.0]

    async def test_without_one_the_waits_grow_with_jitter(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        rule = Rule(Answer(429), calls=frozenset({Call.MEMBERSHIP}), times=4)
        workspace.set_faults(rule)
        await workspace.sync()
        waits = workspace.waits.seconds
        assert [0.5 * 2**n / 2 <= wait <= 0.5 * 2**n for n, wait in enumerate(waits)] == [True] * 4

    async def test_when_the_tries_are_used_up_the_users_stay_pending(
        self, workspace: Workspace
    ) -> None:
        workspace.limit(tries=3)
        workspace.enter("u1", "u2")
        workspace.set_faults(Rule(Answer(500), calls=frozenset({Call.MEMBERSHIP})))
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 2
        assert "Gave up after 3 failures in a row" in report.audiences[0].note
        workspace.set_faults()
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {"u1", "u2"}

    async def test_a_wait_longer_than_the_limit_is_not_begun(self, workspace: Workspace) -> None:
        workspace.limit(longest_wait=60.0)
        workspace.enter("u1")
        rule = Rule(Answer(429, retry_after="3600"), calls=frozenset({Call.MEMBERSHIP}))
        workspace.set_faults(rule)
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert workspace.waits.seconds == []

    async def test_batches_shrink_until_they_are_taken(self, workspace: Workspace) -> None:
        workspace.limit(first_batch=40)
        workspace.enter("first")
        await workspace.sync()
        workspace.set_faults(Rule(TooLarge(above=12)))
        workspace.enter(*USERS)
        await workspace.sync()
        assert workspace.cohort() == {"first", *USERS}
        assert sent(workspace.simulator, Call.MEMBERSHIP)[1:4] == [40, 20, 10]

    async def test_batches_grow_while_answers_are_clean(self, workspace: Workspace) -> None:
        workspace.limit(first_batch=5, largest_batch=20)
        workspace.enter(*USERS)
        await workspace.sync()
        assert sent(workspace.simulator, Call.MEMBERSHIP) == [5, 20, 15]


@pytest.mark.parametrize(("leaving", "is_asked"), [(5, False), (6, True)])
async def test_taking_out_more_than_half_is_asked_for(
    workspace: Workspace, leaving: int, is_asked: bool
) -> None:
    workspace.enter(*USERS[:10])
    await workspace.sync()
    workspace.leave(*USERS[:leaving], at=9)
    assert bool(workspace.plan().concerns) == is_asked


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"computation_id": "aud_2"}, "another computation ID"),
        ({"space_id": "spa_2"}, "belongs to another space"),
    ],
)
async def test_a_second_cohort_for_one_key_is_no_surprise(
    workspace: Workspace, other: dict[str, str], differs: str
) -> None:
    workspace.enter("u-1")
    await workspace.sync()
    workspace.read([event("u-1", True, personas={"computation_id": "aud_2", **other})])
    (concern,) = workspace.plan().concerns
    assert concern.startswith("creates the cohort “shoppers”")
    assert concern.endswith(f"although “shoppers (aud_shoppers)” has the same key but {differs}")
    assert workspace.plan().audiences[0].same_key == ""  # it has its cohort


class TestRefusedUsers:
    @pytest.mark.parametrize("named", [True, False])
    async def test_are_found_and_the_rest_is_delivered(
        self, workspace: Workspace, named: bool
    ) -> None:
        workspace.enter(*USERS)
        bad = frozenset({"u3", "u17", "u18"})
        workspace.set_faults(Rule(RefuseIds(bad, named=named)))
        report = await workspace.sync()
        assert workspace.cohort() == set(USERS) - bad
        assert {u.id for u in workspace.rejected()} == bad
        assert all(u.code == "refused_by_amplitude" for u in workspace.rejected())
        assert report.status is RunStatus.PARTIAL

    async def test_among_the_first_upload_do_not_stop_the_cohort(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("bad", "u1")
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}))))
        await workspace.sync()
        assert workspace.cohort() == {"u1"}
        assert [u.id for u in workspace.rejected()] == ["bad"]

    async def test_a_refusal_of_everything_makes_no_one_a_culprit(
        self, workspace: Workspace
    ) -> None:
        workspace.enter(*USERS)
        await workspace.sync()
        workspace.leave(*USERS, at=9)
        workspace.set_faults(Rule(RefuseIds(frozenset(USERS))))
        before = len(workspace.simulator.requests)
        report = await workspace.sync()
        assert len(workspace.simulator.requests) - before < 60, "they were not sent one by one"
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 40
        assert workspace.rejected() == []
        assert "refuses every request" in report.audiences[0].note

    @pytest.mark.parametrize("named", [True, False])
    async def test_are_those_alone_who_are_refused_again(
        self, workspace: Workspace, named: bool
    ) -> None:
        """A first refusal names two; the second one is about one of them."""
        workspace.enter(*USERS)
        await workspace.sync()
        workspace.enter("bad", "good", at=9)
        workspace.set_faults(
            Rule(RefuseIds(frozenset({"bad", "good"}), named=True), times=1),
            Rule(RefuseIds(frozenset({"bad"}), named=named)),
        )
        await workspace.sync()
        assert [u.id for u in workspace.rejected()] == ["bad"]
        assert workspace.cohort() == {*USERS, "good"}

    async def test_can_be_tried_again(self, workspace: Workspace) -> None:
        workspace.enter("u1", "bad")
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}))))
        await workspace.sync()
        workspace.set_faults()
        from amp_console.ledger.rejected import retry_rejected

        workspace.ledger.write(retry_rejected)
        await workspace.sync()
        assert workspace.cohort() == {"u1", "bad"}

    async def test_are_found_by_a_control_request_where_nothing_else_is_left_to_send(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        await workspace.sync()
        workspace.enter("bad", at=9)
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}))))
        before = len(workspace.simulator.requests)
        report = await workspace.sync()
        assert [u.id for u in workspace.rejected()] == ["bad"]
        sent = workspace.simulator.requests[before:]
        assert [(seen.call, seen.status) for seen in sent] == [
            (Call.MEMBERSHIP, 400),
            (Call.LIST, 200),
            (Call.MEMBERSHIP, 200),  # adds u1, who is already a member
            (Call.MEMBERSHIP, 400),
        ]
        assert (report.audiences[0].counts.added, report.audiences[0].counts.rejected) == (0, 1)
        assert workspace.cohort() == {"u1"}

    async def test_are_found_by_a_removal_where_the_cohort_is_empty(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        await workspace.sync()
        workspace.leave("u1", at=5)
        await workspace.sync()
        workspace.enter("bad", at=9)
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}))))
        await workspace.sync()
        assert [u.id for u in workspace.rejected()] == ["bad"]
        assert workspace.simulator.requests[-2].operation is Operation.REMOVE
        assert workspace.cohort() == set()

    async def test_stay_pending_where_there_is_no_one_to_check_with(
        self, workspace: Workspace
    ) -> None:
        there = workspace.simulator.world.create_cohort("There before", "ana@acme.example")
        workspace.enter("bad")
        workspace.change(SettingsChange(cohort_id=there.id))
        workspace.set_faults(Rule(RefuseIds(frozenset({"bad"}))))
        report = await workspace.sync()
        assert (report.audiences[0].left.pending, workspace.rejected()) == (1, [])
        assert "refuses every request for this cohort: Some ids" in report.audiences[0].note
        workspace.set_faults()
        await workspace.sync()
        assert workspace.cohort() == {"bad"}

    @pytest.mark.parametrize("refused", range(1, 30, 4))
    @pytest.mark.parametrize("named", [True, False])
    async def test_are_none_where_everything_is_refused_for_a_while(
        self, workspace: Workspace, refused: int, named: bool
    ) -> None:
        """Amplitude itself refuses so many requests, whatever they contain."""
        workspace.enter(*USERS)
        await workspace.sync()
        workspace.leave(*USERS[:6], at=9)
        workspace.enter(*(f"new-{n}" for n in range(6)), at=9)
        everyone = frozenset(USERS) | {f"new-{n}" for n in range(6)}
        workspace.set_faults(Rule(RefuseIds(everyone, named=named), times=refused))
        for _ in range(refused + 1):
            report = await workspace.sync()
            assert workspace.rejected() == []
            if report.status is RunStatus.DELIVERED:
                break
        assert workspace.cohort() == {*USERS[6:], *(f"new-{n}" for n in range(6))}


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
        '"skipped_ids":["a stranger"]}]}'
    ),
}


class TestAnswersOnTheWay:
    """Answers that are not Amplitude's, or not to this request, change nothing."""

    async def test_leave_all_users_pending_and_nothing_broken(self, workspace: Workspace) -> None:
        workspace.limit(tries=3, first_batch=8)
        workspace.enter(*USERS[:12])
        await workspace.sync()
        workspace.leave(*USERS[:6], at=9)
        workspace.enter("new", at=9)
        for name, body in PAGES.items():
            workspace.set_faults(Rule(body))
            report = await workspace.sync()
            assert report.status is RunStatus.STOPPED, name
            assert (report.keys_refused, workspace.rejected()) == (None, []), name
            assert report.audiences[0].left.pending == 7, name
            assert report.audiences[0].note.startswith("Gave up after 3 failures in a row."), name
            assert workspace.audience().broken is None, name
            assert workspace.cohort() == set(USERS[:12]), name
        workspace.set_faults()
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {*USERS[6:12], "new"}

    async def test_create_no_cohort_and_reject_no_one(self, workspace: Workspace) -> None:
        workspace.limit(tries=3)
        workspace.enter("u1", "u2")
        for name, body in PAGES.items():
            workspace.set_faults(Rule(body, frozenset({Call.UPLOAD})))
            report = await workspace.sync()
            assert (report.audiences[0].left.pending, workspace.rejected()) == (2, []), name
            assert (workspace.audience().cohort_id, report.keys_refused) == (None, None), name
            assert report.audiences[0].note, name
        workspace.set_faults()
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {"u1", "u2"}

    async def test_are_quoted(self, workspace: Workspace) -> None:
        workspace.limit(tries=1)
        workspace.enter("u1")
        workspace.set_faults(Rule(PAGES["page"]))
        note = (await workspace.sync()).audiences[0].note
        assert "A proxy or another server answered instead of Amplitude (status 403)" in note
        assert "Ask IT for access" in note

    async def test_of_a_cohort_that_was_there_before_links_nothing(
        self, workspace: Workspace
    ) -> None:
        workspace.limit(tries=1)
        there = workspace.simulator.world.create_cohort("shoppers", "ana@acme.example")
        workspace.enter("u1")
        answer = f'{{"cohortId":"{there.id}","metadata":{{"matched":1,"totals":1}}}}'
        workspace.set_faults(Rule(Body(answer), frozenset({Call.UPLOAD})))
        await workspace.sync()
        assert workspace.audience().cohort_id is None

    async def test_that_hide_what_was_applied_are_made_good(self, workspace: Workspace) -> None:
        workspace.enter(*USERS)
        workspace.set_faults(Rule(Body("{}", applied=True), frozenset({Call.MEMBERSHIP}), times=2))
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == set(USERS)


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
        self, workspace: Workspace, override: str | None, prefix: bool, name: str
    ) -> None:
        workspace.connection = msgspec.structs.replace(workspace.connection, prefix=prefix)
        workspace.enter("u1")
        workspace.change(
            SettingsChange(cohort_name=override),
        )
        await workspace.sync()
        assert workspace.simulator.world.cohort_named(name).id == workspace.audience().cohort_id

    async def test_the_owner_is_the_override_else_the_connections(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        settings = SettingsChange(owner_email="ben@acme.example")
        workspace.change(settings)
        await workspace.sync()
        made = workspace.simulator.world.cohort_named("shoppers")
        assert made.owners == ("ben@acme.example",)

    async def test_never_puts_a_stranger_in(self, workspace: Workspace) -> None:
        workspace.enter(*USERS, "ghost-1")
        await workspace.sync()
        assert workspace.ever() == set(USERS)

    async def test_tries_other_members_where_the_first_are_unknown(
        self, workspace: Workspace
    ) -> None:
        workspace.enter(*(f"ghost-{n:03}" for n in range(150)), "u1")
        await workspace.sync()
        assert workspace.cohort() == {"u1"}
        assert len(workspace.rejected()) == 150

    @pytest.mark.parametrize("refuses", [True, False])
    async def test_of_members_who_are_all_unknown_rejects_them(
        self, workspace: Workspace, refuses: bool
    ) -> None:
        workspace.simulator.behavior = Behavior(refuses_all_invalid=refuses)
        workspace.enter("ghost-1", "ghost-2")
        report = await workspace.sync()
        assert {u.id for u in workspace.rejected()} == {"ghost-1", "ghost-2"}
        assert report.audiences[0].left.pending == 0

    async def test_by_amplitude_id_falls_back_to_user_ids(self, workspace: Workspace) -> None:
        workspace.simulator.behavior = Behavior(uploads_by_amplitude_id=False)
        number = workspace.simulator.world.add_user("u1")
        workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
        workspace.read([event("u1", True, traits={"amplitude_id": number})])
        workspace.change(
            SettingsChange(id_type=IdType.AMPLITUDE_ID),
        )
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {"u1"}

    async def test_an_owner_amplitude_refuses_leaves_all_users_pending(
        self, workspace: Workspace
    ) -> None:
        workspace.enter(*USERS)
        settings = SettingsChange(owner_email="no-one@elsewhere.example")
        workspace.change(settings)
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert report.audiences[0].left.pending == 40
        assert workspace.rejected() == []
        assert "Check the cohort owner's email" in report.audiences[0].note

    @pytest.mark.parametrize("trouble", [Reset(applied=True), Cut()], ids=str)
    async def test_whose_answer_is_lost_makes_no_second_cohort(
        self, workspace: Workspace, trouble: Reset | Cut
    ) -> None:
        workspace.set_faults(Rule(trouble, calls=frozenset({Call.UPLOAD}), times=1))
        workspace.enter(*USERS)
        await workspace.sync()
        assert len(workspace.simulator.world.cohorts()) == 1
        assert workspace.cohort() == set(USERS)

    async def test_that_timed_out_is_found_once_it_was_made(self, workspace: Workspace) -> None:
        """The upload is applied after we stopped waiting for its answer."""
        workspace.limit(timeout=0.2)
        workspace.set_faults(Rule(Slow(1.0), calls=frozenset({Call.UPLOAD}), times=1))

        async def until_it_was_made(seconds: float) -> None:
            while seconds == LATER_CHECKS[0] and not workspace.simulator.world.cohorts():
                await asyncio.sleep(0.01)

        workspace.timing = Timing(sleep=until_it_was_made)
        workspace.enter(*USERS)
        await workspace.sync()
        assert len(workspace.simulator.world.cohorts()) == 1
        assert workspace.cohort() == set(USERS)

    async def test_that_a_killed_process_had_sent_is_waited_for(self, workspace: Workspace) -> None:
        """Another process takes over at once, while Amplitude is still working."""
        faults = workspace.simulator.faults
        workspace.set_faults(Rule(Late(status=None), calls=frozenset({Call.UPLOAD}), times=1))
        workspace.enter(*USERS)
        killed = asyncio.create_task(workspace.sync())
        while not faults.held:
            await asyncio.sleep(0)
        killed.cancel()
        await asyncio.wait([killed])
        workspace.on_sleep(faults.release)
        await workspace.sync()
        assert len(workspace.simulator.world.cohorts()) == 1
        assert workspace.cohort() == set(USERS)
        assert workspace.waits.seconds == [LATER_CHECKS[0]]

    async def test_that_fails_each_time_is_given_up_though_lists_are_answered(
        self, workspace: Workspace
    ) -> None:
        workspace.set_faults(Rule(Answer(500), calls=frozenset({Call.UPLOAD})))
        workspace.enter("u1")
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert len(sent(workspace.simulator, Call.UPLOAD)) == workspace.connection.limits.tries

    async def test_after_a_crash_adopts_the_cohort_that_was_made(
        self, workspace: Workspace
    ) -> None:
        """The process dies after the upload was applied: the answer never reaches the ledger."""
        workspace.limit(tries=1)
        workspace.set_faults(Rule(Reset(applied=True), calls=frozenset({Call.UPLOAD}), times=1))
        workspace.enter(*USERS)
        assert (await workspace.sync()).status is RunStatus.STOPPED
        assert workspace.audience().cohort_id is None
        workspace.leave("u0", at=9)
        await workspace.sync()
        assert len(workspace.simulator.world.cohorts()) == 1
        assert workspace.cohort() == set(USERS) - {"u0"}

    async def test_leaves_a_cohort_of_the_same_name_alone(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        await workspace.sync()
        others = workspace.audience().cohort_id
        workspace.change(SettingsChange(unlink=True))
        await workspace.sync()
        assert workspace.audience().cohort_id != others
        assert len(workspace.simulator.world.cohorts()) == 2


class TestEmptyAudience:
    async def test_is_made_from_the_seed_user_who_is_gone_afterwards(
        self, workspace: Workspace
    ) -> None:
        workspace.leave("u1")
        workspace.change(SettingsChange(seed_user="seed"))
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == set()
        assert workspace.ever() == {"seed"}

    async def test_finds_a_seed_by_searching(self, registered_only: Workspace) -> None:
        workspace = registered_only
        workspace.simulator.world.add_user(None)
        workspace.simulator.world.add_user("zoe")
        workspace.leave("u1")
        await workspace.sync()
        assert workspace.cohort() == set()
        assert workspace.ever() == {"zoe"}

    async def test_removes_the_seed_in_the_next_run_if_it_failed(
        self, workspace: Workspace
    ) -> None:
        workspace.limit(tries=2)
        workspace.leave("u1")
        workspace.change(SettingsChange(seed_user="seed"))
        workspace.set_faults(Rule(Answer(500), calls=frozenset({Call.MEMBERSHIP})))
        assert (await workspace.sync()).status is RunStatus.STOPPED
        assert workspace.cohort() == {"seed"}
        workspace.set_faults()
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == set()

    async def test_says_so_when_no_user_is_found(self, registered_only: Workspace) -> None:
        workspace = registered_only
        workspace.leave("u1")
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert "Set a seed user" in report.audiences[0].note


class TestLink:
    async def test_to_a_cohort_that_was_there_sends_leavers_too(self, workspace: Workspace) -> None:
        workspace.enter("u1", "u2")
        await workspace.sync()
        cohort_id = workspace.audience().cohort_id
        workspace.leave("u2", at=9)
        workspace.change(SettingsChange(cohort_id=cohort_id))
        await workspace.sync()
        assert workspace.cohort() == {"u1"}

    @pytest.mark.parametrize("status", [400, 404])
    async def test_to_a_cohort_that_is_gone_is_broken(
        self, workspace: Workspace, status: int
    ) -> None:
        workspace.simulator.behavior = Behavior(unknown_cohort_status=status)
        workspace.enter("u1")
        await workspace.sync()
        workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
        workspace.enter("u2", at=9)
        report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert "or unlink this one: the next sync" in (workspace.audience().broken or "")
        assert report.audiences[0].left.pending == 1
        assert report.audiences[0].counts.is_stuck
        assert workspace.ledger.read(run_audiences, 2)[0].counts == report.audiences[0].counts
        assert workspace.rejected() == []

    async def test_that_is_broken_sends_nothing_until_it_is_fixed(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        await workspace.sync()
        workspace.simulator.world.drop_cohort(workspace.audience().cohort_id or "")
        workspace.enter("u2", at=9)
        await workspace.sync()
        before = len(workspace.simulator.requests)
        await workspace.sync()
        assert len(workspace.simulator.requests) == before
        workspace.change(SettingsChange(unlink=True))
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {"u1", "u2"}

    async def test_a_single_404_of_a_cohort_that_is_listed_breaks_nothing(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        workspace.set_faults(Rule(Answer(404), calls=frozenset({Call.MEMBERSHIP}), times=1))
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == {"u1"}


class TestIdType:
    async def test_changed_after_a_sync_swaps_the_ids(self, workspace: Workspace) -> None:
        first, second = (workspace.simulator.world.add_user(u) for u in ("u1", "u2"))
        workspace.mapping = workspace.mapping.parse("$.userId", "$.traits.amplitude_id")
        workspace.read(
            [
                event("u1", True, traits={"amplitude_id": first}),
                event("u2", True, traits={"amplitude_id": second}),
                event("u3", True),
            ]
        )
        await workspace.sync()
        assert workspace.cohort() == {"u1", "u2", "u3"}
        workspace.change(
            SettingsChange(id_type=IdType.AMPLITUDE_ID),
        )
        report = await workspace.sync()
        assert workspace.cohort() == {"u1", "u2"}
        assert [(u.id, u.reason) for u in workspace.rejected()] == [
            ("u3", "No Amplitude ID in the event")
        ]
        assert report.status is RunStatus.DELIVERED


class TestRun:
    async def test_refused_keys_stop_everything(self, workspace: Workspace) -> None:
        workspace.read(event("u1", True, audience=name) for name in ("a", "b", "c", "d", "e", "f"))
        wrong = Credentials(Secret("wrong-api-key"), Secret("wrong-secret-key"))
        workspace.simulator.credentials = wrong
        report = await workspace.sync()
        assert "Amplitude refused the keys" in (report.keys_refused or "")
        assert report.status is RunStatus.STOPPED
        assert len(workspace.simulator.requests) <= workspace.connection.limits.parallel_cohorts

    async def test_several_cohorts_go_side_by_side_but_one_request_each(
        self, workspace: Workspace
    ) -> None:
        names = "abcdef"
        workspace.read(event(user, True, audience=name) for name in names for user in USERS)
        workspace.limit(first_batch=10, largest_batch=10)
        report = await workspace.sync()
        assert report.status is RunStatus.DELIVERED
        assert all(workspace.cohort(name) == set(USERS) for name in names)
        assert not [seen for seen in workspace.simulator.requests if seen.status == 429]

    async def test_an_audience_another_process_syncs_is_left_to_it(
        self, workspace: Workspace
    ) -> None:
        workspace.enter("u1")
        with workspace.ledger.lease(workspace.audience().id):
            report = await workspace.sync()
        assert report.status is RunStatus.STOPPED
        assert "Another amp-console" in report.audiences[0].note
        assert workspace.simulator.requests == []

    async def test_it_is_waited_for_while_others_are_delivered(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        workspace.read([event("u1", True, audience="buyers")])
        workspace.limit(parallel_cohorts=1)
        states: list[str] = []
        with ExitStack() as held:
            held.enter_context(workspace.ledger.lease(workspace.audience().id))
            workspace.on_sleep(held.close)
            report = await sync_waiting(workspace, 60, states)
        assert report.status is RunStatus.DELIVERED
        assert workspace.cohort() == workspace.cohort("buyers") == {"u1"}
        assert workspace.waits.seconds == [1.0]
        assert "waiting up to 60 s for another amp-console" in states

    async def test_a_wait_in_vain_says_who_holds_it(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        with workspace.ledger.lease(workspace.audience().id):
            report = await sync_waiting(workspace, 2.5, [])
        assert report.status is RunStatus.STOPPED
        assert "Another amp-console" in report.audiences[0].note
        assert workspace.waits.seconds == [1.0, 1.0, 0.5]

    async def test_someone_who_waits_can_be_asked_to_stop(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        stop = Stop()
        workspace.on_sleep(stop.ask)
        with workspace.ledger.lease(workspace.audience().id):
            report = await sync_waiting(workspace, 60, [], stop)
        assert report.was_stopped
        assert len(workspace.waits.seconds) <= 1

    async def test_what_is_set_until_the_lease_is_held_counts(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        names: list[str | None] = []

        async def work(worker: AudienceWorker) -> None:
            names.append(worker.audience.cohort_name)

        async with workspace.opened() as context, open_run(RunKind.SYNC, context) as run:
            worker = AudienceWorker(run, workspace.audience())
            workspace.change(SettingsChange(cohort_name="Set meanwhile"))
            assert await take_turn(worker, work) == ""
        assert names == ["Set meanwhile"]

    @pytest.mark.parametrize("leaves_meanwhile", [False, True])
    async def test_what_a_killed_process_left_open_is_delivered(
        self, workspace: Workspace, leaves_meanwhile: bool
    ) -> None:
        workspace.enter("u1")
        await workspace.sync()
        workspace.enter("u2", at=5)
        audience_id = workspace.audience().id
        workspace.ledger.write(
            deliveries.open_batch, 9, audience_id, IdType.USER_ID, Operation.ADD, 10, 1
        )
        if leaves_meanwhile:
            workspace.leave("u2", at=9)
        await workspace.sync()
        assert workspace.cohort() == ({"u1"} if leaves_meanwhile else {"u1", "u2"})
        last = Operation.REMOVE if leaves_meanwhile else Operation.ADD
        assert workspace.simulator.requests[-1].operation is last

    async def test_stops_when_asked_and_resumes_next_time(self, workspace: Workspace) -> None:
        workspace.limit(first_batch=5, largest_batch=5)
        workspace.enter(*USERS)
        workspace.timing = Timing(workspace.timing.now, itertools.count().__next__, workspace.waits)
        stop = Stop()

        def stop_soon(now: RunSnapshot) -> None:  # sees every snapshot: a second passes between two
            if now.done:
                stop.ask()

        report = await workspace.sync(stop, stop_soon)
        assert report.was_stopped
        assert report.status is RunStatus.STOPPED
        assert 0 < report.audiences[0].left.pending < 40
        assert (await workspace.sync()).status is RunStatus.DELIVERED
        assert workspace.cohort() == set(USERS)

    async def test_of_a_read_only_connection_sends_nothing(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        workspace.connection = msgspec.structs.replace(workspace.connection, read_only=True)
        with pytest.raises(ReadOnly, match="Nothing was sent"):
            await workspace.sync()
        assert workspace.simulator.requests == []

    async def test_is_kept_in_the_history(self, workspace: Workspace) -> None:
        workspace.enter("u1", "ghost-1")
        await workspace.sync()
        (run,) = workspace.ledger.read(all_runs)
        assert (run.status, run.added, run.rejected) == (RunStatus.PARTIAL, 1, 1)
        assert run.requests == 2  # an upload that creates the cohort, and the members

    async def test_shows_snapshots_that_end_with_everything_done(
        self, workspace: Workspace
    ) -> None:
        seen: list[RunSnapshot] = []
        workspace.enter(*USERS)
        report: RunReport = await workspace.sync(observe=seen.append)
        assert (seen[-1].done, seen[-1].total) == (40, 40)
        assert all(audience.is_over for audience in seen[-1].audiences)
        assert report.elapsed >= seen[0].elapsed

    async def test_notes_never_hold_the_keys(self, workspace: Workspace) -> None:
        workspace.enter("u1")
        workspace.limit(tries=1)
        workspace.set_faults(Rule(Answer(500)))
        report = await workspace.sync()
        keys = workspace.simulator.credentials
        assert not re.search(keys.api_key.reveal(), report.audiences[0].note)


async def test_a_refused_removal_by_the_former_identifier_holds_up_no_one_when_it_is_retried(
    workspace: Workspace,
) -> None:
    workspace.map_amplitude_ids()
    known = {user: str(workspace.simulator.world.add_user(user)) for user in ("u0", "u1", "u2")}

    def enter(*users: str) -> None:
        workspace.read(event(user, True, traits={"amplitude_id": known[user]}) for user in users)

    enter("u0", "u1")
    await workspace.sync()
    workspace.set_faults(Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP})))
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
    await workspace.sync()
    assert [user.id for user in workspace.rejected()] == ["u1"]

    workspace.ledger.write(retry_rejected)
    enter("u2")
    report = await workspace.sync()
    assert report.audiences[0].left.pending == 0, report.audiences[0].note
    assert [user.id for user in workspace.rejected()] == ["u1"]
    assert workspace.cohort() == {"u0", "u1", "u2"}


async def test_a_refused_removal_holds_up_no_one_while_no_one_is_known_to_be_delivered(
    workspace: Workspace,
) -> None:
    workspace.enter("u0", "u1")
    await workspace.sync()
    cohort_id = workspace.audience().cohort_id
    workspace.leave("u1")
    workspace.enter("u2", at=2)
    workspace.change(SettingsChange(cohort_id=cohort_id))  # now all of them are unknown
    workspace.set_faults(Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP})))
    report = await workspace.sync()
    assert report.audiences[0].left.pending == 0, report.audiences[0].note
    assert [user.id for user in workspace.rejected()] == ["u1"]
    assert workspace.cohort() == {"u0", "u1", "u2"}


async def test_a_refused_user_who_is_in_the_cohort_is_removed_when_they_leave(
    workspace: Workspace,
) -> None:
    refuse = Rule(RefuseIds(frozenset({"u1"})), calls=frozenset({Call.MEMBERSHIP}))
    workspace.enter("u0", "u1")
    workspace.set_faults(refuse)
    await workspace.sync()  # the upload that creates the cohort adds both
    assert [user.id for user in workspace.rejected()] == ["u1"]
    assert workspace.cohort() == {"u0", "u1"}
    workspace.leave("u1")
    await workspace.sync()
    assert [user.id for user in workspace.rejected()] == ["u1"]
    workspace.set_faults()
    workspace.ledger.write(retry_rejected)
    await workspace.sync()
    assert workspace.cohort() == {"u0"}


class ClientThatNeverAnswersForOne(AmplitudeClient):
    """Sends nothing for one cohort, and requests for others only while one for it is under way."""

    def __init__(self, workspace: Workspace, cohort_id: str) -> None:
        super().__init__(workspace.simulator.base_url, workspace.simulator.credentials)
        self.was_given_up = False
        self._cohort_id = cohort_id
        self._is_under_way = asyncio.Event()

    async def change_members(
        self,
        cohort_id: str,
        id_type: IdType,
        operation: Operation,
        ids: msgspec.Raw | Sequence[str],
    ) -> MembersChanged:
        if cohort_id != self._cohort_id:
            await self._is_under_way.wait()
            return await super().change_members(cohort_id, id_type, operation, ids)
        self._is_under_way.set()
        try:
            return await asyncio.Future()
        finally:
            self.was_given_up = True


async def test_no_audience_is_delivered_any_further_once_the_run_has_failed(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    workspace.read([event("u1", True, audience="buyers")])
    await workspace.sync()
    workspace.enter("u2")
    workspace.read([event("u2", True, audience="buyers")])
    shoppers, buyers = workspace.audience(), workspace.audience("buyers")
    assert shoppers.cohort_id is not None
    workspace.ledger.write(
        lambda db: db.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF state ON request "
            f"WHEN NEW.audience_id = {buyers.id} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    )
    async with ClientThatNeverAnswersForOne(workspace, shoppers.cohort_id) as client:
        with pytest.raises(LedgerError, match="disk is full"):
            await deliver(workspace.plan(), workspace.context(client))
        assert client.was_given_up
    workspace.ledger.write(lambda db: db.execute("DROP TRIGGER full"))
    await workspace.sync()
    assert workspace.cohort() == workspace.cohort("buyers") == {"u1", "u2"}
