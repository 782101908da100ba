"""The client of Amplitude's API: one method for each call that a cohort sync needs.

The calls are documented on Amplitude's Behavioral Cohorts API page; the user search, on its
Dashboard REST API page.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Self
from urllib.parse import quote

from amp_console.amplitude import reading
from amp_console.amplitude.download import streamed
from amp_console.amplitude.errors import BadRequest, ForeignResponse
from amp_console.amplitude.exchange import Call, Exchange
from amp_console.amplitude.members_file import CohortMembers, members_in
from amp_console.amplitude.shapes import (
    Cohort,
    Ids,
    MembersChanged,
    Upload,
    Uploaded,
    Usage,
    UserMatch,
)
from amp_console.amplitude.wire import membership_body, upload_body
from amp_console.http.session import Options
from amp_console.values import Credentials, IdType, Operation

_COHORTS = "/api/3/cohorts"
_DOWNLOADS = "/api/5/cohorts"
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes; enough for 100,000 skipped ids of 500 characters


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AmplitudeClient:
    """Calls Amplitude for one project; an async context manager. It retries nothing.

    `timeout` is in seconds, for a whole call from connecting to the end of its answer; for a
    streamed file, it limits the wait for the beginning, and then each stall. `now` is the clock
    against which dates in Retry-After are read. `largest_answer` is in bytes, decompressed.
    `environ` holds proxies and certificates. Every call raises `AmplitudeError`; entering raises
    `NetworkMisconfigured` if no call can succeed. An invalid base URL raises ValueError.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        timeout: float = 30.0,
        now: Callable[[], datetime] = _utc_now,
        largest_answer: int = LARGEST_ANSWER,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        options = Options(timeout, now, largest_answer, environ)
        self._exchange = Exchange(base_url, credentials, options)

    async def __aenter__(self) -> Self:
        self._exchange.prepare()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._exchange.close()

    async def list_cohorts(self) -> tuple[Cohort, ...]:
        """Return all discoverable cohorts of the project; the list has no pages."""
        return await self._exchange.read(Call(_COHORTS), reading.cohorts)

    async def usage(self) -> Usage | None:
        """Return the month's allowance of downloads; None if Amplitude does not say."""
        try:
            return await self._exchange.read(Call(f"{_COHORTS}/usage"), reading.usage)
        except (BadRequest, ForeignResponse) as refusal:
            if refusal.status == 404:
                return None
            raise

    async def upload(self, request: Upload) -> Uploaded:
        """Create a static cohort, or replace the members of one."""
        body, cohort_id = upload_body(request), request.existing_cohort_id
        call = Call(f"{_COHORTS}/upload", body=body, cohort_id=cohort_id)
        return await self._exchange.read(call, partial(reading.uploaded, sent=request))

    async def change_members(
        self, cohort_id: str, id_type: IdType, operation: Operation, ids: Ids
    ) -> MembersChanged:
        """Add ids to a cohort, or remove them: at most 100,000, and one call at a time per cohort.

        The call is idempotent.
        """
        body = membership_body(cohort_id, id_type, operation, ids)
        call = Call(f"{_COHORTS}/membership", body=body, cohort_id=cohort_id)
        sent = reading.MembersChange(cohort_id, id_type, operation, ids)
        return await self._exchange.read(call, partial(reading.members_changed, sent=sent))

    async def find_users(self, text: str) -> tuple[UserMatch, ...]:
        """Search by user ID (or its beginning), device ID or Amplitude ID: 360 times an hour."""
        call = Call("/api/2/usersearch", {"user": text})
        return await self._exchange.read(call, reading.user_matches)

    async def start_download(self, cohort_id: str) -> str:
        """Request a file of a cohort's members; return the request's id.

        Each call uses one of the month's 500 downloads.
        """
        path = f"{_DOWNLOADS}/request/{quote(cohort_id, safe='')}"
        call = Call(path, {"props": "0"}, cohort_id=cohort_id, has_side_effect=True)
        return await self._exchange.read(call, partial(reading.request_id, cohort_id=cohort_id))

    async def download_ready(self, request_id: str) -> bool:
        """Return whether the file is ready, which takes 30 to 60 seconds or more.

        Only the status code is reliable; the text of the body varies.
        """
        call = Call(f"{_DOWNLOADS}/request-status/{quote(request_id, safe='')}")
        return (await self._exchange.send(call)).status == 200

    def download(self, request_id: str) -> AsyncGenerator[bytes, None]:
        """Yield the file's CSV piece by piece, decompressed. It is available for 7 days.

        Raises `DownloadLinkExpired` if the file was not fetched in time; call it again then. To
        stop before the end, close the generator (`contextlib.aclosing`).
        """
        call = Call(f"{_DOWNLOADS}/request/{quote(request_id, safe='')}/file")
        return streamed(self._exchange, call)

    async def members(self, request_id: str) -> AsyncGenerator[CohortMembers, None]:
        """Yield the members in a file as its pieces arrive. Raises as `download` does."""
        async with aclosing(self.download(request_id)) as pieces:
            async for found in members_in(pieces):
                yield found
