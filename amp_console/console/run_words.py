"""Sentences about a run and its requests: what it is waiting for, how it ended, what is next."""

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
from amp_console.sync.formatting import with_missing_ids
from amp_console.text import clean, listed, plural
from amp_console.values import Operation

UNDER_WAY = {
    "starting": "The run is starting.",
    "stopping": "The current request finishes, then the run ends. The rest stays pending.",
    "pausing": "The current request finishes, then nothing is sent. Press {resume} to resume.",
    "paused": "Nothing is sent. Press {resume} to resume.",
}
TEST_KEYS = "Press 5 for Connections, then T to test the keys."
LINK_KEYS = "Press 1 for Audiences, then l."
OUTCOME_TONES = {
    "delivered": "good",
    "partial": "bad",
    "stopped": "warn",
    "interrupted": "warn",
    "running": "accent",
    "failed": "bad",
}
"""The tone of each outcome."""
_ENDS = {
    "stopped": "Ended with changes still pending.",
    "interrupted": "Interrupted: its amp-console ended during the run. Changes without an "
    "answer are pending.",
    "running": "Another amp-console is running it.",
}


def waiting(state: str, seconds: float, tries: int) -> str:
    """Say what an audience is waiting for: "rate limited, trying again in 12 s (2nd try)"."""
    what = state.partition(" (try ")[0]
    times = f" ({ordinal(tries)} try)" if tries > 1 else ""
    whole = -int(-seconds // 1)
    return f"{what} in {whole} s{times}" if whole > 0 else f"{what} now{times}"


def shortened(text: str, width: int, more: str) -> str:
    """Shorten the result of `waiting` to `width` columns; never cut off the time."""
    if len(text) <= width:
        return text
    text = text.replace(", trying again ", ", again ").replace(" try)", ")")
    what, again, how_long = text.partition(", again ")
    if again and len(text) > width:  # the time is more useful than the number of tries
        how_long = how_long.partition(" (")[0]
    room = width - len(again) - len(how_long)
    if not again or len(what) <= room:
        return what + again + how_long
    if room < 4 + len(more):
        return f"again {how_long}"
    return what[: room - len(more)] + more + again + how_long


def so_far(
    counts: AudienceCounts, total: int, planned: int, speed: float, left: float | None
) -> str:
    """Describe a run's progress; `speed` is in changes per second, `left` in seconds.

    It had `planned` changes at first; changes that arrive in the meantime are delivered, too. A
    user may count several times: once for each audience, and as a removal and an addition if the ID
    type has changed.
    """
    more = f"{abs(total - planned):,} {'more' if total > planned else 'fewer'} since"
    plan = f" ({planned:,} in the plan, {more})" if total != planned else ""
    delivered = counts.added + counts.removed
    rejected = f", {counts.rejected:,} rejected" if counts.rejected else ""
    fast = f", {speed:,.0f}/s" if speed >= 1 else ""
    when = f", {lasting_about(left)} left" if left else ""
    return f"{delivered:,} of {total:,} changes delivered{plan}{rejected}{fast}{when}."


class Except(NamedTuple):
    """What a run did not deliver.

    `earlier` counts users that earlier runs rejected, `unidentified` users with missing IDs (None:
    unknown), `invalid` events; `waiting` names waiting audiences, each with the reason, if all
    pending changes are theirs.
    """

    pending: int | None = None
    earlier: int | None = None
    unidentified: int | None = None
    invalid: int = 0
    waiting: Sequence[str] = ()


def verdict(status: str, counts: AudienceCounts, left: Except, whose: str) -> str:
    """Say how a run ended; `whose` names its audience, or says how many it had."""
    pending = left.pending
    if status == "partial":
        return _delivered_except(counts.rejected, left)
    if status == "delivered":
        return _delivered(left, whose)
    if status == "stopped" and left.waiting:
        wait = plural(pending or 0, "change waits", "changes wait")
        unsent = _not_sent(counts.rejected, left)
        but = f", except {listed(unsent)}" if unsent else ""
        return f"{wait}: {', '.join(left.waiting)}. Everything else is delivered{but}."
    if status == "stopped" and pending:
        return f"Ended with {plural(pending, 'change')} still pending."
    if status == "stopped" and pending == 0:
        return "No changes are pending. The audience's row says what is left to do."
    return _ENDS.get(status, status)


def _delivered(left: Except, whose: str) -> str:
    """Say that a run delivered everything that could be sent, and who could not be sent."""
    if unsent := _not_sent(0, left):
        said = f"Everything that could be sent is delivered. Not sent: {listed(unsent)}."
        return f"{said} Errors lists who is left now.{_pending_since(left)}"
    if left.pending:
        return f"Everything planned is delivered.{_pending_since(left)}"
    return f"All changes to {whose} were delivered."


def _pending_since(left: Except) -> str:
    """Say what has become pending after the last request of a run that has sent everything."""
    if not left.pending:
        return ""
    return f" {plural(left.pending, 'change has', 'changes have')} become pending since."


def _delivered_except(rejected: int, left: Except) -> str:
    what = _not_sent(rejected, left)
    if not what:  # older ledgers did not count them
        what = ["users that earlier runs rejected or that have missing IDs"]
    is_elsewhere = not rejected and (left.earlier or left.unidentified)
    where = " Errors lists who is left now." if is_elsewhere else ""
    return f"Delivered, except {listed(what)}.{where}{_pending_since(left)}"


def _not_sent(rejected: int, left: Except) -> list[str]:
    """Name what was not delivered, by reason."""
    what = [plural(rejected, "rejected user")] if rejected else []
    if left.earlier:
        what.append(f"{plural(left.earlier, 'user')} that earlier runs rejected")
    if left.unidentified:
        what.append(with_missing_ids(left.unidentified))
    if left.invalid:
        what.append(plural(left.invalid, "invalid event"))
    return what


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
    """Say how a run of any kind ended; "" if its comparisons say that."""
    if kind is RunKind.COMPARE:
        return _COMPARED.get(status, "")
    words = {RunKind.REPAIR: _REPAIRED, RunKind.FORGET: _FORGOTTEN}.get(kind, {})
    return words.get(status) or verdict(status, counts, left, whose)


def compared(kind: RunKind, found: ComparisonTotals) -> str:
    """Say what the comparisons of a run found; "" if it made none."""
    if not found.cohorts:
        return ""
    what = f"{plural(found.cohorts, 'cohort')} compared"
    again = " again after the repair" if kind is RunKind.REPAIR else ""
    who = " Press d to see who." if found.differing or found.pending or found.rejected else ""
    return f"{what}{again}: {found}.{who}"


def did(counts: AudienceCounts, seconds: float, kind: RunKind = RunKind.SYNC) -> str:
    """Say what a run did, in how many requests, and how long it took."""
    if kind is RunKind.COMPARE:
        what = "A comparison only reads: nothing in Amplitude has changed."
        return f"{what} It took {lasting(seconds)}."
    if not counts.requests:
        return f"No request was sent. It took {lasting(seconds)}."
    retries = f" ({plural(counts.retries, 'retry', 'retries')})" if counts.retries else ""
    moved = [f"{counts.added:,} added"] if counts.added else []
    moved += [f"{counts.removed:,} removed"] if counts.removed else []
    what = ", ".join(moved) or "Amplitude confirmed none of the changes"
    return f"{what} in {plural(counts.requests, 'request')}{retries}, {lasting(seconds)}."


def advice(
    status: str,
    counts: AudienceCounts,
    tally: ReadCounts,
    stuck: Sequence[tuple[str, str]] = (),
    *,
    goes_on: bool = True,
    still: int | None = None,
    kind: RunKind = RunKind.SYNC,
) -> Iterator[str]:
    """Say what to look at next after a run of this kind.

    `still` is how many of the rejected users are still as the run left them (None: all). `stuck`
    are the names and notes of audiences that no sync delivers until an operator acts; `goes_on` is
    whether there are others that the next sync delivers.
    """
    if counts.rejected:
        yield _rejected(counts.rejected, counts.rejected if still is None else still)
    if tally.invalid:
        were = plural(tally.invalid, "invalid event was", "invalid events were")
        when = "in this session" if kind is RunKind.LIVE else "since the sync before this one"
        yield f"{were} read {when}: press 2 for Errors, then v."
    for name, note in stuck[:1]:
        keys = f" {LINK_KEYS}" if note.startswith(COHORT_GONE) else ""
        yield f"{clean(name)}: {note}{keys}"
    if len(stuck) > 1:
        need = "more audience needs" if len(stuck) == 2 else "more audiences need"
        yield f"{len(stuck) - 1:,} {need} attention: their rows say why."
    if goes_on and status in {"stopped", "interrupted"}:
        what = "the other pending changes" if stuck else "what is pending"
        yield f"The next sync delivers {what}."


def _rejected(rejected: int, still: int) -> str:
    """Say that users were rejected, and how many have been retried or changed since."""
    were = f"{plural(rejected, 'user was', 'users were')} rejected"
    if still >= rejected:
        return f"{were}: press x to see who and why."
    if not still:
        all_have = "has" if rejected == 1 else "all of them have"
        return f"{were}, and {all_have} since been retried or changed."
    have = plural(rejected - still, "has", "have")
    return f"{were}; {have} since been retried or changed: press x for the others."


def request_operation(record: RequestRecord) -> str:
    """The operation of a request, in a word."""
    if record.kind == "upload":
        return "create"
    if record.kind == "replace":
        return "replace"
    return "add" if record.operation is Operation.ADD else "remove"


def request_answer(record: RequestRecord, glyphs: Glyphs) -> Cell:
    """The answer to a request, as a sign and a status."""
    is_open = record.state is RequestState.OPEN and not record.is_abandoned
    if not record.is_sent:
        return Cell(f"{glyphs.dash} {'next' if is_open else 'unsent'}", "dim")
    if is_open:
        return Cell(f"{glyphs.live} sent", "accent")
    if record.status is None:
        return Cell(f"{glyphs.bad} lost", "warn")
    if record.skipped:
        return Cell(f"{glyphs.triangle} {record.status}", "bad")
    if record.state is RequestState.CONFIRMED:
        return Cell(f"{glyphs.ok} {record.status}", "good")
    return Cell(f"{glyphs.bad} {record.status}", "warn" if record.status in {429, 503} else "bad")
