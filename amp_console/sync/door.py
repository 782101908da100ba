"""The receiver's connections: how many there may be, and how long they may take to say what for.

uvicorn bounds requests, but neither connections nor the time until a request's head has come; a
thousand silent connections would take every file handle there is.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MOST_CONNECTIONS = 400  # and as many that are being turned away: below the usual 1,024 handles
HEAD_SECONDS = 10.0  # until a request's head has to be there
LINGER_SECONDS = 1.0  # for a sender that is turned away to hear of it
SOON = "1"  # seconds, for Retry-After

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: " + SOON.encode() + b"\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connection(H11Protocol):
    """One connection; beyond the limit it is told to come again, whatever it wants."""

    is_turned_away = False
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, or turn it away."""
        super().connection_made(transport)
        others = cast("set[Connection]", self.connections)
        if len(others) > 2 * MOST_CONNECTIONS:
            transport.abort()
        elif sum(not each.is_turned_away for each in others) > MOST_CONNECTIONS:
            self.is_turned_away = True
            self._say(BUSY)
        else:
            self._slow = self.loop.call_later(HEAD_SECONDS, self._say, TOO_SLOW)

    def data_received(self, data: bytes) -> None:
        """Take in what comes, as long as a request is under way before its time is over."""
        if self.is_turned_away:
            return
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._in_time()
        elif self._slow is None:
            self._slow = self.loop.call_later(HEAD_SECONDS, self._say, TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _say(self, answer: bytes) -> None:
        """Answer, and close; at once would throw the answer away with what is not read yet."""
        self.is_turned_away = True
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn behind this door, without signal handlers of its own: the session has them."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_level="critical",  # a log line could quote an event
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=10,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
