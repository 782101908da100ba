"""The content of the reconcile view: a comparison's bar and texts, kinds, people."""

from pathlib import PurePath
from typing import NamedTuple

from rich.cells import cell_len
from textual.content import Content

from amp_console.console.badges import gone_text, held_text, members_sum
from amp_console.console.glyphs import Glyphs
from amp_console.console.texts import (
    BAD,
    GOOD,
    MUTED,
    STRONG,
    TONE,
    WARN,
    Part,
    facts,
    lines,
    safe_text,
)
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import ago, changes
from amp_console.ledger import Db
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import (
    EXTRA,
    Comparison,
    Difference,
    DifferenceFilter,
    DifferenceKind,
    Explanation,
    PriorState,
    Resolved,
)
from amp_console.ledger.counts import Headcount, Outstanding, headcount, outstanding
from amp_console.sync.reconcile.descriptions import (
    GROUP_NAMES,
    comparison_outcome,
    describe_comparison,
    describe_due,
    group_of,
    pending_parts,
    prior_state_text,
    state_now,
    unexplained_missing,
)
from amp_console.text import local_time, plural

KINDS = (
    Column("Difference", 20, flex=1),
    Column("Found", 5, right=True),
    Column("Repaired", 9, right=True, rank=1, hides=True),
    Column("", 35, flex=1, rank=2),
)
PEOPLE = (
    Column("Identifier", 22, flex=3),
    Column("Ledger", 21, flex=1, rank=1, hides=True),
    Column("Similar to", 14, flex=2, rank=2, hides=True),
    Column("Now", 11),
)


FAR_AHEAD = 1 << 62  # microseconds since 1970; no event is dated later
Group = DifferenceKind | Explanation
"""The group of people in one row of the differences."""
_MEANS: dict[Group, str] = {
    DifferenceKind.MISSING: "A repair adds them.",
    DifferenceKind.LEFT: "A repair removes them.",
    DifferenceKind.STRANGER: "No events: a repair removes them.",
    DifferenceKind.NO_ID_IN_COHORT: "Without {label}: left alone.",
    DifferenceKind.NO_ID_IN_AUDIENCE: "Without {label}: nothing to send.",
    Explanation.PENDING: "The next sync or repair sends them.",
    Explanation.REJECTED: "x shows why. A repair tries again.",
}
_TONES: dict[Group, str] = {
    DifferenceKind.MISSING: "warn",
    DifferenceKind.LEFT: "bad",
    DifferenceKind.STRANGER: "bad",
    Explanation.REJECTED: "bad",
}
_TONES_NOW = {"added": "good", "removed": "good", "repaired": "good", "rejected": "bad"}


class Parts(NamedTuple):
    """How many people are in both, or in only one: missing, extra, or pending (not yet sent)."""

    missing: int
    both: int
    extra: int
    pending: int = 0


def parts_now(comparison: Comparison, resolved: Resolved | None) -> Parts:
    """The parts of the bar: what the comparison found, minus what was delivered since."""
    found = Parts(
        unexplained_missing(comparison),
        comparison.in_both,
        comparison.extra - pending_parts(comparison)[1],
        comparison.pending,
    )
    if resolved is None:
        return found
    repaired = resolved.repaired
    return Parts(
        found.missing - repaired.get(DifferenceKind.MISSING, 0),
        found.both + resolved.added,
        found.extra - sum(repaired.get(kind, 0) for kind in EXTRA),
        found.pending - resolved.sent,
    )


def pending_now(comparison: Comparison, resolved: Resolved | None) -> int:
    """How many of those who differed the next sync sends.

    They were pending when compared and have not been sent since, or the comparison made them
    pending.
    """
    return comparison.pending + (resolved.due - resolved.sent if resolved else 0)


def in_cohort_now(comparison: Comparison, resolved: Resolved | None) -> int:
    """The cohort's size: as compared, adjusted to later additions and removals."""
    changed = resolved.added - resolved.removed if resolved else 0
    return comparison.in_cohort + changed


def shares(counts: Parts, width: int) -> Parts:
    """Divide `width` columns among the parts; one with people gets at least one column."""
    total = sum(counts)
    if not total or width < len(counts):
        return Parts(0, width, 0)
    edges = [max(1, round(width * count / total)) if count else 0 for count in counts]
    largest = max(range(len(edges)), key=lambda index: edges[index])
    edges[largest] += width - sum(edges)
    return Parts(*edges)


def bar(comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs, width: int) -> Content:
    """The cohort and the audience as one bar: who is now missing, in both, extra and pending."""
    columns = shares(parts_now(comparison, resolved), width)
    return safe_text(
        (glyphs.empty * columns.missing, WARN),
        (glyphs.full * columns.both, GOOD),
        (glyphs.extra * columns.extra, BAD),
        (glyphs.unsent * columns.pending, WARN),
        max_length=max(width, 1),
    )


