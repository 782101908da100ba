"""Sentences about a run and its requests: what it waits for, how it ended, what to do next."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from amp_console.console.glyphs import Glyphs
from amp_console.console.jobs.speed import ordinal
from amp_console.console.widgets.grid import Cell
from amp_console.console.words import lasting, lasting_about
from amp_console.ledger.cohorts import COHORT_GONE
from amp_console.ledger.requests import RequestRecord, RequestState
from amp_console.ledger.runs import AudienceCounts, ComparisonTotals, RunKind
from amp_console.ledger.sources import ReadCounts
from amp_console.text import clean, listed, plural
from amp_console.values import Operation

UNDER_WAY = {
    "starting": "The run is starting.",
    "stopping": "The current request finishes, then the run ends. The rest stays pending.",
    "pausing": "The current request finishes, then nothing is sent. Press p to resume.",
    "paused": "Nothing is sent. Press p to resume.",
}
LINK_KEYS = (
    "Press 1 for Audiences, then l: there Enter links another cohort, and n unlinks this one."
)
OUTCOME_TONES = {
    "delivered": "good",
    "partial": "bad",
    "stopped": "warn",
    "interrupted": "warn",
    "running": "accent",
    "failed": "bad",
}
"""The tone each outcome is shown in."""
_ENDS = {
    "stopped": "Ended with users still pending.",
    "interrupted": "Interrupted: its amp-console ended during the run. Users without an answer "
    "are pending.",
    "running": "Another amp-console is running it.",
}


def waiting(state: str, seconds: float, tries: int) -> str:
    """Say what an audience waits for: "rate limited, trying again in 12 s (2nd try)"."""
    what = state.partition(" (try ")[0]
    times = f" ({ordinal(tries)} try)" if tries > 1 else ""
    whole = -int(-seconds // 1)
    return f"{what} in {whole} s{times}" if whole > 0 else f"{what} now{times}"


def shortened(text: str, width: int, more: str) -> str:
    """Make what an audience waits for fit into so many columns; for how long is never cut off."""
    if len(text) <= width:
        return text
    text = text.replace(", trying again ", ", again ").replace(" try)", ")")
    what, again, how_long = text.partition(", again ")
    if again and len(text) > width:  # for how long says more than how often it was tried
        how_long = how_long.partition(" (")[0]
    room = width - len(again) - len(how_long)
    if not again or len(what) <= room:
        return what + again + how_long
    if room < 4 + len(more):
        return f"again {how_long}"
    return what[: room - len(more)] + more + again + how_long


def so_far(
    done: int, total: int, planned: int, speed: float, left: float | None, what: str = "user"
) -> str:
    """Say in a sentence how far a run is; `speed` in users per second, `left` in seconds.

    It was `planned` for so many users; changes that arrive meanwhile are delivered, too. Of several
    audiences, a user is as many changes (`what`) as audiences have one.
    """
    more = f"{abs(total - planned):,} {'more' if total > planned else 'fewer'} since"
    plan = f" ({planned:,} planned, {more})" if total != planned else ""
    fast = f", {speed:,.0f}/s" if speed >= 1 else ""
    when = f", {lasting_about(left)} left" if left else ""
    return f"{done:,} of {total:,} {what}s{plan}{fast}{when}."


class Except(NamedTuple):
    """What a run did not deliver.

    `earlier` are users that earlier runs rejected, `unidentified` have no identifier to send (None:
    not known), `invalid` are events; `waiting` names audiences that wait, each with the reason, if
    all pending users are theirs.
    """

    pending: int | None = None
    earlier: int | None = None
    unidentified: int | None = None
    invalid: int = 0
    waiting: Sequence[str] = ()


def verdict(status: str, counts: AudienceCounts, left: Except, whose: str) -> str:
    """Say in a sentence how a run ended; `whose` names its audience, or says how many it had."""
    pending = left.pending
    is_partial = status == "partial" or (
        status == "delivered" and (left.earlier or left.unidentified)
    )
    if is_partial or (status == "stopped" and left.waiting):
        return _delivered_except(counts.rejected, left)
    if status == "delivered" and pending:
        return f"Everything planned is delivered; {plural(pending, 'user')} became pending since."
    if status == "delivered":
        return f"All changes to {whose} are delivered."
    if status == "stopped" and pending:
        return f"Ended with {plural(pending, 'user')} still pending."
    if status == "stopped" and pending == 0:
        return "No users are pending. The audience's row says what is left to do."
    return _ENDS.get(status, status)


def _delivered_except(rejected: int, left: Except) -> str:
    """Name what was not delivered, each by its reason."""
    what = [plural(rejected, "rejected user")] if rejected else []
    if left.earlier:
        what.append(f"{plural(left.earlier, 'user')} that earlier runs rejected")
    if left.unidentified:
        what.append(f"{plural(left.unidentified, 'member')} with no identifier in the event")
    if left.invalid:
        what.append(plural(left.invalid, "invalid event"))
    if not what and not left.waiting:  # older ledgers did not count them
        what.append("users that earlier runs rejected or that have no identifier in the event")
    said = "Delivered" + (f", except {listed(what)}" if what else "")
    if not left.waiting:
        is_elsewhere = not rejected and (left.earlier or left.unidentified)
        return f"{said}. Errors lists who is rejected now." if is_elsewhere else f"{said}."
    wait = f"{plural(left.pending or 0, 'user')} wait{'s' if left.pending == 1 else ''}"
    return f"{said}; {wait}: {', '.join(left.waiting)}."


_COMPARED = {
    "stopped": "Some audiences could not be compared; their rows say why. Nothing was sent.",
    "interrupted": "Interrupted: its amp-console ended during the run. Nothing was sent.",
}
_REPAIRED = {
    "delivered": "No known difference is left.",
    "partial": "The cohort still differs from its audience.",
}
_FORGOTTEN = {
    "delivered": "Removed from every cohort.",
    "partial": "Someone is still in a cohort.",
}


def ended(kind: RunKind, status: str, counts: AudienceCounts, left: Except, whose: str) -> str:
    """Say in a sentence how a run of any kind ended; "" where its comparisons say it."""
    if kind is RunKind.COMPARE:
        return _COMPARED.get(status, "")
    words = {RunKind.REPAIR: _REPAIRED, RunKind.FORGET: _FORGOTTEN}.get(kind, {})
    return words.get(status) or verdict(status, counts, left, whose)


def compared(kind: RunKind, found: ComparisonTotals) -> str:
    """Say in a sentence what the comparisons of a run found; "" where it made none."""
    if not found.cohorts:
        return ""
    what = f"{plural(found.cohorts, 'cohort')} compared"
    again = " again after the repair" if kind is RunKind.REPAIR else ""
    who = " Press d to see who." if found.differing or found.pending or found.rejected else ""
    return f"{what}{again}: {found}.{who}"


def did(counts: AudienceCounts, seconds: float, kind: RunKind = RunKind.SYNC) -> str:
    """Say in a sentence what a run did, in how many requests, and how long it took."""
    if kind is RunKind.COMPARE:
        what = "A comparison only reads: nothing in Amplitude has changed."
        return f"{what} It took {lasting(seconds)}."
    if not counts.requests:
        return f"No request was sent. It took {lasting(seconds)}."
    retries = f" ({plural(counts.retries, 'retry', 'retries')})" if counts.retries else ""
    moved = [f"{counts.added:,} added"] if counts.added else []
    moved += [f"{counts.removed:,} removed"] if counts.removed else []
    what = ", ".join(moved) or "Amplitude confirmed no change"
    return f"{what} in {plural(counts.requests, 'request')}{retries}, {lasting(seconds)}."


def advice(
    status: str,
    counts: AudienceCounts,
    tally: ReadCounts,
    stuck: Sequence[tuple[str, str]] = (),
    *,
    goes_on: bool = True,
) -> Iterator[str]:
    """Say what to look at next.

    `stuck` are the names and notes of audiences that no sync delivers before a person has seen to
    them; `goes_on` says whether there are others that the next sync delivers.
    """
    if counts.rejected:
        were = "user was" if counts.rejected == 1 else "users were"
        yield f"{counts.rejected:,} {were} rejected: press x to see who and why."
    if tally.invalid:
        yield f"{plural(tally.invalid, 'event')} could not be read: press 2 for Errors, then v."
    for name, note in stuck[:1]:
        keys = f" {LINK_KEYS}" if note.startswith(COHORT_GONE) else ""
        yield f"{clean(name)}: {note}{keys}"
    if len(stuck) > 1:
        need = "more audience needs" if len(stuck) == 2 else "more audiences need"
        yield f"{len(stuck) - 1:,} {need} attention: their rows say why."
    if goes_on and status in {"stopped", "interrupted"}:
        yield f"The next sync delivers what{' else' if stuck else ''} is pending."


def request_operation(record: RequestRecord) -> str:
    """What a request does, in a word."""
    if record.kind == "upload":
        return "create"
    if record.kind == "replace":
        return "replace"
    return "add" if record.operation is Operation.ADD else "remove"


def request_answer(record: RequestRecord, glyphs: Glyphs) -> Cell:
    """How a request was answered, as a sign and a status."""
    if record.state is RequestState.OPEN and not record.is_abandoned:
        return Cell(f"{glyphs.live} sent", "accent")
    if record.status is None:
        return Cell(f"{glyphs.bad} lost", "warn")
    if record.skipped:
        return Cell(f"{glyphs.triangle} {record.status}", "bad")
    if record.state is RequestState.CONFIRMED:
        return Cell(f"{glyphs.ok} {record.status}", "good")
    return Cell(f"{glyphs.bad} {record.status}", "warn" if record.status in {429, 503} else "bad")
