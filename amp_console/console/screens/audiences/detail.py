"""One audience in detail: its states, what to do next, its members over time, its settings."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content

from amp_console.console.badges import (
    badges,
    badges_text,
    gone_text,
    held_text,
    size_text,
    states_now,
    sync_words,
)
from amp_console.console.context import Services, services_of
from amp_console.console.screens.audiences.next_step import next_step
from amp_console.console.screens.audiences.segment import (
    last_size,
    odd_in_segment,
    segment_badge,
    size_rows,
)
from amp_console.console.screens.audiences.trend import trend_rows, trend_table
from amp_console.console.screens.cursor_detail import CursorDetail
from amp_console.console.screens.loading import Loader
from amp_console.console.texts import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    STRONG,
    WARN,
    Part,
    columns,
    facts,
    safe_text,
)
from amp_console.console.widgets.steady_text import FittedText
from amp_console.console.words import changes
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome
from amp_console.ledger.audiences import Link
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.event_log import by_whom
from amp_console.ledger.outcomes import AudienceRun
from amp_console.ledger.run_log import run_outcome
from amp_console.ledger.runs import RunKind, RunStatus
from amp_console.ledger.turns import Turn
from amp_console.sync.formatting import uncertain_text
from amp_console.sync.queries.audience_detail import (
    AudienceTrend,
    LastError,
    audience_trend,
)
from amp_console.sync.queries.status import AudienceSummary, State, turn_words
from amp_console.sync.reconcile.descriptions import comparison_outcome
from amp_console.text import first_sentence, plural

NOTHING = "nothing to send"
LABELS = 12  # columns for the names of facts
TABLE = 72  # columns of the table of days, including the space before it
WIDE = 160  # columns from which on that table is beside the facts
_LINKS = {
    Link.CREATED: "created by amp-console",
    Link.EXISTING: "existed before",
    Link.NONE: "no cohort",
    Link.UNLINKED: "no cohort (unlinked)",
}
_TONE = {
    RunStatus.DELIVERED: GOOD,
    RunStatus.PARTIAL: WARN,
    RunStatus.STOPPED: BAD,
    RunStatus.INTERRUPTED: BAD,
}


class Detail(NamedTuple):
    """What is shown of one audience."""

    summary: AudienceSummary
    trend: AudienceTrend


class AudienceDetail(CursorDetail):
    """The audience under home's cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.settings", show=False)]

    def __init__(self, loader: Loader, current: Callable[[], AudienceSummary | None]) -> None:
        """`current` returns the audience to show."""
        super().__init__(loader)
        self._current = current
        self._detail: Detail | None = None

    async def load(self) -> None:
        services, summary = services_of(self), self._current()
        if summary is None or services.session is None:
            return
        session = services.session
        dead = await session.dead_runs()
        trend = await session.read(audience_trend, summary.audience, services.clock.now, dead)
        if (now := self._current()) is None or now.audience.id != summary.audience.id:
            return  # the cursor has moved on
        self._detail = Detail(now, trend)
        self.border_title = safe_text(summary.audience.name, max_length=60)
        self.show()

    def update_summaries(self, known: Mapping[Hashable, AudienceSummary]) -> None:
        """Show the newest numbers of the audience that is shown."""
        if self._detail is not None and (now := known.get(self._detail.summary.audience.id)):
            self._detail = self._detail._replace(summary=now)
            self.show()

    def show(self) -> None:
        if self._detail is not None and self.query("#detail-text"):  # else it is closing
            self.query_one(FittedText).fit(partial(lay_out, services_of(self), self._detail))


def lay_out(services: Services, detail: Detail, room: int) -> Content:
    """Lay out what is known about an audience, in `room` columns."""
    target, trend = detail
    has_table = room >= WIDE and any((*trend.days.entered, *trend.days.left))
    states = states_now(services, target)
    marks = badges(services.glyphs, target.audience.id, states)
    rows: list[tuple[str, Content | str]] = [
        ("state", badges_text([*marks, *segment_badge(services, target.audience)])),
        ("next", safe_text((_next(services, detail, states), STRONG), max_length=400)),
    ]
    if trend.same_key:
        words = f"{trend.same_key}: press l to link a cohort instead of creating one."
        rows.append(("same key", safe_text((words, WARN), max_length=300)))
    if target.turn is not None:
        rows.append(("under way", _under_way(services, target, target.turn)))
    if target.notice:
        rows.append(("notice", safe_text((target.notice, WARN), max_length=400)))
    if target.left.uncertain:
        words = uncertain_text(target.left.uncertain, target.left.certain_at)
        rows.append(("not certain", safe_text((words, WARN), max_length=400)))
    rows += [
        ("pending", _pending(services, target)),
        ("last error", _error(services, trend.error)),
        *size_rows(
            services,
            target.audience.id,
            has_query=trend.query is not None,
            last=last_size(services, target.audience, trend.comparison),
        ),
        *trend_rows(services, target, trend, has_table=has_table),
    ]
    rows += [
        (f"run {audience_run.run.id}", _run(services, audience_run)) for audience_run in trend.runs
    ] or ([] if target.turn else [("last sync", safe_text(("never", MUTED)))])
    rows += [
        *([("source", _source(services, trend.query))] if trend.query else []),
        ("cohort", _cohort(services, target, trend)),
        *_compared(services, target, trend),
        *_owner(target),
        ("ID type", target.audience.id_type.label),
        ("key", _identity(services, target)),
    ]
    if not has_table:
        return facts(rows, LABELS, room)
    return columns(
        facts(rows, LABELS, room - TABLE), trend_table(services, target, trend.days), room - TABLE
    )


