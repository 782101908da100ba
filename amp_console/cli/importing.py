"""Importing event files for a command, with progress and a report."""

from collections.abc import Callable, Iterable, Iterator

from amp_console.cli.exits import Exit
from amp_console.cli.output import say
from amp_console.cli.progress import ProgressMeter
from amp_console.engage import ReadOptions
from amp_console.ledger import Ledger
from amp_console.sync.future_changes import future_changes_notice
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import (
    ImportReport,
    audience_sentences,
    counts_of,
    set_sentences,
    unreadable_sentences,
)
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport, SnapshotState
from amp_console.sync.sources.registry import open_source
from amp_console.text import clean, plural

_OPTIONS = {
    "audience": "--audience KEY",
    "user_id_column": "--user-id-column NAME",
    "amplitude_id_column": "--amplitude-id-column NAME",
}
"""Options of `import`, by the field of `ReadOptions`."""
MAX_FILES = 5  # of those without a result that are named in the report


def read_events(
    ledger: Ledger,
    paths: Iterable[str],
    options: ReadOptions,
    *,
    snapshot: SnapshotReader | None = None,
    while_merging: Callable[[], None] = lambda: None,
) -> ImportReport:
    """Import event files; print on stderr what could not be read. See `Importer`."""
    with ProgressMeter("Reading") as meter:
        report = Importer(
            ledger,
            open_source,
            options,
            snapshot=snapshot,
            on_progress=meter.show_import,
            while_merging=while_merging,
        ).run(paths)
    for sentence in unreadable_sentences(report):
        say(sentence, err=True)
    if missing := [flag for field, flag in _OPTIONS.items() if field in report.missing]:
        say(f"  Options of amp-console import: {', '.join(missing)}", err=True)
    return report


def describe(report: ImportReport, *, has_commands: bool = True) -> list[str]:
    """The result of an import in lines; `has_commands` adds the command that shows more."""
    tally = report.tally
    found = counts_of(tally, None if report.snapshot else report.updated)
    lines = []
    if tally.read or not report.unreadable:
        lines.append(f"Read {plural(tally.read, 'event')}: {found}.")
    lines += [f"  filtered: {reason} ({count:,})" for reason, count in report.filtered.items()]
    lines += [f"  {text}" for text in set_sentences(report)]
    lines += audience_sentences(report)
    for name in report.event_files:
        lines.append(
            f"  {clean(name, 300)} contains events, not a list of members: --snapshot has no "
            "effect on it."
        )
    lines += _remarks(report)
    if report.snapshot:
        lines += [f"  {line}" for line in _snapshot_lines(report.snapshot)]
    if tally.invalid and has_commands:
        lines.append("To see the invalid events: amp-console errors")
    return lines


def _remarks(report: ImportReport) -> Iterator[str]:
    yield from report.without_changes[:MAX_FILES]
    if (more := len(report.without_changes) - MAX_FILES) > 0:
        yield f"The same is true of {plural(more, 'more file', 'more files')}."
    if report.dated_ahead:
        yield f"{future_changes_notice(report.dated_ahead)} To see it: amp-console audiences"


def _snapshot_lines(snapshot: SnapshotReport) -> Iterator[str]:
    match snapshot.state:
        case SnapshotState.APPLIED:
            if snapshot.problems:
                yield "The snapshot is incomplete. It was applied anyway:"
                yield from _problems(snapshot)
            if snapshot.removed:
                have = plural(snapshot.removed, "member has", "members have")
                yield f"{have} left: the snapshot does not list them."
        case SnapshotState.INCOMPLETE:
            yield "No one was removed, because the snapshot is incomplete:"
            yield from _problems(snapshot)
            if snapshot.can_be_insisted:
                yield "The members it lists were imported. To remove the others anyway, add"
                yield "--allow-incomplete."
        case SnapshotState.DECLINED | SnapshotState.ASKS:
            yield "The snapshot was not confirmed. Nothing was changed."
    if snapshot.note:
        yield snapshot.note


def _problems(snapshot: SnapshotReport) -> Iterator[str]:
    return (f"- {clean(problem, 1000)}" for problem in snapshot.problems)


def exit_of(report: ImportReport) -> Exit:
    """Return the exit status of an import."""
    state = report.snapshot.state if report.snapshot else SnapshotState.APPLIED
    if report.unreadable or state in {SnapshotState.ASKS, SnapshotState.DECLINED}:
        return Exit.MISUSE
    if report.without_changes or report.tally.invalid or state is SnapshotState.INCOMPLETE:
        return Exit.PARTIAL
    return Exit.DELIVERED
