"""Health and metrics of a live session over HTTP, for supervisors, probes and Prometheus.

The answers quote neither Amplitude nor the ledger, whose sentences may contain paths.
"""

import asyncio
import enum
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amp_console.ledger import Ledger, LedgerError
from amp_console.ledger.runs import running_locks
from amp_console.sync.live.metrics import render
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.http_server import ConnectionLimits, Server

LEDGER_SECONDS = 5.0  # a ledger that takes longer to answer is not ready
CONNECTIONS = ConnectionLimits(connections=20)


class NotReady(enum.StrEnum):
    """Why a session is not ready to take in events and deliver them."""

    STARTING = "The session is starting."
    ENDING = "The session is ending."
    KEYS_REFUSED = "Amplitude refused the keys."
    LEDGER_FAILED = "The ledger can't be read."


class Monitoring:
    """Answers for one session."""

    def __init__(
        self, session: LiveSession, ledger: Ledger, ledger_seconds: float = LEDGER_SECONDS
    ) -> None:
        """The ledger has so many seconds to answer."""
        self._session = session
        self._ledger = ledger
        self._ledger_seconds = ledger_seconds

    def health_routes(self) -> list[Route]:
        """Whether the process answers, and whether the session is ready."""
        return [Route("/healthz/live", self._live), Route("/healthz/ready", self._ready)]

    def metrics_route(self) -> Route:
        """The figures of the session, for Prometheus."""
        return Route("/metrics", self._metrics)

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _: Request) -> Response:
        reason = await self._not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return _unavailable(reason)

    async def _metrics(self, request: Request) -> Response:
        if self._session.run_id is None:
            return _unavailable(NotReady.STARTING)
        text, content_type = render(self._session.snapshot(), request.headers.get("Accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def _not_ready(self) -> NotReady | None:
        session = self._session
        if session.keys_refused is not None:
            return NotReady.KEYS_REFUSED
        if session.ending.is_set():
            return NotReady.ENDING
        if session.run_id is None:
            return NotReady.STARTING
        try:
            async with asyncio.timeout(self._ledger_seconds):
                await self._ledger.aread(running_locks)
        except (LedgerError, TimeoutError):
            return NotReady.LEDGER_FAILED
        return None


def _unavailable(reason: NotReady) -> Response:
    return JSONResponse({"status": "not ready", "reason": reason}, 503)


@asynccontextmanager
async def served(routes: Sequence[Route], listener: socket.socket) -> AsyncIterator[None]:
    """Answer on a socket of their own until the block ends, also while a session ends."""
    server = Server(Starlette(routes=routes), CONNECTIONS, lambda *_: None)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await serving
