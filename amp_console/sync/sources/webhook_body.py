"""From the body of a webhook request to its events: bounded, signed, cut.

The signature is checked before anything else is parsed. Small bodies are checked and cut in the
event loop, which takes less time than handing them to a thread. Others are cut into events step by
step in a thread of their own, so that no body keeps the event loop from answering others. What all
bodies together hold is bounded; beyond that the sender is asked to come again later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from amp_console.engage.webhook import (
    SEVERAL,
    BrokenBody,
    EventTooLarge,
    cut_events,
    is_array,
    is_signed,
)
from amp_console.ledger.refused_requests import RefusalReason, RefusedRequests
from amp_console.sync.sources.http_server import SOON, ConnectionLimits
from amp_console.values import Secret

MIB = 1024 * 1024

T = TypeVar("T")


class ReceiverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    A body may be as large as `body` (4,000 events are about 3 MB) and hold `events`; of a body that
    is refused `drained` bytes are read, so that its sender hears why. All bodies together may hold
    `held`. Up to `small`, a body is checked and cut in the event loop; that takes less than 1 ms.
    """

    small: int = 64 * 1024
    body: int = 16 * MIB
    events: int = 50_000
    drained: int = 256 * MIB
    held: int = 64 * MIB
    body_seconds: float = 30.0
    connections: ConnectionLimits = ConnectionLimits()


class RequestRefused(Exception):
    """A request that is refused; the text is sent to its sender."""

    def __init__(self, reason: RefusalReason, status: int, message: str, **headers: str) -> None:
        """The headers by their names, with "_" for "-"."""
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class RefusalLog:
    """Counts one receiver's refused requests by reason, in the event loop's thread."""

    def __init__(self, now: Callable[[], int]) -> None:
        """`now` tells the time in microseconds since 1970."""
        self._now = now
        self._refused: dict[tuple[RefusalReason, int], RefusedRequests] = {}

    def add(self, reason: RefusalReason, status: int, message: str) -> None:
        """Count one more request, with its HTTP status and what its sender was told."""
        before = self._refused.pop((reason, status), None)
        count = 1 + (before.count if before else 0)
        self._refused[reason, status] = RefusedRequests(reason, status, count, self._now(), message)

    def snapshot(self) -> tuple[RefusedRequests, ...]:
        """What was refused so far, the most recent reason first."""
        return tuple(reversed(self._refused.values()))


class _Share:
    """One request's share of the bytes that all requests may hold."""

    def __init__(self, budget: "_Budget") -> None:
        self._budget = budget
        self._held = 0

    def grow(self, size: int) -> bool:
        """Hold so many bytes more, if there is room for them."""
        if self._budget.held + size > self._budget.limit:
            return False
        self._held += size
        self._budget.held += size
        return True

    def release(self) -> None:
        self._budget.held -= self._held
        self._held = 0


class _Budget:
    """The bytes that all requests hold at the moment."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class BodyReader:
    """Reads the bodies of requests, and cuts the events out of them."""

    def __init__(
        self,
        limits: ReceiverLimits,
        secret: Secret | None,
        parser: Executor,
        *,
        single_events: bool,
    ) -> None:
        """Bodies are checked and cut in `parser`; `single_events` refuses arrays."""
        self._limits = limits
        self._secret = secret
        self._parser = parser
        self._single_events = single_events
        self._budget = _Budget(limits.held)

    @contextmanager
    def share(self) -> Iterator[_Share]:
        """Let a request hold a body until it is answered."""
        share = _Share(self._budget)
        try:
            yield share
        finally:
            share.release()

    def signature(self, given: list[str]) -> str | None:
        """Return the one signature; None where no secret is shared. Raises `RequestRefused`."""
        if self._secret is None:
            return None
        if len(given) == 1:
            return given[0]
        if given:
            message = "The signature (X-Signature) was sent more than once."
            raise RequestRefused(RefusalReason.WRONG_SIGNATURE, 401, message)
        # Before its body is read: the rest is skipped without being held.
        message = "The signature (X-Signature) is missing."
        raise RequestRefused(RefusalReason.MISSING_SIGNATURE, 401, message)

    async def read(self, pieces: AsyncIterator[bytes], share: _Share) -> bytes:
        """Read the body. Raises `RequestRefused`.

        A refused body is drained first: a client that is still sending never reads the response.
        """
        seconds = self._limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._read(pieces, share)
        except TimeoutError:
            message = f"The body was not complete after {seconds:g} seconds."
            raise RequestRefused(RefusalReason.TOO_SLOW, 408, message, Connection="close") from None

    async def _read(self, pieces: AsyncIterator[bytes], share: _Share) -> bytes:
        limits = self._limits
        body, size = bytearray(), 0
        refused: RequestRefused | None = None
        async for piece in pieces:
            size += len(piece)
            if size > limits.drained:
                break
            if size > limits.body:
                message = f"The body is larger than {limits.body / MIB:g} MiB."
                refused = RequestRefused(RefusalReason.TOO_LARGE, 413, message)
            elif refused is None and not share.grow(len(piece)):
                message = "Too much is being received at once. Send it again."
                refused = RequestRefused(RefusalReason.TOO_BUSY, 503, message, Retry_After=SOON)
            if refused is None:
                body += piece
            elif body:
                body.clear()
                share.release()
        if refused is not None:
            raise refused
        return bytes(body)

    async def events(self, body: bytes, signature: str | None) -> list[bytes]:
        """Check the signature, then cut the body. Raises `RequestRefused`.

        A sender without the secret learns nothing about the body.
        """
        await self._check_signature(body, signature)
        if self._single_events and is_array(body):
            message = "Only single events are accepted here, and this is an array."
            raise RequestRefused(RefusalReason.SINGLE_EVENTS_ONLY, 400, message)
        try:
            return await self._cut(body)
        except EventTooLarge as error:
            raise RequestRefused(RefusalReason.TOO_LARGE, 413, str(error)) from None
        except BrokenBody as error:
            is_several = str(error) == SEVERAL
            reason = RefusalReason.SEVERAL_DOCUMENTS if is_several else RefusalReason.NOT_JSON
            raise RequestRefused(reason, 400, str(error)) from None

    async def _check_signature(self, body: bytes, signature: str | None) -> None:
        secret = self._secret
        if secret is None or signature is None:
            return
        if not await self._done(body, lambda: is_signed(body, signature, secret.reveal())):
            message = "The signature (X-Signature) is wrong."
            raise RequestRefused(RefusalReason.WRONG_SIGNATURE, 401, message)

    async def _cut(self, body: bytes) -> list[bytes]:
        """Cut the body step by step, so that other bodies get their turn in between."""
        steps, most = cut_events(body), self._limits.events
        events: list[bytes] = []
        while (step := await self._done(body, lambda: next(steps, None))) is not None:
            events += step
            if len(events) > most:
                message = f"The body contains more than {most:,} events."
                raise RequestRefused(RefusalReason.TOO_LARGE, 413, message)
        return events

    async def _done(self, body: bytes, work: Callable[[], T]) -> T:
        """Do a piece of work on a body, where its size belongs."""
        if len(body) <= self._limits.small:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._parser, work)
