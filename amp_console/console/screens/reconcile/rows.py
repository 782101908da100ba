"""What the reconcile view shows: the picture of a comparison, kinds of differences, people."""

import enum
from pathlib import PurePath
from typing import NamedTuple

from textual.content import Content

from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    STRONG,
    WARN,
    Part,
    facts,
    lines,
    safe_text,
)
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import ago, at
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import (
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    PriorState,
    Resolved,
)
from amp_console.ledger.counts import Outstanding, in_cohort, members, outstanding
from amp_console.sync.reconcile.descriptions import (
    comparison_outcome,
    describe_comparison,
    pending_parts,
    prior_state_text,
)

KINDS = (
    Column("Difference", 26, flex=1),
    Column("People", 9, right=True),
    Column("Repaired", 9, right=True, rank=1),
    Column("", 41, flex=1, rank=2),
)
PEOPLE = (
    Column("Identifier", 22, flex=3),
    Column("Ledger", 21, flex=1, rank=1),
    Column("Similar to", 14, flex=2, rank=2),
    Column("Now", 11),
)


class Pending(enum.Enum):
    """The group of those who differ only because the next sync has not sent them yet."""

    PENDING = "pending"


Group = DifferenceKind | Pending
"""The people of one row of the differences."""
NAMES = {
    DifferenceKind.MISSING: "Missing from the cohort",
    DifferenceKind.LEFT: "Extra: left the audience",
    DifferenceKind.STRANGER: "Extra: never seen in it",
    DifferenceKind.NO_ID_IN_COHORT: "Not comparable (cohort)",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Not comparable (audience)",
}
NOT_SENT = "Pending: not yet sent"
_MEANS = {
    DifferenceKind.MISSING: "A repair adds them.",
    DifferenceKind.LEFT: "A repair removes them.",
    DifferenceKind.STRANGER: "Not added by amp-console. A repair removes them.",
    DifferenceKind.NO_ID_IN_COHORT: "Without {label}: left alone.",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Without {label}: nothing to send.",
}
_TONES = {
    DifferenceKind.MISSING: "warn",
    DifferenceKind.LEFT: "bad",
    DifferenceKind.STRANGER: "bad",
}
MISSING, BOTH, EXTRA = 0, 1, 2  # the parts of the bar


def shares(comparison: Comparison, width: int) -> tuple[int, int, int]:
    """Share `width` columns among missing, both and extra; a part with people gets at least one."""
    missing, extra = pending_parts(comparison)
    counts = (comparison.missing - missing, comparison.in_both, comparison.extra - extra)
    total = sum(counts)
    if not total or width < len(counts):
        return 0, width, 0
    edges = [max(1, round(width * count / total)) if count else 0 for count in counts]
    largest = max(range(len(edges)), key=lambda index: edges[index])
    edges[largest] += width - sum(edges)
    return edges[0], edges[1], edges[2]


def bar(comparison: Comparison, glyphs: Glyphs, width: int) -> Content:
    """The cohort and the audience as one bar: who is missing, in both, and extra."""
    missing, both, extra = shares(comparison, width)
    return safe_text(
        (glyphs.empty * missing, WARN),
        (glyphs.full * both, GOOD),
        (glyphs.extra * extra, BAD),
        max_length=max(width, 1),
    )


class KnownNumbers(NamedTuple):
    """What the ledger says about an audience and its cohort."""

    members: int
    in_cohort: int
    left: Outstanding


def read_known_numbers(db: Db, known: Audience) -> KnownNumbers:
    """Count what can be said without a comparison; it reads every member."""
    return KnownNumbers(members(db, known), in_cohort(db, known), outstanding(db, known))


def known_numbers(known: KnownNumbers) -> Content:
    """What the ledger says, which a comparison confirms or corrects."""
    pending = known.left.pending
    return lines(
        safe_text(("By the ledger, until a comparison confirms or corrects it", STRONG)),
        facts(
            [
                ("in audience", f"{known.members:,}"),
                ("in cohort", f"{known.in_cohort:,}"),
                ("pending", f"{pending:,}: not yet sent" if pending else "0"),
                ("rejected", f"{known.left.rejected:,}"),
            ]
        ),
        safe_text(""),
        safe_text(("A comparison lists", STRONG)),
        safe_text("who is missing from the cohort, and whether Amplitude rejected them"),
        safe_text("who is in the cohort and should not be: people who left, and strangers"),
        safe_text("what each of them was in the ledger before; then p repairs all or some"),
    )


def group_name(group: Group) -> str:
    """What a group of people is called."""
    return NAMES[group] if isinstance(group, DifferenceKind) else NOT_SENT


def people_of(comparison_id: int, group: Group, text: str) -> DifferenceFilter:
    """The people of a group whose identifier contains the text."""
    if isinstance(group, Pending):
        kinds = (DifferenceKind.MISSING, DifferenceKind.LEFT)
        return DifferenceFilter(comparison_id, kinds, text, pending=True)
    return DifferenceFilter(comparison_id, (group,), text, pending=False)


