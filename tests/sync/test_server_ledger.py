"""No ledger stores what a server can't; and a server may end the session of a lease."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.audiences import find_audience
from amp_console.ledger.comparisons import DifferenceFilter, DifferenceKind, differences
from amp_console.ledger.counts import outstanding
from amp_console.ledger.errors import LeaseLost
from amp_console.ledger.requests import RequestState, requests_page
from amp_console.ledger.runs import all_runs
from amp_console.ledger.sources import invalid_events
from amp_console.simulator import Behavior, Simulator
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.reconcile.member_list import IncompleteList
from amp_console.values import IdType, now_in_microseconds
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.sync.workspace import Workspace, event

NO_IDENTIFIERS = "a\0b", "ü" * 513


@pytest.mark.both_engines
def test_events_of_identifiers_that_no_ledger_can_keep_are_invalid(workspace: Workspace) -> None:
    workspace.read(event(user, True) for user in ("u1", *NO_IDENTIFIERS, "u2"))
    assert [item.reason for item in workspace.ledger.read(invalid_events)] == [
        "the identifier contains a NUL character",
        "the identifier is longer than 1,024 bytes",
    ]
    (audience,) = workspace.plan().audiences
    assert audience.add == 2


@pytest.mark.both_engines
@pytest.mark.anyio
async def test_users_in_a_cohort_whose_ids_no_ledger_can_keep_are_known_by_their_amplitude_id(
    workspace: Workspace,
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.add_in_amplitude("u2", *NO_IDENTIFIERS)
    found = await workspace.compare()
    assert (found.in_cohort, found.in_both, found.strangers, found.cohort_no_id) == (4, 1, 1, 2)
    listed = workspace.ledger.read(differences, DifferenceFilter(found.id))
    assert {(item.kind, item.id_type) for item in listed} == {
        (DifferenceKind.STRANGER, IdType.USER_ID),
        (DifferenceKind.NO_ID_IN_COHORT, IdType.AMPLITUDE_ID),
    }


@pytest.mark.both_engines
@pytest.mark.anyio
async def test_a_list_with_such_an_identifier_is_not_compared(workspace: Workspace) -> None:
    workspace.enter("u1")
    await workspace.sync()
    listing = workspace.write_member_list("u1", "ü" * 513)
    with pytest.raises(IncompleteList, match="longer than 1,024 bytes"):
        await workspace.compare(against=listing)


@postgresql_only
@pytest.mark.anyio
async def test_nothing_is_sent_once_the_lease_is_lost(
    workspace: Workspace, server_ledgers: PostgresqlLedgers
) -> None:
    workspace.enter("u1")
    await workspace.sync()
    workspace.enter("u2")
    sent = len(workspace.simulator.requests)
    timing = workspace.timing

    def now() -> int:
        end_the_session_of_the_lease(server_ledgers)
        return now_in_microseconds()

    workspace.timing = dataclasses.replace(timing, now=now)
    with pytest.raises(LeaseLost, match=r"Nothing more was sent\. .* then sync again"):
        await workspace.sync()
    assert len(workspace.simulator.requests) == sent
    workspace.timing = timing
    await workspace.sync()
    assert workspace.cohort() == {"u1", "u2"}


def end_the_session_of_the_lease(ledgers: PostgresqlLedgers) -> None:
    """The session of a run and its leases holds locks, and is in no transaction."""
    ledgers.server.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'idle' "
        "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
    )


@postgresql_only
@pytest.mark.anyio
async def test_what_was_on_its_way_when_another_took_over_stays_unknown(
    tmp_path: Path, empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    """A suspended machine wakes up with an answer that its successor has already settled."""
    taken: list[RequestState] = []

    async def while_on_its_way(seconds: float) -> None:
        if is_to_be_lost:
            is_to_be_lost.clear()
            await asyncio.to_thread(take_over)

    def take_over() -> None:
        end_the_session_of_the_lease(server_ledgers)
        with open_ledger(workspace.ledger.url) as other:
            known = other.read(find_audience, "shoppers")
            change(other, workspace.connection, known, SettingsChange(cohort_name="Taken"))
            taken.extend(states(other))

    def states(ledger: Ledger) -> list[RequestState]:
        """Those of the requests of the newest run."""
        run = ledger.read(all_runs)[0]
        return [item.state for item in ledger.read(requests_page, run.id, 0, 10)]

    is_to_be_lost: list[bool] = []
    behavior = Behavior(latency=1)
    with (
        Simulator(behavior=behavior, sleep=while_on_its_way) as simulator,
        open_ledger(empty_ledger()) as ledger,
    ):
        workspace = Workspace(simulator, ledger, tmp_path)
        workspace.limit(quiet_time=0)
        workspace.enter("u1")
        await workspace.sync()
        workspace.enter("u2")
        is_to_be_lost.append(True)
        with pytest.raises(LeaseLost, match=r"Nothing more was sent"):
            await workspace.sync()
        assert workspace.cohort() == {"u1", "u2"}  # it was applied anyway
        assert taken == states(ledger) == [RequestState.VOID]
        assert ledger.read(outstanding, workspace.audience()).pending == 1
        await workspace.sync()
        assert workspace.cohort() == {"u1", "u2"}
        assert states(ledger) == [RequestState.CONFIRMED]
