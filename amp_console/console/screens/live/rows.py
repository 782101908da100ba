"""The rows of the live view's lists: audiences, sources, last changes."""

from collections.abc import Sequence
from pathlib import PurePath

from textual.content import Content

from amp_console.console.glyphs import Glyphs, sparkline
from amp_console.console.screens.live.headline import has_trouble, shared_folder, since
from amp_console.console.texts import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    STRONG,
    WARN,
    Part,
    flow,
    lines,
    safe_text,
)
from amp_console.console.widgets.grid import Cell, Column, Row, shortened_path
from amp_console.console.words import at, byte_size, clock, lasting
from amp_console.ledger.event_log import by_whom
from amp_console.ledger.outcomes import GOES_LIVE, PAUSED, WAITING, at_the_end
from amp_console.ledger.runs import Run, RunAudience
from amp_console.sync.formatting import refused_words
from amp_console.sync.live.backlog import MINUTES
from amp_console.sync.live.progress import (
    LiveAudience,
    LiveChange,
    LivePhase,
    LiveSnapshot,
    WaitReason,
)
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.text import blank_if_zero, plural

AFTER_A_RUN = "waiting for a run"
"""The status of an audience that another run delivers; the detail names the run."""
SHOWN_MINUTES = 15  # in the sparkline of entering and leaving
SLOWEST = 0.05  # events per second; fewer are shown as 0.0
RATED = 10  # snapshots over which events per second are averaged
AUDIENCES = (
    Column("Audience", 14, flex=2),
    Column("Pending", 7, right=True),
    Column("Lag", 5, right=True),
    Column("Added", 5, right=True, rank=1),
    Column("Removed", 7, right=True, rank=1),
    Column("Rejected", 8, right=True, rank=3),
    Column("Requests", 8, right=True, rank=6),
    Column("Events, 15 min", SHOWN_MINUTES, rank=5),
    Column("Status", 22, flex=1),
)
OTHERS = (
    Column("Run", 5, right=True),
    Column("Audience", 18, flex=2),
    Column("Pending", 8, right=True),
    Column("Added", 8, right=True, rank=1),
    Column("Removed", 8, right=True, rank=2),
    Column("Rejected", 8, right=True, rank=3),
    Column("Requests", 8, right=True, rank=4),
    Column("Status", 22, flex=1),
)
SOURCES = (
    Column("File or address", 18, flex=1),
    Column("Bytes read", 10, right=True),
    Column("Size", 9, right=True, rank=4),
    Column("Events", 9, right=True, rank=3),
    Column("/s", 8, right=True, rank=2),
    Column("Last read", 10, right=True, rank=1),
    Column("Notes", 14, flex=2, hides=True),
)
CHANGES = (
    Column("Time", 8),
    Column("", 1),
    Column("Person", 12, flex=1),
    Column("Audience", 8, flex=1),
)

OWN_CHANGES = (Column("Time", 8), Column("", 1), Column("Person", 12, flex=1))


def audience_row(audience: LiveAudience, glyphs: Glyphs, *, is_over: bool = False) -> Row:
    """One audience of the session; `is_over`: as of the session's end."""
    counts = audience.counts
    is_late = audience.queue > 0 and audience.phase in {LivePhase.LIVE, LivePhase.DELAYED}
    moved = [entered + left for entered, left in zip(audience.entered, audience.left, strict=True)]
    return Row(
        audience.audience_id,
        (
            Cell(audience.name),
            Cell(blank_if_zero(audience.queue)),
            Cell(lasting(audience.lag) if is_late else ""),
            Cell(blank_if_zero(counts.added)),
            Cell(blank_if_zero(counts.removed)),
            Cell(blank_if_zero(counts.rejected), "bad"),
            Cell(blank_if_zero(counts.requests)),
            Cell(sparkline(glyphs, moved[-SHOWN_MINUTES:]) if any(moved) else "", "dim"),
            _phase(audience, glyphs, is_over=is_over),
        ),
        (
            audience.name,
            audience.queue,
            audience.lag if is_late else 0.0,
            counts.added,
            counts.removed,
            counts.rejected,
            counts.requests,
            sum(moved),
            audience.state,
        ),
    )


def _phase(audience: LiveAudience, glyphs: Glyphs, *, is_over: bool) -> Cell:
    """What an audience is waiting for or, after a session, was waiting for."""
    said = audience.state
    if audience.waits_for == WaitReason.BROKEN:
        said = f"{WAITING}{audience.waits_for}"
    if is_over:
        said = at_the_end(said)
    elif said == PAUSED:
        said = "paused"
    elif said.endswith(GOES_LIVE):
        said = AFTER_A_RUN
    if said:
        return Cell(said, "warn")
    if audience.phase is LivePhase.ENDED:
        return Cell(str(audience.phase), "dim")
    return Cell(f"{glyphs.live} {LivePhase.LIVE}", "accent")


