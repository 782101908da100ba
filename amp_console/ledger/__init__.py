"""What should be, and what has been delivered: one SQLite file per connection.

Everything here is a function that takes a `sqlite3.Connection` first and is run by a `Ledger`, in
a transaction on the ledger's own thread. No other room knows SQL.
"""

from amp_console.ledger.database import Db, Ledger
from amp_console.ledger.errors import LedgerError

__all__ = ["Db", "Ledger", "LedgerError"]
