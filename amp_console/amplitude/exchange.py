"""One call to Amplitude and its answer; failures are raised as `AmplitudeError`."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

import httpx

from amp_console.amplitude.errors import AmplitudeError, amplitude_errors
from amp_console.amplitude.refusals import RefusedCall, judge
from amp_console.http.auth import SecretAuth
from amp_console.http.json_values import JsonBody, parse
from amp_console.http.session import HttpSession, OpenedResponse, Options, Received
from amp_console.values import Credentials

T = TypeVar("T")


class Call(NamedTuple):
    """A request: a POST if it has a body. `cohort_id` is the cohort it names, if any.

    `has_side_effect` is for a GET that starts something, e.g. a download that counts against the
    quota.
    """

    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    cohort_id: str | None = None
    has_side_effect: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether the outcome is unknown if the answer is lost."""
        return self.body is not None or self.has_side_effect


class Exchange:
    """Sends calls to one project, and follows links without its keys.

    Raises ValueError as `checked_base_url` does.
    """

    def __init__(self, base_url: str, credentials: Credentials, options: Options) -> None:
        self._http = HttpSession(base_url, SecretAuth(*credentials), options)

    def prepare(self) -> None:
        """Raise `NetworkMisconfigured` if the environment makes every call fail."""
        with amplitude_errors(has_effect=False):
            self._http.prepare()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def read(self, call: Call, reader: Callable[[JsonBody], T]) -> T:
        """Send a call and read its answer. If `reader` raises ValueError, the answer is not valid.

        Raises `AmplitudeError`.
        """
        received = await self.send(call)
        try:
            tree = parse(received.body)
            return reader(JsonBody(tree, self._http.shown(received)[:2000]))
        except ValueError:
            raise self._error(received, call) from None

    async def send(self, call: Call) -> Received:
        """Send a call and return its whole answer, always a 2xx. Raises `AmplitudeError`."""
        async with self.open(call) as opened:
            await self.check(opened, call)
            return await self._http.whole(opened)

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncGenerator[OpenedResponse, None]:
        """Send a call and open its answer, whatever its status. Raises `AmplitudeError`."""
        headers = None if call.body is None else {"Content-Type": "application/json"}
        with amplitude_errors(has_effect=call.has_effect):
            async with self._http.open(
                call.path, params=call.params, body=call.body, headers=headers
            ) as opened:
                yield opened

    @asynccontextmanager
    async def open_link(self, link: httpx.URL) -> AsyncGenerator[OpenedResponse, None]:
        """Open a link to another company's server, without our keys. Raises `AmplitudeError`."""
        with amplitude_errors(has_effect=False):
            async with self._http.open_link(link) as opened:
                yield opened

    async def check(self, opened: OpenedResponse, call: Call) -> None:
        """Raise the error that an answer represents, unless it is a 2xx and not a web page.

        Amplitude never answers these calls with a web page; a proxy on the way may.
        """
        response = opened.response
        if not response.is_success or "html" in response.headers.get("Content-Type", ""):
            raise self._error(await self._http.whole(opened), call)

    def pieces(self, opened: OpenedResponse) -> AsyncGenerator[bytes, None]:
        """Yield a file, decompressed. It fails if the file stalls or only trickles in."""
        return self._http.pieces(opened)

    def _error(self, received: Received, call: Call) -> AmplitudeError:
        """Return the error that an answer represents."""
        asked = RefusedCall(call.cohort_id, call.body is not None, call.has_effect)
        wait = self._http.asked_to_wait(received)
        return judge(received.status, self._http.shown(received), asked, wait)
