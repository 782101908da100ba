"""What the live view shows: the session in a few lines, its audiences, sources, last changes."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePath

from textual.content import Content

from amp_console.console.glyphs import Glyphs, sparkline
from amp_console.console.jobs.live import LiveJob
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, Part, lines, safe_text
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import at, byte_size, clock, lasting, stopwatch
from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.ledger.runs import Run, RunAudience
from amp_console.sync.formatting import refused_words
from amp_console.sync.live.progress import (
    LiveAudience,
    LiveChange,
    LivePhase,
    LiveSnapshot,
    WaitReason,
    pending_by_audience,
)
from amp_console.sync.queries.status import AudienceSummary, Status
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.text import plural

SHOWN_MINUTES = 15  # of entering and leaving, in a line
RATED = 10  # snapshots over which the events of a second are counted
AUDIENCES = (
    Column("Audience", 14, flex=2),
    Column("Queue", 5, right=True),
    Column("Lag", 5, right=True),
    Column("Added", 5, right=True, rank=1),
    Column("Removed", 7, right=True, rank=2),
    Column("Rejected", 8, right=True, rank=3),
    Column("Requests", 8, right=True, rank=6),
    Column("Moves, 15 min", SHOWN_MINUTES, rank=5),
    Column("", 22, flex=1),
)
READY = (
    Column("Audience", 18, flex=2),
    Column("Pending", 8, right=True),
    Column("In a session", 22, flex=2),
)
OTHERS = (
    Column("Run", 5, right=True),
    Column("Audience", 18, flex=2),
    Column("Pending", 8, right=True),
    Column("Added", 8, right=True, rank=1),
    Column("Removed", 8, right=True, rank=2),
    Column("Rejected", 8, right=True, rank=3),
    Column("Requests", 8, right=True, rank=4),
    Column("", 22, flex=1),
)
SOURCES = (
    Column("Source", 18, flex=1),
    Column("Read", 9, right=True),
    Column("Size", 9, right=True, rank=4),
    Column("Events", 9, right=True, rank=3),
    Column("/s", 7, right=True, rank=2),
    Column("Last event", 10, right=True, rank=1),
    Column("", 12, flex=2),
)
CHANGES = (
    Column("Time", 8),
    Column("", 1),
    Column("Person", 12, flex=1),
    Column("Audience", 12, flex=1),
)

OWN_CHANGES = (Column("Time", 8), Column("", 1), Column("Person", 12, flex=1))


def headline(work: LiveJob, glyphs: Glyphs) -> Content:
    """The session in a sign, a word and a few numbers."""
    now = work.snapshot
    sign, word, style = _state(work, glyphs)
    parts: list[Part] = [(f"{sign} {word}", f"{STRONG} {style}")]
    if now is not None:
        parts.append(f"  {plural(now.tally.read, 'event')} read in {stopwatch(now.elapsed)}")
        if now.is_over:
            left = now.queue + now.waiting
            parts += [(f", {plural(left, 'user')} pending", WARN)] if left else []
        if now.tally.invalid:
            parts.append((f", {now.tally.invalid:,} invalid", BAD))
    rows = [safe_text(*parts)]
    if now is not None and now.is_over and (left_of := pending_by_audience(now.audiences)):
        rows.append(safe_text(("pending: ", MUTED), (", ".join(left_of), WARN)))
    refused = work.report.keys_refused if work.report else None
    if work.failure or refused:
        rows.append(safe_text((work.failure or refused or "", BAD)))
    elif now is not None:
        rows.append(_numbers(now, glyphs))
        if now.refused:
            rows.append(refused_row(now.refused))
        rows.append(_lines(work.history, glyphs))
    return lines(*rows)


def _state(work: LiveJob, glyphs: Glyphs) -> tuple[str, str, str]:
    if work.failure:
        return glyphs.bad, "failed", BAD
    if work.is_over:
        return glyphs.ring, "ended", MUTED
    if work.is_ending:
        return glyphs.live, "ending: delivering pending changes", WARN
    if work.is_paused:
        return glyphs.half, "paused: events are read, nothing is sent", WARN
    return glyphs.live, "live" if work.snapshot else "starting", ACCENT


def _numbers(now: LiveSnapshot, glyphs: Glyphs) -> Content:
    dot = f" {glyphs.dot} "
    counts = now.counts
    return safe_text(
        *([] if now.is_over else _behind(now, dot)),
        ("added ", MUTED),
        (f"{counts.added:,}", GOOD),
        (f"{dot}removed ", MUTED),
        (f"{counts.removed:,}", WARN),
        (f"{dot}rejected ", MUTED),
        (f"{counts.rejected:,}", BAD if counts.rejected else MUTED),
        (f"{dot}requests ", MUTED),
        f"{counts.requests:,}",
    )


def _behind(now: LiveSnapshot, dot: str) -> list[Part]:
    """How far the cohorts are behind; what waits for the operator does not count as lag."""
    has_delivered = now.counts.added + now.counts.removed > 0
    within: list[Part] = []
    if has_delivered:
        within = [(f"{dot}95% within ", MUTED), lasting(now.lag_95)]
    waiting: list[Part] = [(f" + {now.waiting:,} waiting", WARN)] if now.waiting else []
    return [
        ("lag ", MUTED),
        (lasting(now.lag), STRONG),
        (" now", MUTED),
        *within,
        (f"{dot}queue ", MUTED),
        f"{now.queue:,}",
        *waiting,
        (dot, MUTED),
    ]


def refused_row(refused: Sequence[RefusedRequests]) -> Content:
    """How many requests a receiver refused, and how the last one was answered."""
    last = refused[0]
    return safe_text(
        ("requests: ", MUTED),
        (refused_words(refused), BAD),
        (f"; the last one at {clock(last.last_at)} ({last.status}): ", MUTED),
        last.words,
    )


def _lines(history: Sequence[LiveSnapshot], glyphs: Glyphs) -> Content:
    """What came and what went out, second by second."""

    def rises(value: Callable[[LiveSnapshot], int]) -> list[int]:
        return [max(0, value(late) - value(early)) for early, late in pairwise(history)]

    read = rises(lambda item: item.tally.read)
    sent = rises(lambda item: item.counts.added + item.counts.removed)
    if not read:
        return safe_text("")
    return lines(
        safe_text(("read      ", MUTED), (sparkline(glyphs, read), ACCENT)),
        safe_text(("delivered ", MUTED), (sparkline(glyphs, sent), GOOD)),
    )


def audience_row(audience: LiveAudience, glyphs: Glyphs) -> Row:
    """One audience of the session."""
    counts = audience.counts
    is_late = audience.queue > 0 and audience.phase in {LivePhase.LIVE, LivePhase.DELAYED}
    moved = [entered + left for entered, left in zip(audience.entered, audience.left, strict=True)]
    return Row(
        audience.audience_id,
        (
            Cell(audience.name),
            Cell(f"{audience.queue:,}" if audience.queue else ""),
            Cell(lasting(audience.lag) if is_late else ""),
            Cell(f"{counts.added:,}" if counts.added else ""),
            Cell(f"{counts.removed:,}" if counts.removed else ""),
            Cell(f"{counts.rejected:,}" if counts.rejected else "", "bad"),
            Cell(f"{counts.requests:,}" if counts.requests else ""),
            Cell(sparkline(glyphs, moved[-SHOWN_MINUTES:]) if any(moved) else "", "dim"),
            _phase(audience, glyphs),
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


_WAITS = {
    Status.OFF: WaitReason.OFF,
    Status.BROKEN: WaitReason.BROKEN,
    Status.NOT_LINKED: WaitReason.NO_COHORT,
}


def ready_row(summary: AudienceSummary, glyphs: Glyphs) -> Row:
    """One audience before a session: what is pending, and whether it would go live."""
    known, pending = summary.audience, summary.left.pending
    waits_for = _WAITS.get(summary.status)
    state = (
        Cell(f"will wait: {waits_for}", "warn")
        if waits_for
        else Cell(f"{glyphs.live} will be live", "accent")
    )
    return Row(
        known.id,
        (Cell(known.name), Cell(f"{pending:,}" if pending else ""), state),
        (known.name, pending, state.text),
    )


DEMO = "Simulated events keep arriving all the same: the demo imports them by itself."


def sent_first(audiences: Sequence[AudienceSummary] | None, *, create: bool = False) -> str:
    """What a session sends as soon as it begins; `audiences` is None where they were not read.

    With `create` it also sends what waits for a cohort.
    """
    if audiences is None:
        return "Pending changes are sent first."
    waits = {*_WAITS} - ({Status.NOT_LINKED} if create else set())
    pending = [item.left.pending for item in audiences if item.status not in waits]
    if not any(pending):
        return "Nothing is pending now, so nothing is sent first."
    many = plural(sum(map(bool, pending)), "audience")
    return f"Sends {plural(sum(pending), 'pending change')} of {many} first."


def before(
    audiences: Sequence[AudienceSummary], folders: Sequence[str], *, has_traffic: bool
) -> Content:
    """Say how to begin a session, what it sends first, and which folder was followed before.

    `has_traffic`: a demo imports events without one.
    """
    how = [
        safe_text("No live session.", (f" {DEMO}" if has_traffic else "", MUTED)),
        safe_text(
            ("n", STRONG),
            " follows a folder or a growing file, ",
            ("l", STRONG),
            " receives Segment's webhooks; a session can do both. ",
            ("N", STRONG),
            " and ",
            ("L", STRONG),
            " also create the cohorts that audiences lack.",
        ),
    ]
    if any(item.left.pending for item in audiences):
        how.append(safe_text(sent_first(audiences)))
    how.append(
        safe_text(("For long sessions run amp-console watch or listen. They show here.", MUTED))
    )
    if folders:
        how.append(safe_text(("Followed before: ", MUTED), folders[0]))
    return lines(*how)


def _phase(audience: LiveAudience, glyphs: Glyphs) -> Cell:
    if audience.waits_for == WaitReason.BROKEN:
        return Cell(f"waiting: {audience.waits_for}", "warn")
    if audience.state:
        return Cell(audience.state, "warn")
    if audience.phase is LivePhase.ENDED:
        return Cell(str(audience.phase), "dim")
    return Cell(f"{glyphs.live} {LivePhase.LIVE}", "accent")


def closer(audience: LiveAudience, glyphs: Glyphs) -> Content:
    """One audience: how far behind it is and why, what was done, and who moved lately."""
    rows = [safe_text((audience.state, WARN))] if audience.state else []
    counts, gap = audience.counts, "   "
    rows.append(
        safe_text(
            ("queue ", MUTED),
            f"{audience.queue:,}",
            (f"{gap}lag ", MUTED),
            lasting(audience.lag) if audience.queue and not audience.waits else "none",
            (f"{gap}added ", MUTED),
            f"{counts.added:,}",
            (f"{gap}removed ", MUTED),
            f"{counts.removed:,}",
            (f"{gap}rejected ", MUTED),
            (f"{counts.rejected:,}", BAD if counts.rejected else ""),
        )
    )
    if audience.entered:
        (before, now), (before_left, now_left) = audience.entered[-2:], audience.left[-2:]
        rows += [
            safe_text(*_moved("this minute", now, now_left)),
            safe_text(*_moved("previous minute", before, before_left)),
            safe_text(*_moved("read in 30 min", sum(audience.entered), sum(audience.left))),
            safe_text(("entered ", MUTED), (sparkline(glyphs, audience.entered), GOOD)),
            safe_text(("left    ", MUTED), (sparkline(glyphs, audience.left), WARN)),
        ]
    return lines(*rows)


def other_closer(audience: RunAudience) -> Content:
    """One audience of another process's session, as far as the ledger knows it."""
    pending = "not known" if audience.pending is None else f"{audience.pending:,}"
    counts = audience.counts
    said = safe_text(
        ("pending ", MUTED),
        pending,
        ("   added ", MUTED),
        f"{counts.added:,}",
        ("   removed ", MUTED),
        f"{counts.removed:,}",
        ("   rejected ", MUTED),
        (f"{counts.rejected:,}", BAD if counts.rejected else ""),
    )
    return lines(safe_text((counts.note, WARN)), said) if counts.note else said


