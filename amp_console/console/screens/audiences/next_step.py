"""What the operator should do next about an audience, by its most severe state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amp_console.ledger.audience_queries import AudienceQuery
from amp_console.ledger.turns import Turn
from amp_console.sync.queries.status import AudienceSummary, State, Status
from amp_console.text import plural

if TYPE_CHECKING:
    from amp_console.console.jobs.runs import SyncJob

_STEPS = {
    Status.KEYS_REFUSED: "Press 5 for Connections, then T to test the keys, and e to replace them.",
    Status.DIFFERS: "Press r to see who differs, and to repair the cohort.",
    Status.REJECTED: "Press x to see who was rejected and why.",
    Status.NO_IDENTIFIER: "Press x to see whose ID is missing, and what to do.",
    Status.UNCERTAIN: "Nothing to do yet: a later sync confirms them again.",
    Status.OFF: "Press t to enable it: Sync all skips disabled audiences.",
    Status.PAUSED: "Press 4 to resume it: the live session reads its events and sends nothing.",
    Status.LIVE: "Nothing to do.",
    Status.IN_SYNC: "Nothing to do.",
    Status.NOT_COMPARED: "Nothing to send. Press u to check the cohort's size, r to reconcile it.",
}
_SAME_SIZE = "Nothing to send. Only the cohort's size was read: press r to see who is in it."


_LEFT_BESIDE = {Status.DIFFERS, Status.REJECTED, Status.NO_IDENTIFIER}
"""States that a sync does not change, although it sends other pending changes."""
_DONE_BY_A_RUN = {Status.NO_COHORT, Status.PENDING, Status.UNCERTAIN, Status.UNDER_WAY}
"""States that a run under way may resolve."""
_AFTER_THE_SYNC = {
    Status.DIFFERS,
    Status.SIZE_DIFFERS,
    Status.LARGE_REMOVAL,
    Status.NOT_COMPARED,
    Status.OFF,
}
"""States whose keys (s, r and t) do nothing while this console syncs the audience."""


def next_step(
    known: AudienceSummary,
    states: Sequence[State],
    query: AudienceQuery | None = None,
    *,
    sync: "SyncJob | None" = None,
    odd: str = "",
) -> str:
    """Say what to do next, with home's keys. `query` lists the audience's members.

    `sync` is the one of this console that is under way for the audience, if any. `odd` is the
    end of a sentence on how Segment disagrees, "" if it does not.
    """
    step = _step(known, states, query, sync=sync)
    if odd and states[0].status in {Status.IN_SYNC, Status.LIVE}:
        return f"The cohort matches the events imported so far, but {odd}"
    return f"{step} {odd}" if odd else step


def _step(
    known: AudienceSummary,
    states: Sequence[State],
    query: AudienceQuery | None,
    *,
    sync: "SyncJob | None",
) -> str:
    worst = states[0].status
    has_members = known.count is None or known.count.members > 0
    if sync is not None and worst in _DONE_BY_A_RUN | _AFTER_THE_SYNC:
        return _watch(sync)
    if known.turn is not None and worst in _DONE_BY_A_RUN:
        return _wait(known.turn)
    if query is not None and query.last is None and not has_members:
        return "Press 7 to run its query under Sources: it never ran, so it has no members yet."
    if worst is Status.LARGE_REMOVAL and known.large_removal is not None:
        plan = known.large_removal
        adds = f" and adds {plan.added_users}" if plan.add else ""
        return f"Press s to see the plan: it removes {plan.removed_members} from the cohort{adds}."
    if worst in _BY_COUNTS:
        return _BY_COUNTS[worst](known, states)
    step = _SAME_SIZE if states[0].has_same_size else _STEPS[worst]
    also = _also_send(known, states) if sync is None else _watch(sync)
    return f"{step} {also}".rstrip() if worst in _LEFT_BESIDE else step


def _watch(sync: "SyncJob") -> str:
    if sync.stop.is_paused:
        return "The sync is paused: press w, then p to resume it."
    return "Press w to watch the sync."


def _wait(turn: Turn) -> str:
    """Name the run to wait for, and who started it."""
    who = f" by {turn.operator}" if turn.operator else ""
    return f"Wait for the {turn.kind}{who} that is under way."


def _also_send(known: AudienceSummary, states: Sequence[State]) -> str:
    """Say that changes are pending in addition to what needs attention."""
    is_live = any(state.status is Status.LIVE for state in states)
    is_due = known.left.pending and not is_live and known.audience.enabled
    return f"s sends {plural(known.left.pending, 'change')}." if is_due else ""


def _broken_step(known: AudienceSummary, states: Sequence[State]) -> str:
    """Name the key, and the size of a new cohort: everyone who can be sent."""
    del states
    adds = ""
    if known.count is not None:
        adds = f" and adds {plural(known.count.in_cohort + known.count.pending, 'user')}"
    return (
        "Press l to link another cohort, or to unlink this one: the next sync then creates a new "
        f"one{adds}."
    )


def _no_cohort_step(known: AudienceSummary, states: Sequence[State]) -> str:
    del states
    who = plural(known.left.add, "user") if known.left.add else "its members"
    return f"Press s to sync: it creates the cohort and adds {who}."


def _size_step(known: AudienceSummary, states: Sequence[State]) -> str:
    del known
    users = plural(states[0].users, f"{'fewer' if states[0].is_fewer else 'more'} user")
    return f"Press r to reconcile: the cohort has {users} in Amplitude than expected."


def _pending_step(known: AudienceSummary, states: Sequence[State]) -> str:
    if any(state.status is Status.LIVE for state in states):
        return "Nothing to do: the live session delivers what is pending."
    return f"Press s to send {plural(known.left.pending, 'change')}."


_BY_COUNTS = {
    Status.BROKEN: _broken_step,
    Status.NO_COHORT: _no_cohort_step,
    Status.PENDING: _pending_step,
    Status.SIZE_DIFFERS: _size_step,
}
