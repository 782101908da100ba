"""The rows of a run's grids: audiences with their bars, requests, and reasons of rejection."""

from textual.content import Content

from amp_console.console.glyphs import Glyphs, bar
from amp_console.console.run_view import Funnel, RunLine, RunView
from amp_console.console.run_words import request_answer, request_operation, shortened
from amp_console.console.texts import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    STRONG,
    TONE,
    WARN,
    Part,
    lines,
    said,
)
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import SECOND, clock, lasting, number, stopwatch
from amp_console.ledger.rejected import RejectionGroup
from amp_console.ledger.requests import RequestRecord

BAR, DOING = 1, 5  # which columns are the bars, and what the audiences do
AUDIENCES = (
    Column("Audience", 12, flex=2),
    Column("", 8, flex=4),
    Column("Users", 15, right=True),
    Column("Requests", 8, right=True, rank=3),
    Column("Rejected", 8, right=True, rank=2),
    Column("", 33, flex=2),
)
REQUESTS = (
    Column("Time", 8),
    Column("Operation", 9, rank=2),
    Column("Users", 8, right=True),
    Column("Audience", 10, flex=1, rank=1),
    Column("Answer", 9),
    Column("Took", 7, right=True),
)
FULL_REQUESTS = (
    Column("Time", 8),
    Column("Operation", 9),
    Column("Users", 9, right=True),
    Column("Audience", 12, flex=1),
    Column("Answer", 12),
    Column("Skipped", 7, right=True, rank=1),
    Column("Took", 9, right=True),
    Column("Amplitude said", 16, flex=3, rank=2),
)
REASONS = (Column("Reason", 12, flex=1), Column("Users", 7, right=True))
REASONS_OF_SEVERAL = (
    Column("Reason", 10, flex=2),
    Column("Audience", 8, flex=1),
    Column("Users", 6, right=True),
)
"""Where the rejected users are of several audiences: two reasons may be cut alike."""
_SHORT_FUNNEL = 90  # columns; with less room the words are shorter


def outcome(picture: RunView, glyphs: Glyphs) -> str:
    """The sign and the word for how a run ended, or what it is doing."""
    return f"{sign(picture.outcome, glyphs)} {picture.outcome}"


def sign(word: str, glyphs: Glyphs) -> str:
    """The sign that goes with an outcome's word."""
    return {
        "delivered": glyphs.circle,
        "partial": glyphs.triangle,
        "stopped": glyphs.half,
        "interrupted": glyphs.ring,
        "paused": glyphs.half,
        "failed": glyphs.bad,
    }.get(word, glyphs.live)


def audience_row(of: RunLine, glyphs: Glyphs, bar_width: int, width: int) -> Row:
    """One audience of the run, with a bar and words that are as wide as their columns."""
    total = of.done if of.total is None else of.total
    has_bar = total > 0 and of.total is not None
    shown = bar(glyphs, of.done, total, bar_width) if has_bar else ""
    of_total = "" if of.total is None else f"/{total:,}"
    return Row(
        of.audience_id,
        (
            Cell(of.name),
            Cell(shown, "good" if of.is_over and of.done >= total else "accent"),
            Cell(f"{of.done:,}{of_total}" if total else glyphs.dash),
            Cell(number(of.counts.requests, glyphs)),
            Cell(f"{of.counts.rejected:,}" if of.counts.rejected else "", "bad"),
            Cell(shortened(progress(of), width, glyphs.more), of.tone),
        ),
        (
            of.name,
            of.done / total if total else 1.0,
            total,
            of.counts.requests,
            of.counts.rejected,
            of.doing,
        ),
    )


def progress(of: RunLine) -> str:
    """How it goes: speed and time left while users move, else what the audience waits for."""
    if of.is_over or of.tone == "warn" or not of.speed or not of.left:
        return of.doing
    return f"{of.speed:,.0f}/s  ETA {stopwatch(of.left + 0.999)}"


def request_row(of: RequestRecord, glyphs: Glyphs) -> Row:
    """One request in the small log."""
    return Row(of.id, _request_cells(of, glyphs))


def full_request_row(of: RequestRecord, glyphs: Glyphs) -> Row:
    """One request in the full-size log."""
    at, operation, users, name, answer, took = _request_cells(of, glyphs)
    skipped = Cell(f"{of.skipped:,}" if of.skipped else "", "bad")
    return Row(of.id, (at, operation, users, name, answer, skipped, took, Cell(of.answer, "dim")))


def _request_cells(of: RequestRecord, glyphs: Glyphs) -> tuple[Cell, Cell, Cell, Cell, Cell, Cell]:
    took = "" if of.settled_at is None else lasting((of.settled_at - of.sent_at) / SECOND)
    return (
        Cell(clock(of.sent_at), "dim"),
        Cell(request_operation(of)),
        Cell(f"{of.size:,}"),
        Cell(of.audience_name),
        request_answer(of, glyphs),
        Cell(took, "dim"),
    )


def reason_row(of: RejectionGroup, *, of_several: bool) -> Row:
    """One reason of rejection, with how many users it met; `of_several` names the audience."""
    key = (of.audience_id, of.operation, of.code, of.reason)
    audience = (Cell(of.audience_name, "dim"),) if of_several else ()
    names = (of.audience_name,) if of_several else ()
    count = Cell(f"{of.count:,}", "bad")
    return Row(key, (Cell(of.reason), *audience, count), (of.reason, *names, of.count))


def funnel(of: Funnel, glyphs: Glyphs, width: int) -> Content:
    """Where people are, in Segment's words: the words, and the numbers below them."""
    is_short = width < _SHORT_FUNNEL
    parts = (
        ("events read", of.read, ""),
        ("filtered", of.filtered, MUTED),
        ("pending", of.pending, WARN),
        ("pending retry", of.retrying, WARN),
        ("failed" if is_short else "failed delivery", of.failed, BAD),
        ("delivered" if is_short else "successful delivery", of.delivered, GOOD),
    )
    words: list[Part] = []
    numbers: list[Part] = []
    for word, count, style in parts:
        arrow = f" {glyphs.arrow} " if numbers else ""
        gap = " " * len(arrow)
        text = number(count, glyphs)
        size = max(len(word), len(text))
        words += [gap, (f"{word:>{size}}", MUTED)]
        numbers += [(arrow, MUTED), (f"{text:>{size}}", f"{STRONG} {style}" if count else MUTED)]
    return lines(said(*words), said(*numbers))


def headline(picture: RunView, glyphs: Glyphs) -> Content:
    """The outcome in a sign and a word, then the sentences about the run."""
    style = TONE[picture.tone]
    first, *rest = picture.says or ("",)
    rows = [said((outcome(picture, glyphs), f"{STRONG} {style}"), "  ", first)]
    return lines(*rows, *(said((f"  {glyphs.arrow} ", ACCENT), item) for item in rest))