def legend(comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs) -> Content:
    """What the parts of the bar are, with their numbers."""
    pending_missing, pending_extra = pending_parts(comparison)
    parts: list[Part] = [
        (f"{glyphs.empty} ", WARN),
        f"{comparison.missing - pending_missing:,} missing   ",
        (f"{glyphs.full} ", GOOD),
        f"{comparison.in_both:,} in both   ",
        (f"{glyphs.extra} ", BAD),
        f"{comparison.extra - pending_extra:,} extra",
    ]
    sent = resolved.sent if resolved else 0
    if left := comparison.pending - sent:
        parts.append((f"   {left:,} pending: not yet sent", MUTED))
    if sent:
        parts.append((f"   {sent:,} sent since", MUTED))
    if comparison.not_comparable:
        parts.append((f"   {comparison.not_comparable:,} not comparable", MUTED))
    return safe_text(*parts)


def headline(comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs) -> Content:
    """The verdict in a sign and a word, and the sentences that say what it consists of."""
    done, sent = (resolved.total, resolved.sent) if resolved else (0, 0)
    open_ = comparison.differing
    if comparison.is_equal:
        sign, style, word = glyphs.circle, GOOD, comparison_outcome(comparison)
    elif done == open_ > 0:
        sign, style, word = glyphs.circle, GOOD, "repaired"
    elif not open_ and sent == comparison.pending:
        sign, style, word = glyphs.circle, GOOD, f"{sent:,} sent since"
    elif not open_:
        sign, style, word = glyphs.half, WARN, f"{comparison.pending - sent:,} pending"
    else:
        sign, style, word = glyphs.triangle, BAD, comparison_outcome(comparison)
    counted = f"{comparison.in_audience:,} in the audience, {comparison.in_cohort:,} in the cohort."
    rows = [safe_text((f"{sign} {word}", f"{STRONG} {style}"), f"  {counted}")]
    if done:
        prove = "were repaired since. Compare again to be sure."
        rows.append(
            safe_text((f"  {glyphs.arrow} ", ACCENT), f"{done:,} of {open_:,} differences {prove}")
        )
    rows += [
        safe_text((f"  {glyphs.arrow} ", ACCENT), sentence)
        for sentence in describe_comparison(comparison)[:3]
        if not (done or sent)
    ]
    return lines(*rows)


def compared(comparison: Comparison, now: int, glyphs: Glyphs) -> str:
    """When the cohort was like this, and what it was compared with."""
    dot = f" {glyphs.dot} "
    with_list = f"{dot}with {PurePath(comparison.against).name}" if comparison.against else ""
    when = f"{at(comparison.at)} ({ago(comparison.at, now, glyphs)})"
    return f"cohort {comparison.cohort_id}{dot}{when}{with_list}"


def kind_rows(comparison: Comparison, resolved: Resolved | None) -> list[Row]:
    """One row for each kind of difference that there is, and one for those who are pending."""
    label = comparison.id_type.label
    repaired = resolved.repaired if resolved else {}
    missing, extra = pending_parts(comparison)
    pending = {DifferenceKind.MISSING: missing, DifferenceKind.LEFT: extra}
    found = [
        Row(
            kind,
            (
                Cell(NAMES[kind]),
                Cell(f"{count:,}", _TONES.get(kind, "dim")),
                Cell(f"{repaired[kind]:,}" if repaired.get(kind) else "", "good"),
                Cell(_MEANS[kind].format(label=label), "dim"),
            ),
        )
        for kind in DifferenceKind
        if (count := comparison.count(kind) - pending.get(kind, 0))
    ]
    if comparison.pending:
        sent = resolved.sent if resolved else 0
        cells = (
            Cell(NOT_SENT, "dim"),
            Cell(f"{comparison.pending:,}", "dim"),
            Cell(f"{sent:,} sent" if sent else "", "good"),
            Cell("No difference: the next sync sends them.", "dim"),
        )
        found.append(Row(Pending.PENDING, cells))
    return found


def person_row(difference: Difference, glyphs: Glyphs) -> Row:
    """One person who differs."""
    is_pending = difference.kind in _TONES and difference.prior_state is PriorState.PENDING
    if difference.is_repaired and is_pending:
        now = Cell(f"{glyphs.ok} sent", "good")
    elif difference.is_repaired:
        now = Cell(f"{glyphs.ok} repaired", "good")
    elif is_pending:
        now = Cell("pending", "dim")
    elif difference.kind in NAMES and difference.kind in _TONES:
        now = Cell("differs", _TONES[difference.kind])
    else:
        now = Cell("not touched", "dim")
    known = (
        ""
        if difference.prior_state is PriorState.NOTHING
        else prior_state_text(difference.kind, difference.prior_state)
    )
    return Row(
        difference.key,
        (Cell(difference.id), Cell(known, "dim"), Cell(difference.resembles or "", "warn"), now),
    )
