"""The rows of the list of sources, and the current state of a source."""

from typing import NamedTuple

from amp_console.console.context import Services
from amp_console.console.jobs.refresh import RefreshJob
from amp_console.console.jobs.under_way import under_way
from amp_console.console.texts import MUTED, Part
from amp_console.console.widgets.grid import Cell, Column, Row, shortened_path
from amp_console.console.words import aged, lasting
from amp_console.sync.sources.known import KnownSource, Origin, SourceState
from amp_console.text import local_time, plural

COLUMNS = (
    Column("Source", 20, flex=3),
    Column("Kind", 13),
    Column("State", 9, narrows=1),
    Column("Read", 12, right=True),
    Column("Last read", 11),
    Column("Position", 16, flex=2, rank=2, hides=True),
    Column("Last error", 20, flex=3, rank=1, hides=True),
)
EMPTY = """\
No source yet.

To create an audience from a query, press A and add its warehouse:
PostgreSQL, DuckDB, SQLite, Snowflake, BigQuery or any with an ADBC driver.

Buckets appear once you have imported from them (i under Audiences), and
files once a live session has followed them (press 4 for Live, then n).

To see the audiences that Segment itself lists, connect its space in a shell:
  amp-console segment connect --space ID"""
NOUNS = {
    Origin.WAREHOUSE: ("row", "rows"),
    Origin.QUERY: ("row", "rows"),
    Origin.BUCKET: ("object", "objects"),
    Origin.FILES: ("file", "files"),
    Origin.SEGMENT: ("in Segment", "in Segment"),
    Origin.UNREAD: ("event", "events"),
}
_ENGINES = {
    "postgresql": "PostgreSQL",
    "postgres": "PostgreSQL",
    "duckdb": "DuckDB",
    "sqlite": "SQLite",
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "adbc": "ADBC",
}


class SourceNow(NamedTuple):
    """The current state of a source in a word or two, with its tone and its error."""

    label: str
    tone: str
    error: str = ""


def kind_of(source: KnownSource) -> str:
    """The kind of a source, in a word."""
    if source.origin is Origin.WAREHOUSE and source.warehouse is not None:
        scheme = source.warehouse.url.partition(":")[0]
        return _ENGINES.get(scheme, scheme)
    return str(source.origin)


def refresh_of(services: Services, source: KnownSource) -> RefreshJob | None:
    """The last refresh of an audience's query in this console."""
    job = services.jobs.refreshing
    is_own = job is not None and source.query is not None
    return job if is_own and job and job.audience.id == source.fed[0].id else None


def source_now(services: Services, source: KnownSource) -> SourceNow:
    """The state of a source, as the console knows it now."""
    glyphs = services.glyphs
    job = refresh_of(services, source)
    if (running := under_way(job)) is not None:
        verb = "cancelling" if running.is_ending else "refreshing"
        return SourceNow(f"{glyphs.live} {verb}", "accent")
    if job is not None and job.asks is not None:
        return SourceNow(f"{glyphs.half} to confirm", "warn")
    if source.origin is Origin.SEGMENT and services.segment.is_asking:
        return SourceNow(f"{glyphs.live} asking", "accent")
    live = under_way(services.jobs.live)
    if live is not None and live.snapshot is not None:
        followed = [item for item in live.snapshot.sources if source.covers(item.name)]
        trouble = next((item.trouble for item in followed if item.trouble), "")
        if trouble:
            return SourceNow(f"{glyphs.cross} trouble", "bad", trouble)
        if followed:
            return SourceNow(f"{glyphs.live} live", "accent")
    sign, tone = {
        SourceState.OK: (glyphs.circle, "good"),
        SourceState.TROUBLE: (glyphs.cross, "bad"),
        SourceState.INCOMPLETE: (glyphs.triangle, "warn"),
        SourceState.NOT_CONFIRMED: (glyphs.half, "warn"),
        SourceState.CANCELLED: (glyphs.ring, "warn"),
        SourceState.NEVER: (glyphs.dotted, "dim"),
    }[source.state]
    return SourceNow(f"{sign} {source.state}", tone, source.error)


def position(source: KnownSource) -> str:
    """Where reading stopped: the last object or file, or the time of the last change."""
    if source.totals is not None:
        return source.totals.newest
    cursor = source.query.cursor if source.query is not None else None
    return "" if cursor is None else f"changes until {local_time(cursor)}"


def age_and_time(services: Services, moment: int | None) -> tuple[Part, Part]:
    """How long ago a moment was, and then when it was."""
    return services.age_of(moment), (f"  {local_time(moment)}", MUTED)


def row(services: Services, source: KnownSource) -> Row:
    """One source in the list; the queries of a warehouse are indented."""
    now, job = source_now(services, source), refresh_of(services, source)
    indent = "  " if source.origin is Origin.QUERY and source.warehouse is not None else ""
    read = source.read
    last = aged(source.read_at, services.clock.age_now, services.glyphs)
    if (running := under_way(job)) is not None:
        read, last = running.rows, Cell(lasting(running.elapsed), "accent")
    newest = position(source).rpartition("/")[2]
    return Row(
        source.key,
        (
            Cell(
                f"{indent}{source.name}",
                shorten=shortened_path if source.origin is Origin.FILES else None,
            ),
            Cell(kind_of(source), "dim"),
            Cell(now.label, now.tone),
            Cell(plural(read, *NOUNS[source.origin]) if read or source.read_at else ""),
            last,
            Cell(newest, shorten=shortened_path),
            Cell(now.error, "bad" if now.tone == "bad" else now.tone),
        ),
        (source.name, kind_of(source), now.label, read, -(source.read_at or 0), newest, now.error),
    )
