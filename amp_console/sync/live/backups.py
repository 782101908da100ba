"""The ledger's daily backups while a live session runs."""

import asyncio
import threading
from collections.abc import Callable

from amp_console.ledger import Ledger, LedgerError
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.backups import DAILY, BackupSkipped, back_up, is_due


class DailyBackups:
    """Makes a backup when one is due, in a thread of its own.

    `trouble` says why the last one was not made; it is tried again at the next check.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], int]) -> None:
        self.trouble: str | None = None
        self._ledger = ledger
        self._now = now
        self._ending = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Begin a backup if one is due and none is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._check())

    async def end(self) -> None:
        """Stop what is under way, which takes less than a second, and wait for that."""
        self._ending.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _check(self) -> None:
        ledger = self._ledger
        if not is_due(ledger.path, self._now(), ledger.backups):
            return
        try:
            if not await ledger.aread(all_audiences):  # there is nothing in it yet
                return
            await asyncio.to_thread(
                back_up, ledger.path, DAILY, self._now(), ledger.backups, self._ending.is_set
            )
        except (BackupSkipped, LedgerError) as skipped:
            self.trouble = str(skipped)
        else:
            self.trouble = None
