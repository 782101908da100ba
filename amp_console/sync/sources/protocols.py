"""What a source of events looks like from above: a live session, a command, the console."""

import asyncio
import enum
from typing import Protocol

import msgspec

from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.sync.ingest.stream import IngestResult


class CannotBind(Exception):
    """The receiver can't listen on an address; the text says why, and what to do."""


class StreamKind(enum.StrEnum):
    """What kind of source events come from."""

    FILE = "file"
    STDIN = "stdin"
    WEBHOOK = "webhook"
    BUCKET = "bucket"
    QUERY = "query"


class SourceStatus(msgspec.Struct, frozen=True):
    """How a source is doing: its events since the session began, and `last` when (monotonic, s).

    Of a file `position` of `size` bytes are read. A source without an end has no `size`; its
    `position` counts the bytes read since the session began, None where they are not counted. A
    bucket has read so many `objects` since. A receiver counts in `refused` the requests that it
    refused. So many others are `unlisted`, whose bytes are in `unlisted_position` and
    `unlisted_size`. `is_awaited`: nothing is there yet, which is its only trouble. `updated` counts
    the members that its events updated, as an `IngestResult`; None where that is not counted.
    """

    name: str
    events: int = 0
    last: float | None = None
    position: int | None = None
    size: int | None = None
    trouble: str = ""
    refused: tuple[RefusedRequests, ...] = ()
    unlisted: int = 0
    unlisted_position: int = 0
    unlisted_size: int = 0
    kind: StreamKind = StreamKind.FILE
    objects: int = 0
    is_awaited: bool = False
    updated: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether it was read to its end, and every event repeated what the ledger knew."""
        return self.events > 0 and self.updated == 0 and self.position == self.size


class Sink(Protocol):
    """Receives what a stream has put into the ledger. Call it in the event loop's thread."""

    @property
    def ending(self) -> asyncio.Event:
        """Set once the stream is to end."""

    async def arrived(self, result: IngestResult) -> None:
        """Deliver events that are in the ledger."""

    def catch_up_soon(self) -> None:
        """Ask the ledger soon what is pending: an arrival may have been missed."""


class EventStream(Protocol):
    """A source that is followed: events keep arriving until it ends or the sink is ending."""

    async def follow(self, sink: Sink) -> None:
        """Put events into the ledger and hand each result to the sink.

        Returns when the source ends or `sink.ending` is set.
        """

    def status(self) -> tuple[SourceStatus, ...]:
        """How each place that events come from is doing."""
