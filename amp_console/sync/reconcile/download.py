"""Downloading a cohort: request an export, wait for it, read its file.

Each export counts towards the monthly quota, so none is requested twice: an export requested
before a crash or a cancelled wait is reused while it is recent enough.
"""

import asyncio
from contextlib import aclosing

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    DownloadLinkExpired,
    KeysRefused,
    RateLimited,
    Transient,
)
from amp_console.ledger import downloads
from amp_console.ledger.cohort_export import CohortExport
from amp_console.ledger.downloads import Download
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.pending import is_listed
from amp_console.sync.delivery.worker import AudienceWorker, message_of
from amp_console.sync.reconcile.quota import ask_quota

# Limits of Amplitude's Behavioral Cohorts API page.
CONCURRENT_EXPORTS = 4
STARTS, STARTS_WINDOW = 60, 600 * 1_000_000  # exports started per window, in microseconds

POLL_SECONDS = (1, 2, 3, 5)  # between the first polls; then LATER_POLL_SECONDS
LATER_POLL_SECONDS = 10
MAX_EXPORT_WAIT = 1800  # seconds for one export; 30 to 60 and more are usual
EXPIRED_LINKS = 5  # in a row, after which the connection is too slow for the file


class CohortDownloader:
    """Downloads cohorts, within the number of exports that Amplitude prepares at once."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(CONCURRENT_EXPORTS)

    async def download(self, worker: AudienceWorker, export: CohortExport) -> Download:
        """Read the members of the worker's cohort into an export.

        Raises `AudienceBlocked`, `CohortGone`, `KeysRefused`, `LedgerError`, and what waiting
        raises.
        """
        worker.show("waiting for a free export slot in Amplitude")
        async with self._slots:
            download = await _started(worker)
            await _wait_for(worker, download)
            await _read(worker, download, export)
        return download


async def _started(worker: AudienceWorker) -> Download:
    unread = await worker.read(
        downloads.unread_download, worker.audience.id, worker.cohort_id, worker.now()
    )
    if unread is not None:
        return unread
    while True:
        await worker.checkpoint()
        await _check_quota(worker)
        await _respect_start_limit(worker)
        try:
            return await _start(worker)
        except Transient as error:
            if isinstance(error, RateLimited) and "month" in error.message.casefold():
                raise AudienceBlocked(_used_up(error.message)) from None
            await worker.wait_out(error)


def _used_up(details: object) -> str:
    return (
        f"This month's downloads are used up ({details}). Nothing was downloaded or changed. "
        "Compare again next month. Comparing sizes (u in the console) needs none."
    )


async def _check_quota(worker: AudienceWorker) -> None:
    context = worker.run.context
    quota = await ask_quota(context.client, context.ledger, worker.now())
    if not quota.left:
        raise AudienceBlocked(_used_up(quota))


async def _respect_start_limit(worker: AudienceWorker) -> None:
    """Wait until another export may start; exports of this connection's other processes count."""
    while True:
        now = worker.now()
        starts = await worker.read(downloads.starts_since, now - STARTS_WINDOW)
        if len(starts) < STARTS:
            return
        seconds = (starts[-STARTS] + STARTS_WINDOW - now) / 1_000_000 + 1
        worker.show("60 exports started within 10 minutes, next one", seconds)
        await worker.sleep(seconds)
        await worker.checkpoint()


async def _start(worker: AudienceWorker) -> Download:
    now = worker.now()
    worker.show("asking Amplitude for the cohort's members")
    begun = await worker.write(downloads.begin_download, worker.audience.id, worker.cohort_id, now)
    try:
        request_id = await worker.client.start_download(worker.cohort_id)
    except AmplitudeError as error:
        if not error.may_be_applied:
            await worker.write(downloads.uncount_download, begun)
        if isinstance(error, BadRequest | CohortGone) and not await is_listed(worker):
            raise CohortGone(error.status, error.message, error.text) from None
        raise
    await worker.write(downloads.note_request, begun, request_id)
    return Download(begun, request_id, now)


async def _wait_for(worker: AudienceWorker, download: Download) -> None:
    """Poll until the export is ready."""
    begun = worker.elapsed()
    polls = iter(POLL_SECONDS)
    while True:
        await worker.checkpoint()
        try:
            if await worker.client.download_ready(download.request_id):
                return
            worker.retry_budget.renew()
        except Transient as error:
            await worker.wait_out(error)
            continue
        except BadRequest as error:
            await _drop(worker, download, error)
        for _ in range(next(polls, LATER_POLL_SECONDS)):
            waited = worker.elapsed() - begun
            worker.show(f"waiting for Amplitude's export, {waited:.0f} s")
            if waited > MAX_EXPORT_WAIT:
                raise AudienceBlocked(
                    f"Amplitude's export is not ready after {MAX_EXPORT_WAIT // 60} minutes. "
                    "Nothing was changed, and the export is kept: compare again to keep waiting."
                )
            await worker.sleep(1)
            await worker.checkpoint()


async def _drop(worker: AudienceWorker, download: Download, error: BadRequest) -> None:
    """The export failed or is no longer stored: the next comparison requests another one."""
    await worker.write(downloads.close_download, download.id)
    raise AudienceBlocked(
        f"Amplitude's export of the cohort failed: {message_of(error)}. Nothing was changed. "
        "Compare again to request another one. That counts as one more download."
    )


async def _read(worker: AudienceWorker, download: Download, export: CohortExport) -> None:
    expired = 0
    while True:
        await worker.checkpoint()
        try:
            await _read_once(worker, download, export)
            return
        except DownloadLinkExpired as error:
            expired += 1
            if expired == EXPIRED_LINKS:
                raise AudienceBlocked(
                    f"{error} {expired} links in a row expired before the file arrived. The "
                    "export is kept: compare again over a faster connection."
                ) from None
        except Transient as error:
            await worker.wait_out(error)
        except KeysRefused:
            raise
        except BadRequest as error:
            await _drop(worker, download, error)


async def _read_once(worker: AudienceWorker, download: Download, export: CohortExport) -> None:
    """Read the file from its start."""
    export.clear()
    read = 0
    async with aclosing(worker.client.members(download.request_id)) as pieces:
        async for members in pieces:
            await asyncio.to_thread(export.add, members.users)
            read += members.people
            worker.show(f"reading the cohort, {read:,} members")
            await worker.checkpoint()
    worker.retry_budget.renew()
