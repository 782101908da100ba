"""Opening a ledger by its address, of whichever engine."""

import re
from collections.abc import Callable
from pathlib import Path

from amp_console.ledger.backups import BackupOptions
from amp_console.ledger.database import Ledger
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.sqlite import SqliteDatabase
from amp_console.values import now_in_microseconds


def open_ledger(
    url: str | Path,
    *,
    backups: BackupOptions | None = None,
    now: Callable[[], int] = now_in_microseconds,
    is_durable: bool = True,
) -> Ledger:
    """Open the ledger at a path or a URL, creating or migrating it as needed.

    `sqlite:` is followed by a path, `postgresql:` by what `read_address` reads. A new file is
    readable by its owner only (0600). A file of an older version is backed up first; `now` is in
    microseconds since 1970. `Ledger.notices` says in sentences what an operator has to know about
    that. A power cut may damage a file that is not `is_durable`: for one that is thrown away.
    Raises `LedgerError`, also for a URL of another scheme.
    """
    scheme = None if isinstance(url, Path) else _SCHEME.match(url)
    if scheme is not None and scheme[1].lower() in _SERVERS:
        from amp_console.ledger.postgres.address import read_address
        from amp_console.ledger.postgres.database import PostgresDatabase

        return Ledger(PostgresDatabase(read_address(str(url))))
    options = backups or BackupOptions()
    return Ledger(SqliteDatabase(_path_of(url), options, now, is_durable=is_durable))


_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")  # a single letter is a drive of Windows
_SERVERS = frozenset({"postgresql", "postgres"})


def _path_of(url: str | Path) -> Path:
    if isinstance(url, Path) or not (scheme := _SCHEME.match(url)):
        return Path(url)
    if scheme[1].lower() != "sqlite":
        raise LedgerError(
            f"Ledgers can't be opened with {scheme[1]}:. Use a path, or sqlite: and a path."
        )
    rest = url[scheme.end() :]
    return Path(rest.removeprefix("//"))
