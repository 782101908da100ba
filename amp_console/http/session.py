"""One request and its answer: adds the secrets, and raises failures as `RequestFailed`."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from amp_console import __version__
from amp_console.http.addresses import checked_base_url
from amp_console.http.attempt import Attempt
from amp_console.http.auth import SecretAuth
from amp_console.http.errors import AddressTooLong, ResponseTooLarge
from amp_console.http.network import NetworkSettings
from amp_console.http.transport import Transport
from amp_console.http.unpacking import unpacked

# Both log full URLs below WARNING, and a URL may contain a user ID or a signature.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_HEADERS = {
    "User-Agent": f"amp-console/{__version__}",
    "Accept-Encoding": "gzip",  # the only one that `unpacked` supports
}
SLOWEST = 1024  # bytes of a file that must arrive within `timeout`


def load_libraries() -> None:
    """Import what the libraries otherwise import at the first request, which takes 50 ms."""
    import httpcore  # noqa: F401, PLC0415
    from anyio import Event, connect_tcp, fail_after  # noqa: F401, PLC0415


class Received(NamedTuple):
    """An answer, read in full and decompressed."""

    response: httpx.Response
    body: bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code


class OpenedResponse(NamedTuple):
    """An answer whose body must still be read, by `deadline` on the event loop's clock."""

    response: httpx.Response
    deadline: float


class Options(NamedTuple):
    """The limits of a session, its clock and its network settings.

    `timeout` is in seconds, for a whole call from connecting to the end of its answer; for a
    streamed file, it limits the wait for the beginning, and then each stall. `largest_answer` is in
    bytes, decompressed. `now` is the clock against which dates in Retry-After are read.
    """

    timeout: float
    now: Callable[[], datetime]
    largest_answer: int
    environ: Mapping[str, str]


class HttpSession:
    """Sends requests to one service with its secrets, and follows links without them.

    Every call raises `RequestFailed`; an invalid base URL raises ValueError as in
    `checked_base_url`.
    """

    def __init__(self, base_url: str, auth: SecretAuth, options: Options) -> None:
        self._base_url = checked_base_url(base_url)
        self._auth = auth
        self._options = options
        self._settings = NetworkSettings(options.environ)
        self._transport = Transport(self._settings)
        self._http = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=httpx.Timeout(options.timeout, pool=None),
            follow_redirects=False,
            transport=self._transport,
            trust_env=False,  # `NetworkSettings` reads the environment instead
        )

    def prepare(self) -> None:
        """Raise `NetworkSettingInvalid` if the environment makes every call fail."""
        self._transport.prepare(httpx.URL(self._base_url))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def open(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[OpenedResponse, None]:
        """Send a request, a POST if it has a body, and open its answer, whatever its status."""
        try:
            request = self._http.build_request(
                "GET" if body is None else "POST",
                self._base_url + path,
                params=params,
                content=body,
                headers=headers,
            )
        except httpx.InvalidURL:  # the base URL is valid, so the rest is too long
            raise AddressTooLong from None
        async with self._opened(request, self._auth) as opened:
            yield opened

    @asynccontextmanager
    async def open_link(self, link: httpx.URL) -> AsyncGenerator[OpenedResponse, None]:
        """Open a link to another company's server, without our secrets."""
        request = self._http.build_request("GET", link)
        async with self._opened(request, None) as opened:
            yield opened

    @asynccontextmanager
    async def _opened(
        self, request: httpx.Request, auth: SecretAuth | None
    ) -> AsyncGenerator[OpenedResponse, None]:
        proxy = self._settings.proxy_for(request.url)
        attempt = Attempt(request.url, proxy)
        request.extensions["trace"] = attempt.trace
        with attempt.own_errors():
            deadline = asyncio.get_running_loop().time() + self._options.timeout
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self._http.send(request, stream=True, auth=auth)
            except BaseException:
                await attempt.abandon()
                raise
            try:
                yield OpenedResponse(response, deadline)
            finally:
                await response.aclose()

    async def whole(self, opened: OpenedResponse) -> Received:
        """Read an answer; if it is too long but its status says enough, only its beginning."""
        response, body = opened.response, bytearray()
        async with asyncio.timeout_at(opened.deadline):
            async for piece in unpacked(response.aiter_raw()):
                body += piece
                if len(body) > self._options.largest_answer:
                    if response.is_success:
                        raise ResponseTooLarge(response.status_code)
                    break
        return Received(response, bytes(body))

    async def pieces(self, opened: OpenedResponse) -> AsyncGenerator[bytes, None]:
        """Yield a file, decompressed. Raises `NoResponse` if it stalls or only trickles in."""
        async for piece in unpacked(self._flowing(opened.response.aiter_raw())):
            yield piece

    async def _flowing(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        time = asyncio.get_running_loop().time
        since, count = time(), 0
        async for piece in pieces:
            count += len(piece)
            if time() - since > self._options.timeout:
                if count < SLOWEST:
                    raise TimeoutError
                since, count = time(), 0
            yield piece

    def shown(self, received: Received) -> str:
        """Return the text of an answer, with its secrets masked."""
        return self._auth.hide(received.body.decode(errors="replace"))

    def asked_to_wait(self, received: Received) -> float | None:
        """Return how many seconds the answer's Retry-After asks to wait; None if it does not."""
        return retry_after(received.response.headers.get("Retry-After"), self._options.now)


def retry_after(header: str | None, now: Callable[[], datetime]) -> float | None:
    """Return how many seconds a Retry-After header, with seconds or a date, asks to wait."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError for an offset of years
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now()).total_seconds())
