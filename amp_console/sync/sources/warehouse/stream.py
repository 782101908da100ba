"""Audiences by query that are followed: they are refreshed at an interval."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from amp_console.ledger import Db, Ledger, LedgerError
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome, audience_queries
from amp_console.ledger.audiences import (
    Audience,
    AudienceAmbiguous,
    AudienceNotFound,
    all_audiences,
    find_audience,
)
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.ingest.stream import IngestResult
from amp_console.sync.sources.protocols import EventStream, Sink, SourceStatus, StreamKind
from amp_console.sync.sources.streams import grouped
from amp_console.sync.sources.warehouse.engine import Engine
from amp_console.sync.sources.warehouse.reader import TIMEOUT
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh, RefreshReport
from amp_console.sync.timing import Timing

CANCEL_AGAIN = 0.2  # seconds; a query that has not begun can't be cancelled yet


class RefreshOptions(msgspec.Struct, frozen=True):
    """How often audiences are refreshed, and how long a query may take; in seconds."""

    interval: float = 900.0
    timeout: float = TIMEOUT


@dataclass(slots=True)
class _Refreshed:
    """What is known of an audience since the session began."""

    name: str
    events: int = 0
    last: float | None = None
    trouble: str = ""


class QueryStream:
    """The audiences that one source serves, refreshed one after the other.

    A refresh that would have to be confirmed is not applied: it is shown as trouble of the source,
    and the next refresh tries again. `chosen` are the ids of audiences; none means all that are
    enabled.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: str,
        chosen: frozenset[int],
        open_engine: Callable[[], Engine],
        options: RefreshOptions,
        timing: Timing,
    ) -> None:
        self._ledger = ledger
        self._source = source
        self._chosen = chosen
        self._open_engine = open_engine
        self._options = options
        self._timing = timing
        self._refreshed: dict[int, _Refreshed] = {}
        self._trouble = ""

    def status(self) -> tuple[SourceStatus, ...]:
        """The audiences; before them the source, while nothing can be refreshed."""
        found = (
            SourceStatus(
                item.name, item.events, item.last, trouble=item.trouble, kind=StreamKind.QUERY
            )
            for item in self._refreshed.values()
        )
        return (*_in_trouble(self._source, self._trouble), *found)

    async def follow(self, sink: Sink) -> None:
        """Refresh until the session ends; a query that is under way then is cancelled."""
        while not sink.ending.is_set():
            begun = self._timing.monotonic()
            try:
                await self._refresh_all(sink)
                self._trouble = ""
            except LedgerError as error:
                self._trouble = str(error)
                sink.catch_up_soon()  # an audience may have been refreshed before it failed
            spent = self._timing.monotonic() - begun
            await self._timing.wait_for(sink.ending, max(0.0, self._options.interval - spent))

    async def _refresh_all(self, sink: Sink) -> None:
        found = await self._ledger.aread(_queried, self._source, self._chosen)
        known = {audience.id for audience, _ in found}
        self._refreshed = {id_: item for id_, item in self._refreshed.items() if id_ in known}
        for audience, query in found:
            if sink.ending.is_set():
                return
            report = await self._refresh(sink, audience, query)
            await self._report(sink, audience.id, report)

    async def _refresh(self, sink: Sink, audience: Audience, query: AudienceQuery) -> RefreshReport:
        name = f"{self._source}: {audience.handle}"
        self._refreshed.setdefault(audience.id, _Refreshed(name)).name = name
        work = AudienceRefresh(
            self._ledger,
            audience,
            query,
            self._open_engine,
            timeout=self._options.timeout,
            logs_repeats=False,
            now=self._timing.now,
        )
        running = asyncio.ensure_future(asyncio.to_thread(_run, work))
        ending = asyncio.ensure_future(sink.ending.wait())
        try:
            await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            while not running.done():
                await asyncio.to_thread(work.cancel)
                await asyncio.wait({running}, timeout=CANCEL_AGAIN)
        return await running

    async def _report(self, sink: Sink, audience_id: int, report: RefreshReport) -> None:
        item = self._refreshed[audience_id]
        if item.trouble:
            sink.catch_up_soon()  # another process may have confirmed it
        item.trouble = _trouble(report)
        if report.outcome not in {RefreshOutcome.APPLIED, RefreshOutcome.INCOMPLETE}:
            return
        changes = report.entering + report.leaving
        if changes:
            item.events += changes
            item.last = self._timing.monotonic()
        await sink.arrived(
            IngestResult(
                ReadCounts(changes, changes),
                Counter({audience_id: report.entering}),
                Counter({audience_id: report.leaving}),
                updated=changes,
            )
        )


def open_queries(
    ledger: Ledger,
    names: Sequence[str],
    open_engine: Callable[[str], Engine],
    options: RefreshOptions,
    timing: Timing | None = None,
) -> EventStream:
    """Follow sources and audiences by query of these names; `is_refreshed` is true of each.

    `open_engine` opens the source of a name, and raises as for an `AudienceRefresh`.
    """
    timing = timing or Timing()
    streams = [
        QueryStream(ledger, source, chosen, partial(open_engine, source), options, timing)
        for source, chosen in ledger.read(_by_source, names).items()
    ]
    return grouped(streams)


def is_refreshed(db: Db, name: str) -> bool:
    """Whether a name means a source that serves an audience, or an audience that has a query."""
    return bool(_by_source(db, [name]))


def _by_source(db: Db, names: Sequence[str]) -> dict[str, frozenset[int]]:
    """The sources that names mean, with the ids of the audiences that are named; none: all."""
    queries = audience_queries(db)
    whole = {query.source for query in queries.values()} & {*names}
    found: dict[str, frozenset[int]] = {name: frozenset() for name in sorted(whole)}
    for name in {*names} - whole:
        try:
            query = queries.get(find_audience(db, name).id)
        except (AudienceNotFound, AudienceAmbiguous):
            continue
        if query is not None and query.source not in whole:
            found[query.source] = found.get(query.source, frozenset()) | {query.audience_id}
    return found


def _queried(db: Db, source: str, chosen: frozenset[int]) -> list[tuple[Audience, AudienceQuery]]:
    """The audiences that a source serves now: those chosen, or all that are enabled."""
    queries = audience_queries(db)
    return [
        (audience, queries[audience.id])
        for audience in all_audiences(db)
        if audience.id in queries
        and queries[audience.id].source == source
        and (audience.id in chosen if chosen else audience.enabled)
    ]


def _run(work: AudienceRefresh) -> RefreshReport:
    report = work.run()
    if report.outcome is not RefreshOutcome.ASKS:
        return report
    return work.decline(report)


def _trouble(report: RefreshReport) -> str:
    """Why a refresh changed nothing, or left rows out; "" if it did everything."""
    if report.outcome is RefreshOutcome.DECLINED:
        return (
            f"{report.question} Nothing was changed, and the session keeps trying. To confirm it: "
            f"amp-console refresh {report.audience.handle}"
        )
    if report.outcome is RefreshOutcome.FAILED:
        return f"{' '.join(report.notes)} The session keeps trying."
    return " ".join(report.notes) if report.outcome is RefreshOutcome.INCOMPLETE else ""


def _in_trouble(name: str, trouble: str) -> Iterator[SourceStatus]:
    if trouble:
        yield SourceStatus(name, trouble=trouble, kind=StreamKind.QUERY)
