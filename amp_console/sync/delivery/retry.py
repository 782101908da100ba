"""Retrying rejected users: they are pending again, and the next sync sends them."""

from collections.abc import Sequence

from amp_console.connections import Connection
from amp_console.connections.read_only import guard
from amp_console.ledger import Db, Ledger
from amp_console.ledger.audiences import audience
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry
from amp_console.ledger.rejected import RejectedFilter, retry_rejected, retry_users
from amp_console.text import clean, named, plural
from amp_console.values import IdType

MAX_NAME_LENGTH = 200  # characters of a name or an identifier in the log
MAX_NAMES = 5  # users that are named in the log


def retry(ledger: Ledger, connection: Connection, chosen: RejectedFilter) -> int:
    """Make the chosen users pending again; return how many.

    Raises `ReadOnly` and `LedgerError`.
    """
    guard(connection)
    return ledger.write(_retry, chosen, ledger.clock()())


def retry_these(
    ledger: Ledger, connection: Connection, users: Sequence[tuple[int, IdType, str]]
) -> int:
    """Make these users (audience, ID type, identifier) pending again; return how many.

    Raises `ReadOnly` and `LedgerError`.
    """
    guard(connection)
    return ledger.write(_retry_these, users, ledger.clock()())


def _retry(db: Db, chosen: RejectedFilter, now: int) -> int:
    done = retry_rejected(db, chosen)
    _log(db, done, chosen.audience_id, now)
    return done


def _retry_these(db: Db, users: Sequence[tuple[int, IdType, str]], now: int) -> int:
    done = retry_users(db, users)
    audience_ids = {audience_id for audience_id, *_ in users}
    ids = [id_ for *_, id_ in users] if done == len(users) else []
    _log(db, done, audience_ids.pop() if len(audience_ids) == 1 else None, now, ids)
    return done


def _log(db: Db, done: int, audience_id: int | None, now: int, ids: Sequence[str] = ()) -> None:
    """Log a retry, with the first `ids` if it is known who was retried."""
    if not done:
        return
    whose = ""
    if audience_id is not None:
        whose = f" of “{clean(audience(db, audience_id).name, MAX_NAME_LENGTH)}”"
    who = f" ({named(ids, MAX_NAMES, MAX_NAME_LENGTH)})" if ids else ""
    text = f"{plural(done, 'rejected user')}{whose} made pending again{who}."
    add_log_entry(db, LogEntry(now, LogKind.RETRY, text, audience_id=audience_id))
