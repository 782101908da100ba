"""Receiving events over HTTP: a 2xx answer means that they are in the ledger.

The signature is checked before anything else is parsed, and bodies are cut into events step by
step in a thread of their own, so that no body keeps the event loop from answering others. Whatever
waits is folded together, so that a thousand small requests a second are a few transactions. What is
held at once is bounded; beyond that the sender is asked to come again later, which Segment does for
four hours (its page on the Webhooks destination).
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from amp_console.engage import EventBatch
from amp_console.engage.reader import EventReader
from amp_console.engage.webhook import (
    SEVERAL,
    SIGNATURE,
    BrokenBody,
    EventTooLarge,
    cut_events,
    is_array,
    is_signed,
)
from amp_console.ledger import LedgerError
from amp_console.ledger.refused_requests import RefusalReason
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.sources.http_server import BACKLOG, SOON, ConnectionLimits, Server
from amp_console.sync.sources.protocols import CannotBind, Sink, SourceStatus
from amp_console.sync.sources.refusal_log import RefusalLog
from amp_console.text import clean
from amp_console.values import Secret

LATER = "30"  # seconds, for Retry-After
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MIB = 1024 * 1024
LONGEST_HEAD = 64 * 1024  # bytes of names and values; h11's own limit for a head that is not whole

T = TypeVar("T")


class ReceiverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    A body may be as large as `body` (4,000 events are about 3 MB) and hold `events`; of one that
    is refused `drained` bytes are read, so that its sender hears why. All bodies together may hold
    `held`.
    """

    body: int = 16 * MIB
    events: int = 50_000
    drained: int = 256 * MIB
    held: int = 64 * MIB
    body_seconds: float = 30.0
    door: ConnectionLimits = ConnectionLimits()


class ReceiverOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen and what to accept. Without a secret every sender is believed.

    `single_events` refuses arrays: of an array only the first event is signed, so that others
    could be added to one that was captured.
    """

    host: str = "127.0.0.1"
    port: int = 8766
    secret: Secret | None = None
    single_events: bool = False
    limits: ReceiverLimits = ReceiverLimits()

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


class _Refused(Exception):
    """A request that is refused."""

    def __init__(self, reason: RefusalReason, status: int, words: str, **headers: str) -> None:
        """The headers by their names, with "_" for "-"."""
        super().__init__(words)
        self.reason = reason
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Waiting(msgspec.Struct):
    """Events that wait to be taken in, and who waits for that."""

    events: list[bytes]
    taken: "asyncio.Future[None]"


class _Hold:
    """What one request holds of the bytes that all of them may hold."""

    held = 0

    def __init__(self, limit: int, all_of_them: "_Hold | None" = None) -> None:
        self._limit = limit
        self._all = all_of_them

    def takes(self, size: int) -> bool:
        """Hold so many bytes more, if there is room for them."""
        assert self._all is not None
        if self._all.held + size > self._limit:
            return False
        self.held += size
        self._all.held += size
        return True

    def let_go(self) -> None:
        assert self._all is not None
        self._all.held -= self.held
        self.held = 0


class Receiver:
    """One receiver, for one session."""

    def __init__(
        self, feed: StreamIngestor, options: ReceiverOptions, parser: Executor | None = None
    ) -> None:
        """`parser` is where bodies are checked and cut; by default a thread of the receiver's."""
        self._feed = feed
        self._options = options
        self._parser = parser or ThreadPoolExecutor(1, "bodies")
        self._reader = EventReader(feed.options.mapping, feed.options.audience)
        self._held = _Hold(options.limits.held)
        self._waiting: list[_Waiting] = []
        self._come = asyncio.Event()
        self._source_id: int | None = None
        self._number = 1
        self._socket: socket.socket | None = None
        self._seen = SourceStatus(options.url)
        self._refusals = RefusalLog()
        self._routes = Starlette(
            routes=[
                Route("/", self._receive, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            exception_handlers={404: self._other_path, 405: self._other_method},
        )

    def open(self) -> None:
        """Bind the address, if it is not bound yet; raises `CannotBind`."""
        self._socket = self._socket or _listen(self._options.host, self._options.port)

    def status(self) -> tuple[SourceStatus, ...]:
        """The address, with what was refused, and why the last request was, if it was."""
        return (msgspec.structs.replace(self._seen, refused=self._refusals.snapshot()),)

    async def follow(self, sink: Sink) -> None:
        """Listen until the session ends; requests in work are answered first.

        Raises `CannotBind` and `LedgerError`.
        """
        self.open()
        assert self._socket is not None
        try:
            self._source_id = await asyncio.to_thread(self._feed.begin, "webhook")
            await self._serve(sink, self._socket)
        finally:
            self._socket.close()
            self._parser.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, sink: Sink, listener: socket.socket) -> None:
        server = Server(self._app, self._options.limits.door, self._count_refused)
        folding = asyncio.create_task(self._fold_for_ever(sink))
        serving = asyncio.create_task(server.serve([listener]))
        ending = asyncio.create_task(sink.ending.wait())
        try:
            await asyncio.wait({serving, ending, folding}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            if folding.done():  # a defect of ours: a receiver that takes nothing in must not stay
                await folding
        finally:
            server.should_exit = server.force_exit = True
            ending.cancel()
            folding.cancel()
            await asyncio.gather(serving, folding, ending, return_exceptions=True)

    # One request.

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what servers in front may understand otherwise; hand the rest on."""
        refused = _fault_of_head(scope)
        answer = self._refuse(refused) if refused else self._routes
        await answer(scope, receive, send)

    async def _receive(self, request: Request) -> Response:
        try:
            with self._holding() as hold:
                signature = self._signature(request)
                body = await self._body(request, hold)
                events = await self._events(body, signature)
                await self._take(events)
        except _Refused as refused:
            return self._refuse(refused)
        except ClientDisconnect:
            return Response(status_code=400)
        self._saw(len(body), len(events))
        return JSONResponse({"taken": len(events)})

    def _saw(self, size: int, events: int) -> None:
        seen = self._seen
        last = monotonic() if events else seen.last
        size += seen.position or 0
        self._seen = SourceStatus(seen.name, seen.events + events, last, size)

    def _refuse(self, refused: _Refused) -> Response:
        self._count_refused(refused.reason, refused.status, str(refused))
        return JSONResponse({"error": str(refused)}, refused.status, refused.headers)

    def _count_refused(self, reason: RefusalReason, status: int, words: str) -> None:
        self._refusals.add(reason, status, words)
        trouble = f"The last request was refused ({status}). {words}"
        self._seen = msgspec.structs.replace(self._seen, trouble=trouble)

    async def _other_path(self, request: Request, _: Exception) -> Response:
        path = clean(request.url.path)
        words = f"There is nothing at {path}. Send events to /."
        return self._refuse(_Refused(RefusalReason.OTHER_PATH, 404, words))

    async def _other_method(self, request: Request, error: Exception) -> Response:
        words = f"{clean(request.method)} is not allowed here. Send events with POST to /."
        allowed: str = (getattr(error, "headers", None) or {}).get("Allow", "POST")
        return self._refuse(_Refused(RefusalReason.OTHER_METHOD, 405, words, Allow=allowed))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": len(self._waiting)})

    @contextmanager
    def _holding(self) -> Iterator[_Hold]:
        hold = _Hold(self._options.limits.held, self._held)
        try:
            yield hold
        finally:
            hold.let_go()

    def _signature(self, request: Request) -> str | None:
        """The one signature of the request, or why it is refused; None where none is asked for."""
        given = request.headers.getlist(SIGNATURE)
        if self._options.secret is None:
            return None
        if len(given) == 1:
            return given[0]
        if given:
            words = "The signature (X-Signature) was sent more than once."
            raise _Refused(RefusalReason.WRONG_SIGNATURE, 401, words)
        # Before its body is read: what is left is read past without being held.
        words = "The signature (X-Signature) is missing."
        raise _Refused(RefusalReason.MISSING_SIGNATURE, 401, words)

    async def _body(self, request: Request, hold: _Hold) -> bytes:
        """Read the body; of one that is refused the rest is let go, or no answer is heard."""
        seconds = self._options.limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._body_in_time(request, hold)
        except TimeoutError:
            words = f"The body was not complete after {seconds:g} seconds."
            raise _Refused(RefusalReason.TOO_SLOW, 408, words, Connection="close") from None

    async def _body_in_time(self, request: Request, hold: _Hold) -> bytes:
        limits = self._options.limits
        body, size = bytearray(), 0
        refused: _Refused | None = None
        async for piece in request.stream():
            size += len(piece)
            if size > limits.drained:
                break
            if size > limits.body:
                words = f"The body is larger than {limits.body / MIB:g} MiB."
                refused = _Refused(RefusalReason.TOO_LARGE, 413, words)
            elif refused is None and not hold.takes(len(piece)):
                words = "Too much is being taken in at once. Send it again."
                refused = _Refused(RefusalReason.TOO_BUSY, 503, words, Retry_After=SOON)
            if refused is None:
                body += piece
            elif body:
                body.clear()
                hold.let_go()
        if refused is not None:
            raise refused
        return bytes(body)

    async def _events(self, body: bytes, signature: str | None) -> list[bytes]:
        """Check the signature, then cut the body; raises `_Refused`. A stranger learns nothing."""
        await self._check_signature(body, signature)
        if self._options.single_events and is_array(body):
            words = "Only single events are accepted here, and this is an array."
            raise _Refused(RefusalReason.SINGLE_EVENTS_ONLY, 400, words)
        try:
            return await self._cut(body)
        except EventTooLarge as error:
            raise _Refused(RefusalReason.TOO_LARGE, 413, str(error)) from None
        except BrokenBody as error:
            is_several = str(error) == SEVERAL
            reason = RefusalReason.SEVERAL_DOCUMENTS if is_several else RefusalReason.NOT_JSON
            raise _Refused(reason, 400, str(error)) from None

    async def _check_signature(self, body: bytes, signature: str | None) -> None:
        secret = self._options.secret
        if secret is None or signature is None:
            return
        if not await self._aside(lambda: is_signed(body, signature, secret.reveal())):
            words = "The signature (X-Signature) is wrong."
            raise _Refused(RefusalReason.WRONG_SIGNATURE, 401, words)

    async def _cut(self, body: bytes) -> list[bytes]:
        """Cut the body step by step, so that other bodies get their turn in between."""
        steps, most = cut_events(body), self._options.limits.events
        events: list[bytes] = []
        while (step := await self._aside(lambda: next(steps, None))) is not None:
            events += step
            if len(events) > most:
                words = f"The body holds more than {most:,} events."
                raise _Refused(RefusalReason.TOO_LARGE, 413, words)
        return events

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._parser, work)

    async def _take(self, events: list[bytes]) -> None:
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._come.set()
        try:
            await waiting.taken
        except LedgerError as error:
            words = f"Nothing was saved: {error}"
            raise _Refused(RefusalReason.LEDGER_FAILED, 503, words, Retry_After=LATER) from None

    # All of them together.

    async def _fold_for_ever(self, sink: Sink) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await sink.arrived(await asyncio.to_thread(self._fold, waiting))
            except LedgerError as error:
                sink.catch_up_soon()  # they may be in the ledger for all that
                _answer(waiting, error)
            except BaseException:
                for item in waiting:
                    item.taken.cancel()
                raise
            else:
                _answer(waiting, None)

    def _fold(self, waiting: list[_Waiting]) -> IngestResult:
        assert self._source_id is not None
        lines = [event for item in waiting for event in item.events]
        batch: EventBatch = self._reader.read(lines, self._number)
        self._number += len(lines)
        return self._feed.take(self._source_id, [batch])


def _fault_of_head(scope: Scope) -> _Refused | None:
    """What is wrong with a request's head that h11 lets through, None where nothing is.

    Of a length that can be understood in two ways, a server in front may believe the other, and
    take the rest of the body for a second request. A long head that comes at once is not measured
    by h11.
    """
    names = [name for name, _ in scope["headers"]]
    words, status = "", 400
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEAD:
        words, status = f"The head is longer than {LONGEST_HEAD // 1024} KiB.", 431
    elif b"transfer-encoding" in names and b"content-length" in names:
        words = "Content-Length and Transfer-Encoding exclude each other. Send one of them."
    elif b"transfer-encoding" in names and scope["http_version"] == "1.0":
        words = "HTTP/1.0 has no Transfer-Encoding. Send Content-Length."
    if not words:
        return None
    return _Refused(RefusalReason.BAD_HTTP, status, words, Connection="close")


def _answer(waiting: list[_Waiting], error: LedgerError | None) -> None:
    for item in waiting:
        if item.taken.done():
            continue  # its sender has gone
        if error is None:
            item.taken.set_result(None)
        else:
            item.taken.set_exception(error)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotBind(
            f"Nothing can listen on {host}:{port} ({error.strerror}). Nothing was opened. Choose "
            "another address or port."
        ) from None


def check_host(host: str, secret: Secret | None) -> None:
    """Raise `CannotBind` for an address that others reach, while there is no secret to ask for."""
    if host not in LOOPBACK and secret is None:
        raise CannotBind(
            f"Others can reach {host}, and there is no shared secret to tell Segment from them. "
            "Nothing was opened. Keep the destination's secret in the keyring first, or set "
            "AMP_CONSOLE_WEBHOOK_SECRET."
        )
