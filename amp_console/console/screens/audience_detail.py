"""One audience in detail: its keys, what will be used, its cohort's size, and its last runs."""

from typing import TYPE_CHECKING

from textual.content import Content

from amp_console.console.look import sparkline
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, WARN, Part, lines, said
from amp_console.console.words import HOUR, MINUTE, ago, number
from amp_console.ledger.audiences import Link
from amp_console.ledger.movement import Movement, movement
from amp_console.ledger.runs import AudienceRun, RunStatus, runs_of_audience
from amp_console.sync.standing import Standing

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp
    from amp_console.console.session import Session

BUCKETS = 30  # of two minutes: an hour
RUNS = 3
_LINKS = {
    Link.CREATED: "made by us",
    Link.EXISTING: "there before",
    Link.NONE: "none yet",
    Link.UNLINKED: "unlinked",
}
_TONE = {RunStatus.DELIVERED: GOOD, RunStatus.PARTIAL: WARN, RunStatus.STOPPED: BAD}


async def detail(app: "ConsoleApp", session: "Session", of: Standing) -> Content:
    """Read and lay out what is known of an audience. Raises `LedgerError`."""
    moves = await session.read(movement, of.audience, app.now, 2 * MINUTE, BUCKETS)
    runs = await session.read(runs_of_audience, of.audience.id, RUNS)
    rows = [_identity(app, of), _sizes(app, of), _settings(of), _moves(app, moves)]
    rows += [_run(app, each) for each in runs]
    if of.audience.broken:
        rows.insert(0, said((of.audience.broken, BAD)))
    return lines(*rows)


def _identity(app: "ConsoleApp", of: Standing) -> Content:
    known, dot = of.audience, f" {app.look.dot} "
    parts: list[Part] = [("key ", MUTED), known.key]
    if known.space_id:
        parts += [(f"{dot}space ", MUTED), known.space_id]
    if known.computation_id:
        parts += [(f"{dot}computation ", MUTED), known.computation_id]
    return said(*parts, longest=60)


def _sizes(app: "ConsoleApp", of: Standing) -> Content:
    known, look = of.audience, app.look
    if known.cohort_id is None:
        return said(("cohort ", MUTED), _LINKS[known.link])
    parts: list[Part] = [("cohort ", MUTED), known.cohort_id, (f" ({_LINKS[known.link]})", MUTED)]
    ours = None if of.members is None else of.members - of.left.add + of.left.remove
    theirs = app.sizes.get(known.cohort_id)
    parts += [(f" {look.dot} in Amplitude ", MUTED), number(theirs, look)]
    parts += [(" (", MUTED), (f"ours {number(ours, look)} delivered", MUTED), (")", MUTED)]
    if theirs is not None and ours is not None and of.left.rejected == 0 and theirs != ours:
        parts.append((f"  {look.signs[of.status]} sizes differ", WARN))
    return said(*parts)


def _settings(of: Standing) -> Content:
    known = of.audience

    def origin(override: str | None) -> Part:
        return (" (override)", ACCENT) if override else (" (default)", MUTED)

    return said(
        ("matched by ", MUTED),
        known.id_type.label,
        ("   owner ", MUTED),
        of.owner_email,
        origin(known.owner_email),
        ("   name ", MUTED),
        of.cohort_name,
        origin(known.cohort_name),
        longest=60,
    )


def _moves(app: "ConsoleApp", moves: Movement) -> Content:
    look = app.look
    return said(
        ("last hour  ", MUTED),
        (f"entered {sum(moves.entered):,} ", MUTED),
        (sparkline(look, moves.entered), GOOD),
        (f"  left {sum(moves.left):,} ", MUTED),
        (sparkline(look, moves.left), WARN),
    )


def _run(app: "ConsoleApp", each: AudienceRun) -> Content:
    run, counts, look = each.run, each.counts, app.look
    return said(
        (f"run {run.id} ", MUTED),
        (ago(run.started_at, app.now, look), MUTED),
        "  ",
        (str(run.status), _TONE.get(run.status, MUTED)),
        (f"  +{counts.added:,} {look.minus}{counts.removed:,}", ""),
        (f"  {counts.rejected:,} rejected" if counts.rejected else "", BAD),
        (f"  {counts.note}" if counts.note else "", MUTED),
        longest=160,
    )


__all__ = ["HOUR", "detail"]
