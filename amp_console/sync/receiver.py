"""Receiving events over HTTP: a 2xx answer means that they are in the ledger.

Whatever waits is folded together, so that a thousand small requests a second are a few
transactions. What is held at once is bounded; beyond that the sender is asked to come again later,
which Segment does for four hours (its page on the Webhooks destination).
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amp_console.engage import Batch
from amp_console.engage.reader import EventReader
from amp_console.engage.webhook import SIGNATURE, BrokenBody, events_in, is_signed
from amp_console.ledger import LedgerError
from amp_console.sync.feed import Feed, Taken
from amp_console.sync.live import Live
from amp_console.sync.live_errors import CannotBind
from amp_console.values import Secret

LARGEST = 16 * 1024 * 1024  # bytes of one body; 4,000 events are about 3 MB
MOST_LET_GO = 256 * 1024 * 1024  # bytes that are read of a body that is too large
MOST_HELD = 64 * 1024 * 1024  # bytes of all bodies that are held at once
MOST_CONNECTIONS = 512
SOON, LATER = "1", "30"  # seconds, for Retry-After
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class _Refused(Exception):
    """A request that is not taken."""

    def __init__(self, status: int, words: str, retry_after: str | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.retry_after = retry_after

    def response(self) -> Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return JSONResponse({"error": str(self)}, self.status, headers)


class _Waiting(msgspec.Struct):
    """Events that wait to be taken in, and who waits for that."""

    events: list[bytes]
    taken: "asyncio.Future[None]"


class Receiver:
    """One receiver, for one session. Without a secret, whoever reaches it is believed."""

    def __init__(self, feed: Feed, secret: Secret | None) -> None:
        self._feed = feed
        self._secret = secret
        self._reader = EventReader(feed.options.mapping, feed.options.audience)
        self._held = 0
        self._waiting: list[_Waiting] = []
        self._come = asyncio.Event()
        self._source_id: int | None = None
        self._number = 1
        self.app = Starlette(
            routes=[
                Route("/", self._receive, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ]
        )

    async def follow(self, live: Live, host: str, port: int) -> None:
        """Listen until the session ends; requests in work are answered first.

        Raises `CannotBind` and `LedgerError`.
        """
        listening = _listen(host, port)
        self._source_id = await asyncio.to_thread(self._feed.begin, "webhook")
        server = _Server(self.app)
        folding = asyncio.create_task(self._fold_for_ever(live))
        serving = asyncio.create_task(server.serve([listening]))
        ending = asyncio.create_task(live.ending.wait())
        try:
            await asyncio.wait({serving, ending, folding}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            if folding.done():  # a defect of ours: a receiver that takes nothing in must not stay
                await folding
        finally:
            listening.close()
            ending.cancel()
            folding.cancel()
            await asyncio.gather(folding, ending, return_exceptions=True)

    # One request.

    async def _receive(self, request: Request) -> Response:
        try:
            with self._room_for(request):
                body = await self._body(request)
                events = self._checked(body, request.headers.get(SIGNATURE))
                await self._take(events)
        except _Refused as refused:
            return refused.response()
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse({"taken": len(events)})

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": len(self._waiting)})

    @contextmanager
    def _room_for(self, request: Request) -> Iterator[None]:
        """Keep what is held at once within bounds, by what the request says it brings."""
        text = request.headers.get("content-length", "")
        length = min(int(text), LARGEST) if text.isdigit() else LARGEST
        if self._held + length > MOST_HELD:
            raise _Refused(503, "Too much is being taken in at once. Send it again.", SOON)
        self._held += length
        try:
            yield
        finally:
            self._held -= length

    async def _body(self, request: Request) -> bytes:
        """Read the body; of one that is too large the rest is let go, or no answer is heard."""
        body, size = bytearray(), 0
        async for piece in request.stream():
            size += len(piece)
            if size <= LARGEST:
                body += piece
            elif size > MOST_LET_GO:
                break
        if size > LARGEST:
            raise _Refused(413, f"The body is larger than {LARGEST // 1024 // 1024} MiB.")
        return bytes(body)

    def _checked(self, body: bytes, signature: str | None) -> list[bytes]:
        is_broken = False
        try:
            events = events_in(body)
        except BrokenBody:
            events, is_broken = [body], True  # its signature first: a stranger learns nothing
        if self._secret is not None and not is_signed(events, signature, self._secret.reveal()):
            what = "wrong" if signature else "missing"
            raise _Refused(401, f"The signature (X-Signature) is {what}.")
        if is_broken or not body.lstrip().startswith((b"{", b"[")):
            raise _Refused(400, "The body is not JSON: an event, or an array of events.")
        return events

    async def _take(self, events: list[bytes]) -> None:
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._come.set()
        try:
            await waiting.taken
        except LedgerError as error:
            raise _Refused(503, f"Nothing was taken: {error}", LATER) from None

    # All of them together.

    async def _fold_for_ever(self, live: Live) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await live.arrived(await asyncio.to_thread(self._fold, waiting))
            except LedgerError as error:
                _answer(waiting, error)
            except BaseException:
                for each in waiting:
                    each.taken.cancel()
                raise
            else:
                _answer(waiting, None)

    def _fold(self, waiting: list[_Waiting]) -> Taken:
        assert self._source_id is not None
        lines = [event for each in waiting for event in each.events]
        batch: Batch = self._reader.read(lines, self._number)
        self._number += len(lines)
        return self._feed.take(self._source_id, [batch])


def _answer(waiting: list[_Waiting], error: LedgerError | None) -> None:
    for each in waiting:
        if each.taken.done():
            continue  # its sender has gone
        if error is None:
            each.taken.set_result(None)
        else:
            each.taken.set_exception(error)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the session has them."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_level="critical",  # a log line could quote an event
                access_log=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=10,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
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
