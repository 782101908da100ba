"""Importing from the console: starting it, and saying how it goes and what came of it."""

from collections.abc import Iterator, Sequence

from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.runs import ImportJob
from amp_console.sync.connection_options import audience_options, read_options
from amp_console.sync.ingest.future_events import taken_ahead
from amp_console.sync.ingest.importer import ImportReport, audience_sentences, changes_of
from amp_console.sync.ingest.snapshot import SnapshotReport, SnapshotState
from amp_console.text import plural


async def start(
    services: Services, paths: Sequence[str], audience: str, *, is_snapshot: bool
) -> ImportJob:
    """Begin to read files; whoever is elsewhere when it ends is told.

    Raises `AudienceAmbiguous`, `MappingError` and `LedgerError`.
    """
    assert services.session is not None
    name, more = audience.strip(), {}
    if name:
        more = await services.session.read(audience_options, name)
    options = read_options(services.session.connection, **more)
    work = ImportJob(
        services.session, paths, options, services.publish_change, is_snapshot=is_snapshot
    )
    services.jobs.importing = work
    work.start()

    async def tell_the_end() -> None:
        await work.finished()
        if not work.is_watched:
            waits = " The snapshot waits for your confirmation." if work.asks else ""
            services.notifications.post(
                f"{ended(work)}{waits} Press i under Audiences for more.",
                "error" if work.failure else "warning" if waits else "information",
            )

    services.run_in_background(tell_the_end())
    return work


def ended(work: ImportJob) -> str:
    """Say in a sentence how an import ended."""
    if work.report is None:
        return work.failure or ""
    tally = work.report.tally
    begin = "Stopped; what was read is kept:" if work.report.was_stopped else "Read"
    return (
        f"{begin} {plural(tally.read, 'event')}: {changes_of(work.report)}, "
        f"{tally.filtered:,} filtered, {tally.invalid:,} invalid."
    )


def details(report: ImportReport) -> Iterator[tuple[str, str]]:
    """Say line by line what else there is to know; each with a tone."""
    for reason, count in report.filtered.items():
        yield f"filtered: {reason} ({count:,})", "dim"
    for sentence in audience_sentences(report):
        yield sentence, ""
    if report.snapshot:
        yield from _snapshot(report.snapshot)
    for name in report.events:
        yield f"{name} holds events, not a list of members, so no one left.", "warn"
    for sentence in report.nothing_taken:
        yield sentence, "warn"
    if report.dated_ahead:
        yield taken_ahead(report.dated_ahead), "warn"
    for sentence in report.unreadable:
        yield sentence, "bad"
    if report.tally.invalid:
        were = "event is" if report.tally.invalid == 1 else "events are"
        yield f"{report.tally.invalid:,} {were} invalid: press x to see which, and why.", "warn"
    changed_nothing = report.snapshot and report.snapshot.changed_nothing
    if report.tally.changes and not changed_nothing:
        yield "Nothing was sent. Press s under Audiences to sync.", ""


def _snapshot(of: SnapshotReport) -> Iterator[tuple[str, str]]:
    if of.removed:
        yield f"{plural(of.removed, 'member')} left: they are not in the snapshot.", ""
    if of.state is SnapshotState.ASKS:
        yield f"{of.question} No one has been removed yet.", "warn"
    elif of.state is SnapshotState.DECLINED:
        yield "The snapshot was not confirmed. Nothing was changed.", "warn"
    elif of.problems:
        kept = of.state is SnapshotState.INCOMPLETE
        yield "The snapshot is incomplete" + (": no one was removed." if kept else "."), "warn"
    yield from ((problem, "bad") for problem in of.problems)
    if of.note:
        yield of.note, "warn"


def confirmation(of: SnapshotReport) -> Confirm:
    """Ask before a snapshot removes many members, or is applied although it is incomplete."""
    leaving = of.removal.leaving if of.removal else 0
    rows = [of.question, *of.problems, "No one is removed from a cohort before the next sync."]
    return Confirm(
        "Apply this snapshot?",
        rows,
        yes=f"Remove {plural(leaving, 'member')}",
        no="Change nothing",
        is_danger=True,
    )


def size(count: float) -> str:
    """Return "512 B", "1.3 MB" or "2.0 GB" for a number of bytes."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
