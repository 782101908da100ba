"""The rows of the errors view: groups, users and invalid events."""

from pathlib import PurePath

from amp_console.console.glyphs import Glyphs
from amp_console.console.search_answer import SearchAnswer
from amp_console.console.widgets.grid import Cell, Column, Row, shortened_path
from amp_console.console.words import aged, folder_of
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser, RejectionGroup
from amp_console.ledger.sources import InvalidEvent, InvalidGroup
from amp_console.sync.queries.person import brief_reason, group_reason
from amp_console.values import Operation

GROUP_COLUMNS = (
    Column("Reason", 36, flex=3),
    Column("Audience", 16, flex=2, rank=1),
    Column("Operation", 9, rank=3),
    Column("Users", 8, right=True),
    Column("Latest", 12, rank=2),
)
OF_ONE_GROUP = (
    Column("Identifier", 24, flex=1),
    Column("Amplitude", 9, hides=True),
    Column("Attempts", 8, right=True, rank=1),
    Column("Since", 12),
    Column("Last attempt", 12, rank=3),
)
OF_ALL_GROUPS = (
    Column("Identifier", 20, flex=3),
    Column("Audience", 14, rank=1, narrows=1),
    Column("Reason", 18, narrows=1),
    Column("Operation", 9, rank=5),
    Column("Amplitude", 9, hides=True),
    Column("Attempts", 8, right=True, rank=4),
    Column("Since", 11, rank=2),
    Column("Last attempt", 12, rank=3),
)
EVENT_COLUMNS = (
    Column("Reason", 24, flex=3),
    Column("Events", 6, right=True),
    Column("First one", 31, flex=2),
)
ALL = "all"
"""The key of the row for all groups together."""
OPERATION = {Operation.ADD: "add", Operation.REMOVE: "remove"}
"""The operation that was refused."""


def group_rows(groups: list[RejectionGroup], glyphs: Glyphs, now: int) -> list[Row]:
    """A row for all groups together, then one row per group."""
    if not groups:
        return []
    total, latest = sum(group.count for group in groups), max(group.latest_at for group in groups)
    everything = Row(
        ALL,
        (
            Cell("All reasons"),
            Cell(""),
            Cell(""),
            Cell(f"{total:,}", "bad"),
            aged(latest, now, glyphs),
        ),
    )
    return [everything, *(_group_row(group, glyphs, now) for group in groups)]


def _group_row(group: RejectionGroup, glyphs: Glyphs, now: int) -> Row:
    return Row(
        group.filter,
        (
            Cell(group_reason(group.code, group.reason)),
            Cell(group.audience_name),
            Cell(OPERATION[group.operation], "dim"),
            Cell(f"{group.count:,}", "bad"),
            aged(group.latest_at, now, glyphs),
        ),
    )


def user_row(
    user: RejectedUser, answer: SearchAnswer | None, glyphs: Glyphs, now: int, *, of_all: bool
) -> Row:
    """One user, and Amplitude's answer about them.

    `of_all`: with reason and audience, which otherwise the group shows.
    """
    identifier, tries = Cell(user.id), Cell(str(user.tries) if user.tries else glyphs.dash)
    since = aged(user.since, now, glyphs)
    last = aged(user.at, now, glyphs) if user.tries else Cell(glyphs.dash)
    between: tuple[Cell, ...] = ()
    if of_all:
        done = Cell(OPERATION[user.operation])
        why = Cell(brief_reason(user.code, user.reason))
        between = (Cell(user.audience_name), why, done)
    # For someone who was never sent, it does not matter whether Amplitude knows them.
    between = (*between, _answer(answer if user.tries else None, user))
    texts = [cell.text for cell in between]
    key = user.audience_id, user.id_type, user.id
    cells = (identifier, *between, tries, since, last)
    return Row(key, cells, (user.id, *texts, user.tries, user.since, user.at))


def _answer(answer: SearchAnswer | None, user: RejectedUser) -> Cell:
    """Whether Amplitude knows a user; "now" only if that was the reason for the rejection."""
    if answer is None:
        return Cell("")
    if not answer.is_known:
        return Cell("unknown", "warn")
    if user.code is not Reason.UNKNOWN:  # it does not help if they are refused again
        return Cell("known", "warn" if answer.was_refused_again(user) else "good")
    return Cell("known now", "good")


def invalid_row(group: InvalidGroup) -> Row:
    """Events that are invalid for one reason, with the place of the first one."""
    first = _line_of_file(group.samples[0]) if group.samples else ""
    count = Cell(f"{group.count:,}", "bad")
    return Row(group.reason, (Cell(group.reason), count, Cell(first, shorten=shortened_path)))


def where(event: InvalidEvent) -> str:
    """Where an event is; the file name of a long path comes first."""
    return f"{_line_of_file(event)}  {folder_of(event.source)}".rstrip()


def _line_of_file(event: InvalidEvent) -> str:
    return PurePath(event.source).name + (f", line {event.line:,}" if event.line else "")
