"""The sources that a connection knows: warehouses with their queries, buckets, files, a space."""

import enum
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from amp_console.connections import Connection, NamedSource, SegmentSpace
from amp_console.ledger import Db
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome, audience_queries
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.checkpoints import LAST, checkpoints
from amp_console.ledger.segment_audiences import space_reading
from amp_console.ledger.source_totals import SourceTotals, next_path, totals_below, totals_of
from amp_console.ledger.unread_sources import unread_sources
from amp_console.sync.sources.bucket.address import SERVICES
from amp_console.sync.sources.checkpoints import SCHEME, FileCheckpoint

_BUCKET = re.compile(r"\w+:(//[^/]+|https?://[^/]+/[^/]+|[^/]+/[^/]+)/")
"""The beginning of every path of a bucket, as `BucketAddress.root` is written."""
MAX_UNREAD = 100
NO_SOURCE = "The connection has no source called “{}”. Give the query another one."


class Origin(enum.StrEnum):
    """What kind of source it is."""

    WAREHOUSE = "warehouse"
    QUERY = "query"
    BUCKET = "bucket"
    FILES = "files"
    SEGMENT = "Segment space"
    UNREAD = "not read"  # an object of a bucket, or a file


class SourceState(enum.StrEnum):
    """Whether a source can be read, as far as is known."""

    OK = "ok"
    TROUBLE = "trouble"
    INCOMPLETE = "incomplete"  # rows without an identifier: no one leaves
    NOT_CONFIRMED = "not confirmed"
    CANCELLED = "cancelled"
    NEVER = "not read yet"


_STATES = {
    RefreshOutcome.APPLIED: SourceState.OK,
    RefreshOutcome.INCOMPLETE: SourceState.INCOMPLETE,
    RefreshOutcome.DECLINED: SourceState.NOT_CONFIRMED,
    RefreshOutcome.CANCELLED: SourceState.CANCELLED,
    RefreshOutcome.FAILED: SourceState.TROUBLE,
}


class KnownSource(msgspec.Struct, frozen=True):
    """One source, and what was read from it last.

    `read` counts rows of a warehouse or a query, objects of a bucket, files, or the audiences of a
    space. `read_at` is in microseconds since 1970, None where nothing was read yet. `error` is why
    it is in trouble.
    `warehouse` is that of a query, too, unless it was removed. `fed` are the audiences that a
    warehouse or a query feeds; events name theirs.
    """

    key: str
    origin: Origin
    name: str
    state: SourceState
    read: int = 0
    read_at: int | None = None
    error: str = ""
    warehouse: NamedSource | None = None
    fed: tuple[Audience, ...] = ()
    query: AudienceQuery | None = None
    totals: SourceTotals | None = None

    @property
    def is_of_events(self) -> bool:
        """Whether events are read from it, so that its audiences are those in the events."""
        return self.origin in {Origin.BUCKET, Origin.FILES, Origin.UNREAD}

    def covers(self, name: str) -> bool:
        """Whether a live session's source with this name is part of this one."""
        if self.origin is Origin.WAREHOUSE:
            return name == self.name or name.startswith(f"{self.name}: ")
        if self.query is not None:
            return name in {self.query.source, f"{self.query.source}: {self.fed[0].handle}"}
        return name == self.name or name.startswith(f"{self.name.rstrip('/')}/")


def known_sources(db: Db, connection: Connection) -> list[KnownSource]:
    """Every source of a connection: warehouses, the queries of each below it, buckets, folders.

    Then come the objects and files that could not be read, at most `MAX_UNREAD`.

    The last one is the Segment space, if one is connected.
    """
    found = [*_warehouses(db, connection), *_buckets(db), *_folders(db), *_unread(db)]
    return found if connection.segment is None else [*found, _space(db, connection.segment)]


