"""Reading the cells of a row: who it is, whether they are a member, and since when."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from amp_console.engage.identifiers import BROKEN_IDENTIFIER, UnusableIdentifier, identifier, usable
from amp_console.engage.json_text import is_text
from amp_console.sync.sources.warehouse.engine import WarehouseError
from amp_console.text import named
from amp_console.values import IdType

MAX_NAMES = 20  # columns that an error names
MAX_IGNORED = 5  # columns that a note names

IDENTIFIERS = {"user_id": IdType.USER_ID, "amplitude_id": IdType.AMPLITUDE_ID}
"""The columns that hold identifiers, by their names in lower case."""
IS_MEMBER, CHANGED_AT = "is_member", "changed_at"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What DuckDB returns for -infinity and infinity.
_INFINITE = {datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)}
_MEMBERSHIPS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Columns(NamedTuple):
    """The positions of the columns that a query needs; the others are `ignored`."""

    identifiers: dict[IdType, int]
    is_member: int | None
    changed_at: int | None
    ignored: tuple[str, ...]

    @property
    def used(self) -> list[int]:
        """The indexes of the columns that are used."""
        found = (*self.identifiers.values(), self.is_member, self.changed_at)
        return [index for index in found if index is not None]


def find_columns(columns: Sequence[str], *, are_changes: bool) -> Columns:
    """Find the columns by their names. Raises WarehouseError for one that is missing or twice."""
    lowered, given = [column.lower() for column in columns], named(columns, MAX_NAMES)
    wanted = (*IDENTIFIERS, IS_MEMBER, *((CHANGED_AT,) if are_changes else ()))
    for name in wanted:
        if lowered.count(name) > 1:
            raise WarehouseError(
                f"The query returns several columns called {name}.", "Keep the one that counts."
            )
    found = {name: lowered.index(name) for name in wanted if name in lowered}
    if not found.keys() & IDENTIFIERS.keys():
        raise WarehouseError(
            f"The query returns no column called user_id or amplitude_id, but {given}.",
            "Name the column that holds the identifiers: SELECT … AS user_id.",
        )
    if IS_MEMBER in found and not are_changes:
        raise WarehouseError(
            "The query returns a column called is_member, so not all of its rows are members.",
            "Set it again as a query of changes, or leave out the column and former members.",
        )
    for name, meaning in (
        (IS_MEMBER, "says who entered and who left"),
        (CHANGED_AT, "says when that was"),
    ):
        if are_changes and name not in found:
            raise WarehouseError(
                f"The query returns no column called {name}, but {given}.",
                f"Name the column that {meaning}: SELECT … AS {name}.",
            )
    identifiers = {id_type: found[name] for name, id_type in IDENTIFIERS.items() if name in found}
    used = {*found.values()}
    ignored = tuple(item for index, item in enumerate(columns) if index not in used)
    return Columns(identifiers, found.get(IS_MEMBER), found.get(CHANGED_AT), ignored)


def columns_not_used(ignored: Sequence[str]) -> str:
    """Name the columns that are not used, in a sentence."""
    return f"Columns not used: {named(ignored, MAX_IGNORED)}."


def read_identifier(value: object, column: str) -> str | None:
    """The identifier in a cell, exactly as it is; None for NULL and for blanks.

    Raises UnusableIdentifier for one row's, WarehouseError for a type that no identifier has.
    """
    if isinstance(value, str):
        if not value or value.isspace():
            return None
        if not value.isascii() and not is_text(value):
            raise UnusableIdentifier(BROKEN_IDENTIFIER)
        return usable(value)
    if value is None:
        return None
    if isinstance(value, UUID):
        return str(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number or (isinstance(value, Decimal) and value.is_finite()):
        return identifier(value)
    raise _WrongType(column, value)


def read_membership(value: object) -> bool:
    """Whether a cell says member. Raises UnusableRow for anything that says neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        value = f"{value:f}" if isinstance(value, Decimal) else str(value)
    found = _MEMBERSHIPS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        missing = value is None or (isinstance(value, str) and not value.strip())
        why = f"no {IS_MEMBER} in this row" if missing else f"{IS_MEMBER} is neither true nor false"
        raise UnusableRow(why)
    return found


def read_time(value: object) -> int:
    """The time in a cell, in microseconds since 1970; without an offset it is UTC.

    Raises UnusableRow for one row's, WarehouseError for a type that is no time.
    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    if value is None:
        raise UnusableRow(f"no {CHANGED_AT} in this row")
    if not isinstance(value, datetime):
        raise _NoTime(value)
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    if moment in _INFINITE:
        raise UnusableRow(NO_TIME)
    return (moment - EPOCH) // _MICROSECOND


NO_TIME = f"{CHANGED_AT} is not a date with a time of day, such as 2026-05-03T19:42:50Z"


def _parsed(text: str) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) > len("2026-05-03"):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise UnusableRow(NO_TIME)


class UnusableRow(Exception):
    """A row that says nothing certain; the text says why."""


class _WrongType(WarehouseError):
    """A column contains values that are no identifiers, or have lost their digits."""

    def __init__(self, column: str, value: object) -> None:
        if isinstance(value, float | Decimal):
            what, why = "floating-point numbers", "which do not keep all digits of an identifier"
        elif isinstance(value, bool):
            what, why = "true and false", "which are not identifiers"
        else:
            what, why = f"values of the type {type(value).__name__}", "which are not identifiers"
        super().__init__(
            f"The column {column} holds {what}, {why}.",
            f"Convert it in the query to text or to a whole number: CAST({column} AS …).",
        )


class _NoTime(WarehouseError):
    """The column of times contains something else."""

    def __init__(self, value: object) -> None:
        if isinstance(value, date):
            what = "dates without a time of day, so changes of one day have no order"
        elif isinstance(value, int | float | Decimal):
            what = "numbers, which are not times"
        else:
            what = f"values of the type {type(value).__name__}, which are not times"
        super().__init__(
            f"The column {CHANGED_AT} holds {what}.",
            "Convert it in the query to a timestamp, e.g. with to_timestamp.",
        )
