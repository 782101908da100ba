"""The table of several comparisons."""

from typing import NamedTuple

from amp_console.console.glyphs import Glyphs
from amp_console.console.jobs.reconcile import ReconcileJob
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import aged, number
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.comparisons import Comparison, last_comparison, put_right
from amp_console.sync.reconcile.descriptions import comparison_outcome
from amp_console.text import plural

COLUMNS = (
    Column("Audience", 16, flex=1),
    Column("In audience", 11, right=True, rank=2),
    Column("In cohort", 11, right=True, rank=3),
    Column("Missing", 9, right=True),
    Column("Extra", 9, right=True),
    Column("Compared", 12, rank=1),
    Column("", 24, flex=4),
)


class ComparedAudience(NamedTuple):
    """An audience, its last comparison, and how many of its differences were repaired since."""

    audience: Audience
    comparison: Comparison | None
    repaired: int


def read_known(db: Db, audience_ids: tuple[int, ...]) -> list[ComparedAudience]:
    """Read the last comparison of each audience."""
    found = []
    for audience_id in audience_ids:
        last = last_comparison(db, audience_id)
        repaired = sum(put_right(db, last.id).values()) if last else 0
        found.append(ComparedAudience(audience(db, audience_id), last, repaired))
    return found


def is_over(work: ReconcileJob, audience_id: int) -> bool:
    """Whether a job has finished an audience."""
    now = work.progress_of(audience_id)
    return now is not None and now.is_over


def row(known: ComparedAudience, work: ReconcileJob | None, glyphs: Glyphs, now: int) -> Row:
    """One audience, with what a job under way does for it."""
    last = known.comparison
    counts = (last.in_audience, last.in_cohort, last.missing, last.extra) if last else (None,) * 4
    missing, extra = counts[2], counts[3]
    return Row(
        known.audience.id,
        (
            Cell(known.audience.name),
            Cell(number(counts[0], glyphs)),
            Cell(number(counts[1], glyphs)),
            Cell(number(missing, glyphs), "warn" if missing else ""),
            Cell(number(extra, glyphs), "bad" if extra else ""),
            aged(last.at if last else None, now, glyphs),
            _state(known, work, glyphs),
        ),
        (known.audience.name, *counts, last.at if last else None, ""),
    )


def _state(known: ComparedAudience, work: ReconcileJob | None, glyphs: Glyphs) -> Cell:
    at_work = _at_work(known, work, glyphs) if work is not None else None
    if at_work is not None:
        return at_work
    last = known.comparison
    if known.audience.cohort_id is None:
        return Cell(f"{glyphs.dotted} no cohort yet", "dim")
    if last is None:
        return Cell("not compared yet", "dim")
    left = last.missing + last.extra - known.repaired
    if left:
        return Cell(f"{glyphs.triangle} {plural(left, 'difference')}", "bad")
    word = comparison_outcome(last) if last.is_equal else "repaired"
    return Cell(f"{glyphs.circle} {word}", "good")


def _at_work(known: ComparedAudience, work: ReconcileJob, glyphs: Glyphs) -> Cell | None:
    """What a job does, or why it did not finish; None where there is nothing to say."""
    if known.audience.id not in work.audience_ids:
        return None
    now, note = work.progress_of(known.audience.id), work.note_of(known.audience.id)
    if not work.is_over and now is not None and not now.is_over:
        return Cell(f"{glyphs.live} {now.state}", "accent")
    return Cell(f"{glyphs.bad} {note}", "bad") if note else None
