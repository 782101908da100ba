"""The receiver's connections: how many there may be, and how long a request's head may take.

uvicorn bounds requests, but neither connections nor the time until a request's head has arrived; a
thousand silent connections would take all file handles. All changes to uvicorn's protocol are here.
"""

import asyncio
import http
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from amp_console.ledger.refused_requests import RefusalReason
from amp_console.sync.sources.protocols import CannotBind

BACKLOG = 400  # connections that the system keeps until they are accepted
LINGER_SECONDS = 1.0  # for a sender that is turned away to hear why
SOON = "1"  # seconds, for Retry-After

OnRefused = Callable[[RefusalReason, int, str], None]
"""Called with the reason, the HTTP status and what was wrong, for what never became a request."""


class ConnectionLimits(msgspec.Struct, frozen=True):
    """How many connections there may be, and the seconds until a request's head has to be there.

    As many again are asked to come later; with those it stays below the usual 1,024 file handles.
    """

    connections: int = 400
    head_seconds: float = 10.0


def _response(status: int, *headers: str) -> bytes:
    phrase = http.HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {phrase}", *headers, "Connection: close", "Content-Length: 0"]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


class BoundedConnection(H11Protocol):
    """One connection; beyond the limit, the client is asked to come again."""

    is_turned_away = False
    _slow: asyncio.TimerHandle | None = None

    def __init__(self, limits: ConnectionLimits, refused: OnRefused, **settings: Any) -> None:
        """The settings are uvicorn's."""
        super().__init__(**settings)
        self._limits = limits
        self._refused = refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, or turn it away."""
        super().connection_made(transport)
        limit = self._limits.connections
        others = cast("set[BoundedConnection]", self.connections)
        is_crowded = len(others) > 2 * limit
        if is_crowded or sum(not other.is_turned_away for other in others) > limit:
            message = f"More than {limit} connections at once."
            self._refused(RefusalReason.TOO_BUSY, 503, message)
            if is_crowded:
                transport.abort()
                return
            self._turn_away(_response(503, f"Retry-After: {SOON}"))
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take in what comes, as long as a request is under way before its time is over."""
        if self.is_turned_away:
            return
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._in_time()
        elif self._slow is None:
            self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for the answer if a sender closes its side after a complete request."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not (cycle.more_body or cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._in_time()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP: uvicorn calls this while it handles h11's error.

        The error knows the right status (431 for a head that is too long) and says more.
        """
        error = sys.exception()
        status = int(getattr(error, "error_status_hint", 400))
        what = str(error or msg).partition(":")[0]  # what follows quotes the request
        self._refused(RefusalReason.BAD_HTTP, status, f"{what}.")
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()  # in the middle of another answer
                return
            cycle.disconnected = True  # its handler must not answer as well
            cycle.message_event.set()
        self._turn_away(_response(status))

    def _expect_head(self) -> None:
        self._slow = self.loop.call_later(self._limits.head_seconds, self._give_up)

    def _give_up(self) -> None:
        message = (
            f"The request's headers were not complete after {self._limits.head_seconds:g} seconds."
        )
        self._refused(RefusalReason.TOO_SLOW, 408, message)
        self._turn_away(_response(408))

    def _in_time(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _turn_away(self, response: bytes) -> None:
        """Answer, then close; closing at once would discard the answer along with unread data."""
        self._in_time()
        self.is_turned_away = True
        self.transport.write(response)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn with bounded connections and without signal handlers: the session has them."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, refused: OnRefused) -> None:
        def connection(**settings: Any) -> BoundedConnection:
            return BoundedConnection(limits, refused, **settings)

        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", connection),  # uvicorn only ever calls it
                interface="asgi3",
                ws="none",
                lifespan="off",
                log_level="critical",  # a log line could quote an event
                access_log=False,
                server_header=False,
                proxy_headers=False,  # who sends is told by the signature alone
                timeout_graceful_shutdown=10,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen_on(host: str, port: int) -> socket.socket:
    """Bind an address. Raises `CannotBind`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host.encode("idna")  # else a name that no host can have leaves a socket open
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not the name of a host"
        raise CannotBind(
            f"Can't listen on {host}:{port} ({why}). The session did not start. Choose another "
            "address or port."
        ) from None
    # Its connections inherit this, which asyncio does not set for a socket of `create_server`: the
    # body of an answer would wait until its head is acknowledged, often for 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(host: str, port: int) -> str:
    """An address as a URL that ends with a slash."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
