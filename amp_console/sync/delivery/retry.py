"""Retrying rejected users: they are pending again, and the next sync sends them."""

from collections.abc import Sequence

from amp_console.connections import Connection
from amp_console.connections.read_only import guard
from amp_console.ledger import Ledger
from amp_console.ledger.rejected import RejectedFilter, retry_rejected, retry_users
from amp_console.values import IdType


def retry(ledger: Ledger, connection: Connection, chosen: RejectedFilter) -> int:
    """Make the chosen users pending again; return how many.

    Raises `ReadOnly` and `LedgerError`.
    """
    guard(connection)
    return ledger.write(retry_rejected, chosen)


def retry_these(
    ledger: Ledger, connection: Connection, users: Sequence[tuple[int, IdType, str]]
) -> int:
    """Make these users (audience, ID type, identifier) pending again; return how many.

    Raises `ReadOnly` and `LedgerError`.
    """
    guard(connection)
    return ledger.write(retry_users, users)