def problems_first(audiences: Sequence[LiveAudience]) -> list[LiveAudience]:
    """Sort a session's audiences: broken links, others that wait for an operator, then the rest.

    Failed requests do not move an audience: its row would change with every attempt.
    """

    def severity(audience: LiveAudience) -> int:
        if audience.waits_for == WaitReason.BROKEN:
            return 0
        return 1 if audience.waits_for else 2

    return sorted(audiences, key=severity)


def first_live(audiences: Sequence[LiveAudience]) -> int:
    """The row of the first live audience, which has more to show; 0 if there is none."""
    sent = [not audience.waits and audience.queue > 0 for audience in problems_first(audiences)]
    return sent.index(True) if True in sent else 0


def detail_text(
    audience: LiveAudience, glyphs: Glyphs, width: int, *, is_over: bool = False
) -> Content:
    """One audience: its lag with the reason, what this session did, and what it read.

    `is_over`: the session has ended, so none of this is about the present.
    """
    rows = [safe_text(("At the end of the session:", MUTED))] if is_over else []
    said = at_the_end(audience.state) if is_over else _waiting(audience)
    rows += [safe_text((said, WARN))] if said else []
    counts = audience.counts
    lag = lasting(audience.lag) if audience.queue else "none"
    figures = (
        ("pending", f"{audience.queue:,}", WARN if audience.waits else ""),
        *(() if is_over or audience.waits else (("lag", lag, ""),)),
        ("added", f"{counts.added:,}", ""),
        ("removed", f"{counts.removed:,}", ""),
        ("rejected", f"{counts.rejected:,}", BAD if counts.rejected else ""),
    )
    rows.append(_figures(figures, width))
    if audience.entered:
        most = max(1, width - 8)  # columns after "entered "
        minutes = [*zip(audience.entered, audience.left, strict=True)]
        total = sum(audience.entered), sum(audience.left)
        period = f" in {MINUTES} min" if len(minutes) >= MINUTES else ""
        rows.append(_read(f"events read{period}:", total, glyphs, width))
        if len(minutes) > 1 and not is_over:
            rows.append(_read("this minute:", minutes[-1], glyphs, width))
            rows.append(_read("previous minute:", minutes[-2], glyphs, width))
        rows += (
            [
                safe_text(("entered ", MUTED), (sparkline(glyphs, audience.entered[-most:]), GOOD)),
                safe_text(("left    ", MUTED), (sparkline(glyphs, audience.left[-most:]), WARN)),
            ]
            if len(minutes) > 1
            else []
        )
    return lines(*rows)


def _waiting(audience: LiveAudience) -> str:
    """Why an audience's changes are not delivered, and what to press."""
    if not audience.would_remove:
        return audience.state
    return f"{audience.state}. Press s to confirm that it removes {audience.would_remove}."


def other_detail_text(audience: RunAudience, width: int) -> Content:
    """One audience of another process's session, as far as the ledger shows it."""
    counts, pending = audience.counts, audience.pending
    figures = (
        ("pending", "not known" if pending is None else f"{pending:,}", ""),
        ("added", f"{counts.added:,}", ""),
        ("removed", f"{counts.removed:,}", ""),
        ("rejected", f"{counts.rejected:,}", BAD if counts.rejected else ""),
    )
    said = _figures(figures, width)
    return lines(safe_text((counts.note, WARN)), said) if counts.note else said


def _figures(figures: Sequence[tuple[str, str, str]], width: int) -> Content:
    """Labels with numbers and their styles; a label stays with its number."""
    named = [safe_text((f"{name} ", MUTED), (value, style)) for name, value, style in figures]
    return flow(named, safe_text("   "), width)


def _read(when: str, moved: tuple[int, int], glyphs: Glyphs, width: int) -> Content:
    """How many events read in a period say that someone entered (+) or left (−), on one line.

    The words are quoted, since many events repeat what the ledger knows. Without room for them,
    only the signs are shown: a second line might be out of view.
    """
    entered, left = moved
    words = [f"{entered:,} “entered”", f"{left:,} “left”"]
    is_whole = len(when) + sum(len(f" {word}") for word in words) <= width
    said = words if is_whole else [f"+{entered:,}", f"{glyphs.minus}{left:,}"]
    parts = [
        safe_text((text, style if count else MUTED))
        for text, style, count in zip(said, (GOOD, WARN), moved, strict=True)
    ]
    return flow([safe_text((when, MUTED)), *parts], safe_text(" "), width)


