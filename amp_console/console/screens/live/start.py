"""Before a session: which audiences would be live, and what the session sends first."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from amp_console.connections import Connection
from amp_console.console.glyphs import Glyphs
from amp_console.console.screens.actions import read_only_reason
from amp_console.console.texts import GOOD, MUTED, STRONG, WARN, lines, safe_text
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.ledger import Db
from amp_console.sync.delivery.plan import AudiencePlan, large_removals, same_key_words
from amp_console.sync.live.progress import WaitReason
from amp_console.sync.queries.status import AudienceSummary, Status, audience_summaries
from amp_console.text import blank_if_zero, clean, plural

READY = (
    Column("Audience", 18, flex=2),
    Column("Pending", 8, right=True),
    Column("In a session", 22, flex=2),
)
DEMO = "Simulated events keep arriving: the demo imports them until a session starts."
SYNCING = "A sync is under way: its audiences go live once it has finished with them."
LONG_SESSIONS = """\
For long sessions, run amp-console watch or listen; their progress shows here."""
LISTED = 5  # audiences in a dialog, which must fit into 24 lines
MAX_NAME = 30  # columns
_WAITS = {
    Status.OFF: WaitReason.OFF,
    Status.BROKEN: WaitReason.BROKEN,
    Status.NO_COHORT: WaitReason.NO_COHORT,
}


class SessionStart(NamedTuple):
    """The audiences before a session, and their large removals by audience ID.

    `same_key` says of audiences without a cohort which other audience has their key. `refusal` says
    why no session can start; "" if one can.
    """

    audiences: Sequence[AudienceSummary]
    removals: Mapping[int, AudiencePlan]
    same_key: Mapping[int, str]
    refusal: str = ""

    def waits_for(self, item: AudienceSummary, *, create: bool = False) -> WaitReason | None:
        """Why a session would send nothing for an audience; None if it would send.

        With `create`, the session creates missing cohorts.
        """
        if item.audience.id in self.removals and item.audience.enabled:
            return WaitReason.REMOVAL
        found = _WAITS.get(item.status)
        return None if create and found is WaitReason.NO_COHORT else found

    def without(self, is_synced: Callable[[int], bool]) -> "SessionStart":
        """The same without the audiences of a sync under way, which sends their changes."""
        others = [item for item in self.audiences if not is_synced(item.audience.id)]
        return self._replace(audiences=others)

    def problems_first(self) -> list[AudienceSummary]:
        """The audiences in a session's order: broken links, others that would wait, the rest."""

        def severity(item: AudienceSummary) -> int:
            waits_for = self.waits_for(item)
            return 0 if waits_for is WaitReason.BROKEN else 1 if waits_for else 2

        return sorted(self.audiences, key=severity)

    def sent(self, *, create: bool) -> list[AudienceSummary]:
        """The audiences whose pending changes a session sends first, those with the most first."""
        found = [
            item
            for item in self.audiences
            if item.left.pending and self.waits_for(item, create=create) is None
        ]
        return sorted(found, key=lambda item: -item.left.pending)


def session_start(db: Db, connection: Connection, now: int) -> SessionStart:
    """Read what a session would start with at `now`, in microseconds since 1970."""
    audiences = audience_summaries(db, connection, count_members=False)
    leaving = [item.audience for item in audiences if item.left.remove or item.left.uncertain]
    same_key = {item.audience.id: same_key_words(db, item.audience) for item in audiences}
    removals = large_removals(db, connection, leaving, now)
    refused = read_only_reason(connection) or ""
    return SessionStart(audiences, removals, same_key, refused)


def ready_row(item: AudienceSummary, start: SessionStart, glyphs: Glyphs) -> Row:
    """One audience before a session: what is pending, and whether it would go live."""
    known, pending = item.audience, item.left.pending
    waits_for = start.waits_for(item)
    if start.refusal:
        state = Cell("read-only", "warn")
    elif waits_for:
        state = Cell(f"will wait: {waits_for}", "warn")
    else:
        state = Cell(f"{glyphs.live} will be live", "accent")
    return Row(
        known.id,
        (Cell(known.name), Cell(blank_if_zero(pending)), state),
        (known.name, pending, state.text),
    )


