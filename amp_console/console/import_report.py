"""Starting an import, and describing its result."""

from collections.abc import Iterator, Sequence

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.imports import ImportJob
from amp_console.sync.connection_options import audience_options, read_options
from amp_console.sync.future_changes import future_changes_notice
from amp_console.sync.ingest.report import (
    ImportReport,
    audience_sentences,
    counts_of,
    set_sentences,
    unreadable_sentences,
)
from amp_console.sync.ingest.snapshot import SnapshotReport, SnapshotState
from amp_console.text import plural


async def start(
    services: Services,
    paths: Sequence[str],
    audience: str,
    *,
    is_snapshot: bool,
    taken_at: int | None = None,
) -> ImportJob:
    """Start reading files; post how it ended, unless a dialog shows that.

    `taken_at` is the time of a CSV download, in microseconds since 1970; None is the time when its
    file was last changed. Raises `AudienceAmbiguous`, `MappingError` and `LedgerError`.
    """
    assert services.session is not None
    name, more = audience.strip(), {}
    if name:
        more = await services.session.read(audience_options, name)
    options = read_options(services.session.connection, **more, taken_at=taken_at)
    if (before := services.jobs.importing) is not None and before.is_over:
        await before.discard()
    job = ImportJob(services.session, paths, options, services.publish, is_snapshot=is_snapshot)
    services.jobs.importing = job
    job.start()

    async def report_the_end() -> None:
        await job.finished()
        if not job.is_watched:
            waits = " The snapshot is waiting for your confirmation." if job.asks else ""
            services.notifications.post(
                f"{ended(job)}{waits} Press i under Audiences for more.",
                "error" if job.failure else "warning" if waits else "information",
            )

    services.run_in_background(report_the_end())
    return job


def ended(job: ImportJob) -> str:
    """Say in a sentence how an import ended."""
    if job.report is None:
        return job.failure or ""
    tally = job.report.tally
    begin = "Stopped. Everything read so far is kept:" if job.report.was_stopped else "Read"
    updated = None if job.report.snapshot else job.report.updated
    return f"{begin} {plural(tally.read, 'event')}: {counts_of(tally, updated)}."


def details(report: ImportReport) -> Iterator[tuple[str, str]]:
    """Yield further lines about an import, each with its tone."""
    for reason, count in report.filtered.items():
        yield f"filtered: {reason} ({count:,})", "dim"
    for sentence in (*set_sentences(report), *audience_sentences(report)):
        yield sentence, ""
    if report.snapshot:
        yield from _snapshot(report.snapshot)
    for name in report.event_files:
        yield f"{name} contains events, not a list of members, so no one was removed.", "warn"
    for sentence in report.without_changes:
        yield sentence, "warn"
    if report.dated_ahead:
        yield future_changes_notice(report.dated_ahead), "warn"
    for sentence in unreadable_sentences(report):
        yield sentence, "bad"
    if report.tally.invalid:
        are = plural(report.tally.invalid, "event is", "events are")
        yield f"{are} invalid: press x to see which, and why.", "warn"
    changed_nothing = report.snapshot and report.snapshot.changed_nothing
    if report.tally.valid and not changed_nothing and (report.snapshot or report.updated):
        yield "Nothing was sent. Press s under Audiences to sync.", ""


def _snapshot(report: SnapshotReport) -> Iterator[tuple[str, str]]:
    if report.removed:
        yield f"{plural(report.removed, 'member')} removed: the snapshot does not list them.", ""
    if report.state is SnapshotState.ASKS:
        yield f"{report.question()} No one has been removed yet.", "warn"
    elif report.state is SnapshotState.DECLINED:
        yield "The snapshot was not confirmed. Nothing was changed.", "warn"
    elif report.problems:
        kept = report.state is SnapshotState.INCOMPLETE
        yield "The snapshot is incomplete" + (": no one was removed." if kept else "."), "warn"
    yield from ((problem, "bad") for problem in report.problems)
    if report.note:
        yield report.note, "warn"


def confirmation(report: SnapshotReport) -> Confirm:
    """Ask before a snapshot removes many members, or is applied despite being incomplete."""
    leaving = report.removal.leaving if report.removal else 0
    rows = [
        report.question(),
        *report.problems,
        "No one is removed from a cohort until the next sync.",
    ]
    return Confirm(
        "Apply this snapshot?",
        rows,
        yes=f"Remove {plural(leaving, 'member')}",
        no="Change nothing",
        is_danger=True,
    )
