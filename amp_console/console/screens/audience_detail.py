"""One audience in detail: its keys, what will be used, its cohort's size, and its last runs."""

from typing import TYPE_CHECKING

from textual.content import Content

from amp_console.console.look import sparkline
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, WARN, Part, facts, said
from amp_console.console.words import MINUTE, ago, changes, number
from amp_console.ledger.audiences import Link
from amp_console.ledger.movement import Movement, movement
from amp_console.ledger.runs import AudienceRun, RunStatus, runs_of_audience
from amp_console.sync.standing import Standing, Status

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp
    from amp_console.console.session import Session

BUCKETS = 30  # of two minutes: an hour
RUNS, NARROW = 2, 100  # runs that are shown, where there are more columns than that
_LINKS = {
    Link.CREATED: "made by us",
    Link.EXISTING: "there before",
    Link.NONE: "none yet",
    Link.UNLINKED: "unlinked",
}
_TONE = {
    RunStatus.DELIVERED: GOOD,
    RunStatus.PARTIAL: WARN,
    RunStatus.STOPPED: BAD,
    RunStatus.INTERRUPTED: BAD,
}


async def detail(app: "ConsoleApp", session: "Session", of: Standing, room: int) -> Content:
    """Read and lay out what is known of an audience, in so many columns. Raises `LedgerError`."""
    moves = await session.read(movement, of.audience, app.now, 2 * MINUTE, BUCKETS)
    many = RUNS if room > NARROW else 1
    runs = await session.read(runs_of_audience, of.audience.id, many)
    rows = [
        ("key", _identity(app, of)),
        ("cohort", _cohort(app, of)),
        ("settings", _settings(of)),
        ("last hour", _moves(app, moves)),
        *((f"run {each.run.id}", _run(app, each)) for each in runs),
    ]
    if of.notice:
        rows.insert(0, ("notice", said((of.notice, WARN), longest=400)))
    if of.audience.broken:
        rows.insert(0, ("broken link", said((of.audience.broken, BAD))))
    return facts(rows, 12, room)


def _identity(app: "ConsoleApp", of: Standing) -> Content:
    known, dot = of.audience, f" {app.look.dot} "
    parts: list[Part] = [known.key]
    if known.space_id:
        parts += [(f"{dot}space ", MUTED), known.space_id]
    if known.computation_id:
        parts += [(f"{dot}computation ", MUTED), known.computation_id]
    return said(*parts, longest=60)


def _cohort(app: "ConsoleApp", of: Standing) -> Content:
    known, look = of.audience, app.look
    if known.cohort_id is None:
        return said((f"{_LINKS[known.link]}; the next sync makes one", MUTED))
    theirs = app.sizes.get(known.cohort_id)
    parts: list[Part] = [known.cohort_id, (f" ({_LINKS[known.link]})", MUTED)]
    parts += [(f" {look.dot} holds ", MUTED), number(of.delivered, look), (" by our books", MUTED)]
    if theirs is None:
        parts.append((f" {look.dot} u asks Amplitude", MUTED))
    else:
        parts += [(", ", MUTED), number(theirs, look), (" in Amplitude", MUTED)]
        if sizes_differ(of, theirs):
            parts.append((f"  {look.signs[Status.REJECTED]} sizes differ", WARN))
    return said(*parts)


def sizes_differ(of: Standing, theirs: int | None) -> bool:
    """Whether a cohort's size in Amplitude is not what our books say."""
    return theirs is not None and of.delivered is not None and theirs != of.delivered


def _settings(of: Standing) -> Content:
    known = of.audience
    return said(
        ("by ", MUTED),
        known.id_type.label,
        ("  owner ", MUTED),
        of.owner_email,
        _origin(known.owner_email),
        ("  name ", MUTED),
        of.cohort_name,
        _origin(known.cohort_name),
        longest=40,
    )


def _origin(override: str | None) -> Part:
    return (" (override)", ACCENT) if override else (" (default)", MUTED)


def _moves(app: "ConsoleApp", moves: Movement) -> Content:
    entered, left = sum(moves.entered), sum(moves.left)
    if not entered and not left:
        return said(("nobody entered or left", MUTED))
    look = app.look
    return said(
        (sparkline(look, moves.entered), GOOD),
        f" {entered:,} entered  ",
        (sparkline(look, moves.left), WARN),
        f" {left:,} left",
    )


def _run(app: "ConsoleApp", each: AudienceRun) -> Content:
    run, counts, look = each.run, each.counts, app.look
    parts: list[Part] = [(str(run.status), _TONE.get(run.status, MUTED))]
    parts.append((f" {ago(run.started_at, app.now, look)}", MUTED))
    parts.append(f"  {changes(counts.added, counts.removed, look) or 'nobody delivered'}")
    if counts.rejected:
        parts.append((f"  {counts.rejected:,} rejected", BAD))
    if counts.note:
        parts.append((f"  {counts.note}", MUTED))
    return said(*parts, longest=160)