def sent_first(start: SessionStart | None) -> str:
    """What a session sends as soon as it begins; `start` is None if it was not read."""
    if start is None:
        return "Pending changes are sent first."
    return " ".join([_sent_first(start, create=False), *_left_out(start)])


def _sent_first(start: SessionStart, *, create: bool) -> str:
    sent = start.sent(create=create)
    if not sent:
        return _held(start, create=create) or "No change is pending now."
    many = plural(sum(item.left.pending for item in sent), "pending change")
    return f"A new session first sends {many} of {plural(len(sent), 'audience')}."


def _held(start: SessionStart, *, create: bool) -> str:
    """How many pending changes a session does not send, by reason; "" for none."""
    held = Counter[WaitReason]()
    for item in start.audiences:
        if item.left.pending and (why := start.waits_for(item, create=create)) is not None:
            held[why] += item.left.pending
    if not held:
        return ""
    many = f"A new session does not send {plural(held.total(), 'pending change')}"
    if len(held) == 1:
        return f"{many}: {next(iter(held))}."
    return f"{many}: {', '.join(f'{count:,} ({why})' for why, count in held.most_common())}."


def _left_out(start: SessionStart) -> list[str]:
    """Which audiences wait because of a large removal."""
    found = [item for item in start.audiences if start.waits_for(item) is WaitReason.REMOVAL]
    if not found:
        return []
    if len(found) > 1:
        return [f"{len(found):,} audiences wait until you confirm their large removals with s."]
    name, members = found[0].audience.name, start.removals[found[0].audience.id].removed_members
    return [f"“{clean(name, MAX_NAME)}” waits until you confirm with s that it removes {members}."]


def sent_first_by_audience(start: SessionStart | None, glyphs: Glyphs, *, create: bool) -> Content:
    """What a session sends first, with a line for each audience with the most changes."""
    if start is None:
        return safe_text(sent_first(start))
    rows = [safe_text(_sent_first(start, create=create))]
    sent = start.sent(create=create)
    cells = [
        (
            clean(item.audience.name),
            blank_if_zero(item.left.add, "+"),
            blank_if_zero(item.left.remove, glyphs.minus),
            "creates its cohort" if item.audience.cohort_id is None else "",
        )
        for item in sent[:LISTED]
    ]
    name, add, remove = (max((cell_len(row[at]) for row in cells), default=0) for at in range(3))
    name = min(name, MAX_NAME)
    rows += [
        safe_text(
            f"  {set_cell_size(row[0], name)}  ",
            (f"{row[1]:>{add}}", GOOD),
            (f"  {row[2]:>{remove}}", WARN),
            (f"  {row[3]}" if row[3] else "", MUTED),
        )
        for row in cells
    ]
    if more := sent[LISTED:]:
        changes = plural(sum(item.left.pending for item in more), "change")
        rows.append(safe_text((f"  and {changes} of {len(more):,} more", MUTED)))
    warnings = [
        safe_text((f"“{clean(item.audience.name, MAX_NAME)}”: {words}.", WARN), max_length=200)
        for item in sent
        if item.audience.cohort_id is None and (words := start.same_key[item.audience.id])
    ]
    return lines(*rows, *warnings, *map(safe_text, _left_out(start)))


def after(start: SessionStart | None) -> Content:
    """Say what another session would send first, as the audiences are now."""
    if start is not None and start.refusal:
        return safe_text((start.refusal, WARN))
    how = ("Start another session with ", ("n", STRONG), " or ", ("l", STRONG), ". ")
    return safe_text(*how, sent_first(start))


def before(start: SessionStart, folders: Sequence[str], *, has_traffic: bool) -> Content:
    """Say how to start a session, what it sends first, and which folder was followed before.

    `has_traffic`: a demo imports events without a session.
    """
    how = [safe_text("No live session.", (f" {DEMO}" if has_traffic else "", MUTED))]
    if start.refusal:
        return lines(*how, safe_text((start.refusal, WARN)))
    how.append(
        safe_text(
            ("n", STRONG),
            " follows a folder or a growing file, ",
            ("l", STRONG),
            " receives Segment's webhooks; a session can do both.",
        )
    )
    if any(item.left.pending for item in start.audiences):
        how.append(safe_text(sent_first(start)))
    how.append(safe_text((LONG_SESSIONS, MUTED)))
    if folders:
        how.append(safe_text(("Followed before: ", MUTED), folders[0]))
    return lines(*how)
