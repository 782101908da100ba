"""Which objects of a bucket were read, according to the ledger's checkpoints.

Each object has its own checkpoint, written in the transaction that merges its events. Once the days
of an archive are closed, one checkpoint per archive replaces those of their objects: no more events
arrive there, so the objects are neither listed nor remembered.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from amp_console.engage import FieldMapping
from amp_console.ledger import Db, Ledger
from amp_console.ledger.checkpoints import (
    Checkpoint,
    checkpoints_below,
    find_checkpoint,
    forget_between,
    forget_checkpoint,
    keep_checkpoint,
)
from amp_console.ledger.unread_sources import forget_unread, unread_below
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.listing import (
    DAY_SECONDS,
    DayFolder,
    ListedObject,
    day_key,
)

OPEN_DAYS = 3
"""How many days may still get objects: today and those before. Segment copies every hour."""


class ReadObject(msgspec.Struct, frozen=True):
    """The checkpoint of an object that was read to its end, with this field mapping."""

    version: str
    size: int
    mapping: str = ""


class ArchiveState(msgspec.Struct, frozen=True):
    """The checkpoint of an archive: the first day that is listed, in seconds since 1970."""

    first_day: int
    mapping: str = ""


class ReadObjects:
    """What was read below one address with the same field mapping: another one finds other IDs."""

    def __init__(self, ledger: Ledger, address: BucketAddress, mapping: FieldMapping) -> None:
        """Raises `LedgerError`."""
        paths = (mapping.user_id, mapping.amplitude_id)
        self._mapping = " ".join(path.text for path in paths if path is not None)
        self._ledger = ledger
        self._root = address.root
        self._read: dict[str, ReadObject] = {}
        self._first_days: dict[str, int] = {}
        self._below = f"{address.prefix}/" if address.prefix else ""
        for key, value in ledger.read(checkpoints_below, f"{self._root}{self._below}"):
            name = key.removeprefix(self._root)
            if name.endswith("/"):
                state = msgspec.json.decode(value, type=ArchiveState)
                if state.mapping == self._mapping:
                    self._first_days[name.rstrip("/")] = state.first_day
            else:
                self._read[name] = msgspec.json.decode(value, type=ReadObject)
        self._unseen = set(self._read)
        own = ledger.read(find_checkpoint, f"{self._root}{address.prefix}")
        if own is not None:  # the address may name one object
            self._read[address.prefix] = msgspec.json.decode(own, type=ReadObject)
        self._unread = set(ledger.read(unread_below, f"{self._root}{self._below}"))
        self._newest: dict[str, int] = {}
        self._missing: dict[str, DayFolder] = {}

    @property
    def first_days(self) -> Mapping[str, int]:
        """The first day that is listed, by archive."""
        return MappingProxyType(self._first_days)

    def see(self, item: ListedObject) -> bool:
        """Note that an object is listed; return whether it was read, as it is now."""
        self._unseen.discard(item.key)
        self._unread.discard(f"{self._root}{item.key}")
        is_read = self._read.get(item.key) == self._as_read(item)
        day = DayFolder.parse(item.key)
        if day and f"{day.archive}/".startswith(self._below):  # else one day alone is listed
            self._newest[day.archive] = max(self._newest.get(day.archive, 0), day.start)
            if not is_read:
                self._missing[item.key] = day
        return is_read

    def note(self, item: ListedObject) -> Checkpoint:
        """Return the checkpoint of an object that was read, to be kept with its events."""
        self._missing.pop(item.key, None)
        value = msgspec.json.encode(self._as_read(item)).decode()
        return Checkpoint(f"{self._root}{item.key}", value)

    def _as_read(self, item: ListedObject) -> ReadObject:
        return ReadObject(item.version, item.size, self._mapping)

    def close_days(self, now: int) -> None:
        """Close the days of which everything was read, and forget what is not listed anymore.

        Call it after a whole listing was seen. `now` in microseconds since 1970; no day after the
        newest one is closed, in case this clock is wrong. Raises `LedgerError`.
        """
        today = now // 1_000_000 // DAY_SECONDS * DAY_SECONDS
        first_open = {
            archive: min(today, newest) - (OPEN_DAYS - 1) * DAY_SECONDS
            for archive, newest in self._newest.items()
        }
        for day in self._missing.values():
            first_open[day.archive] = min(first_open[day.archive], day.start)
        closed = {
            archive: ArchiveState(first - DAY_SECONDS, self._mapping)
            for archive, first in first_open.items()
            if first - DAY_SECONDS > self._first_days.get(archive, 0)
        }
        if closed or self._unseen or self._unread:
            self._ledger.write(_keep, self._root, closed, self._unseen, self._unread)


def _keep(
    db: Db,
    root: str,
    closed: Mapping[str, ArchiveState],
    gone: Iterable[str],
    gone_unread: Iterable[str],
) -> None:
    for archive, state in closed.items():
        key = f"{root}{archive}/"
        keep_checkpoint(db, Checkpoint(key, msgspec.json.encode(state).decode()))
        forget_between(db, key, day_key(f"{root}{archive}", state.first_day))
    for object_key in gone:
        forget_checkpoint(db, f"{root}{object_key}")
    for key in gone_unread:
        forget_unread(db, key)