def _next(services: Services, detail: Detail, states: Sequence[State]) -> str:
    """What the operator should do next about the audience."""
    summary, query = detail.summary, detail.trend.query
    sync = services.jobs.sync_of(summary.audience.id)
    odd = odd_in_segment(services, summary.audience)
    return next_step(summary, states, query, sync=sync, odd=odd)


def _under_way(services: Services, known: AudienceSummary, turn: Turn) -> Content:
    """Which run is working on the audience, and its progress.

    A sync of this console is shown with the numbers of its own screen.
    """
    pending = known.left.pending
    words, done, total = turn_words(turn, pending), turn.done, turn.done + pending
    later = 0
    sync = services.jobs.sync_of(known.audience.id)
    if sync is not None and (now := sync.progress_of(known.audience.id)) is not None:
        words, done, total = sync_words(sync, known.audience.id), now.done, now.total
        later = max(0, pending - (total - done))
    changes = f", {done:,} of {total:,} changes" if turn.kind is RunKind.SYNC else ""
    since = f", {later:,} more pending since" if later else ""
    is_ours = services.jobs.carries_out(turn.run_id)
    who = "in this console" if is_ours else by_whom(turn.operator, turn.process)
    return safe_text(f"{words}{changes}{since}", (f"  run {turn.run_id}, {who}", MUTED))


def _source(services: Services, query: AudienceQuery) -> Content:
    """Which warehouse lists the members, and when it was last read."""
    last = query.last
    when = "never refreshed" if last is None else f"read {services.age_of(last.at)}"
    outcome = "" if last is None or last.outcome is RefreshOutcome.APPLIED else f", {last.outcome}"
    refresh: Part = ("; press 7 to refresh", MUTED)
    return safe_text(f"query in {query.source}", (f", {when}", MUTED), (outcome, WARN), refresh)


def _pending(services: Services, known: AudienceSummary) -> Content:
    """How many changes are pending, and the age of the oldest event among them.

    The event may be older than the change: a comparison makes old changes pending again.
    """
    if not known.left.pending:
        return safe_text(("none", MUTED))
    pending = plural(known.left.pending, "change")
    if known.count is None:
        return safe_text(pending)
    since = known.count.pending_since
    if known.left.in_flight:
        sent = f", {known.left.in_flight:,} of them in requests without an answer yet"
        return safe_text(pending, (sent, MUTED))
    if since is None:
        return safe_text(pending, ("; they appear in no event", MUTED))
    return safe_text(pending, (", the oldest event ", MUTED), (services.age_of(since), WARN))


def _error(services: Services, error: LastError | None) -> Content:
    if error is None:
        return safe_text(("none", MUTED))
    age = f"  {services.age_of(error.at)}" if error.at is not None else ""
    since = ", delivered since" if error.was_delivered else ", nothing pending since"
    since = since if error.is_past else ""
    what = first_sentence(error.text)  # the rest is advice
    return safe_text((what, MUTED if error.is_past else BAD), (f"{age}{since}", MUTED))


def _identity(services: Services, audience_summary: AudienceSummary) -> Content:
    known, dot = audience_summary.audience, services.glyphs.separator
    parts: list[Part] = [known.key]
    if known.space_id:
        parts += [(f"{dot}space ", MUTED), known.space_id]
    if known.computation_id:
        parts += [(f"{dot}computation ", MUTED), known.computation_id]
    return safe_text(*parts, max_length=60)


