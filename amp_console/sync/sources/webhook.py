"""Receiving events over HTTP: a 2xx answer means that they are kept in the ledger.

Beyond the limits the sender is asked to come again later, which Segment does for four hours (its
page on the Webhooks destination).
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from amp_console.engage.webhook import SIGNATURE
from amp_console.ledger import LedgerError
from amp_console.ledger.refused_requests import RefusalReason
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.http_server import Server, listen_on, url_of
from amp_console.sync.sources.protocols import CannotBind, Sink, SourceStatus, StreamKind
from amp_console.sync.sources.webhook_body import (
    BodyReader,
    ReceiverLimits,
    RefusalLog,
    RequestRefused,
)
from amp_console.sync.sources.webhook_queue import LATER, MergeLimits, WebhookQueue
from amp_console.text import clean
from amp_console.values import Secret

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MAX_HEAD = 64 * 1024  # bytes of names and values; h11's own limit for a head that is not whole


class ReceiverOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen and what to accept. Without a secret, every sender is trusted.

    `single_events` refuses arrays: of an array only the first event is signed, so that others
    could be added to one that was captured.
    """

    host: str = "127.0.0.1"
    port: int = 8766
    secret: Secret | None = None
    single_events: bool = False
    limits: ReceiverLimits = ReceiverLimits()
    merging: MergeLimits = MergeLimits()

    @property
    def url(self) -> str:
        """The address as a URL."""
        return url_of(self.host, self.port)