class KnownNumbers(NamedTuple):
    """The ledger's numbers about an audience and its cohort, which may be gone."""

    people: Headcount
    left: Outstanding
    is_gone: bool


def read_known_numbers(db: Db, known: Audience) -> KnownNumbers:
    """Count what is known without a comparison, which reads every member."""
    people, left = headcount(db, known, FAR_AHEAD), outstanding(db, known)
    return KnownNumbers(people, left, is_gone=known.broken is not None)


def known_numbers(known: KnownNumbers, size: str, glyphs: Glyphs) -> Content:
    """The ledger's numbers, which a comparison confirms or corrects, and the `size`, if known."""
    left, held = known.left, known.people.held
    pending: Part = ("none", MUTED)
    if left.pending:
        pending = f"{plural(left.pending, 'change')}  {changes(left.add, left.remove, glyphs)}"
    cohort = safe_text(*held_text(held, glyphs), f", {size}" if size else "")
    return lines(
        safe_text(("By our ledger", STRONG)),
        facts(
            [
                ("members", f"{known.people.members:,}"),
                ("", members_sum(known.people, is_gone=known.is_gone)),
                ("cohort", gone_text(held) if known.is_gone else cohort),
                ("pending", safe_text(pending)),
            ]
        ),
    )


def people_of(comparison_id: int, group: Group, text: str) -> DifferenceFilter:
    """A filter for the people of a group whose identifier contains the text."""
    if isinstance(group, Explanation):
        kinds = (DifferenceKind.MISSING, DifferenceKind.LEFT)
        return DifferenceFilter(comparison_id, kinds, text, explanation=group)
    return DifferenceFilter(comparison_id, (group,), text, explanation=Explanation.NONE)


def legend(comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs) -> Content:
    """The names and numbers of the bar's parts."""
    now = parts_now(comparison, resolved)
    still = "still " if resolved is not None and resolved.total else ""
    by_now = " by now" if now.both != comparison.in_both else ""
    parts: list[Part] = [
        (f"{glyphs.empty} ", WARN),
        f"{now.missing:,} {still}missing   ",
        (f"{glyphs.full} ", GOOD),
        f"{now.both:,} in both{by_now}   ",
        (f"{glyphs.extra} ", BAD),
        f"{now.extra:,} {still}extra",
    ]
    if now.pending:
        parts += [(f"   {glyphs.unsent} ", WARN), f"{now.pending:,} pending: not yet sent"]
    if (sent := resolved.sent if resolved else 0) > 0:
        parts.append((f"   {sent:,} sent since", MUTED))
    if rejected := comparison.missing_rejected - (resolved.accepted if resolved else 0):
        parts.append((f"   {rejected:,} rejected", BAD))
    if comparison.not_comparable:
        parts.append((f"   {comparison.not_comparable:,} not comparable", MUTED))
    return safe_text(*parts)


def verdict(comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs) -> tuple[str, str]:
    """What a comparison found, considering later deliveries: a sign with words, and their tone."""
    done, sent = (resolved.total, resolved.sent) if resolved else (0, 0)
    differing, pending = comparison.differing, comparison.pending - sent
    outcome = comparison_outcome(comparison)
    if resolved is not None and resolved.is_repairing:
        return f"{glyphs.live} repairing", "accent"
    if done == differing > 0:
        repaired = f"{glyphs.half} repaired, {pending:,} pending", "warn"
        return repaired if pending else (f"{glyphs.circle} repaired", "good")
    if differing:
        return f"{glyphs.triangle} {outcome}", "bad"
    if sent and not pending:
        return f"{glyphs.circle} same, {sent:,} sent since", "good"
    if pending:
        word = f"as expected, {pending:,} still pending" if sent else outcome
        return f"{glyphs.half} {word}", "warn"
    is_bad = comparison.missing_rejected
    sign, tone = (glyphs.triangle, "bad") if is_bad else (glyphs.circle, "good")
    return f"{sign} {outcome}", tone


