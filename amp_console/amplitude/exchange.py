"""One request and its answer: keys are added, and trouble is raised as one of our own errors."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

import httpx

from amp_console import __version__
from amp_console.amplitude.attempt import Attempt
from amp_console.amplitude.errors import AmplitudeError, AnswerTooLong
from amp_console.amplitude.hosts import checked_base_url
from amp_console.amplitude.json_values import JsonBody, parse
from amp_console.amplitude.keys import KeysAuth
from amp_console.amplitude.network import NetworkSettings
from amp_console.amplitude.refusals import RefusedCall, judge, retry_after
from amp_console.amplitude.transport import Transport
from amp_console.amplitude.unpacking import unpacked
from amp_console.values import Credentials

# Both log full URLs below WARNING, and a URL may hold a user ID or a signed link.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

T = TypeVar("T")

_HEADERS = {
    "User-Agent": f"amp-console/{__version__}",
    "Accept-Encoding": "gzip",  # the one that `unpacked` knows
}
SLOWEST = 1024  # bytes of a file that have to come within the time of a stall


class Call(NamedTuple):
    """A request: a POST if it has a body. `cohort_id` is the cohort it names, if it names one.

    `has_side_effect` is for a GET that starts something: a download that counts against the quota.
    """

    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    cohort_id: str | None = None
    has_side_effect: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether a lost answer leaves it unknown what happened."""
        return self.body is not None or self.has_side_effect


class Received(NamedTuple):
    """An answer, read in full and unpacked."""

    response: httpx.Response
    body: bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code


class OpenedResponse(NamedTuple):
    """An answer whose body is still to be read, by `deadline` in the event loop's time."""

    response: httpx.Response
    attempt: Attempt
    deadline: float


class Options(NamedTuple):
    """The limits of an exchange, and where it gets the time and the network's settings from.

    `timeout` is in seconds, for a whole call from connecting to the end of its answer; of a file
    that is streamed it limits the beginning, and then each stall. `largest_answer` is in bytes,
    unpacked. `now` reads dates in Retry-After.
    """

    timeout: float
    now: Callable[[], datetime]
    largest_answer: int
    environ: Mapping[str, str]


class Exchange:
    """Sends calls to one project, and follows links without its keys.

    Raises ValueError as `checked_base_url` does.
    """

    def __init__(self, base_url: str, credentials: Credentials, options: Options) -> None:
        self._base_url = checked_base_url(base_url)
        self._auth = KeysAuth(credentials)
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

    async def read(self, call: Call, reader: Callable[[JsonBody], T]) -> T:
        """Send a call and read its answer; a ValueError of the reader's means it is no answer.

        Raises `AmplitudeError`.
        """
        received = await self.send(call)
        try:
            tree = parse(received.body)
            return reader(JsonBody(tree, self._shown(received)[:2000]))
        except ValueError:
            raise self._error(received, call) from None

    async def send(self, call: Call) -> Received:
        """Send a call and return its whole answer, a 2xx one; raises `AmplitudeError`."""
        async with self.open(call) as answer:
            await self.check(answer, call)
            return await self._whole(answer)

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncGenerator[OpenedResponse, None]:
        """Send a call and open its answer, whatever it is; raises `AmplitudeError`."""
        request = self._http.build_request(
            "GET" if call.body is None else "POST",
            self._base_url + call.path,
            params=call.params,
            content=call.body,
            headers=None if call.body is None else {"Content-Type": "application/json"},
        )
        async with self._opened(request, self._auth, call.has_effect) as answer:
            yield answer

    @asynccontextmanager
    async def open_link(self, link: httpx.URL) -> AsyncGenerator[OpenedResponse, None]:
        """Open a link to another company's server, without our keys; raises `AmplitudeError`."""
        request = self._http.build_request("GET", link)
        async with self._opened(request, None, has_effect=False) as answer:
            yield answer

    @asynccontextmanager
    async def _opened(
        self, request: httpx.Request, auth: KeysAuth | None, has_effect: bool
    ) -> AsyncGenerator[OpenedResponse, None]:
        proxy = self._settings.proxy_for(request.url)
        attempt = Attempt(request.url, proxy, has_effect=has_effect)
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
                yield OpenedResponse(response, attempt, deadline)
            finally:
                await response.aclose()

    async def check(self, answer: OpenedResponse, call: Call) -> None:
        """Raise the error that an answer means, unless it is a 2xx one and no web page.

        Amplitude never answers these calls with a page; a proxy on the way does.
        """
        response = answer.response
        if not response.is_success or "html" in response.headers.get("Content-Type", ""):
            raise self._error(await self._whole(answer), call)

    async def _whole(self, answer: OpenedResponse) -> Received:
        """Read an answer; of one that is too long the beginning, if its status says enough."""
        response, body = answer.response, bytearray()
        async with asyncio.timeout_at(answer.deadline):
            async for piece in unpacked(response.aiter_raw()):
                body += piece
                if len(body) > self._options.largest_answer:
                    if response.is_success:
                        unsure = answer.attempt.has_effect
                        raise AnswerTooLong(response.status_code, may_be_applied=unsure)
                    break
        return Received(response, bytes(body))

    async def pieces(self, answer: OpenedResponse) -> AsyncGenerator[bytes, None]:
        """Yield a file unpacked; raises `TimedOut` where it stalls, or merely trickles."""
        async for piece in unpacked(self._flowing(answer.response.aiter_raw())):
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

    def _error(self, received: Received, call: Call) -> AmplitudeError:
        """Return the error that an answer means."""
        asked = RefusedCall(call.cohort_id, call.body is not None, call.has_effect)
        wait = retry_after(received.response.headers.get("Retry-After"), self._options.now)
        return judge(received.status, self._shown(received), asked, wait)

    def _shown(self, received: Received) -> str:
        return self._auth.hide(received.body.decode(errors="replace"))
