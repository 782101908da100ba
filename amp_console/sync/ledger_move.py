"""Moving a connection's ledger to another address, and pointing the connection there."""

from amp_console.connections import Connection, ConnectionStore, Keyring, KeysError, SettingsError
from amp_console.ledger import LedgerError
from amp_console.ledger.copying import Observe
from amp_console.ledger.errors import LedgerMoved
from amp_console.ledger.moving import Move, address_of, finish_move, move_ledger
from amp_console.sync.connection_log import log_connection_saved
from amp_console.sync.ledger_choice import keep_place
from amp_console.sync.ledgers import LedgerMisconfigured, LedgerPlace, Ledgers


class NotPointedThere(LedgerError):
    """The ledger was moved, but the settings of its connection still have the old address."""


def check_movable(ledgers: Ledgers) -> None:
    """Raise `LedgerMisconfigured` if the settings do not determine where the ledger is."""
    if ledgers.is_from_environment:
        raise LedgerMisconfigured(
            "AMP_CONSOLE_LEDGER sets where the ledger is, not the settings of the connection. "
            "Nothing was moved. Unset it, move the ledger, and set it to the new address."
        )


def move_to(
    ledgers: Ledgers,
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    place: LedgerPlace,
    now: int,
    observe: Observe,
) -> Move:
    """Move the ledger of a connection, then save where it is. It may block.

    `now` is in microseconds since 1970. A move that was interrupted after everything was copied is
    finished. Raises as `move_ledger` does, and `SettingsReadOnly`; `NotPointedThere` where
    the settings could not be saved.
    """
    check_movable(ledgers)
    store.check_writable()
    old = address_of(ledgers.database(connection).url)
    new = address_of(ledgers.database(connection, place).url)
    try:
        with ledgers.open(connection) as ledger:
            at = ledger.clock(lambda: now)()
            moved = move_ledger(ledger, lambda: ledgers.database(connection, place), at, observe)
    except LedgerMoved as error:
        if error.address != new:
            raise
        finish_move(ledgers.database(connection, place), old)
        moved = Move(old, new, [])
    try:
        saved = keep_place(store, keyring, connection, place)
    except (KeysError, SettingsError) as error:
        raise NotPointedThere(
            f"The ledger was moved to {new}, but the settings could not be saved. {error} Then "
            "move it there again: nothing is copied twice."
        ) from error
    log_connection_saved(ledgers, connection, saved)
    return moved