def headline(
    comparison: Comparison, resolved: Resolved | None, glyphs: Glyphs, room: int
) -> Content:
    """The verdict, and sentences that explain it, in `room` columns."""
    done, sent = (resolved.total, resolved.sent) if resolved else (0, 0)
    (words, tone), differing = verdict(comparison, resolved, glyphs), comparison.differing
    counted = f"{comparison.members:,} in the audience, {comparison.in_cohort:,} in the cohort."
    is_repairing = resolved is not None and resolved.is_repairing
    accepted = resolved.accepted if resolved is not None else 0
    if done or sent or accepted or is_repairing:  # by now, the cohort has other members
        counted = f"When compared: {counted}"
    rows = [safe_text((words, f"{STRONG} {TONE[tone]}"), f"  {counted}")]
    following = resolved.following if resolved is not None else 0
    is_changed = done or sent or is_repairing or following
    sentences = [] if is_changed else describe_comparison(comparison)[:3]
    if is_repairing:
        repaired = f"{done:,} of {plural(differing, 'difference')} repaired so far"
        sentences = [f"A repair is running: {repaired}."]
    elif done:
        were = "was" if done == 1 else "were"
        repaired = f"{done:,} of {plural(differing, 'difference')} {were} repaired since"
        sentences = [f"{repaired}. Compare again to be sure."]
    if following and not is_repairing:
        people = plural(comparison.disagreeing, "person", "people")
        about = f"{following:,} of the {people} they disagreed about"
        sentences.append(f"The ledger follows the list now for {about}.")
    if resolved and not is_repairing:
        sentences += describe_due(comparison, resolved, "t under Audiences")
    sign = f"  {glyphs.arrow} "
    return lines(*rows, facts([(sign, sentence) for sentence in sentences], cell_len(sign), room))


def is_settled(comparison: Comparison, resolved: Resolved | None) -> bool:
    """Whether a repair would change nothing, because every difference was delivered since.

    A ledger that disagrees with a list needs a repair, although nothing is sent for that.
    """
    left = comparison.missing + comparison.extra + comparison.disagreeing
    if resolved is not None:
        left -= resolved.total + resolved.sent + resolved.accepted + resolved.following
    return not left


def compared(comparison: Comparison, now: int, glyphs: Glyphs) -> str:
    """The time of the comparison, and what the cohort was compared with."""
    dot = glyphs.separator
    with_list = f"{dot}with {PurePath(comparison.against).name}" if comparison.against else ""
    when = f"{local_time(comparison.at)} ({ago(comparison.at, now, glyphs)})"
    return f"run {comparison.run_id}{dot}cohort {comparison.cohort_id}{dot}{when}{with_list}"


def kind_rows(comparison: Comparison, resolved: Resolved | None) -> list[Row]:
    """One row for each kind of unexplained difference, then pending and rejected users."""
    missing, left = unexplained_missing(comparison), pending_parts(comparison)[1]
    counts: dict[Group, int] = {kind: comparison.count(kind) for kind in DifferenceKind}
    counts[DifferenceKind.MISSING] = missing
    counts[DifferenceKind.LEFT] -= left
    counts[Explanation.REJECTED] = comparison.missing_rejected
    counts[Explanation.PENDING] = comparison.pending
    done: dict[Group, int] = {}
    if resolved is not None:
        done = dict(resolved.repaired.items())
        done[Explanation.PENDING] = resolved.sent
        done[Explanation.REJECTED] = resolved.accepted
    return [
        Row(
            group,
            (
                Cell(_name(group, done.get(group, 0))),
                Cell(f"{count:,}", _TONES.get(group, "dim")),
                Cell(_done(group, done.get(group, 0)), "good"),
                Cell(_means(group, count, done.get(group, 0), comparison), "dim"),
            ),
        )
        for group, count in counts.items()
        if count
    ]


def _name(group: Group, done: int) -> str:
    is_sent = group is Explanation.PENDING and done
    return "Pending when compared" if is_sent else GROUP_NAMES[group]


def _done(group: Group, done: int) -> str:
    verb = " sent" if group is Explanation.PENDING else ""
    return f"{done:,}{verb}" if done else ""


def _means(group: Group, found: int, done: int, comparison: Comparison) -> str:
    """What happens to the people of a group; if all pending ones were sent, that."""
    if done == found:
        return "All were sent since." if group is Explanation.PENDING else ""
    return _MEANS[group].format(label=comparison.id_type.label)


def _now(difference: Difference) -> str:
    """The current state of a difference; for a pending user, the operation."""
    if difference.explanation is not Explanation.PENDING:
        return state_now(difference)
    is_addition = difference.kind is DifferenceKind.MISSING
    if difference.is_repaired:
        return "added" if is_addition else "removed"
    return "to add" if is_addition else "to remove"


def person_row(difference: Difference, glyphs: Glyphs) -> Row:
    """One person who differs."""
    word = _now(difference)
    sign = f"{glyphs.ok} " if difference.is_repaired else ""
    tone = _TONES_NOW.get(word, "dim")
    if word in {"missing", "extra"}:
        tone = _TONES[group_of(difference)]
    known = ""
    if difference.prior_state is not PriorState.NOTHING:
        known = prior_state_text(difference.kind, difference.prior_state)
    return Row(
        difference.key,
        (
            Cell(difference.id),
            Cell(known, "dim"),
            Cell(difference.resembles or "", "warn"),
            Cell(f"{sign}{word}", tone),
        ),
    )