def source_rows(history: Sequence[LiveSnapshot], clock: float, glyphs: Glyphs) -> list[Row]:
    """The sources; ages are relative to `clock`, on the snapshots' clock.

    A folder that all share is left out of the rows.
    """
    if not history:
        return []
    now, early = history[-1], history[max(0, len(history) - 1 - RATED)]
    before = {source.name: source.events for source in early.sources}
    seconds = 0.0 if now.is_over else now.elapsed - early.elapsed
    is_shared = bool(shared_folder(now.sources))
    return [
        _source_row(
            source,
            (source.events - before.get(source.name, 0)) / seconds if seconds else 0.0,
            clock - source.last if source.last is not None else None,
            glyphs,
            shows_trouble=has_trouble(source, now),
            is_shared=is_shared,
        )
        for source in now.sources
    ]


def _source_row(
    source: SourceStatus,
    rate: float,
    ago: float | None,
    glyphs: Glyphs,
    *,
    shows_trouble: bool,
    is_shared: bool,
) -> Row:
    """One source; a file's name comes first. `is_shared`: its folder is shown elsewhere."""
    is_address = source.size is None
    path = PurePath(source.name)
    kind = "webhooks" if source.name.startswith("http") else "bucket"
    folder = "" if is_shared else str(path.parent)
    where = Cell(kind, "dim") if is_address else Cell(folder, "dim", shorten=shortened_path)
    if source.is_known:
        where = Cell(f"nothing new in {folder}" if folder else "nothing new", "dim")
    read = "" if source.position is None else byte_size(source.position)
    last = glyphs.dash if ago is None else since(ago)
    tone = "warn" if source.is_awaited else "bad"
    return Row(
        source.name,
        (
            Cell(source.name.removeprefix("http://").strip("/") if is_address else path.name),
            Cell(read),
            Cell("" if source.size is None else byte_size(source.size)),
            Cell(blank_if_zero(source.events)),
            Cell(f"{rate:,.1f}" if rate >= SLOWEST else ""),
            Cell(last),
            Cell(source.trouble, tone) if shows_trouble else where,
        ),
        (source.name, source.position, source.size, source.events, rate, ago, source.trouble),
    )


def change_row(change: LiveChange, glyphs: Glyphs) -> Row:
    """One person who entered or left."""
    sign = Cell("+", "good") if change.is_member else Cell(glyphs.minus, "warn")
    return Row(
        change.number,
        (Cell(clock(change.at), "dim"), sign, Cell(change.id), Cell(change.audience, "dim")),
    )


def own_change_row(change: LiveChange, glyphs: Glyphs) -> Row:
    """One person who entered or left, without the audience."""
    row = change_row(change, glyphs)
    return Row(row.key, row.cells[:-1])


HOW_TO_END = safe_text(("To end this session, end its process. w opens its requests.", MUTED))


def other_line(run: Run, glyphs: Glyphs, *, is_shared: bool) -> Content:
    """The session of another process, as far as the ledger shows it.

    If several operators share the ledger (`is_shared`), it names the operator.
    """
    who = by_whom(run.operator if is_shared else "", run.holder)
    parts: list[Part] = [
        (f"{glyphs.live} live in another amp-console", f"{STRONG} {ACCENT}"),
        (f" ({who}), run {run.id}, since {at(run.started_at)}: ", MUTED),
        f"{plural(run.tally.read, 'event')} read",
        (f", {run.tally.invalid:,} invalid" if run.tally.invalid else "", BAD),
        (f", {refused_words(run.refused)}" if run.refused else "", BAD),
    ]
    return safe_text(*parts)


def other_row(run: Run, run_audience: RunAudience, glyphs: Glyphs) -> Row:
    """One audience of another process's session, after its last delivery."""
    counts, pending = run_audience.counts, run_audience.pending
    state = Cell(counts.note, "warn") if counts.note else Cell(f"{glyphs.live} live", "accent")
    return Row(
        (run.id, run_audience.audience_id),
        (
            Cell(str(run.id), "dim"),
            Cell(run_audience.name),
            Cell(blank_if_zero(pending)),
            Cell(blank_if_zero(counts.added)),
            Cell(blank_if_zero(counts.removed)),
            Cell(blank_if_zero(counts.rejected), "bad"),
            Cell(blank_if_zero(counts.requests)),
            state,
        ),
        (
            run.id,
            run_audience.name,
            pending,
            counts.added,
            counts.removed,
            counts.rejected,
            counts.requests,
        ),
    )