class Receiver:
    """One receiver, for one session."""

    def __init__(
        self,
        ingestor: StreamIngestor,
        options: ReceiverOptions,
        parser: Executor | None = None,
        more_routes: Sequence[BaseRoute] = (),
    ) -> None:
        """`parser` is where bodies are checked and cut; by default a thread of the receiver's.

        `more_routes` are what else it answers, such as its session's metrics.
        """
        self._options = options
        self._clock = ingestor.timing.monotonic
        self._parser = parser or ThreadPoolExecutor(1, "bodies")
        self._bodies = BodyReader(
            options.limits, options.secret, self._parser, single_events=options.single_events
        )
        self._queue = WebhookQueue(ingestor, options.merging)
        self._socket: socket.socket | None = None
        self._status = SourceStatus(options.url, kind=StreamKind.WEBHOOK)
        self._refusals = RefusalLog(ingestor.timing.now)
        self._routes = Starlette(
            routes=[
                Route("/", self._receive, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
                *more_routes,
            ],
            exception_handlers={404: self._other_path, 405: self._other_method},
        )

    def open(self) -> None:
        """Bind the address, if it is not bound yet; raises `CannotBind`."""
        self._socket = self._socket or listen_on(self._options.host, self._options.port)

    def status(self) -> tuple[SourceStatus, ...]:
        """The address, with what was refused, and why the last request was, if it was.

        Its events are those that were kept, of which some are not merged yet.
        """
        status = msgspec.structs.replace(self._status, refused=self._refusals.snapshot())
        if self._queue.trouble:
            trouble = f"Events are received, and wait to be merged. {self._queue.trouble}"
            status = msgspec.structs.replace(status, trouble=trouble)
        return (status,)

    async def follow(self, sink: Sink) -> None:
        """Listen until the session ends; requests in work are answered first.

        Raises `CannotBind` and `LedgerError`.
        """
        self.open()
        assert self._socket is not None
        try:
            await self._queue.begin()
            await self._serve(sink, self._socket)
        finally:
            self._socket.close()
            self._parser.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, sink: Sink, listener: socket.socket) -> None:
        server = Server(self._app, self._options.limits.connections, self._count_refused)
        merging = asyncio.create_task(self._queue.run(sink))
        serving = asyncio.create_task(server.serve([listener]))
        ending = asyncio.create_task(sink.ending.wait())
        try:
            await asyncio.wait({serving, ending, merging}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            self._queue.close()
            await merging  # a defect of ours ends the receiver, which would take nothing in
        finally:
            server.should_exit = server.force_exit = True
            ending.cancel()
            merging.cancel()
            await asyncio.gather(serving, merging, ending, return_exceptions=True)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what servers in front may interpret differently; pass the rest on."""
        refused = _fault_of_head(scope)
        response: ASGIApp = self._routes
        if refused is not None:
            response = self._refuse(refused)
        elif scope["path"] == "/" and scope["method"] == "POST":  # the way through routes is long
            response = await self._receive(Request(scope, receive))
        await response(scope, receive, send)

    async def _receive(self, request: Request) -> Response:
        try:
            with self._bodies.share() as share:
                signature = self._bodies.signature(request.headers.getlist(SIGNATURE))
                body = await self._bodies.read(request.stream(), share)
                events = await self._bodies.events(body, signature)
                await self._queue.put(events)
        except RequestRefused as refused:
            return self._refuse(refused)
        except LedgerError as error:
            message = f"Nothing was saved: {error}"
            reason = RefusalReason.LEDGER_FAILED
            return self._refuse(RequestRefused(reason, 503, message, Retry_After=LATER))
        except ClientDisconnect:
            return Response(status_code=400)
        self._count(len(body), len(events))
        return JSONResponse({"taken": len(events)})

    def _count(self, size: int, events: int) -> None:
        status = self._status
        last = self._clock() if events else status.last
        size += status.position or 0
        self._status = SourceStatus(
            status.name, status.events + events, last, size, kind=status.kind
        )

    def _refuse(self, refused: RequestRefused) -> Response:
        self._count_refused(refused.reason, refused.status, str(refused))
        return JSONResponse({"error": str(refused)}, refused.status, refused.headers)

    def _count_refused(self, reason: RefusalReason, status: int, message: str) -> None:
        self._refusals.add(reason, status, message)
        trouble = f"The last request was refused ({status}). {message}"
        self._status = msgspec.structs.replace(self._status, trouble=trouble)

    async def _other_path(self, request: Request, _: Exception) -> Response:
        path = clean(request.url.path)
        message = f"There is nothing at {path}. Send events to /."
        return self._refuse(RequestRefused(RefusalReason.OTHER_PATH, 404, message))

    async def _other_method(self, request: Request, error: Exception) -> Response:
        message = f"{clean(request.method)} is not allowed here. Send events with POST to /."
        allowed: str = (getattr(error, "headers", None) or {}).get("Allow", "POST")
        return self._refuse(RequestRefused(RefusalReason.OTHER_METHOD, 405, message, Allow=allowed))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": len(self._queue)})


def _fault_of_head(scope: Scope) -> RequestRefused | None:
    """What is wrong with a request's head that h11 accepts; None if nothing is.

    Of a length that can be understood in two ways, a server in front may believe the other, and
    take the rest of the body for a second request. A long head that comes at once is not measured
    by h11.
    """
    names = [name for name, _ in scope["headers"]]
    message, status = "", 400
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
        message, status = f"The headers are larger than {MAX_HEAD // 1024} KiB.", 431
    elif b"transfer-encoding" in names and b"content-length" in names:
        message = "Content-Length and Transfer-Encoding exclude each other. Send one of them."
    elif b"transfer-encoding" in names and scope["http_version"] == "1.0":
        message = "HTTP/1.0 has no Transfer-Encoding. Send Content-Length."
    if not message:
        return None
    return RequestRefused(RefusalReason.BAD_HTTP, status, message, Connection="close")


def check_host(host: str, secret: Secret | None) -> None:
    """Raise `CannotBind` for an address that others can reach if there is no secret."""
    if host not in LOOPBACK and secret is None:
        raise CannotBind(
            f"Others can reach {host}, but there is no shared secret to recognize Segment by. The "
            "session did not start. Save the destination's secret in the keyring first, or set "
            "AMP_CONSOLE_WEBHOOK_SECRET."
        )
