"""A ledger on a server stores fewer texts than a file, and may lose the leases of its session."""

import dataclasses
import re

import pytest

from amp_console.ledger.errors import LeaseLost
from amp_console.ledger.sources import invalid_events
from amp_console.values import now_in_microseconds
from tests.ledgers import PostgresqlLedgers, postgresql_only, sqlite_only
from tests.sync.workspace import Workspace, event


def read_odd_identifiers(workspace: Workspace) -> list[str]:
    workspace.read(event(user, True) for user in ("u1", "a\0b", "ü" * 501, "u2"))
    return [item.reason for item in workspace.ledger.read(invalid_events)]


@postgresql_only
def test_events_of_identifiers_that_it_cannot_store_are_invalid(workspace: Workspace) -> None:
    reasons = read_odd_identifiers(workspace)
    assert [re.sub(r", which.*", "", reason) for reason in reasons] == [
        "the identifier contains a NUL character",
        "the identifier is longer than 1,000 bytes",
    ]
    (audience,) = workspace.plan().audiences
    assert audience.add == 2


@sqlite_only
def test_a_file_stores_them(workspace: Workspace) -> None:
    assert read_odd_identifiers(workspace) == []


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
        # The session of a run and a lease holds two locks, that of a writer one.
        server_ledgers.server.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
            "WHERE locktype = 'advisory' GROUP BY pid HAVING count(*) > 1"
        )
        return now_in_microseconds()

    workspace.timing = dataclasses.replace(timing, now=now)
    with pytest.raises(LeaseLost, match=r"Nothing more was sent\. .* then sync again"):
        await workspace.sync()
    assert len(workspace.simulator.requests) == sent
    workspace.timing = timing
    await workspace.sync()
    assert workspace.cohort() == {"u1", "u2"}
