"""Reading who is in a cohort: ask for an export, wait for it, read its file into the ledger.

Each export counts in the month's allowance, so none is asked for twice: one that was asked for
before a crash, or before somebody lost patience, is gone on with while it still says how things
are.
"""

import asyncio
from contextlib import aclosing

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    CohortMember,
    DownloadLinkExpired,
    KeysRefused,
    RateLimited,
    Transient,
)
from amp_console.ledger import downloads
from amp_console.ledger import export_staging as found
from amp_console.ledger.downloads import Download
from amp_console.sync.delivery.context import AudienceBlocked
from amp_console.sync.delivery.pending import is_listed
from amp_console.sync.delivery.worker import AudienceWorker, words_of
from amp_console.sync.reconcile.quota import ask_quota

AT_ONCE = 4  # exports under way (Amplitude's Behavioral Cohorts API page, as the next two)
STARTS, WINDOW = 60, 600 * 1_000_000  # exports started in so many microseconds
GOOD_FOR = 3600 * 1_000_000  # microseconds that an export, paid for and not read, is gone on with
LOOKS = (1, 2, 3, 5)  # seconds between two looks whether it is ready; then 10
LONGEST = 1800  # seconds of waiting for one export; 30 to 60 and more are usual
EXPIRED_LINKS = 5  # in a row, after which the connection is too slow for it
CHUNK = 50_000  # members written to the ledger at once


class Exports:
    """Keeps a run's exports within what Amplitude makes at the same time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, worker: AudienceWorker) -> Download:
        """Read a cohort's members into the ledger, as found.

        Raises `AudienceBlocked`, `CohortGone`, `KeysRefused`, and what waiting raises.
        """
        worker.show("waiting for a place among Amplitude's exports")
        async with self._places:
            download = await _begun(worker)
            await _wait_for(worker, download)
            await _read(worker, download)
        return download


async def _begun(worker: AudienceWorker) -> Download:
    since = worker.now() - GOOD_FOR
    known = await worker.read(
        downloads.unread_download, worker.audience.id, worker.cohort_id, since
    )
    if known is not None:
        return known
    while True:
        await worker.checkpoint()
        await _keep_to_allowance(worker)
        await _keep_to_pace(worker)
        try:
            return await _start(worker)
        except Transient as error:
            if isinstance(error, RateLimited) and "month" in error.words.casefold():
                raise AudienceBlocked(_used_up(error.words)) from None
            await worker.wait_out(error)


def _used_up(how: object) -> str:
    return (
        f"The month's downloads are used up ({how}). Nothing was downloaded or changed. Compare "
        "again next month; the sizes in the list of audiences cost none."
    )


async def _keep_to_allowance(worker: AudienceWorker) -> None:
    context = worker.run.context
    quota = await ask_quota(context.client, context.ledger, worker.now())
    if not quota.left:
        raise AudienceBlocked(_used_up(quota))


async def _keep_to_pace(worker: AudienceWorker) -> None:
    """Wait until another export may be started, whoever of this connection started the others."""
    while True:
        now = worker.now()
        starts = await worker.read(downloads.starts_since, now - WINDOW)
        if len(starts) < STARTS:
            return
        seconds = (starts[-STARTS] + WINDOW - now) / 1_000_000 + 1
        worker.show("60 exports were started within 10 minutes, going on", seconds)
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
            raise CohortGone(error.status, error.words, error.text) from None
        raise
    await worker.write(downloads.note_request, begun, request_id)
    return Download(begun, request_id, now)


async def _wait_for(worker: AudienceWorker, download: Download) -> None:
    """Look whether the export is ready, again and again."""
    begun = worker.elapsed()
    looks = iter(LOOKS)
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
        for _ in range(next(looks, 10)):
            waited = worker.elapsed() - begun
            worker.show(f"waiting for Amplitude's export, {waited:.0f} s")
            if waited > LONGEST:
                raise AudienceBlocked(
                    f"Amplitude's export is not ready after {LONGEST // 60} minutes. Nothing was "
                    "changed, and the export is kept: compare again to go on waiting for it."
                )
            await worker.sleep(1)
            await worker.checkpoint()


async def _drop(worker: AudienceWorker, download: Download, error: BadRequest) -> None:
    """The export failed, or is not kept any more: the next comparison asks for another one."""
    await worker.write(downloads.close_download, download.id)
    raise AudienceBlocked(
        f"Amplitude's export of the cohort failed: {words_of(error)}. Nothing was changed. "
        "Compare again to ask for another one, which counts as one more download."
    )


async def _read(worker: AudienceWorker, download: Download) -> None:
    expired = 0
    while True:
        await worker.checkpoint()
        try:
            await _read_once(worker, download)
            return
        except DownloadLinkExpired as error:
            expired += 1
            if expired == EXPIRED_LINKS:
                raise AudienceBlocked(
                    f"{error} {expired} links in a row were over before the file came. The "
                    "export is kept: compare again over a faster connection."
                ) from None
        except Transient as error:
            await worker.wait_out(error)
        except KeysRefused:
            raise
        except BadRequest as error:
            await _drop(worker, download, error)


async def _read_once(worker: AudienceWorker, download: Download) -> None:
    """Read the file from its beginning."""
    of = worker.audience
    await worker.read(found.begin_found, of.id)
    read, chunk = 0, list[CohortMember]()
    async with aclosing(worker.client.members(download.request_id)) as pieces:
        async for members in pieces:
            chunk += members
            if len(chunk) >= CHUNK:
                await worker.read(found.add_found, of.id, of.id_type, chunk)
                read, chunk = read + len(chunk), []
                worker.show(f"reading the cohort, {read:,} members")
                await worker.checkpoint()
    await worker.read(found.add_found, of.id, of.id_type, chunk)
    worker.retry_budget.renew()
