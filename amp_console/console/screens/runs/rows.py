"""The rows of a run's grids: audiences with their bars, requests, and reasons of rejection."""

from collections.abc import Sequence

from textual.content import Content

from amp_console.console.glyphs import Glyphs
from amp_console.console.run_lines import RunLine
from amp_console.console.run_view import RunView
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
    beside,
    lines,
    safe_text,
)
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import SECOND, clock, lasting, lasting_about, number
from amp_console.ledger.rejected import RejectionGroup
from amp_console.ledger.requests import RequestRecord
from amp_console.ledger.run_log import ENDED, run_outcome
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.sync.queries.person import brief_reason
from amp_console.text import blank_if_zero

AUDIENCES = (
    Column("Audience", 12, flex=2),
    Column("", 8, flex=4),
    Column("Delivered", 15, right=True),
    Column("Requests", 8, right=True, rank=3),
    Column("Rejected", 8, right=True, rank=2),
    Column("", 33, flex=2),
)
REQUESTS = (
    Column("Time", 8),
    Column("Operation", 9, rank=1),
    Column("Users", 6, right=True),
    Column("Audience", 10, flex=1, rank=2),
    Column("Answer", 8),
    Column("Rejected", 8, right=True, hides=True),
    Column("Took", 5, right=True, rank=3),
)
FULL_REQUESTS = (
    Column("Time", 8),
    Column("Operation", 9),
    Column("Users", 9, right=True),
    Column("Audience", 12, flex=1),
    Column("Answer", 12),
    Column("Rejected", 8, right=True, rank=1),
    Column("Took", 9, right=True),
    Column("Amplitude said", 16, flex=3, rank=2),
)
LEGEND = "(n): not delivered, sent again later"
"""The meaning of a number of users in parentheses, in every list of requests."""
_AUDIENCE_AT = 3
"""The column of the audience in both logs."""
REASONS = (Column("Reason", 12, flex=1), Column("Users", 7, right=True))
REASONS_OF_SEVERAL = (
    Column("Reason", 10, flex=2),
    Column("Audience", 8, flex=1),
    Column("Users", 6, right=True),
)
"""For rejected users of several audiences: two reasons may look alike when cut."""
_SHORT_FUNNEL = 110  # columns; with fewer, the words are shorter
_READ = {
    RunKind.SYNC: "read for all audiences since the last sync",
    RunKind.LIVE: "read by this session",
}
"""Which events a run counts: a sync delivers what was read before it, a session reads itself."""


def outcome(view: RunView, glyphs: Glyphs) -> str:
    """The sign and the word for a run's outcome or current activity."""
    word = view.outcome
    if word in set(RunStatus):
        word = run_outcome(view.kind, RunStatus(word))
    return f"{sign(view.outcome, word, glyphs)} {word}"


def sign(status: str, word: str, glyphs: Glyphs) -> str:
    """The sign for a run's outcome; `word` is the outcome shown."""
    if word == ENDED:  # also under Live
        return glyphs.ring
    return {
        "delivered": glyphs.circle,
        "partial": glyphs.triangle,
        "stopped": glyphs.half,
        "interrupted": glyphs.ring,
        "paused": glyphs.half,
        "failed": glyphs.bad,
    }.get(status, glyphs.live)


def audience_row(line: RunLine, glyphs: Glyphs) -> Row:
    """One audience of the run, with its bar and what it is doing."""
    total = line.done if line.total is None else line.total
    share = line.done / total if total else 1.0
    has_bar = total > 0 and line.total is not None
    tone = "good" if line.is_over and line.done >= total else "accent"
    of_total = "" if line.total is None else f"/{total:,}"
    return Row(
        line.audience_id,
        (
            Cell(line.name),
            Cell("", tone, share=share if has_bar else None),
            Cell(f"{line.delivered:,}{of_total}" if total else glyphs.dash),
            Cell(number(line.counts.requests, glyphs)),
            Cell(blank_if_zero(line.counts.rejected), "bad"),
            Cell(progress(line), line.tone, shorten=shortened),
        ),
        (
            line.name,
            share,
            total,
            line.counts.requests,
            line.counts.rejected,
            line.doing,
        ),
    )


def progress(line: RunLine) -> str:
    """Its progress: speed and time left, or what the audience is waiting for."""
    if line.is_over or line.tone == "warn" or not line.speed:
        return line.doing
    if not line.left:
        return f"{line.speed:,.0f}/s"
    return f"{line.speed:,.0f}/s  {lasting_about(line.left)} left"


def request_row(record: RequestRecord, glyphs: Glyphs) -> Row:
    """One request in the small log."""
    return Row(record.id, _request_cells(record, glyphs))


def full_request_row(record: RequestRecord, glyphs: Glyphs) -> Row:
    """One request in the full-size log."""
    return Row(record.id, (*_request_cells(record, glyphs), Cell(record.response, "dim")))


