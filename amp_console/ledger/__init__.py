"""What is wanted and what was delivered: one SQLite file per connection.

Its functions take a `Db` first. A `Ledger` runs each in a transaction on the ledger's own thread.
No other package contains SQL.
"""

from amp_console.ledger.database import Ledger, open_ledger
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerError

__all__ = ["Db", "Ledger", "LedgerError", "open_ledger"]
