"""Requests to a bucket that can be interrupted while they are waited for.

obstore's own blocking calls can't: if a server falls silent, they hold up Ctrl-C, and the end of a
session, for as long as their time limits.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from amp_console.sync.sources.bucket.errors import StreamClosed

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")

PAGE = 1_000  # objects


class Fetched(NamedTuple):
    """Some bytes of an object, and the object as it was then."""

    meta: "ObjectMeta"
    part: bytes


class BucketClient:
    """Makes requests for any number of threads, which wait for the answers, until it is closed.

    Closing it, from whichever thread, ends all waits: they raise `StreamClosed`, as does every
    later request. Else requests raise what obstore raises.
    """

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store
        self._guard = threading.Lock()
        self._is_closed = False
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def pages(self, prefix: str | None, offset: str | None) -> Iterator[Sequence["ObjectMeta"]]:
        """List objects, in the order of their keys, after `offset`."""
        import obstore  # noqa: PLC0415  # an optional extra

        stream = obstore.list(self._store, prefix, offset=offset, chunk_size=PAGE)
        while (page := self._wait(_next_page(stream))) is not None:
            yield page

    def head(self, key: str) -> "ObjectMeta":
        """The bucket's metadata of an object."""
        return self._wait(_head(self._store, key))

    def fetch(self, key: str, span: tuple[int, int]) -> Fetched:
        """Fetch the bytes of an object from the first to before the last of `span`."""
        return self._wait(_fetch(self._store, key, span))

    def close(self) -> None:
        """End all requests. It does not wait for the server."""
        with self._guard:
            self._is_closed = True
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(self._end.set)
        if self._thread is not None:
            self._thread.join()

    def _wait(self, request: Coroutine[Any, Any, T]) -> T:
        try:
            return self._begin(request).result()
        except CancelledError:
            raise StreamClosed from None

    def _begin(self, request: Coroutine[Any, Any, T]) -> Future[T]:
        with self._guard:
            if self._is_closed:
                request.close()
                raise StreamClosed
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="bucket-client", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(request, self._loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:  # it cancels what is left
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._end.wait()


async def _next_page(stream: "ListStream[Any]") -> "Sequence[ObjectMeta] | None":
    return await anext(stream, None)


async def _head(store: "ObjectStore", key: str) -> "ObjectMeta":
    import obstore  # noqa: PLC0415  # an optional extra

    return await obstore.head_async(store, key)


async def _fetch(store: "ObjectStore", key: str, span: tuple[int, int]) -> Fetched:
    import obstore  # noqa: PLC0415  # an optional extra

    got = await obstore.get_async(store, key, options={"range": span})
    return Fetched(got.meta, bytes(await got.bytes_async()))
