"""The table of several comparisons."""

from collections.abc import Collection
from typing import NamedTuple

from textual.content import Content

from amp_console.console.glyphs import Glyphs
from amp_console.console.jobs.reconcile import ReconcileJob
from amp_console.console.screens.reconcile.rows import (
    bar,
    compared,
    headline,
    in_cohort_now,
    is_settled,
    kind_rows,
    legend,
    parts_now,
    pending_now,
    verdict,
)
from amp_console.console.texts import BAD, MUTED, lines, safe_text
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import aged, number
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.comparisons import (
    Comparison,
    Resolved,
    last_comparison,
    resolved_since,
)
from amp_console.ledger.downloads import downloads_needed
from amp_console.text import blank_if_zero, plural

COLUMNS = (
    Column("Audience", 16, flex=1),
    Column("In audience", 11, right=True, rank=2),
    Column("In cohort", 9, right=True, rank=3),
    Column("Missing", 7, right=True),
    Column("Extra", 6, right=True),
    Column("Pending", 7, right=True, hides=True),
    Column("Compared", 10, rank=1),
    Column("", 24, flex=4),
)

NO_COHORT = "No cohort: a sync creates one."
COMPARING = "The first comparison is under way."


class ComparedAudience(NamedTuple):
    """An audience, its last comparison, and which differences were delivered since."""

    audience: Audience
    comparison: Comparison | None
    resolved: Resolved | None
    downloads: int = 0
    """How many downloads comparing it uses."""

    @property
    def is_comparable(self) -> bool:
        """Whether it has a working cohort, as far as is known."""
        return self.audience.cohort_id is not None and not self.audience.broken

    @property
    def is_settled(self) -> bool:
        """Whether it was compared, and a repair would change nothing."""
        return self.comparison is not None and is_settled(self.comparison, self.resolved)


def read_known(
    db: Db, audience_ids: tuple[int, ...], now: int, dead: Collection[int]
) -> list[ComparedAudience]:
    """Read the last comparison of each audience; `now` is in microseconds since 1970.

    See `resolved_since` for `dead`.
    """
    found = []
    for audience_id in audience_ids:
        last = last_comparison(db, audience_id)
        resolved = resolved_since(db, last.id, dead) if last else None
        known = audience(db, audience_id)
        found.append(ComparedAudience(known, last, resolved, downloads_needed(db, [known], now)))
    return found


def is_over(work: ReconcileJob, audience_id: int) -> bool:
    """Whether a job has finished an audience."""
    now = work.progress_of(audience_id)
    return now is not None and now.is_over


def is_at_work(work: ReconcileJob, audience_id: int) -> bool:
    """Whether a job is under way and has not finished this audience."""
    return work.holds(audience_id) and not is_over(work, audience_id)


def row(
    known: ComparedAudience,
    work: ReconcileJob | None,
    glyphs: Glyphs,
    now: int,
    size: int | None = None,
) -> Row:
    """One audience, with its state in a job under way.

    `size` is its cohort's in Amplitude, shown until it is compared; None if unknown.
    """
    last, pending = known.comparison, 0
    counts: tuple[int | None, ...] = (None, size, None, None)
    if last is not None:
        parts = parts_now(last, known.resolved)
        in_cohort = in_cohort_now(last, known.resolved)
        counts = last.members, in_cohort, parts.missing, parts.extra
        pending = pending_now(last, known.resolved)
    return Row(
        known.audience.id,
        (
            Cell(known.audience.name),
            Cell(number(counts[0], glyphs)),
            Cell(number(counts[1], glyphs)),
            Cell(number(counts[2], glyphs), "warn" if counts[2] else ""),
            Cell(number(counts[3], glyphs), "bad" if counts[3] else ""),
            Cell(blank_if_zero(pending), "dim"),
            aged(last.at if last else None, now, glyphs),
            _state(known, work, glyphs),
        ),
        (known.audience.name, *counts, pending, last.at if last else None, ""),
    )


def _state(known: ComparedAudience, work: ReconcileJob | None, glyphs: Glyphs) -> Cell:
    at_work = _at_work(known, work, glyphs) if work is not None else None
    if at_work is not None:
        return at_work
    if known.audience.cohort_id is None:
        return Cell(f"{glyphs.dotted} no cohort", "dim")
    if known.audience.broken:
        return Cell(f"{glyphs.bad} broken link", "bad")
    if known.comparison is None:
        return Cell("not compared", "dim")
    return _result(known, known.comparison, glyphs)


def _result(known: ComparedAudience, last: Comparison, glyphs: Glyphs) -> Cell:
    """What the last comparison found, and what was delivered since."""
    left = last.differing - (known.resolved.total if known.resolved else 0)
    if left and not (known.resolved and known.resolved.is_repairing):
        return Cell(f"{glyphs.triangle} {plural(left, 'difference')}", "bad")
    return Cell(*verdict(last, known.resolved, glyphs))


def _at_work(known: ComparedAudience, work: ReconcileJob, glyphs: Glyphs) -> Cell | None:
    """What a job does, or why it did not finish; None if there is nothing to say."""
    if known.audience.id not in work.audience_ids:
        return None
    now, note = work.progress_of(known.audience.id), work.note_of(known.audience.id)
    if is_at_work(work, known.audience.id):
        doing = now.state if now is not None else "starting"
        return Cell(f"{glyphs.live} {doing}", "accent")
    return Cell(f"{glyphs.bad} {note}", "bad") if note else None


def _kinds(last: Comparison, resolved: Resolved | None) -> list[tuple[str, str]]:
    """The kinds of differences: how many there were, and what has become of them."""
    found = []
    for row in kind_rows(last, resolved):
        name, count, done = (cell.text for cell in row.cells[:3])
        verb = "sent" if done.endswith("sent") else "repaired"
        some = "all" if done.removesuffix(" sent") == count else done.removesuffix(" sent")
        found.append((name, f"{count}, {some} {verb}" if done else count))
    return found


def detail_text(
    known: ComparedAudience, work: ReconcileJob | None, glyphs: Glyphs, now: int, width: int
) -> Content:
    """One audience and its cohort: verdict, bar, and kinds of differences.

    If a job did not finish it, it says why.
    """
    last, note = known.comparison, work.note_of(known.audience.id) if work is not None else ""
    if note:
        before = compared(last, now, glyphs) if last else "Not compared yet."
        return lines(safe_text((note, BAD), max_length=900), safe_text((before, MUTED)))
    if known.audience.broken:
        return safe_text((known.audience.broken, BAD), max_length=900)
    if last is None:
        text = "Not compared yet: press r." if known.audience.cohort_id else NO_COHORT
        if work is not None and is_at_work(work, known.audience.id):
            text = COMPARING
        return safe_text((text, MUTED))
    kinds = _kinds(last, known.resolved)
    return lines(
        headline(last, known.resolved, glyphs, width),
        bar(last, known.resolved, glyphs, width),
        legend(last, known.resolved, glyphs),
        safe_text(""),
        *(safe_text((f"{name:<30}", MUTED), count) for name, count in kinds),
        safe_text((compared(last, now, glyphs), MUTED)),
        safe_text(("Enter shows who they are.", MUTED) if kinds else ""),
    )
