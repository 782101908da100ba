"""Operators: the people or services whose processes change a ledger, by name.

The database knows the name of the operator who uses this connection: in SQL, `this_operator()`.
"""

import getpass
import os
import socket

from amp_console.ledger.db import Db
from amp_console.text import clean

MAX_LENGTH = 200  # characters of a name


def this_user() -> str:
    """The operator of this process, unless they chose a name: user@host, as it can be shown.

    A user without an account, as in some containers, is shown by number; Windows has none.
    """
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on Python's version
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return clean(f"{user}@{socket.gethostname()}", MAX_LENGTH)


def has_several_operators(db: Db) -> bool:
    """Whether runs and log contain more than one operator; otherwise names add nothing."""
    # Each of the four is found in an index, or among few rows.
    names = db.execute(
        "SELECT (SELECT min(operator) FROM log_entry WHERE operator > ''), "
        "(SELECT max(operator) FROM log_entry WHERE operator > ''), "
        "(SELECT min(operator) FROM run WHERE operator > ''), "
        "(SELECT max(operator) FROM run WHERE operator > '')"
    ).fetchone()
    return len({name for name in names if name is not None}) > 1
