"""One source in detail: what it feeds, its last refresh, its full error, and what to do."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from textual.content import Content

from amp_console.console.context import Services, services_of
from amp_console.console.jobs.under_way import under_way
from amp_console.console.screens.cursor_detail import CursorDetail
from amp_console.console.screens.loading import Loader
from amp_console.console.screens.sources.rows import (
    NOUNS,
    SourceNow,
    age_and_time,
    kind_of,
    position,
    refresh_of,
    source_now,
)
from amp_console.console.screens.sources.space import missing_lines, space_facts
from amp_console.console.texts import MUTED, STRONG, TONE, Part, facts, lines, safe_lines, safe_text
from amp_console.console.widgets.steady_text import FittedText
from amp_console.console.words import lasting
from amp_console.ledger.event_log import LogEntry, log_page
from amp_console.sync.queries.segment import only_in_segment
from amp_console.sync.sources.known import KnownSource, Origin, SourceState
from amp_console.sync.sources.warehouse.refresh import logged_refreshes, logged_words
from amp_console.text import named, plural
from amp_console.values import SegmentAudience

LABELS = 14  # columns for the names of facts
MAX_LENGTH = 1_000  # characters of a sentence that quotes a server
REFRESHES = 5  # shown
MAX_NAMES = 6  # audiences named for a warehouse
MAX_NAME_LENGTH = 40
MAX_SQL_LINES = 40
_STEPS = {
    Origin.WAREHOUSE: {
        SourceState.OK: "Nothing to do. Press T to check whether it can be read now.",
        SourceState.NEVER: "Press n to create an audience from a query, or T to test it.",
        SourceState.TROUBLE: "Press T to test it again, or e to edit it.",
    },
    Origin.QUERY: {
        SourceState.OK: "Press u to run the query. It shows a plan before anything changes.",
        SourceState.NEVER: "Press u to run the query. It shows a plan before anything changes.",
        SourceState.TROUBLE: "Fix the trouble below (e edits the query), then press u.",
        SourceState.INCOMPLETE: "Press e, and leave rows without an identifier out of the query.",
        SourceState.NOT_CONFIRMED: "Press u to run the query again.",
        SourceState.CANCELLED: "Press u to run the query again.",
    },
    Origin.SEGMENT: {
        SourceState.OK: "Nothing to do. Press u to ask Segment again.",
        SourceState.NEVER: "Press u to ask Segment for its audiences.",
        SourceState.TROUBLE: "Press u to ask Segment again. Its last answer is kept.",
    },
}
_UNREAD = "Correct what it names. It is listed until it is read, or is gone."
_EVENTS = "Press i to read what is new, or 4 and then n to follow it."


class SourceFacts(NamedTuple):
    """The data shown for a source; `entries` are the log entries of its last refreshes.

    `missing` are a space's audiences that the ledger has never seen.
    """

    source: KnownSource
    entries: Sequence[LogEntry] = ()
    missing: Sequence[SegmentAudience] = ()


class SourceDetail(CursorDetail):
    """The source under the cursor."""

    def __init__(
        self,
        loader: Loader,
        current: Callable[[], KnownSource | None],
        test_of: Callable[[KnownSource], Part | None],
    ) -> None:
        """`current` returns the source to show; `test_of`, the result of its last test."""
        super().__init__(loader)
        self._current = current
        self._test_of = test_of
        self._facts: SourceFacts | None = None

    async def load(self) -> None:
        source, session = self._current(), services_of(self).session
        if source is None or session is None:
            return
        entries: Sequence[LogEntry] = ()
        if source.origin is Origin.QUERY:
            wanted = logged_refreshes(source.fed[0].id)
            entries = await session.read(log_page, wanted, 0, REFRESHES)
        missing: Sequence[SegmentAudience] = ()
        if source.origin is Origin.SEGMENT:
            missing = await session.read(only_in_segment, source.name)
        self._facts = SourceFacts(source, entries, missing)
        self.show()

    def show(self) -> None:
        """Show the current source's data, and the progress of its refresh or test."""
        known, current = self._facts, self._current()
        if known is None or current is None or current.key != known.source.key:
            return  # the cursor has moved on
        self.border_title = safe_text(current.name, max_length=60)
        now = known._replace(source=current)
        self.query_one(FittedText).fit(
            partial(lay_out, services_of(self), now, self._test_of(current))
        )


