"""What the reconcile view shows: the picture of a comparison, kinds of differences, people."""

from collections.abc import Mapping
from pathlib import PurePath

from textual.content import Content

from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, Part, lines, safe_text
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import ago, at
from amp_console.ledger.comparisons import Comparison, Difference, DifferenceKind, PriorState
from amp_console.sync.reconcile.descriptions import (
    comparison_outcome,
    describe_comparison,
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
NAMES = {
    DifferenceKind.MISSING: "Missing from the cohort",
    DifferenceKind.LEFT: "Extra: left the audience",
    DifferenceKind.STRANGER: "Extra: never seen in it",
    DifferenceKind.NO_ID_IN_COHORT: "Not comparable (cohort)",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Not comparable (audience)",
}
_MEANS = {
    DifferenceKind.MISSING: "A repair adds them.",
    DifferenceKind.LEFT: "A repair removes them.",
    DifferenceKind.STRANGER: "Not added by amp-console. A repair removes them.",
    DifferenceKind.NO_ID_IN_COHORT: "Without a {label}: left alone.",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Without a {label}: nothing to send.",
}
_TONES = {
    DifferenceKind.MISSING: "warn",
    DifferenceKind.LEFT: "bad",
    DifferenceKind.STRANGER: "bad",
}
MISSING, BOTH, EXTRA = 0, 1, 2  # the parts of the bar


def shares(comparison: Comparison, width: int) -> tuple[int, int, int]:
    """Share `width` columns among missing, both and extra; a part with people gets at least one."""
    counts = (comparison.missing, comparison.in_both, comparison.extra)
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


def legend(comparison: Comparison, glyphs: Glyphs) -> Content:
    """What the parts of the bar are, with their numbers."""
    parts: list[Part] = [
        (f"{glyphs.empty} ", WARN),
        f"{comparison.missing:,} missing   ",
        (f"{glyphs.full} ", GOOD),
        f"{comparison.in_both:,} in both   ",
        (f"{glyphs.extra} ", BAD),
        f"{comparison.extra:,} extra",
    ]
    if comparison.not_comparable:
        parts.append((f"   {comparison.not_comparable:,} not comparable", MUTED))
    return safe_text(*parts)


def headline(
    comparison: Comparison, repaired: Mapping[DifferenceKind, int], glyphs: Glyphs
) -> Content:
    """The verdict in a sign and a word, and the sentences that say what it consists of."""
    done, open_ = sum(repaired.values()), comparison.missing + comparison.extra
    if comparison.is_equal:
        sign, style, word = glyphs.circle, GOOD, comparison_outcome(comparison)
    elif done == open_:
        sign, style, word = glyphs.circle, GOOD, "repaired"
    else:
        sign, style, word = glyphs.triangle, BAD, comparison_outcome(comparison)
    counted = f"{comparison.in_audience:,} in the audience, {comparison.in_cohort:,} in the cohort."
    rows = [safe_text((f"{sign} {word}", f"{STRONG} {style}"), f"  {counted}")]
    if done:
        prove = "were repaired since. Compare again to prove it."
        rows.append(
            safe_text((f"  {glyphs.arrow} ", ACCENT), f"{done:,} of {open_:,} differences {prove}")
        )
    rows += [
        safe_text((f"  {glyphs.arrow} ", ACCENT), sentence)
        for sentence in describe_comparison(comparison)[:2]
        if not done
    ]
    return lines(*rows)


def compared(comparison: Comparison, now: int, glyphs: Glyphs) -> str:
    """When the cohort was like this, and what it was compared with."""
    dot = f" {glyphs.dot} "
    with_list = f"{dot}with {PurePath(comparison.against).name}" if comparison.against else ""
    when = f"{at(comparison.at)} ({ago(comparison.at, now, glyphs)})"
    return f"cohort {comparison.cohort_id}{dot}{when}{with_list}"


def kind_rows(comparison: Comparison, repaired: Mapping[DifferenceKind, int]) -> list[Row]:
    """One row for each kind of difference that there is."""
    label = comparison.id_type.label
    return [
        Row(
            kind,
            (
                Cell(NAMES[kind]),
                Cell(f"{comparison.count(kind):,}", _TONES.get(kind, "dim")),
                Cell(f"{repaired[kind]:,}" if repaired.get(kind) else "", "good"),
                Cell(_MEANS[kind].format(label=label), "dim"),
            ),
        )
        for kind in DifferenceKind
        if comparison.count(kind)
    ]


def person_row(difference: Difference, glyphs: Glyphs) -> Row:
    """One person who differs."""
    if difference.is_repaired:
        now = Cell(f"{glyphs.ok} repaired", "good")
    elif difference.kind in NAMES and difference.kind in _TONES:
        now = Cell("differs", _TONES[difference.kind])
    else:
        now = Cell("left alone", "dim")
    known = (
        ""
        if difference.prior_state is PriorState.NOTHING
        else prior_state_text(difference.kind, difference.prior_state)
    )
    return Row(
        difference.key,
        (Cell(difference.id), Cell(known, "dim"), Cell(difference.resembles or "", "warn"), now),
    )
