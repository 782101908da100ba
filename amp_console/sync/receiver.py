"""Receiving events over HTTP: a 2xx answer means that they are in the ledger.

Whatever waits is folded together, so that a thousand small requests a second are a few
transactions. What is held at once is bounded; beyond that the sender is asked to come again later,
which Segment does for four hours (its page on the Webhooks destination).
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amp_console.engage import Batch
from amp_console.engage.reader import EventReader
from amp_console.engage.webhook import SIGNATURE, BrokenBody, events_in, is_signed
from amp_console.ledger import LedgerError
from amp_console.sync.door import MOST_CONNECTIONS, SOON, Server
from amp_console.sync.feed import Feed, Taken
from amp_console.sync.live import Live
from amp_console.sync.live_errors import CannotBind
from amp_console.sync.live_progress import LiveSource
from amp_console.values import Secret

LARGEST = 16 * 1024 * 1024  # bytes of one body; 4,000 events are about 3 MB
MOST_LET_GO = 256 * 1024 * 1024  # bytes that are read of a body that is too large
MOST_HELD = 64 * 1024 * 1024  # bytes of all bodies that are held at once
BODY_SECONDS = 30.0  # until a body has to be there
LATER = "30"  # seconds, for Retry-After
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class _Refused(Exception):
    """A request that is not taken."""

    def __init__(self, status: int, words: str, **headers: str) -> None:
        """The headers by their names, with "_" for "-"."""
        super().__init__(words)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        return JSONResponse({"error": str(self)}, self.status, self.headers)


class _Waiting(msgspec.Struct):
    """Events that wait to be taken in, and who waits for that."""

    events: list[bytes]
    taken: "asyncio.Future[None]"


class _Hold:
    """What one request holds of the bytes that all of them may hold."""

    held = 0

    def __init__(self, all_of_them: "_Hold | None" = None) -> None:
        self._all = all_of_them

    def takes(self, size: int) -> bool:
        """Hold so many bytes more, if there is room for them."""
        assert self._all is not None
        if self._all.held + size > MOST_HELD:
            return False
        self.held += size
        self._all.held += size
        return True

    def let_go(self) -> None:
        assert self._all is not None
        self._all.held -= self.held
        self.held = 0


class Receiver:
    """One receiver, for one session. Without a secret, whoever reaches it is believed."""

    def __init__(self, feed: Feed, secret: Secret | None, host: str, port: int) -> None:
        self._feed = feed
        self._secret = secret
        self._host = host
        self._port = port
        self._reader = EventReader(feed.options.mapping, feed.options.audience)
        self._held = _Hold()
        self._waiting: list[_Waiting] = []
        self._come = asyncio.Event()
        self._source_id: int | None = None
        self._number = 1
        self._socket: socket.socket | None = None
        name = f"[{host}]" if ":" in host else host
        self._seen = LiveSource(f"http://{name}:{port}/")
        self.app = Starlette(
            routes=[
                Route("/", self._receive, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ]
        )

    def open(self) -> None:
        """Bind the address, if it is not bound yet; raises `CannotBind`."""
        self._socket = self._socket or _listen(self._host, self._port)

    def sources(self) -> tuple[LiveSource, ...]:
        """The address, with why the last request was refused, if it was."""
        return (self._seen,)

    async def follow(self, live: Live) -> None:
        """Listen until the session ends; requests in work are answered first.

        Raises `CannotBind` and `LedgerError`.
        """
        self.open()
        assert self._socket is not None
        self._source_id = await asyncio.to_thread(self._feed.begin, "webhook")
        server = Server(self.app)
        folding = asyncio.create_task(self._fold_for_ever(live))
        serving = asyncio.create_task(server.serve([self._socket]))
        ending = asyncio.create_task(live.ending.wait())
        try:
            await asyncio.wait({serving, ending, folding}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            if folding.done():  # a defect of ours: a receiver that takes nothing in must not stay
                await folding
        finally:
            self._socket.close()
            ending.cancel()
            folding.cancel()
            await asyncio.gather(folding, ending, return_exceptions=True)

    # One request.

    async def _receive(self, request: Request) -> Response:
        try:
            with self._holding() as hold:
                body = await self._body(request, hold)
                events = self._checked(body, request.headers.get(SIGNATURE))
                await self._take(events)
        except _Refused as refused:
            self._see(trouble=f"The last request was refused ({refused.status}). {refused}")
            return refused.response()
        except ClientDisconnect:
            return Response(status_code=400)
        self._see(len(body), len(events))
        return JSONResponse({"taken": len(events)})

    def _see(self, size: int = 0, events: int = 0, trouble: str = "") -> None:
        seen = self._seen
        last = monotonic() if events else seen.last
        size += seen.position or 0
        self._seen = LiveSource(seen.name, seen.events + events, last, size, trouble=trouble)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": len(self._waiting)})

    @contextmanager
    def _holding(self) -> Iterator[_Hold]:
        hold = _Hold(self._held)
        try:
            yield hold
        finally:
            hold.let_go()

    async def _body(self, request: Request, hold: _Hold) -> bytes:
        """Read the body; of one that is refused the rest is let go, or no answer is heard."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._body_in_time(request, hold)
        except TimeoutError:
            words = f"The body was not there after {BODY_SECONDS:.0f} seconds."
            raise _Refused(408, words, Connection="close") from None

    async def _body_in_time(self, request: Request, hold: _Hold) -> bytes:
        body, size = bytearray(), 0
        refused: _Refused | None = None
        async for piece in request.stream():
            size += len(piece)
            if size > MOST_LET_GO:
                break
            if size > LARGEST:
                refused = _Refused(413, f"The body is larger than {LARGEST // 1024 // 1024} MiB.")
            elif refused is None and not hold.takes(len(piece)):
                words = "Too much is being taken in at once. Send it again."
                refused = _Refused(503, words, Retry_After=SOON)
            if refused is None:
                body += piece
            elif body:
                body.clear()
                hold.let_go()
        if refused is not None:
            raise refused
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
            raise _Refused(503, f"Nothing was taken: {error}", Retry_After=LATER) from None

    # All of them together.

    async def _fold_for_ever(self, live: Live) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await live.arrived(await asyncio.to_thread(self._fold, waiting))
            except LedgerError as error:
                live.look_anew()  # they may be in the ledger for all that
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