def _moved(when: str, entered: int, left: int) -> list[Part]:
    return [
        (f"{when} ", MUTED),
        (f"{entered:,} entered", GOOD if entered else MUTED),
        (", ", MUTED),
        (f"{left:,} left", WARN if left else MUTED),
    ]


def source_rows(history: Sequence[LiveSnapshot], clock: float, glyphs: Glyphs) -> list[Row]:
    """Where events come from; ages are counted from `clock`, on the clock of the snapshots."""
    if not history:
        return []
    now, early = history[-1], history[max(0, len(history) - 1 - RATED)]
    before = {source.name: source.events for source in early.sources}
    seconds = now.elapsed - early.elapsed
    return [
        _source_row(
            source,
            (source.events - before.get(source.name, 0)) / seconds if seconds else 0.0,
            clock - source.last if source.last is not None else None,
            glyphs,
        )
        for source in now.sources
    ]


def trouble(source: SourceStatus, glyphs: Glyphs) -> Content:
    """What is wrong with a source, as it was said, with its name."""
    return safe_text((f"{glyphs.bad} {PurePath(source.name).name}: ", MUTED), (source.trouble, BAD))


def _source_row(source: SourceStatus, rate: float, since: float | None, glyphs: Glyphs) -> Row:
    """One source; of a file the name first, which says most."""
    is_address = source.size is None
    path = PurePath(source.name)
    where = Cell("webhooks", "dim") if is_address else Cell(str(path.parent), "dim", is_path=True)
    read = "" if source.position is None else byte_size(source.position)
    last = glyphs.dash if since is None else "now" if since < 1 else f"{lasting(since)} ago"
    return Row(
        source.name,
        (
            Cell(source.name.removeprefix("http://").strip("/") if is_address else path.name),
            Cell(read),
            Cell("" if source.size is None else byte_size(source.size)),
            Cell(f"{source.events:,}" if source.events else ""),
            Cell(f"{rate:,.0f}" if rate >= 1 else f"{rate:.1f}" if rate else ""),
            Cell(last),
            Cell(source.trouble, "bad") if source.trouble else where,
        ),
        (source.name, source.position, source.size, source.events, rate, since, source.trouble),
    )


