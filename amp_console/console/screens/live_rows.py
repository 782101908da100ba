"""What the live view shows: the session in two lines, its audiences, and its sources."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePath

from textual.content import Content

from amp_console.console.importing import size
from amp_console.console.live_work import LiveWork
from amp_console.console.look import Look, sparkline
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, Part, lines, said
from amp_console.console.widgets.grid_layout import Column
from amp_console.console.widgets.grid_rows import Cell, Row
from amp_console.console.words import lasting, stopwatch
from amp_console.sync.live_progress import LiveAudience, LiveSnapshot
from amp_console.sync.standing import Status
from amp_console.sync.watching import WatchedFile
from amp_console.sync.words import plural

AUDIENCES = (
    Column("Audience", 20, flex=1),
    Column("Queue", 8, right=True),
    Column("Lag", 9, right=True),
    Column("Added", 9, right=True, rank=1),
    Column("Removed", 9, right=True, rank=2),
    Column("Rejected", 8, right=True, rank=4),
    Column("Requests", 8, right=True, rank=3),
    Column("", 20, flex=3),
)
SOURCES = (
    Column("Source", 24, flex=1),
    Column("Read", 10, right=True),
    Column("Size", 10, right=True, rank=1),
    Column("", 20, flex=1, rank=2),
)


def headline(work: LiveWork, look: Look) -> Content:
    """How the session stands, in a sign, a word and a few numbers."""
    now = work.snapshot
    sign, word, style = _state(work, look)
    parts: list[Part] = [(f"{sign} {word}", f"{STRONG} {style}")]
    if now is not None:
        parts.append(f"  {plural(now.tally.read, 'event')} read in {stopwatch(now.elapsed)}")
        if now.tally.invalid:
            parts.append((f", {now.tally.invalid:,} invalid", BAD))
    rows = [said(*parts)]
    refused = work.report.keys_refused if work.report else None
    if work.failure or refused:
        rows.append(said((work.failure or refused or "", BAD)))
    elif now is not None:
        rows.append(_numbers(now, look))
        rows.append(_lines(work.history, look))
    return lines(*rows)


def _state(work: LiveWork, look: Look) -> tuple[str, str, str]:
    if work.failure:
        return look.bad, "failed", BAD
    if work.is_over:
        return look.signs[Status.OFF], "ended", MUTED
    if work.is_ending:
        return look.live, "ending: what is pending is delivered first", WARN
    if work.is_paused:
        return look.signs[Status.PENDING], "paused: events are taken in, nothing is sent", WARN
    return look.live, "live" if work.snapshot else "starting", ACCENT


def _numbers(now: LiveSnapshot, look: Look) -> Content:
    dot = f" {look.dot} "
    counts = now.counts
    return said(
        ("lag ", MUTED),
        (lasting(now.lag), STRONG),
        (" now, ", MUTED),
        lasting(now.lag_95),
        (f" for 95%{dot}queue ", MUTED),
        f"{now.queue:,}",
        (f"{dot}added ", MUTED),
        (f"{counts.added:,}", GOOD),
        (f"{dot}removed ", MUTED),
        (f"{counts.removed:,}", WARN),
        (f"{dot}rejected ", MUTED),
        (f"{counts.rejected:,}", BAD if counts.rejected else MUTED),
        (f"{dot}requests ", MUTED),
        f"{counts.requests:,}",
    )


def _lines(history: Sequence[LiveSnapshot], look: Look) -> Content:
    """What came and what went out, second by second."""

    def rises(of: Callable[[LiveSnapshot], int]) -> list[int]:
        return [max(0, of(late) - of(early)) for early, late in pairwise(history)]

    read = rises(lambda each: each.tally.read)
    sent = rises(lambda each: each.counts.added + each.counts.removed)
    if not read:
        return said("")
    return lines(
        said(("read      ", MUTED), (sparkline(look, read), ACCENT)),
        said(("delivered ", MUTED), (sparkline(look, sent), GOOD)),
    )


def audience_row(of: LiveAudience, look: Look) -> Row:
    """One audience as it follows."""
    counts = of.counts
    state = Cell(of.state, "warn") if of.state else Cell(f"{look.live} follows", "accent")
    return Row(
        of.audience_id,
        (
            Cell(of.name),
            Cell(f"{of.queue:,}" if of.queue else ""),
            Cell(lasting(of.lag) if of.queue else ""),
            Cell(f"{counts.added:,}" if counts.added else ""),
            Cell(f"{counts.removed:,}" if counts.removed else ""),
            Cell(f"{counts.rejected:,}" if counts.rejected else "", "bad"),
            Cell(f"{counts.requests:,}" if counts.requests else ""),
            state,
        ),
        (of.name, of.queue, of.lag, counts.added, counts.removed, counts.rejected, counts.requests),
    )


def source_row(of: WatchedFile) -> Row:
    """One file that is followed; its name first, which says most."""
    path = PurePath(of.path)
    trouble = Cell(of.trouble, "bad") if of.trouble else Cell(str(path.parent), "dim")
    return Row(of.path, (Cell(path.name), Cell(size(of.position)), Cell(size(of.size)), trouble))