def columns_of_one(columns: Sequence[Column]) -> Sequence[Column]:
    """The columns of a log of one audience, which its title names."""
    return [*columns[:_AUDIENCE_AT], *columns[_AUDIENCE_AT + 1 :]]


def row_of_one(row: Row) -> Row:
    """A row of such a log."""
    return Row(row.key, (*row.cells[:_AUDIENCE_AT], *row.cells[_AUDIENCE_AT + 1 :]))


def _request_cells(
    record: RequestRecord, glyphs: Glyphs
) -> tuple[Cell, Cell, Cell, Cell, Cell, Cell, Cell]:
    """The cells of both logs; the sign before the number of users shows the operation.

    With little room, the operation itself is left out.
    """
    operation = request_operation(record)
    sign = {"add": "+", "remove": glyphs.minus}.get(operation, "")
    users = f"{sign}{record.size:,}"
    took = (
        "" if record.settled_at is None else lasting((record.settled_at - record.sent_at) / SECOND)
    )
    return (
        Cell(clock(record.sent_at), "dim"),
        Cell(operation),
        Cell(users if record.is_counted else f"({users})"),
        Cell(record.audience_name),
        request_answer(record, glyphs),
        Cell(blank_if_zero(record.rejected), "bad"),
        Cell(took, "dim"),
    )


def reason_row(group: RejectionGroup, *, of_several: bool) -> Row:
    """One reason for rejection, with the number of users; `of_several` names the audience."""
    key = (group.audience_id, group.operation, group.code, group.reason)
    audience = (Cell(group.audience_name, "dim"),) if of_several else ()
    names = (group.audience_name,) if of_several else ()
    count = Cell(f"{group.count:,}", "bad")
    why = brief_reason(group.code, group.reason)
    return Row(key, (Cell(why), *audience, count), (why, *names, group.count))


def funnel(view: RunView, glyphs: Glyphs, width: int) -> Content:
    """The counts of events and changes, in Segment's terms: on each line, a total and its parts."""
    counts, kind = view.funnel, view.kind
    is_short, tally = width < _SHORT_FUNNEL, counts.tally
    events = (
        ("read" if is_short else _READ.get(kind, "read"), tally.read, ""),
        ("filtered", tally.filtered, MUTED),
        ("invalid", tally.invalid, BAD),
        ("valid", tally.valid, ""),
    )
    changes = (
        ("" if is_short else "to deliver", counts.changes, ""),
        ("pending", counts.pending, WARN),
        ("retry" if is_short else "pending retry", counts.retrying, WARN),
        ("rejected" if is_short else "rejected by this run", counts.failed, BAD),
        ("delivered", counts.delivered, GOOD),
    )
    rows = [_sum("changes", changes, glyphs)]
    if counts.changes is None:  # for a run of another process
        rows = [_known("changes", changes)]
    # Too few events for the users mean that most were read long before the run. A sync of only some
    # audiences has events of others.
    is_accounted = view.is_of_all and tally.valid >= (counts.changes or 0)
    if tally.read and (kind is not RunKind.SYNC or is_accounted):
        rows.insert(0, _sum("events", events, glyphs))
    return lines(*rows)


def _sum(label: str, parts: Sequence[tuple[str, int | None, str]], glyphs: Glyphs) -> Content:
    """A total, and the parts that add up to it."""
    text: list[Part] = [(f"{label:<8}", MUTED)]
    for at, (word, count, style) in enumerate(parts):
        text.append((("", " = ")[at] if at < 2 else " + ", MUTED))
        text += [(number(count, glyphs), f"{STRONG} {style}" if count else MUTED)]
        text.append((f" {word}" if word else "", MUTED))
    return safe_text(*text)


def _known(label: str, parts: Sequence[tuple[str, int | None, str]]) -> Content:
    """The known parts of an unknown total."""
    text: list[Part] = [(f"{label:<8}", MUTED)]
    for word, count, style in parts:
        if count and word:
            text.append((", " if len(text) > 1 else "", MUTED))
            text += [(f"{count:,}", f"{STRONG} {style}"), (f" {word}", MUTED)]
    return safe_text(*text, ("" if len(text) > 1 else "none so far", MUTED))


def headline(view: RunView, glyphs: Glyphs, room: int) -> Content:
    """The outcome as a sign and a word, then sentences about the run, in `room` columns."""
    style = TONE[view.tone]
    first, *rest = view.says or ("",)
    head = safe_text((outcome(view, glyphs), f"{STRONG} {style}"), "  ")
    arrow = safe_text((f"  {glyphs.arrow} ", ACCENT))
    return lines(
        beside(head, safe_text(first), room),
        *(beside(arrow, safe_text(item), room) for item in rest),
    )
