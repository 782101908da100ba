"""The objects below an address as sources for an import or a live session."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from amp_console.engage import ReadOptions, UnreadableSource
from amp_console.ledger import Ledger
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.ledger.locks import SourceBusy
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.client import BucketClient
from amp_console.sync.sources.bucket.listing import ListedObject, find_object, list_objects
from amp_console.sync.sources.bucket.objects import Fetcher, ObjectSource, ObjectStream
from amp_console.sync.sources.bucket.read_objects import ReadObjects
from amp_console.sync.sources.bucket.store import TRANSFER, TransferOptions, open_store


class ObjectPart:
    """One object to be read, which is being fetched already."""

    def __init__(
        self,
        stream: ObjectStream,
        address: BucketAddress,
        options: ReadOptions,
        note: Callable[[ListedObject], Checkpoint],
    ) -> None:
        self._stream = stream
        self._address = address
        self._options = options
        self._note = note

    @property
    def name(self) -> str:
        """The object's name for people."""
        return self._address.name_of(self._stream.item.key)

    @property
    def key(self) -> str:
        """The key of its checkpoint."""
        return f"{self._address.root}{self._stream.item.key}"

    @property
    def item(self) -> ListedObject:
        """The object, as it was when it was fetched."""
        return self._stream.item

    @property
    def has_failed(self) -> bool:
        """Whether it could not be fetched; what it contains may still be wrong."""
        return self._stream.has_failed

    def open(self) -> ObjectSource:
        """Open it. Raises `UnreadableSource`, here or while it is iterated."""
        return ObjectSource(self._stream, self._address, self._options)

    def checkpoint(self) -> Checkpoint:
        """Remember that it was read, as it was then."""
        return self._note(self._stream.item)


class ObjectSet:
    """Everything below one address, or the one object at it."""

    def __init__(
        self, address: BucketAddress, options: ReadOptions, transfer: TransferOptions = TRANSFER
    ) -> None:
        """Raises `UnreadableSource` if a package that it needs is not installed."""
        self.address = address
        self.known = 0
        """How many objects were left out so far, since they were read before."""
        self._is_complete = False  # whether everything was listed, and given to be read
        self._options = options
        self._transfer = transfer
        self._store = open_store(address, transfer)
        self._client: BucketClient | None = None
        self._is_closed = False

    @property
    def name(self) -> str:
        """The address, without settings."""
        return self.address.name

    def close(self) -> None:
        """Interrupt what is being read, in any thread: it raises `StreamClosed`, now and later."""
        self._is_closed = True
        if self._client is not None:
            self._client.close()

    @contextmanager
    def unread(
        self,
        ledger: Ledger,
        now: Callable[[], int],
        *,
        again: bool = False,
        is_repeated: bool = False,
        is_due: Callable[[ListedObject], bool] = lambda _: True,
    ) -> Iterator[Iterator[ObjectPart]]:
        """Find the objects that are new or have changed, and fetch them ahead; as `SourceSet`.

        Those that are not due are left for another time. An object that the address itself names is
        read each time, unless the call `is_repeated`.
        """
        client = self._client = BucketClient(self._store)
        if self._is_closed:
            client.close()
        try:
            with (
                ledger.hold_source(self.address.root),
                Fetcher(client, self.address, self._transfer) as fetcher,
            ):
                read = ReadObjects(ledger, self.address, self._options.mapping)
                new = self._new(client, read, is_due, again=again, is_repeated=is_repeated)
                self._is_complete = False
                yield self._parts(fetcher, read, new)
                # By now the caller has merged what it read: before, a crash would lose it.
                if self._is_complete:
                    read.close_days(now())
        except SourceBusy:
            raise UnreadableSource(
                f"Another import or live session is reading from {self.address.bucket}, in this"
                f" process or another one. Nothing was read from {self.name} here. Try again when"
                " it has finished."
            ) from None

    def _parts(
        self, fetcher: Fetcher, read: ReadObjects, new: Iterator[ListedObject]
    ) -> Iterator[ObjectPart]:
        waiting: deque[ObjectStream] = deque()
        failures, trouble = 0, None
        while True:
            while trouble is None and len(waiting) < self._transfer.ahead:
                try:
                    item = next(new, None)
                except UnreadableSource as error:  # what was listed before is read all the same
                    item, trouble = None, error
                if item is None:
                    break
                waiting.append(fetcher.begin(item))
            if not waiting:
                break
            stream = waiting.popleft()
            yield ObjectPart(stream, self.address, self._options, read.note)
            fetcher.end(stream)
            failures = failures + 1 if stream.has_failed else 0
            if failures >= self._transfer.failures:
                raise UnreadableSource(
                    f"Reading {self.name} stopped: {failures} objects in a row could not be"
                    " fetched. What was read before is kept, and the next import reads the rest."
                )
        if trouble is not None:
            raise trouble
        self._is_complete = True

    def _new(
        self,
        client: BucketClient,
        read: ReadObjects,
        is_due: Callable[[ListedObject], bool],
        *,
        again: bool,
        is_repeated: bool,
    ) -> Iterator[ListedObject]:
        is_empty, self.known = True, 0
        for item in list_objects(client, self.address, {} if again else read.first_days):
            is_empty = False
            if read.see(item) and not again:
                self.known += 1
            elif is_due(item):
                yield item
        if is_empty and not read.first_days:
            only = find_object(client, self.address)
            if only is None:
                raise UnreadableSource(
                    f"{self.name} contains no objects. Nothing was read. Check the name: it must "
                    "be a folder, or the whole key of one object."
                )
            if is_repeated and read.see(only):
                self.known = 1
            elif is_due(only):
                yield only


def open_object(address: BucketAddress, options: ReadOptions) -> ObjectSource:
    """Open the one object that an address names. Raises `UnreadableSource`."""
    client = BucketClient(open_store(address))
    try:
        item = find_object(client, address)
    except BaseException:
        client.close()
        raise
    if item is None:
        client.close()
        raise UnreadableSource(f"{address.name} does not exist. Nothing was read. Check the key.")
    stream = ObjectStream(client, address, item, TRANSFER, on_close=client.close)
    thread = ThreadPoolExecutor(1, thread_name_prefix="bucket")
    thread.submit(stream.fetch)
    thread.shutdown(wait=False)  # closing the source ends the thread
    return ObjectSource(stream, address, options)