def _cohort(services: Services, audience_summary: AudienceSummary, trend: AudienceTrend) -> Content:
    known, glyphs = audience_summary.audience, services.glyphs
    name = audience_summary.cohort_name
    if known.cohort_id is None:
        creates = f"{_LINKS[known.link]}: the next sync creates "
        return safe_text((creates, MUTED), name, _origin(known.cohort_name), max_length=60)
    theirs = size_text(services, known)
    parts: list[Part] = [
        name,
        f"  {known.cohort_id}",
        (f" ({_LINKS[known.link]}) {glyphs.dot} ", MUTED),
    ]
    held = audience_summary.held
    if known.broken:
        return safe_text(*parts, max_length=60) + gone_text(held)
    parts += held_text(held, glyphs)
    count = audience_summary.count
    if count is not None and (leaving := count.held.delivered - count.in_cohort):
        parts.append((f", {leaving:,} to be removed", MUTED))
    if theirs:
        parts.append((f", {theirs}", MUTED))
    elif last := _comparison_since_runs(trend):
        when = _when_compared(services, trend, last)
        parts.append((f", {last.in_cohort:,} in Amplitude when compared {when}", MUTED))
    else:
        if found := last_size(services, known, trend.comparison):
            size, at = found
            words = f", {size:,} in Amplitude {services.age_of(at)}, changed since"
            parts.append((words, MUTED))
        parts.append((f" {glyphs.dot} press u to check", MUTED))
    return safe_text(*parts, max_length=60)


def _comparison_since_runs(trend: AudienceTrend) -> Comparison | None:
    """The last comparison, unless a later run has sent something to the cohort."""
    last = trend.comparison
    has_changed = last is not None and any(
        item.run.id > last.run_id and item.counts.requests for item in trend.runs
    )
    return None if has_changed else last


def _owner(known: AudienceSummary) -> list[tuple[str, Content | str]]:
    """Who will own a new cohort; an existing one keeps its owner."""
    override = known.audience.owner_email
    if known.audience.cohort_id is None:
        return [("owner", safe_text(known.owner_email, _origin(override)))]
    if not override:
        return []
    return [("owner", safe_text(override, (" (for a new cohort)", MUTED)))]


def _compared(
    services: Services, known: AudienceSummary, trend: AudienceTrend
) -> list[tuple[str, Content]]:
    """When the cohort was last compared, with the result; empty if it was deleted."""
    last = trend.comparison
    if known.audience.cohort_id is None or (last is None and known.audience.broken):
        return []
    if last is None:
        return [("compared", safe_text(("not yet", MUTED)))]
    outcome = comparison_outcome(last, "pending then")
    if last.differing:
        outcome = f"{plural(last.differing, 'user')} differed{_parts(last)}"
    with_list = f" with {PurePath(last.against).name}" if last.against else ""
    when = _when_compared(services, trend, last)
    run = "" if _is_own_check(trend, last) else f", run {last.run_id}"
    return [("compared", safe_text(when, f"{with_list}{run}: {outcome}"))]


def _when_compared(services: Services, trend: AudienceTrend, last: Comparison) -> str:
    """When a cohort was compared, or the listed run that did so: its time is later."""
    is_own = _is_own_check(trend, last)
    return f"by run {last.run_id}" if is_own else services.age_of(last.at)


def _is_own_check(trend: AudienceTrend, last: Comparison) -> bool:
    return any(item.run.id == last.run_id for item in trend.runs)


def _parts(last: Comparison) -> str:
    """Say what became of the differing users, with the same numbers as the list."""
    if last.against is not None:
        return ""
    counts = [
        (last.differing - last.strangers, "made pending"),
        (last.strangers, "extra"),
    ]
    return f" ({', '.join(f'{count:,} {what}' for count, what in counts if count)})"


def _origin(override: str | None) -> Part:
    return (" (override)", ACCENT) if override else (" (default)", MUTED)


def _run(services: Services, audience_run: AudienceRun) -> Content:
    run, counts, glyphs = audience_run.run, audience_run.counts, services.glyphs
    status = audience_run.status
    sent, none = changes(counts.added, counts.removed, glyphs), _no_changes(audience_run)
    is_idle = not sent and none == NOTHING
    outcome = none if is_idle else run_outcome(run.kind, status)
    parts: list[Part] = [(outcome, MUTED if is_idle else _TONE.get(status, MUTED))]
    parts.append((f" {services.age_of(audience_run.at)}", MUTED))
    parts += [] if is_idle else [f"  {sent or none}"]
    if counts.rejected:
        parts.append((f"  {counts.rejected:,} rejected", BAD))
    if status is not run.status:
        parts.append((f"  (the run as a whole: {run_outcome(run.kind, run.status)})", MUTED))
    return safe_text(*parts, max_length=160)


def _no_changes(audience_run: AudienceRun) -> str:
    """Say why a run delivered no change, if its outcome does not."""
    is_done = audience_run.status in {RunStatus.DELIVERED, RunStatus.PARTIAL}
    if audience_run.counts.rejected:
        return ""
    return NOTHING if is_done else "nothing delivered"
