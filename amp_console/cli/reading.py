"""Reading event files for a command, with progress and what to say about it."""

from collections.abc import Iterable

import click

from amp_console.cli.exits import Exit
from amp_console.cli.meter import Meter
from amp_console.cli.text import plural
from amp_console.engage import ReadOptions
from amp_console.ledger import Ledger
from amp_console.sync.intake import Intake, IntakeReport


def read_events(
    ledger: Ledger, paths: Iterable[str], options: ReadOptions, *, is_snapshot: bool = False
) -> IntakeReport:
    """Take event files in; says on stderr what was read and what could not be."""
    with Meter("Reading") as meter:
        report = Intake(ledger, options, is_snapshot=is_snapshot, watch=meter.intake).run(paths)
    for sentence in report.unreadable:
        click.echo(sentence, err=True)
    return report


def describe(report: IntakeReport) -> list[str]:
    """Say in lines what became of the events."""
    tally = report.tally
    found = (
        f"{plural(tally.changes, 'change')}, {tally.filtered:,} filtered, {tally.invalid:,} invalid"
    )
    lines = [f"Read {plural(tally.read, 'event')}: {found}."]
    lines += [f"  filtered: {reason} ({count:,})" for reason, count in report.filtered.items()]
    if report.left:
        lines.append(f"  {plural(report.left, 'member')} left: the snapshot does not hold them.")
    if tally.invalid:
        lines.append("See the invalid events with: amp-console errors")
    return lines


def exit_of(report: IntakeReport) -> Exit:
    """Return the exit status that reading alone gives."""
    if report.unreadable:
        return Exit.MISUSE
    return Exit.PARTIAL if report.tally.invalid else Exit.DELIVERED
