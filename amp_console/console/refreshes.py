"""Starting a refresh, confirming its plan, and describing its result."""

from collections.abc import Callable, Iterator

from textual.content import Content

from amp_console.connections import Keyring, NamedSource, find_source_password
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.refresh import RefreshJob
from amp_console.console.texts import BAD, GOOD, MUTED, STRONG, WARN, safe_text
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome
from amp_console.ledger.audiences import Audience
from amp_console.sync.sources.warehouse import Engine, open_engine
from amp_console.sync.sources.warehouse.refresh import RefreshReport, counted
from amp_console.text import clean, plural

NEXT = "Nothing is sent before the next sync."
MAX_LENGTH = 1_000  # characters of a note


def engine_of(source: NamedSource, keyring: Keyring) -> Callable[[], Engine]:
    """Return a function that opens a warehouse; it may block. Raises WarehouseError, KeysError."""
    return lambda: open_engine(source.url, find_source_password(source, keyring))


def start(
    services: Services, audience: Audience, query: AudienceQuery, warehouse: NamedSource
) -> RefreshJob:
    """Run the query of an audience; post how it ended, or that its plan needs confirmation."""
    assert services.session is not None
    job = RefreshJob(
        services.session,
        audience,
        query,
        engine_of(warehouse, services.environment.keyring),
        services.timing,
        services.publish,
    )
    services.jobs.refreshing = job
    job.start()

    async def report_the_end() -> None:
        await job.finished()
        if not job.is_asked and not (job.is_watched and job.asks):
            notify_end(services, job)

    services.run_in_background(report_the_end())
    return job


async def confirm(services: Services, job: RefreshJob) -> None:
    """Ask whether to apply a plan that is waiting for it. Call this in a worker."""
    if job.is_asked:
        return
    job.is_asked = True
    while (asked := job.asks) is not None:
        is_yes = await services.ask(plan_question(services, asked))
        await job.answer(is_yes=bool(is_yes))
    notify_end(services, job)
    services.publish_ledger_change()


def notify_end(services: Services, job: RefreshJob) -> None:
    """Post how a refresh ended."""
    is_bad = job.failure or (job.report and job.report.outcome is RefreshOutcome.FAILED)
    is_good = job.report is not None and job.report.outcome is RefreshOutcome.APPLIED
    severity = "error" if is_bad else "information" if is_good else "warning"
    services.notifications.post(ended(job), severity)  # type: ignore[arg-type]


def ended(job: RefreshJob) -> str:
    """Say in a sentence or two how a refresh ended."""
    name = clean(job.audience.name, 60)
    report = job.report
    if report is None:
        return job.failure or ""
    match report.outcome:
        case RefreshOutcome.ASKS:
            return f"The refresh of “{name}” has a plan to confirm: press 7."
        case RefreshOutcome.APPLIED:
            to_do = "Press s under Audiences to sync." if report.entering or report.leaving else ""
            return f"Refreshed “{name}”: {counted(report)}. {to_do}".rstrip()
        case RefreshOutcome.INCOMPLETE:
            notes = " ".join(report.notes)
            return f"Refreshed “{name}” in part: {counted(report)}. {clean(notes, MAX_LENGTH)}"
    return f"“{name}” was not refreshed. {clean(' '.join(report.notes), MAX_LENGTH)}"


def plan_question(services: Services, asked: RefreshReport) -> Confirm:
    """A question that shows who enters and who leaves, with any warnings; y applies the plan."""
    rows = [*_changes(services, asked), *_guards(asked), safe_text(""), safe_text((NEXT, MUTED))]
    return Confirm(
        f"Refresh plan for “{clean(asked.audience.name, 30)}”",
        rows,
        yes="Apply",
        no="Change nothing",
        is_danger=_is_large(asked),
    )


def _changes(services: Services, asked: RefreshReport) -> Iterator[Content]:
    listed = plural(asked.removal.listed, "person", "people")
    if asked.is_changes:
        listed = plural(asked.removal.listed, "change")
    yield safe_text(f"The query lists {listed}; the audience has {asked.removal.members:,} now.")
    yield safe_text("")
    minus = services.glyphs.minus
    width = len(f"{max(asked.entering, asked.leaving):,}") + 1
    for sign, count, one, many, tone in (
        ("+", asked.entering, "enters", "enter", GOOD),
        (minus, asked.leaving, "leaves", "leave", WARN),
    ):
        number = f"{sign}{count:,}" if count else "0"
        style = f"{STRONG} {tone}" if count else MUTED
        yield safe_text(
            (f"{number:>{width}}", style), f" {one if count == 1 else many} the audience"
        )


def _guards(asked: RefreshReport) -> Iterator[Content]:
    """What to consider before the plan is applied."""
    if not asked.entering and not asked.leaving:  # the type of a column has changed
        yield safe_text((asked.question, BAD), max_length=MAX_LENGTH)
    if asked.duplicates:
        rows = plural(asked.duplicates, "row repeats", "rows repeat")
        yield safe_text((f"{rows} someone already listed.", MUTED))
    if _is_large(asked):
        what = "It lists no one." if not asked.removal.listed else "More than a fifth would leave."
        yield safe_text("")
        yield safe_text((f"{what} Check the query if you did not expect this.", BAD))
    for note in asked.notes:
        is_serious = asked.refused or note in asked.question
        yield safe_text((note, WARN if is_serious else MUTED), max_length=MAX_LENGTH)


def _is_large(asked: RefreshReport) -> bool:
    return bool(asked.leaving) and asked.removal.needs_consent
