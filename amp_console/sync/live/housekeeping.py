"""What a live session does besides delivering: snapshots, counts, backups, old requests.

A session may last for weeks. The history shows its counts meanwhile, and the ledger does not grow
without end.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

from amp_console.ledger import Ledger, LedgerError, runs
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.backups import DAILY, BackupSkipped
from amp_console.ledger.event_log import (
    LogEntry,
    LogKind,
    Severity,
    add_log_entry,
    log_backup,
)
from amp_console.ledger.refused_requests import keep_refused
from amp_console.ledger.requests import delete_requests, forgettable_requests
from amp_console.ledger.run_log import continue_run_and_log
from amp_console.sync.delivery.context import ActiveRun
from amp_console.sync.delivery.retention import prune_if_due
from amp_console.sync.live.alerts import Alerts, limits_for
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveSnapshot


class DailyBackups:
    """Backs up the ledger when a backup is due, in a thread of its own.

    `trouble` says why the last one was not made; the next check tries again.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], int]) -> None:
        self.trouble: str | None = None
        self._ledger = ledger
        self._now = now
        self._ending = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def check(self) -> "asyncio.Task[None]":
        """Begin a backup if one is due and none is under way; return the task that does."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._check())
        return self._task

    async def end(self) -> None:
        """Stop a backup under way, which takes less than a second, and wait for that."""
        self._ending.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _check(self) -> None:
        ledger = self._ledger
        if ledger.backups is None or not ledger.backups.is_due(self._now()):
            return
        try:
            if not await ledger.aread(all_audiences):  # there is nothing in it yet
                return
            backup = await asyncio.to_thread(
                ledger.backups.make, DAILY, self._now(), self._ending.is_set
            )
            if backup is not None:
                await ledger.awrite(log_backup, backup.path.name, backup.size, self._now())
        except (BackupSkipped, LedgerError) as skipped:
            self.trouble = str(skipped)
        else:
            self.trouble = None


class Housekeeping:
    """Shows a session to its observer at every tick, and does the rest every so many ticks."""

    def __init__(
        self,
        run: ActiveRun,
        options: LiveOptions,
        backups: DailyBackups,
        snapshot: Callable[[], LiveSnapshot],
        catch_up: Callable[[], Awaitable[None]],
        observe: Callable[[LiveSnapshot], None],
    ) -> None:
        self._run_id, self._kind = run.id, run.kind
        self._connection = run.context.connection
        self._ledger = run.context.ledger
        self._timing = run.context.timing
        self._now = run.context.now
        self._options = options
        self._backups = backups
        self._snapshot = snapshot
        self._catch_up = catch_up
        self._observe = observe
        self._alerts = Alerts(limits_for(options))
        self._is_behind = False
        self._task: asyncio.Task[None] | None = None

    def start(self, on_end: "Callable[[asyncio.Task[None]], None]") -> None:
        """Begin to tick; a defect of ours ends that, and `on_end` is called."""
        self._task = asyncio.create_task(self._tick())
        self._task.add_done_callback(on_end)

    def catch_up_soon(self) -> None:
        """Catch up at the next tick."""
        self._is_behind = True

    async def end(self) -> BaseException | None:
        """Stop ticking, and end a backup under way; return what has ended the ticking."""
        ended = None
        if self._task is not None:
            self._task.cancel()
            (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        await self._backups.end()
        return ended

    async def keep_counts(self) -> None:
        """Keep with the run what was read and which requests were refused."""
        now = self._snapshot()
        writes = self._ledger.writes_of()
        await writes.awrite(runs.keep_tally, self._run_id, now.tally)
        if now.refused:
            await writes.awrite(keep_refused, self._run_id, now.refused)

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await self._timing.tick(self._options.snapshot_seconds)
            snapshot = self._snapshot()
            self._observe(snapshot)
            ticks += 1
            with suppress(LedgerError):  # the next time does it
                await self._log_alerts(snapshot)
                await self._keep(ticks)

    async def _log_alerts(self, snapshot: LiveSnapshot) -> None:
        for alert in self._alerts.observe(snapshot):
            severity = Severity.INFORMATION if alert.is_over else Severity.WARNING
            entry = LogEntry(self._now(), LogKind.LIVE, alert.text, severity, self._run_id)
            await self._ledger.writes_of().awrite(add_log_entry, entry)

    async def _keep(self, ticks: int) -> None:
        options = self._options
        if self._is_behind or ticks % options.catch_up_every == 0:
            await self._catch_up()
            self._is_behind = False
        if ticks % options.counts_every == 0:
            now = self._now()
            await self._ledger.writes_of().awrite(
                continue_run_and_log, self._run_id, self._kind, now
            )
            await self.keep_counts()
        if ticks % options.backup_every == options.first_backup:
            self._backups.check()
        if ticks % options.forget_every == 0:
            before = self._now() - round(options.keep_requests * 1_000_000)
            ids = await self._ledger.aread(forgettable_requests, str(self._run_id), before)
            await self._ledger.writes_of().awrite(delete_requests, ids)
            await prune_if_due(self._connection, self._ledger, self._timing.now)
