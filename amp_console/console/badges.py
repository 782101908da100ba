"""How the console shows the states and the members of an audience.

A state is a sign and words; a run under way comes first, then the most severe state. The number of
members is shown as a sum of its parts.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content

from amp_console.console.context import Services
from amp_console.console.glyphs import Glyphs
from amp_console.console.routes import (
    MainScreen,
    OpenErrors,
    OpenLink,
    OpenPlan,
    OpenReconcile,
    OpenRun,
    Route,
    Visit,
)
from amp_console.console.texts import BAD, MUTED, TONE, WARN, Part, safe_text
from amp_console.console.widgets.grid import CellPart
from amp_console.console.words import number
from amp_console.ledger.audiences import Audience
from amp_console.ledger.counts import Headcount, InCohort
from amp_console.ledger.runs import RunKind
from amp_console.sync.queries.status import AudienceSummary, State, Status, share_of
from amp_console.text import plural

if TYPE_CHECKING:
    from amp_console.console.jobs.runs import SyncJob

STATUS_TONES = {
    Status.IN_SYNC: "good",
    Status.NOT_COMPARED: "",
    Status.PENDING: "warn",
    Status.UNCERTAIN: "warn",
    Status.REJECTED: "bad",
    Status.NO_IDENTIFIER: "bad",
    Status.BROKEN: "bad",
    Status.KEYS_REFUSED: "bad",
    Status.LARGE_REMOVAL: "bad",
    Status.OFF: "dim",
    Status.NO_COHORT: "warn",
    Status.DIFFERS: "bad",
    Status.SIZE_DIFFERS: "bad",
    Status.UNDER_WAY: "accent",
    Status.LIVE: "accent",
    Status.PAUSED: "warn",
}
"""The tone of each status; its sign and word have the same meaning."""


def status_sign(glyphs: Glyphs, status: Status) -> str:
    """Return the sign shown before a status."""
    return {
        Status.IN_SYNC: glyphs.circle,
        Status.NOT_COMPARED: glyphs.target,
        Status.PENDING: glyphs.half,
        Status.UNCERTAIN: glyphs.other_half,
        Status.REJECTED: glyphs.triangle,
        Status.NO_IDENTIFIER: glyphs.triangle,
        Status.BROKEN: glyphs.cross,
        Status.KEYS_REFUSED: glyphs.cross,
        Status.LARGE_REMOVAL: glyphs.triangle,
        Status.OFF: glyphs.ring,
        Status.NO_COHORT: glyphs.dotted,
        Status.DIFFERS: glyphs.triangle,
        Status.SIZE_DIFFERS: glyphs.triangle,
        Status.UNDER_WAY: glyphs.live,
        Status.LIVE: glyphs.live,
        Status.PAUSED: glyphs.half,
    }[status]


def sign_legend(glyphs: Glyphs) -> str:
    """Return the meaning of each status sign, for the help."""
    words: dict[str, list[str]] = {}
    for status in Status:
        word = "large removal" if status is Status.LARGE_REMOVAL else str(status)
        words.setdefault(status_sign(glyphs, status), []).append(word)
    words[glyphs.unequal] = ["another size in Segment"]
    words[glyphs.cross].append("not computed by Segment")
    signs = "; ".join(f"{sign} {', '.join(meant)}" for sign, meant in words.items())
    return f"Signs of the status: {signs}."


def states_now(services: Services, known: AudienceSummary) -> tuple[State, ...]:
    """Every state of an audience, as the console knows it now, the most severe first."""
    live, audience = services.jobs.live, known.audience
    followed = live.audience(audience.id) if live is not None else None
    size = services.figures.size_of(audience)
    sync = services.jobs.sync_of(audience.id)
    return known.states(
        size,
        is_live=None if followed is None else followed.is_live,
        is_paused=followed is not None and followed.is_paused,
        are_keys_refused=services.figures.are_keys_refused,
        run_words="" if sync is None else sync_words(sync, audience.id),
    )


def sync_words(sync: "SyncJob", audience_id: int) -> str:
    """What a sync of this console does for an audience: "sync 45%"; "" before it has started."""
    now = sync.progress_of(audience_id)
    paused = " paused" if sync.stop.is_paused else ""
    return "" if now is None else f"{RunKind.SYNC}{paused}{share_of(now.done, now.total)}"


def badge_route(status: Status, audience_id: int) -> Route | None:
    """What a click on a state opens; None if the state needs no action."""
    match status:
        case Status.REJECTED | Status.NO_IDENTIFIER:
            return OpenErrors(audience_id)
        case Status.DIFFERS | Status.SIZE_DIFFERS | Status.NOT_COMPARED:
            return OpenReconcile(audience_id)
        case Status.BROKEN:
            return OpenLink(audience_id)
        case Status.KEYS_REFUSED:
            return Visit(MainScreen.CONNECTIONS)
        case Status.LARGE_REMOVAL:
            return OpenPlan((audience_id,))
    return None


def badges(
    glyphs: Glyphs, audience_id: int, states: Iterable[State], *, is_brief: bool = False
) -> list[CellPart]:
    """The states of an audience for a cell; a run under way comes first.

    In a list (`is_brief`), another column says how many are pending.
    """
    shown = sorted(states, key=lambda state: state.status is not Status.UNDER_WAY)
    return [
        CellPart(
            f"{status_sign(glyphs, state.status)} {state.brief if is_brief else state}",
            STATUS_TONES[state.status],
            badge_route(state.status, audience_id)
            if state.run_id is None
            else OpenRun(state.run_id),
            _short(glyphs, state),
            is_optional=is_brief and state.status is Status.PENDING and len(shown) > 1,
        )
        for state in shown
    ]


def _short(glyphs: Glyphs, state: State) -> str:
    """A state without its words: its sign, with the number of users that it concerns."""
    sign = status_sign(glyphs, state.status)
    return f"{sign} {state.users:,}" if state.users else sign


def badges_text(shown: Iterable[CellPart]) -> Content:
    """The states of an audience as one text."""
    parts: list[Part] = []
    for badge in shown:
        parts += ["  "] if parts else []
        parts.append((badge.text, TONE[badge.tone]))
    return safe_text(*parts)


def members_sum(count: Headcount, *, is_gone: bool = False) -> Content:
    """The members as a sum: "= 8,480 delivered + 10 rejected".

    `is_gone`: Amplitude no longer has the cohort that they were delivered to.
    """
    parts = [
        (count.in_cohort, "delivered to the cohort that is gone" if is_gone else "delivered", ""),
        (count.pending, "pending", WARN),
        (count.rejected, "rejected", BAD),
        (count.unidentified, "missing ID" if count.unidentified == 1 else "missing IDs", BAD),
    ]
    some = [part for part in parts if part[0]] or parts[:1]
    pieces: list[Part] = []
    for users, what, style in some:
        pieces.append((" + " if pieces else "= ", MUTED))
        pieces.append((f"{users:,} {what}", style))
    return safe_text(*pieces)


def held_text(held: InCohort | None, glyphs: Glyphs) -> list[Part]:
    """The cohort's size by the ledger: "8,483 by our ledger, 67 unconfirmed"."""
    parts: list[Part] = [
        number(held.delivered if held else None, glyphs),
        (" by our ledger", MUTED),
    ]
    if held and held.unconfirmed:
        parts.append((f", {held.unconfirmed:,} unconfirmed", WARN))
    return parts


def gone_text(held: InCohort | None) -> Content:
    """Say of a cohort that Amplitude no longer has how many users it had by the ledger."""
    had = f"; it had {plural(held.delivered, 'member')} by our ledger" if held else ""
    return safe_text(("no longer in Amplitude", BAD), (had, MUTED))


def size_text(services: Services, known: Audience) -> str:
    """The size of an audience's cohort in Amplitude, and when it was read; "" if not known."""
    size = services.figures.size_of(known)
    if size is None:
        return ""
    return f"{size:,} in Amplitude, read {services.age_of(services.figures.sizes_at)}"
