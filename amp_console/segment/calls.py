"""Calls to one of Segment's APIs; they wait when Segment asks for fewer requests."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from amp_console.http.auth import SecretAuth
from amp_console.http.json_values import parse
from amp_console.http.session import HttpSession, Options, Received
from amp_console.segment.errors import (
    SegmentBusy,
    SegmentError,
    SegmentTrouble,
    SegmentUnreachable,
    segment_errors,
)
from amp_console.segment.reading import judge

LARGEST_ANSWER = 16 * 1024 * 1024  # bytes; enough for 200 audiences with long definitions
MAX_PAGES = 500


class Linked(Protocol):
    """One page of a list; `next` is the cursor of the next one, None on the last."""

    @property
    def next(self) -> str | None: ...


P = TypeVar("P", bound=Linked)


class CallOptions(NamedTuple):
    """The limits of calls to Segment, in seconds.

    `longest_wait` limits the total wait for Segment's rate limits, whose windows are minutes at
    most; `on_wait` is called with the seconds before each wait.
    """

    timeout: float = 30.0
    longest_wait: float = 60.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    on_wait: Callable[[float], None] = lambda _: None
    environ: Mapping[str, str] = os.environ


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SegmentCalls:
    """Sends calls with one token once opened; `media_type` is that of the answers."""

    def __init__(
        self, base_url: str, auth: SecretAuth, options: CallOptions, *, media_type: str
    ) -> None:
        self._base_url = base_url
        self._auth = auth
        self._options = options
        self._headers = {"Accept": media_type}
        self._waited = 0.0

    async def open(self) -> None:
        """Set up what every call needs. Raises `SegmentUnreachable` if no call can succeed."""
        limits = Options(self._options.timeout, _utc_now, LARGEST_ANSWER, self._options.environ)
        try:
            self._http = HttpSession(self._base_url, self._auth, limits)
        except ValueError as error:  # its text is a sentence, and does not quote the URL
            problem = str(error).removesuffix(".")
            raise SegmentUnreachable(
                f"Segment can't be asked: {problem[0].lower()}{problem[1:]}",
                "Connect the space again with a valid address.",
            ) from None
        with segment_errors():
            try:
                self._http.prepare()
            except BaseException:
                await self._http.close()
                raise

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def pages(
        self,
        path: str,
        params: Mapping[str, str],
        cursor: str,
        reader: Callable[[object], P],
        media_type: str | None = None,
    ) -> AsyncGenerator[P, None]:
        """Yield the pages of a list; `cursor` is the name of the parameter with a page's cursor.

        `media_type` replaces that of other calls. If `reader` raises ValueError, the answer is not
        a page. Raises `SegmentError`.
        """
        headers = {"Accept": media_type} if media_type else self._headers
        begun: set[str] = set()
        params = dict(params)
        while True:
            page = await self._with_waits(partial(self._read, path, params, reader, headers))
            yield page
            if page.next is None:
                return
            if page.next in begun or len(begun) == MAX_PAGES:
                raise SegmentTrouble(message="its list of pages does not end")
            begun.add(page.next)
            params[cursor] = page.next

    async def _with_waits(self, ask: Callable[[], Awaitable[P]]) -> P:
        tries = 0
        while True:
            try:
                return await ask()
            except SegmentBusy as busy:
                asked = 2.0**tries if busy.retry_after is None else busy.retry_after
                seconds = max(1.0, asked)
                if self._waited + seconds > self._options.longest_wait:
                    raise
            tries += 1
            self._waited += seconds
            self._options.on_wait(seconds)
            await self._options.sleep(seconds)

    async def _read(
        self,
        path: str,
        params: Mapping[str, str],
        reader: Callable[[object], P],
        headers: Mapping[str, str],
    ) -> P:
        with segment_errors():
            async with self._http.open(path, params=params, headers=headers) as opened:
                received = await self._http.whole(opened)
        if received.status != 200:
            raise self._error(received)
        try:
            return reader(parse(received.body))
        except ValueError:
            raise SegmentTrouble(received.status) from None

    def _error(self, received: Received) -> SegmentError:
        wait = self._http.asked_to_wait(received)
        return judge(received.status, self._http.shown(received), wait)
