"""What is wanted and what was delivered: one SQLite file per connection.

Its functions take a `Db` first. A `Ledger` runs each in a transaction on the ledger's own thread.
No other package contains SQL.
"""

from amp_console.ledger.database import Ledger, Writes
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.opening import open_ledger

__all__ = ["Db", "Ledger", "LedgerError", "Writes", "open_ledger"]