def _warehouses(db: Db, connection: Connection) -> Iterator[KnownSource]:
    audiences = {item.id: item for item in all_audiences(db)}
    queries = [
        _query(audiences[query.audience_id], query, connection)
        for query in audience_queries(db).values()
    ]
    queries.sort(key=lambda item: item.name.casefold())
    for source in connection.sources:
        own = [item for item in queries if item.warehouse == source]
        yield _warehouse(source, own)
        yield from own
    yield from (item for item in queries if item.warehouse is None)


def _query(audience: Audience, query: AudienceQuery, connection: Connection) -> KnownSource:
    warehouse = next((item for item in connection.sources if item.name == query.source), None)
    last = query.last
    state = SourceState.NEVER if last is None else _STATES[last.outcome]
    error = last.note if last is not None and state is not SourceState.OK else ""
    if warehouse is None:
        state, error = SourceState.TROUBLE, NO_SOURCE.format(query.source)
    return KnownSource(
        f"query:{audience.id}",
        Origin.QUERY,
        audience.name,
        state,
        0 if last is None else last.rows,
        None if last is None else last.at,
        error,
        warehouse,
        (audience,),
        query,
    )


def _warehouse(source: NamedSource, queries: list[KnownSource]) -> KnownSource:
    """A warehouse has the state of its queries: it is in trouble if one of them is."""
    failed = [item for item in queries if item.state is SourceState.TROUBLE]
    used = [item for item in queries if item.read_at is not None]
    state = SourceState.TROUBLE if failed else SourceState.OK if used else SourceState.NEVER
    return KnownSource(
        f"warehouse:{source.name}",
        Origin.WAREHOUSE,
        source.name,
        state,
        sum(item.read for item in queries),
        max((item.read_at for item in used if item.read_at is not None), default=None),
        failed[0].error if failed else "",
        source,
        tuple(audience for item in queries for audience in item.fed),
    )


def _buckets(db: Db) -> Iterator[KnownSource]:
    for scheme in SERVICES:
        path = next_path(db, f"{scheme}:", f"{scheme}:")
        while path is not None:
            found = _BUCKET.match(path)
            root = found[0] if found else path
            totals = totals_below(db, root)
            if found and totals is not None:
                name = "/".join(totals.newest.split("/", 3)[:3])
                yield _of_events(root, Origin.BUCKET, name, totals)
            path = next_path(db, root + LAST, f"{scheme}:")


def _folders(db: Db) -> Iterator[KnownSource]:
    """The folders of the files that were followed."""
    folders: dict[str, list[FileCheckpoint]] = {}
    for item in checkpoints(db, SCHEME):
        file = FileCheckpoint.decode(item)
        folders.setdefault(str(Path(file.path).parent), []).append(file)
    for folder, files in folders.items():
        totals = totals_of(db, [file.source_id for file in files])
        if totals is not None:  # a file that grows is begun once, and read on for days
            newest = max(files, key=lambda file: file.modified)
            read_at = max(totals.read_at, newest.modified // 1_000)
            totals = msgspec.structs.replace(totals, newest=newest.path, read_at=read_at)
            yield _of_events(f"files:{folder}", Origin.FILES, folder, totals)


def _unread(db: Db) -> Iterator[KnownSource]:
    """The objects and files that could not be read, each with its reason."""
    for item in unread_sources(db, MAX_UNREAD):
        yield KnownSource(
            f"unread:{item.key}",
            Origin.UNREAD,
            item.name,
            SourceState.TROUBLE,
            read_at=item.at,
            error=item.reason,
        )


def _space(db: Db, space: SegmentSpace) -> KnownSource:
    """A space by its ID, as it was read last."""
    reading = space_reading(db, space.id)
    state = SourceState.NEVER if reading.read_at is None else SourceState.OK
    return KnownSource(
        f"segment:{space.id}",
        Origin.SEGMENT,
        space.id,
        SourceState.TROUBLE if reading.trouble else state,
        len(reading.audiences),
        reading.read_at,
        reading.trouble,
    )


def _of_events(key: str, origin: Origin, name: str, totals: SourceTotals) -> KnownSource:
    return KnownSource(
        key, origin, name, SourceState.OK, totals.sources, totals.read_at, totals=totals
    )
