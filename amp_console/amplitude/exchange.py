"""One request and its answer: the keys go on, trouble comes back as one of our own errors."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

import httpx

from amp_console import __version__
from amp_console.amplitude.errors import AmplitudeError, NoConnection, ServerTrouble, TimedOut
from amp_console.amplitude.hosts import checked_base_url
from amp_console.amplitude.keys import KeysAuth
from amp_console.amplitude.refusals import Asked, judge, retry_after
from amp_console.amplitude.trees import Answer, parse
from amp_console.values import Credentials

T = TypeVar("T")

_HEADERS = {
    "User-Agent": f"amp-console/{__version__}",
    "Accept-Encoding": "gzip",  # the one that downloads are unpacked from
}


class Call(NamedTuple):
    """A request: a POST if it has a body. `cohort_id` is the cohort it names, if it names one.

    `is_spent` says that it takes effect although it is a GET: it starts something that counts.
    """

    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    cohort_id: str | None = None
    is_spent: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether a lost answer leaves it unknown what happened."""
        return self.body is not None or self.is_spent


class Exchange:
    """Sends calls to one project, and follows links without its keys.

    `timeout` is in seconds, for connecting and for each pause of an answer. Raises ValueError as
    `checked_base_url` does.
    """

    def __init__(
        self, base_url: str, credentials: Credentials, timeout: float, now: Callable[[], datetime]
    ) -> None:
        self._base_url = checked_base_url(base_url)
        self._auth = KeysAuth(credentials)
        self._now = now
        self._http = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=httpx.Timeout(timeout, pool=None),
            follow_redirects=False,
            # A proxy from the environment would get to read plain http, keys and all.
            trust_env=self._base_url.startswith("https:"),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def read(self, call: Call, reader: Callable[[Answer], T]) -> T:
        """Send a call and read its answer; a ValueError of the reader's means it is no answer.

        Raises `AmplitudeError`.
        """
        response = await self.send(call)
        try:
            tree = parse(response.content)
            return reader(Answer(tree, self._shown(response)[:2000]))
        except ValueError:
            raise self.error(response, call) from None

    async def send(self, call: Call) -> httpx.Response:
        """Send a call and return its whole answer, a 2xx one; raises `AmplitudeError`."""
        async with self.open(call) as response:
            await self.check(response, call)
            await response.aread()
        return response

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncGenerator[httpx.Response, None]:
        """Send a call and open its answer, whatever it is; raises `AmplitudeError`."""
        request = self._http.build_request(
            "GET" if call.body is None else "POST",
            self._base_url + call.path,
            params=call.params,
            content=call.body,
            headers=None if call.body is None else {"Content-Type": "application/json"},
        )
        async with self._opened(request, self._auth, call.has_effect) as response:
            yield response

    @asynccontextmanager
    async def open_link(self, link: httpx.URL) -> AsyncGenerator[httpx.Response, None]:
        """Open a link to somebody else's server, without our keys; raises `AmplitudeError`."""
        request = self._http.build_request("GET", link)
        async with self._opened(request, None, has_effect=False) as response:
            yield response

    @asynccontextmanager
    async def _opened(
        self, request: httpx.Request, auth: KeysAuth | None, has_effect: bool
    ) -> AsyncGenerator[httpx.Response, None]:
        with _own_errors(may_be_applied=has_effect):
            response = await self._http.send(request, stream=True, auth=auth)
            try:
                yield response
            finally:
                await response.aclose()

    async def check(self, response: httpx.Response, call: Call) -> None:
        """Raise the error that an answer means, unless it is a 2xx one and no web page.

        Amplitude never answers these calls with a page; a proxy on the way does.
        """
        if not response.is_success or "html" in response.headers.get("Content-Type", ""):
            await response.aread()
            raise self.error(response, call)

    def error(self, response: httpx.Response, call: Call) -> AmplitudeError:
        """Return the error that an answer, read in full, means."""
        asked = Asked(call.cohort_id, call.body is not None, call.has_effect)
        wait = retry_after(response.headers.get("Retry-After"), self._now)
        return judge(response.status_code, self._shown(response), asked, wait)

    def _shown(self, response: httpx.Response) -> str:
        return self._auth.hide(response.content.decode(errors="replace"))


@contextmanager
def _own_errors(*, may_be_applied: bool) -> Generator[None, None, None]:
    """Raise our errors for the library's, whose texts may quote addresses and headers."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise TimedOut from None
    except httpx.TimeoutException:
        raise TimedOut(may_be_applied=may_be_applied) from None
    except (httpx.ConnectError, httpx.ProxyError):
        raise NoConnection from None
    except httpx.TransportError:
        raise NoConnection(may_be_applied=may_be_applied) from None
    except httpx.DecodingError:
        raise ServerTrouble(may_be_applied=may_be_applied) from None
