"""What ingest and reconcile need of sources that have an end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from amp_console.engage import EventBatch, ReadOptions, SourceKind
from amp_console.ledger import Ledger
from amp_console.ledger.checkpoints import Checkpoint
from amp_console.values import IdType


class BatchReader(Protocol):
    """A read that ends: iterates once over its batches. As a context manager it closes itself.

    Nothing wrong with the content raises: it becomes a refusal.
    """

    @property
    def name(self) -> str:
        """The source's name for people."""

    @property
    def key(self) -> str | None:
        """The key by which the ledger recognizes the source if it is read again, if it can be."""

    @property
    def kind(self) -> SourceKind:
        """What the source contains."""

    @property
    def taken_at(self) -> int:
        """When a list of members was true, in microseconds since 1970 (UTC)."""

    @property
    def id_types(self) -> tuple[IdType, ...]:
        """The ID types by which a list of members lists them."""

    @property
    def size(self) -> int | None:
        """Its bytes, before unpacking; None if that is not known."""

    @property
    def version(self) -> str | None:
        """What distinguishes its content from any it had or will have; None: not known."""

    @property
    def trouble(self) -> str | None:
        """Why it broke off before its end; None if it did not, or not yet."""

    def position(self) -> int:
        """Return how many of its bytes were read so far."""

    def __iter__(self) -> Iterator[EventBatch]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


OpenReader = Callable[[str, ReadOptions], BatchReader]
"""Opens the source that an address means. Raises `UnreadableSource`."""


class SourcePart(Protocol):
    """One of the sources at an address that means many."""

    @property
    def key(self) -> str:
        """The key of its checkpoint."""

    @property
    def name(self) -> str:
        """What people call it."""

    def open(self) -> BatchReader:
        """Open it. Raises `UnreadableSource`, here or while it is iterated."""

    def checkpoint(self) -> Checkpoint:
        """The checkpoint to save in the transaction that merges the last of its events."""


@runtime_checkable
class SourceSet(Protocol):
    """An address that means many sources, such as the objects of a bucket; each is read once."""

    @property
    def name(self) -> str:
        """What people call the address."""

    @property
    def known(self) -> int:
        """How many of its sources were left out so far because they were read before."""

    def unread(
        self, ledger: Ledger, now: Callable[[], int], *, again: bool
    ) -> AbstractContextManager[Iterator[SourcePart]]:
        """Find the sources that are new or have changed; `again`: all, and none is remembered.

        No other process reads them meanwhile. What was read has to be in the ledger when the
        context ends: then what is complete is remembered as a whole. Entering it and iterating
        raise `UnreadableSource` and `LedgerError`. `now` in microseconds since 1970.
        """


OpenSource = Callable[[str, ReadOptions], BatchReader | SourceSet]
"""Opens what an address means: one source, or many. Raises `UnreadableSource`."""
