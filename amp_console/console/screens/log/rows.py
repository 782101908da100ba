"""The rows of the log: columns, cells, and where Enter leads."""

from amp_console.console.glyphs import Glyphs
from amp_console.console.notifications import TONES, severity_sign
from amp_console.console.routes import (
    OpenAudienceSettings,
    OpenErrors,
    OpenReconcile,
    OpenRun,
    Route,
)
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.console.words import at, moment
from amp_console.ledger.event_log import LogEntry, LogKind, by_whom, this_process

COLUMNS = (
    Column("Time", 11),
    Column("Kind", 10, rank=1),
    Column("", 1),
    Column("What happened", 50, flex=1),
    Column("By", 12, rank=2, narrows=3),
)
NAMES = {
    LogKind.IMPORT: "import",
    LogKind.SYNC: "sync",
    LogKind.COMPARE: "compare",
    LogKind.REPAIR: "repair",
    LogKind.LIVE: "live",
    LogKind.FORGET: "forget",
    LogKind.RETRY: "retry",
    LogKind.LINK: "link",
    LogKind.SETTINGS: "settings",
    LogKind.KEYS: "keys",
    LogKind.BACKUP: "backup",
    LogKind.PRUNE: "prune",
    LogKind.MESSAGE: "message",
}
HERE = "this console"


def row(entry: LogEntry, glyphs: Glyphs, now: int, *, is_shared: bool) -> Row:
    """One entry, with the operator if several share the ledger.

    `now` is in microseconds since 1970: today's entries need no date.
    """
    tone = TONES[entry.severity]
    return Row(
        entry.id,
        (
            Cell(moment(entry.at, now), "dim"),
            Cell(NAMES[entry.kind], "dim"),
            Cell(severity_sign(entry.severity, glyphs), tone),
            Cell(entry.text, tone),
            Cell(_by(entry, is_shared=is_shared), "dim"),
        ),
    )


def process(entry: LogEntry) -> str:
    """Which process did it; "" if unknown."""
    is_here = entry.process == this_process() or entry.id < 0
    return HERE if is_here else entry.process


def by(entry: LogEntry, *, is_shared: bool) -> str:
    """Who did it, in full: the operator, if there are several, and the process."""
    return by_whom(entry.operator if is_shared else "", process(entry))


def _by(entry: LogEntry, *, is_shared: bool) -> str:
    """Who did it, in short."""
    if is_shared and entry.operator:
        return entry.operator
    return process(entry).partition(" on ")[0]


def line(entry: LogEntry, *, is_shared: bool) -> str:
    """An entry as a line of text, for copying."""
    who = by(entry, is_shared=is_shared)
    return "\t".join((at(entry.at), NAMES[entry.kind], entry.text, who))


def route(entry: LogEntry) -> Route | None:
    """The route to an entry's comparison, run, errors or audience; None if it has none."""
    match entry.kind:
        case LogKind.COMPARE if entry.audience_id is not None:
            return OpenReconcile(entry.audience_id)
        case LogKind.RETRY:
            return OpenErrors(entry.audience_id)
        case LogKind.LINK | LogKind.SETTINGS if entry.audience_id is not None:
            return OpenAudienceSettings(entry.audience_id)
    return OpenRun(entry.run_id) if entry.run_id is not None else None
