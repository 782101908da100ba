"""The rows of the errors view: groups, users and invalid events."""

from amp_console.console.look import Look
from amp_console.console.widgets.grid_layout import Column
from amp_console.console.widgets.grid_rows import Cell, Row
from amp_console.console.words import ago
from amp_console.ledger.rejected import RejectedUser, RejectionGroup
from amp_console.ledger.sources import InvalidEvent

GROUP_COLUMNS = (
    Column("Reason", 36, flex=3),
    Column("Audience", 16, flex=2, rank=1),
    Column("When", 7, rank=3),
    Column("Users", 8, right=True),
    Column("Latest", 12, rank=2),
)
USER_COLUMNS = (
    Column("Identifier", 20, flex=3),
    Column("ID type", 12, rank=4),
    Column("Audience", 14, flex=2, rank=2),
    Column("To be", 7),
    Column("Tries", 5, right=True, rank=3),
    Column("Rejected", 12, rank=1),
)
EVENT_COLUMNS = (
    Column("Line", 9, right=True),
    Column("Reason", 20, flex=2),
    Column("File", 20, flex=3),
)
ALL = "all"
"""The key of the row that stands for every group."""


def group_rows(groups: list[RejectionGroup], look: Look, now: int) -> list[Row]:
    """One row a group, after one that stands for all of them."""
    if not groups:
        return []
    total, latest = sum(each.count for each in groups), max(each.latest_at for each in groups)
    everything = Row(
        ALL,
        (
            Cell("All reasons", "dim"),
            Cell(""),
            Cell(""),
            Cell(f"{total:,}", "bad"),
            Cell(ago(latest, now, look), "dim"),
        ),
    )
    return [everything, *(_group_row(each, look, now) for each in groups)]


def _group_row(each: RejectionGroup, look: Look, now: int) -> Row:
    return Row(
        each,
        (
            Cell(each.reason),
            Cell(each.audience_name),
            Cell(f"on {each.operation}", "dim"),
            Cell(f"{each.count:,}", "bad"),
            Cell(ago(each.latest_at, now, look), "dim"),
        ),
    )


def user_row(each: RejectedUser, look: Look, now: int) -> Row:
    """One user."""
    return Row(
        (each.audience_id, each.id_type, each.id),
        (
            Cell(each.id),
            Cell(each.id_type.label, "dim"),
            Cell(each.audience_name),
            Cell("added" if each.operation == "add" else "removed"),
            Cell(str(each.tries) if each.tries else look.dash),
            Cell(ago(each.at, now, look), "dim"),
        ),
    )


def event_row(number: int, each: InvalidEvent) -> Row:
    """One invalid event; the end of a long path says more than its beginning."""
    line = f"{each.line:,}" if each.line else ""
    return Row(number, (Cell(line), Cell(each.reason, "bad"), Cell(each.source)))
