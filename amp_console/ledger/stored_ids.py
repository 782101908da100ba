"""Sets of identifiers that need not fit into memory, and how two of them differ."""

from collections.abc import Collection, Iterable, Iterator
from itertools import filterfalse
from typing import NamedTuple

from amp_console.ledger.scratch_file import ScratchFile

_PARTITIONS = 64  # 2,000,000 identifiers take 200 MiB as one set, and 3 MiB as one of these
_SEPARATOR = "\0"  # no identifier contains it: see `identifier_fault`


class StoredIds:
    """Identifiers in a temporary file, partitioned by their hash. Methods raise `ScratchFull`."""

    def __init__(self) -> None:
        self._file = ScratchFile()
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(_PARTITIONS)]

    def add(self, ids: Iterable[str]) -> None:
        """Add identifiers, best some thousands at once."""
        partitions: list[list[str]] = [[] for _ in range(_PARTITIONS)]
        appends = [partition.append for partition in partitions]
        for id_ in ids:
            appends[hash(id_) % _PARTITIONS](id_)
        texts = [_SEPARATOR.join(partition).encode() for partition in partitions]
        start = self._file.append(b"".join(texts))
        for pieces, partition, text in zip(self._pieces, partitions, texts, strict=True):
            if partition:
                pieces.append((start, len(text)))
                start += len(text)

    def partitions(self) -> Iterator[Iterator[list[str]]]:
        """Yield the partitions, each as lists of identifiers, some of which may be repeated."""
        for pieces in self._pieces:
            yield (self._file.read(*piece).decode().split(_SEPARATOR) for piece in pieces)

    def count_distinct(self) -> int:
        """Count the identifiers, repeated ones once."""
        return sum(len(set[str]().union(*partition)) for partition in self.partitions())

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class PartitionDifference(NamedTuple):
    """What is only in one of two sets, in one partition; `first_size` counts all of the first."""

    first_size: int
    only_first: Collection[str]
    only_second: Collection[str]


def set_differences(first: StoredIds, second: StoredIds) -> Iterator[PartitionDifference]:
    """Yield how two sets differ, by partition; only the first one may repeat identifiers."""
    for firsts, seconds in zip(first.partitions(), second.partitions(), strict=True):
        only_first, only_second = set[str]().union(*firsts), list[str]()
        first_size = len(only_first)
        for ids in seconds:
            only_second += filterfalse(only_first.__contains__, ids)
            only_first.difference_update(ids)
        yield PartitionDifference(first_size, only_first, only_second)
