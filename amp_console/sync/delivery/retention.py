"""Keeping the history for as long as the connection's setting says."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import Ledger, LedgerError, pruning
from amp_console.ledger.backups import BackupSkipped
from amp_console.ledger.pruning import DAY, Pruned


async def prune_history(ledger: Ledger, days: int, now: int) -> Pruned:
    """Delete the history and the backups that are older than this many days.

    The newest backup is kept. `now` is in microseconds since 1970. Raises `LedgerError` and
    `BackupSkipped`.
    """
    before = now - days * DAY
    requests = await ledger.aread(pruning.old_requests, before)
    pruned = await ledger.awrite(pruning.prune, before, now, requests)
    if ledger.backups is None:
        return pruned
    backups = await asyncio.to_thread(ledger.backups.delete_before, before)
    return msgspec.structs.replace(pruned, backups=backups)


async def prune_if_due(connection: Connection, ledger: Ledger, now: Callable[[], int]) -> None:
    """Prune the history once a day, if the connection says how long to keep it.

    If it fails, the next run tries again: that is no failure of a run.
    """
    days = connection.keep_history
    if days is None or connection.read_only:
        return
    now = ledger.clock(now)
    with suppress(LedgerError, BackupSkipped):
        if await ledger.aread(pruning.is_due, now()):
            await prune_history(ledger, days, now())
