"""PostgreSQL's errors, as the sentences that an operator can act on."""

import re
from typing import TYPE_CHECKING, NamedTuple

from amp_console.ledger.errors import (
    LedgerBusy,
    LedgerError,
    LedgerFull,
    LedgerMoved,
    LedgerReadOnly,
    LedgerUnreachable,
)

if TYPE_CHECKING:
    import psycopg

# The words of a server, or of PgBouncer: libpq tells no SQLSTATE where connecting has failed.
_ALL_TAKEN = re.compile("too many (clients|connections)|connection slots|no more connections")
_KEPT = "Everything before is kept; only the last step was undone."


MOVED = "AMP01"
"""The SQLSTATE of a write to a ledger that was moved; `moved.py` raises it."""


class _Kind(NamedTuple):
    """The error of a class of SQLSTATEs: what happened, and what to do."""

    error: type[LedgerError]
    text: str


_UNREACHABLE = _Kind(
    LedgerUnreachable,
    f"The connection to the ledger {{place}} was lost. {_KEPT} Check the server and the network, "
    "then try again.",
)
_BUSY = _Kind(
    LedgerBusy,
    f"Another amp-console kept the ledger {{place}} busy. {_KEPT} Try again when it has finished.",
)
_READ_ONLY = _Kind(
    LedgerReadOnly,
    f"The ledger {{place}} can't be written ({{message}}). {_KEPT} The server may be a standby: "
    "use the address of the primary.",
)
_FORBIDDEN = _Kind(
    LedgerReadOnly,
    f"The user of the ledger {{place}} lacks a right ({{message}}). {_KEPT} `amp-console doctor` "
    "explains how to grant it. To read only, open the connection read-only.",
)
# By SQLSTATE, or by its first two characters.
_KINDS = {
    "25006": _READ_ONLY,
    "40": _BUSY,
    "42501": _FORBIDDEN,
    "53100": _Kind(
        LedgerFull,
        f"The disk of the server is full: the ledger {{place}} can't grow. {_KEPT} Free up disk "
        "space and run it again.",
    ),
    "55P03": _BUSY,
    "57P": _UNREACHABLE,
    "08": _UNREACHABLE,
}


def explain(error: Exception, place: str) -> LedgerError:
    """Turn PostgreSQL's error into the operator's; `place` names the ledger, without a password."""
    import psycopg

    assert isinstance(error, psycopg.Error)
    state = error.sqlstate or ""
    if state == MOVED:
        return LedgerMoved(str(error.diag.message_primary))
    for code in (state, state[:3], state[:2]):
        if code in _KINDS:
            found = _KINDS[code]
            break
    else:
        is_lost = not state and isinstance(error, psycopg.OperationalError)
        found = _UNREACHABLE if is_lost else _other(error)
    return found.error(found.text.format(place=place, message=_words(error)))


def not_connected(error: "psycopg.Error", place: str, *, is_in_use: bool = False) -> LedgerError:
    """Turn the error of an attempt to connect into the operator's.

    `is_in_use`: the ledger was opened before, so something may already have been changed.
    """
    kept = _KEPT if is_in_use else "Nothing was changed."
    if is_full(error):
        return LedgerBusy(
            f"The server has no connection left for the ledger {place}. {kept} Close other "
            "programs, or raise max_connections."
        )
    if is_in_use:
        return LedgerUnreachable(
            f"The ledger {place} can't be reached ({_words(error)}). {kept} Check the server and "
            "the network, then try again."
        )
    return LedgerUnreachable(
        f"The ledger {place} can't be opened ({_words(error)}). {kept} Check the "
        "address, the user and its password, and the network."
    )


def is_full(error: "psycopg.Error") -> bool:
    """Whether a server or a pooler responds but has no room for another connection."""
    return _ALL_TAKEN.search(_words(error)) is not None


def _other(error: "psycopg.Error") -> _Kind:
    name = error.sqlstate or type(error).__name__
    return _Kind(LedgerError, f"The ledger {{place}} failed ({name}: {{message}}). {_KEPT}")


def _words(error: "psycopg.Error") -> str:
    """The first line of PostgreSQL's message; the rest may contain statements and their values."""
    said = error.diag.message_primary or str(error)
    return said.strip().splitlines()[0].rstrip(".") if said.strip() else type(error).__name__
