"""Objects as sources: fetched ahead in parts, so that memory is bounded, and read one by one."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import BinaryIO, cast

from amp_console.engage import EventBatch, ReadOptions, Source, UnreadableSource
from amp_console.engage.source import BLOCK_BYTES
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.client import BucketClient
from amp_console.sync.sources.bucket.errors import (
    NothingSent,
    ObjectReplaced,
    StreamClosed,
    explain,
    is_defect,
)
from amp_console.sync.sources.bucket.listing import ListedObject
from amp_console.sync.sources.bucket.store import TransferOptions

CLOSED_AFTER = 0.2  # seconds until a thread that waits sees that the stream is closed


class ObjectStream:
    """The bytes of one object, fetched by another thread; reads like a file that is open.

    Every part must be of the same version of the object: a connection that breaks off is resumed
    at the same byte.
    """

    def __init__(
        self,
        client: BucketClient,
        address: BucketAddress,
        item: ListedObject,
        options: TransferOptions,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.item = item
        """The object; once its first part is there, as it was when it was fetched."""
        self.has_failed = False
        """Whether it could not be fetched to its end."""
        self._client = client
        self._address = address
        self._part_bytes = options.part_bytes
        self._parts: queue.Queue[bytes | BaseException] = queue.Queue(
            max(2, options.parts)
        )  # `close` frees two
        self._is_closed = Event()
        self._on_close = on_close
        self._rest = memoryview(b"")
        self._position = 0

    def fetch(self) -> None:
        """Fetch the object part by part; runs in a thread of its own."""
        try:
            for part in self._fetched():
                self._put(part)
            self._put(b"")
        except BaseException as error:  # it is raised where it is read
            self._put(error)

    def _put(self, part: bytes | BaseException) -> None:
        while not self._is_closed.is_set():
            with suppress(queue.Full):
                self._parts.put(part, timeout=CLOSED_AFTER)
                return

    def _fetched(self) -> Iterator[bytes]:
        position, end = 0, 1
        while position < end and not self._is_closed.is_set():
            span = (position, position + self._part_bytes)
            meta, part = self._client.fetch(self.item.key, span)
            found = ListedObject.from_meta(meta)
            if position == 0:
                self.item, end = found, found.size
            elif (found.version, found.size) != (self.item.version, self.item.size):
                raise ObjectReplaced
            if not part and position < end:  # it would look like the end of the object
                raise NothingSent
            position += len(part)
            yield part

    def read(self, size: int) -> bytes:
        """Return the next bytes, b"" at the end. Raises `UnreadableSource`."""
        if not self._rest:
            part = self._next()
            if isinstance(part, BaseException):
                self.has_failed = True
                if is_defect(part):
                    raise part
                raise UnreadableSource(self._why(part)) from None
            self._rest = memoryview(part)
        found = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        self._position += len(found)
        return found

    def _next(self) -> bytes | BaseException:
        while not self._is_closed.is_set():
            with suppress(queue.Empty):
                return self._parts.get(timeout=CLOSED_AFTER)
        return StreamClosed()

    def _why(self, error: BaseException) -> str:
        reason = explain(error, self._address, is_listing=False)
        if not self._position:
            return reason
        return (
            f"Reading stopped after {self._position:,} of {self.item.size:,} bytes. {reason}"
            " The next import reads this object again from its beginning."
        )

    def close(self) -> None:
        """Fetch no further part; who waits for one is told that the stream is closed."""
        self._is_closed.set()
        self._on_close()


class ObjectSource(Source):
    """The batches of one object. Iterating raises `UnreadableSource` where fetching fails."""

    def __init__(self, stream: ObjectStream, address: BucketAddress, options: ReadOptions) -> None:
        """Read the beginning. Raises `UnreadableSource`."""
        item = stream.item
        taken_at = item.modified if options.taken_at is None else options.taken_at
        super().__init__(
            address.name_of(item.key),
            cast("BinaryIO", stream),
            options,
            item.size,
            taken_at,
            BLOCK_BYTES,
            key=f"{address.root}{item.key}",
        )

    def __iter__(self) -> Iterator[EventBatch]:
        try:
            yield from super().__iter__()
        except UnreadableSource as error:
            raise error.with_name(self.name) from None


class Fetcher:
    """Fetches several objects at once; as a context manager it closes the client in the end."""

    def __init__(
        self, client: BucketClient, address: BucketAddress, options: TransferOptions
    ) -> None:
        self._client = client
        self._address = address
        self._options = options
        self._threads = ThreadPoolExecutor(options.ahead, thread_name_prefix="bucket")
        self._streams: set[ObjectStream] = set()

    def begin(self, item: ListedObject) -> ObjectStream:
        """Begin to fetch an object. At most `ahead` may be under way, read in their order."""
        stream = ObjectStream(self._client, self._address, item, self._options)
        self._streams.add(stream)
        self._threads.submit(stream.fetch)
        return stream

    def end(self, stream: ObjectStream) -> None:
        """Fetch no more of an object."""
        stream.close()
        self._streams.discard(stream)

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self._streams:
            stream.close()
        self._client.close()
        self._threads.shutdown(cancel_futures=True)
