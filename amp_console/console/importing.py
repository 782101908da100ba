"""Importing from the console: starting it, and saying how it goes and what came of it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from amp_console.console.work import ImportWork
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.sync.intake import IntakeReport
from amp_console.sync.words import plural

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp


async def start(
    app: "ConsoleApp", paths: Sequence[str], audience: str, *, is_snapshot: bool
) -> ImportWork:
    """Begin to read files; whoever is elsewhere when it ends is told.

    Raises `AudienceAmbiguous`, `MappingError` and `LedgerError`.
    """
    assert app.session is not None
    key = await audience_key(app, audience)
    options = app.session.place.read_options(audience=key)
    work = ImportWork(app.session, paths, options, app.tell, is_snapshot=is_snapshot)
    app.reading = work
    work.start()

    async def tell_the_end() -> None:
        await work.finished()
        if not work.is_watched:
            app.say(
                f"{ended(work)} Press i under Audiences for more.",
                "error" if work.failure else "information",
            )

    app.run_worker(tell_the_end())
    return work


async def audience_key(app: "ConsoleApp", name: str) -> str | None:
    """The key of the audience that was named; a new one is called as it was named."""
    assert app.session is not None
    if not name.strip():
        return None
    try:
        return (await app.session.read(find_audience, name.strip())).key
    except AudienceNotFound:
        return name.strip()


def ended(work: ImportWork) -> str:
    """Say in a sentence how an import ended."""
    if work.report is None:
        return work.failure or ""
    tally = work.report.tally
    begin = "Stopped; what was read is kept:" if work.report.was_stopped else "Read"
    return (
        f"{begin} {plural(tally.read, 'event')}: {plural(tally.changes, 'change')}, "
        f"{tally.filtered:,} filtered, {tally.invalid:,} invalid."
    )


def details(report: IntakeReport) -> Iterator[tuple[str, str]]:
    """Say line by line what else there is to know; each with a tone."""
    for reason, count in report.filtered.items():
        yield f"filtered: {reason} ({count:,})", "dim"
    if report.audience_ids:
        yield f"The changes are of {plural(len(report.audience_ids), 'audience')}.", ""
    if report.left:
        yield f"{plural(report.left, 'member')} left: the snapshot does not hold them.", ""
    for sentence in report.unreadable:
        yield sentence, "bad"
    if report.tally.invalid:
        were = "event is" if report.tally.invalid == 1 else "events are"
        yield f"{report.tally.invalid:,} {were} invalid: press x to see which, and why.", "warn"
    if report.tally.changes:
        yield "Nothing was sent. Press s under Audiences to sync.", ""


def size(count: float) -> str:
    """Return "512 B", "1.3 MB" or "2.0 GB" for a number of bytes."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
