"""One audience in detail: its keys, what will be used, its cohort's size, and its last runs."""

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from amp_console.console.context import Services, services_of
from amp_console.console.glyphs import sparkline
from amp_console.console.screens.loading import Loader
from amp_console.console.session import Session
from amp_console.console.status_signs import STATUS_TONES, status_sign
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, TONE, WARN, Part, facts, safe_text
from amp_console.console.words import MINUTE, changes, number
from amp_console.ledger.audiences import Link
from amp_console.ledger.counts import Movement, movement
from amp_console.ledger.runs import AudienceRun, RunStatus, runs_of_audience
from amp_console.sync.formatting import uncertain_text
from amp_console.sync.queries.status import AudienceSummary

FRAME = 5  # columns: borders, padding and a scrollbar
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


class Detail(NamedTuple):
    """What is shown of one audience: its state, who moved lately, and its last runs."""

    summary: AudienceSummary
    moves: Movement
    runs: list[AudienceRun]


class AudienceDetail(VerticalScroll):
    """The audience under home's cursor."""

    def __init__(self, loader: Loader, current: Callable[[], AudienceSummary | None]) -> None:
        """`current` returns the audience to show."""
        super().__init__(id="detail", classes="panel", can_focus=False)
        self._loader = loader
        self._current = current
        self._detail: Detail | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="detail-text")

    def on_mount(self) -> None:
        services_of(self).clock.ticked.subscribe(self, lambda _: self._lay_out(), immediate=True)

    def reload(self) -> None:
        """Read and show the audience under the cursor."""
        self._loader.start("detail", self._load)

    async def _load(self) -> None:
        services, summary = services_of(self), self._current()
        self.display = summary is not None
        if summary is None or services.session is None:
            return
        self._detail = await _read_detail(services, services.session, summary)
        self.border_title = safe_text(summary.audience.name, max_length=60)
        self._lay_out()

    def update_summaries(self, known: Mapping[Hashable, AudienceSummary]) -> None:
        """Show the newest numbers of the audience that is shown."""
        if self._detail is not None and (now := known.get(self._detail.summary.audience.id)):
            self._detail = self._detail._replace(summary=now)
            self._lay_out()

    def _lay_out(self) -> None:
        if self._detail is not None and self.query("#detail-text"):  # else the screen closes now
            room = self.screen.size.width - FRAME
            content = lay_out(services_of(self), self._detail, room)
            self.query_one("#detail-text", Static).update(content)


async def _read_detail(services: Services, session: Session, known: AudienceSummary) -> Detail:
    moves = await session.read(movement, known.audience, services.clock.now, 2 * MINUTE, BUCKETS)
    dead = await session.dead_runs()
    return Detail(known, moves, await session.read(runs_of_audience, known.audience.id, RUNS, dead))


def lay_out(services: Services, detail: Detail, room: int) -> Content:
    """Lay out what is known of an audience, in so many columns."""
    target, moves, runs = detail
    last_run_at = target.audience.last_run_at
    runs = runs[: RUNS if room > NARROW else 1]
    rows = [
        ("state", badges(services, target)),
        ("key", _identity(services, target)),
        ("cohort", _cohort(services, target)),
        ("settings", _settings(target)),
        ("last hour", _moves(services, moves)),
        *(
            # The newest one has the age that the list says, which counts from where it ended.
            (f"run {run.run.id}", _run(services, run, run.run.ended_at if at else last_run_at))
            for at, run in enumerate(runs)
        ),
    ]
    if target.notice:
        rows.insert(0, ("notice", safe_text((target.notice, WARN), max_length=400)))
    if target.left.uncertain:
        words = uncertain_text(target.left.uncertain, target.left.certain_at)
        rows.insert(0, ("not certain", safe_text((words, WARN), max_length=400)))
    if target.audience.broken:
        rows.insert(0, ("broken link", safe_text((target.audience.broken, BAD))))
    return facts(rows, 12, room)


def _identity(services: Services, audience_summary: AudienceSummary) -> Content:
    known, dot = audience_summary.audience, f" {services.glyphs.dot} "
    parts: list[Part] = [known.key]
    if known.space_id:
        parts += [(f"{dot}space ", MUTED), known.space_id]
    if known.computation_id:
        parts += [(f"{dot}computation ", MUTED), known.computation_id]
    return safe_text(*parts, max_length=60)


def _cohort(services: Services, audience_summary: AudienceSummary) -> Content:
    known, glyphs = audience_summary.audience, services.glyphs
    if known.cohort_id is None:
        return safe_text((f"{_LINKS[known.link]}; the next sync makes one", MUTED))
    theirs = size_of(services, audience_summary)
    parts: list[Part] = [known.cohort_id, (f" ({_LINKS[known.link]})", MUTED)]
    parts += [
        (f" {glyphs.dot} holds ", MUTED),
        number(audience_summary.delivered, glyphs),
        (" by our ledger", MUTED),
    ]
    if theirs is None:
        parts.append((f" {glyphs.dot} press u to check", MUTED))
    else:
        parts += [(", ", MUTED), number(theirs, glyphs), (" in Amplitude", MUTED)]
    return safe_text(*parts)


def size_of(services: Services, known: AudienceSummary) -> int | None:
    """The size of an audience's cohort in Amplitude.

    None where it is not known, or where a run has changed the cohort since Amplitude was asked.
    """
    ran_at = known.audience.last_run_at
    if ran_at is not None and ran_at > services.figures.sizes_at:
        return None
    return services.figures.sizes.get(known.audience.cohort_id or "")


def badges(services: Services, known: AudienceSummary) -> Content:
    """Every state of an audience, the most dangerous first, each with its sign."""
    parts: list[Part] = []
    for state in known.states(size_of(services, known)):
        parts += ["  "] if parts else []
        parts.append(
            (
                f"{status_sign(services.glyphs, state.status)} {state}",
                TONE[STATUS_TONES[state.status]],
            )
        )
    return safe_text(*parts)


def _settings(audience_summary: AudienceSummary) -> Content:
    known = audience_summary.audience
    return safe_text(
        ("by ", MUTED),
        known.id_type.label,
        ("  owner ", MUTED),
        audience_summary.owner_email,
        _origin(known.owner_email),
        ("  name ", MUTED),
        audience_summary.cohort_name,
        _origin(known.cohort_name),
        max_length=40,
    )


def _origin(override: str | None) -> Part:
    return (" (override)", ACCENT) if override else (" (default)", MUTED)


def _moves(services: Services, moves: Movement) -> Content:
    entered, left = sum(moves.entered), sum(moves.left)
    if not entered and not left:
        return safe_text(("no one entered or left", MUTED))
    glyphs = services.glyphs
    return safe_text(
        (sparkline(glyphs, moves.entered), GOOD),
        f" {entered:,} entered  ",
        (sparkline(glyphs, moves.left), WARN),
        f" {left:,} left",
    )


def _run(services: Services, audience_run: AudienceRun, ended_at: int | None) -> Content:
    run, counts, glyphs = audience_run.run, audience_run.counts, services.glyphs
    parts: list[Part] = [(str(run.status), _TONE.get(run.status, MUTED))]
    parts.append((f" {services.age_of(ended_at or run.started_at)}", MUTED))
    parts.append(f"  {changes(counts.added, counts.removed, glyphs) or 'no one delivered'}")
    if counts.rejected:
        parts.append((f"  {counts.rejected:,} rejected", BAD))
    if counts.note:
        parts.append((f"  {counts.note}", MUTED))
    return safe_text(*parts, max_length=160)