def change_row(number: int, change: LiveChange, glyphs: Glyphs) -> Row:
    """One person who entered or left."""
    sign = Cell("+", "good") if change.is_member else Cell(glyphs.minus, "warn")
    return Row(
        number, (Cell(clock(change.at), "dim"), sign, Cell(change.id), Cell(change.audience, "dim"))
    )


def own_change_row(number: int, change: LiveChange, glyphs: Glyphs) -> Row:
    """One person who entered or left, where the audience is known."""
    row = change_row(number, change, glyphs)
    return Row(number, row.cells[:-1])


HOW_TO_END = safe_text(("To end this session, end its process. w opens its requests.", MUTED))


def other_line(run: Run, glyphs: Glyphs) -> Content:
    """The session of another process, as far as the ledger knows it."""
    parts: list[Part] = [
        (f"{glyphs.live} live in another amp-console", f"{STRONG} {ACCENT}"),
        (f" ({run.holder}), run {run.id}, since {at(run.started_at)}: ", MUTED),
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
            Cell(f"{pending:,}" if pending else ""),
            Cell(f"{counts.added:,}" if counts.added else ""),
            Cell(f"{counts.removed:,}" if counts.removed else ""),
            Cell(f"{counts.rejected:,}" if counts.rejected else "", "bad"),
            Cell(f"{counts.requests:,}" if counts.requests else ""),
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