def lay_out(services: Services, known: SourceFacts, test: Part | None, room: int) -> Content:
    """Lay out what is known about a source, in `room` columns."""
    source = known.source
    now = source_now(services, source)
    rows: list[tuple[str, Content | str]] = [
        ("state", safe_text((now.label, TONE[now.tone]), *_progress(services, source))),
        ("next", safe_text((next_step(services, source, now), STRONG), max_length=MAX_LENGTH)),
    ]
    if now.error:
        label = "trouble" if now.tone == "bad" else "note"
        rows.append((label, safe_text((now.error, TONE[now.tone]), max_length=MAX_LENGTH)))
    if test is not None:
        rows.append(("test", safe_text(test, max_length=MAX_LENGTH)))
    if source.totals is not None:
        return facts([*rows, *_of_events(services, source)], LABELS, room)
    if source.origin is Origin.UNREAD:
        tried = safe_text(*age_and_time(services, source.read_at))
        return facts([*rows, ("last tried", tried)], LABELS, room)
    if source.origin is Origin.SEGMENT:
        said = facts([*rows, *space_facts(services, source, len(known.missing))], LABELS, room)
        return lines(said, *missing_lines(services, known.missing, LABELS, room))
    rows += [*_warehouse(source), *_refresh(services, known)]
    said = facts(rows, LABELS, room)
    return said if source.query is None else lines(said, safe_text(""), _sql(source.query.sql))


def next_step(services: Services, source: KnownSource, now: SourceNow) -> str:
    """Say what to do next, with the list's keys."""
    job = refresh_of(services, source)
    if under_way(job):
        return "Press c to cancel the query. Nothing has changed yet."
    if job is not None and job.asks is not None:
        return "Press u to see its plan. Nothing has changed yet."
    if source.origin is Origin.UNREAD:
        return _UNREAD
    if source.totals is not None:
        is_followed = now.tone in {"accent", "bad"}
        return "Nothing to do: the live session reads what is new." if is_followed else _EVENTS
    if source.origin is Origin.QUERY and source.warehouse is None:
        return "Press e to choose another source for the query."
    return _STEPS[source.origin][source.state]


def _progress(services: Services, source: KnownSource) -> list[Part]:
    job = under_way(refresh_of(services, source))
    return [f"  {plural(job.rows, 'row')} so far, {lasting(job.elapsed)}"] if job else []


def _of_events(services: Services, source: KnownSource) -> list[tuple[str, Content | str]]:
    """What was read from a bucket or from files."""
    totals = source.totals
    assert totals is not None
    counts = totals.counts
    read = f"{plural(source.read, *NOUNS[source.origin])}, {plural(counts.read, 'event')}"
    parts = f"{counts.valid:,} valid, {counts.filtered:,} filtered, {counts.invalid:,} invalid"
    return [
        ("read", safe_text(read, (f": {parts}", MUTED))),
        (f"last {NOUNS[source.origin][0]}", safe_text(position(source), max_length=MAX_LENGTH)),
        ("last read", safe_text(*age_and_time(services, source.read_at))),
        ("feeds", "every audience that its events name"),
    ]


def _warehouse(source: KnownSource) -> list[tuple[str, Content | str]]:
    """Where the warehouse is, and the audiences it feeds."""
    fed = named([item.name for item in source.fed], MAX_NAMES, MAX_NAME_LENGTH)
    feeds = safe_text(fed) if fed else safe_text(("no audience yet", MUTED))
    if source.query is not None:
        feeds = safe_text(source.fed[0].name, (f"  key {source.fed[0].handle}", MUTED))
    where = source.warehouse
    if where is None:
        return [("feeds", feeds)]
    from_ = "kept in the keyring" if where.password_item else "none stored"
    return [
        ("feeds", feeds),
        (
            kind_of(source) if source.query is None else "source",
            safe_text(
                where.url if source.query is None else where.name,
                max_length=MAX_LENGTH,
            ),
        ),
        *([("password", from_)] if source.query is None else []),
    ]


def _refresh(services: Services, known: SourceFacts) -> list[tuple[str, Content | str]]:
    """When the members were last listed, and the outcome."""
    source = known.source
    last = source.query.last if source.query is not None else None
    if last is None:
        age = services.age_of(source.read_at) if source.read_at else ("never", MUTED)
        return [("last refresh", safe_text(age))]
    took = f"{plural(last.rows, 'row')} in {lasting(last.seconds)}"
    when = safe_text(*age_and_time(services, last.at), f"  {took}")
    rows: list[tuple[str, Content | str]] = [("last refresh", when)]
    said = [logged_words(entry) for entry in known.entries]
    if said:
        rows.append(("", safe_text((said[0], MUTED), max_length=MAX_LENGTH)))
    for entry, text in zip(known.entries[1:], said[1:], strict=True):
        before = safe_text((f"{services.age_of(entry.at)}  {text}", MUTED), max_length=MAX_LENGTH)
        rows.append(("before" if entry is known.entries[1] else "", before))
    if where := position(source):
        rows.append(("position", where))
    return rows


def _sql(sql: str) -> Content:
    return safe_lines(sql.splitlines()[:MAX_SQL_LINES], MAX_LENGTH)
