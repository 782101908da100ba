"""Choosing where a connection's ledger is: the ledger is opened before the choice is saved."""

from collections.abc import Collection
from contextlib import suppress

import msgspec

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    entered_ledger,
    is_same_login,
    save_ledger,
)
from amp_console.ledger import Db, LedgerError
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.runs import running_locks
from amp_console.sync.ledgers import LedgerPlace, Ledgers
from amp_console.text import plural


class LedgerNotSwitched(LedgerError):
    """The current ledger would be left behind, or is in use at this moment."""


def entered_place(text: str, known: Connection | None) -> LedgerPlace:
    """Parse what was entered for a connection, which may have a ledger already.

    A stored password stays with the user and the server that it was stored for. Raises ValueError;
    the text quotes nothing.
    """
    server, password = entered_ledger(text)
    stored = known.ledger if known is not None else None
    if server and stored and is_same_login(server.url, stored.url):
        server = msgspec.structs.replace(server, password_item=stored.password_item)
    return LedgerPlace(server, password)


def try_place(ledgers: Ledgers, connection: Connection, chosen: LedgerPlace) -> int:
    """Open a chosen ledger, creating it as needed; return how many audiences it has.

    The settings of `connection` say where it is now. It may block. Raises `LedgerError`: the chosen
    one can't be opened; its `LedgerNotSwitched`: it is empty although the one in use is not, or a
    run uses that.
    """
    used = LedgerPlace(connection.ledger)
    if _url(used) != _url(chosen):
        _check_left_behind(ledgers, connection, used, chosen)
    with ledgers.open(connection, chosen) as ledger:
        return len(ledger.read(all_audiences))


def keep_place(
    store: ConnectionStore, keyring: Keyring, connection: Connection, chosen: LedgerPlace
) -> Connection:
    """Save where a connection's ledger is, and return the connection with it.

    Raises as `save_ledger`. Other settings of a known connection are not saved.
    """
    saved = save_ledger(store, keyring, connection, chosen.server, chosen.password)
    return msgspec.structs.replace(connection, ledger=saved.ledger)


def _url(place: LedgerPlace) -> str | None:
    return None if place.server is None else place.server.url


def _check_left_behind(
    ledgers: Ledgers, connection: Connection, used: LedgerPlace, chosen: LedgerPlace
) -> None:
    found = None
    with suppress(LedgerError):  # what can't be read anymore keeps no one from leaving it
        found = ledgers.peek(connection, _contents, used, may_ask=True)
    if found is None:
        return
    audiences, is_in_use = found
    where = ledgers.where(connection, used)
    if is_in_use:
        raise LedgerNotSwitched(
            f"A run or a live session uses the ledger {where}. Nothing was changed. End it, or "
            "wait until it has finished, then try again."
        )
    if not audiences:
        return
    others = ledgers.peek(connection, _contents, chosen, may_ask=True)
    if others is None or not others[0]:
        raise LedgerNotSwitched(
            f"The ledger {where} contains {plural(audiences, 'audience')}, and the chosen one is "
            "empty: the record of what was delivered would be lost. Nothing was changed. To move "
            "everything: amp-console ledger move URL"
        )


def _contents(db: Db, dead: Collection[int]) -> tuple[int, bool]:
    """How many audiences a ledger has, and whether a run is under way."""
    return len(all_audiences(db)), bool(running_locks(db).keys() - set(dead))
