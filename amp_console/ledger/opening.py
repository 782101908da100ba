"""Opening a ledger by its address, of whichever engine."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from amp_console.ledger.backups import BackupOptions
from amp_console.ledger.database import Database, Ledger
from amp_console.ledger.db import Db
from amp_console.ledger.errors import LedgerError
from amp_console.ledger.file_systems import refuse_network
from amp_console.ledger.operators import this_user
from amp_console.ledger.peek import peek_at_file
from amp_console.ledger.sqlite import SqliteDatabase
from amp_console.values import Secret, now_in_microseconds

if TYPE_CHECKING:
    from amp_console.ledger.postgres.database import PostgresDatabase
    from amp_console.ledger.postgres.examination import ServerCheck
    from amp_console.ledger.postgres.listening import Listener

T = TypeVar("T")


def open_ledger(
    url: str | Path,
    *,
    password: Secret | None = None,
    operator: str | None = None,
    backups: BackupOptions | None = None,
    now: Callable[[], int] = now_in_microseconds,
    is_durable: bool = True,
) -> Ledger:
    """Open the ledger at a path or a URL, creating or migrating it as needed.

    `sqlite:` is followed by a path, `postgresql:` by what `read_address` reads, with the
    `password` unless libpq finds it in a place of its own. A new file is readable by its owner
    only (0600). A file of an older version is backed up first; `now` is in microseconds since 1970.
    `Ledger.notices` says in sentences what an operator has to know about that. What is done is kept
    with the name of the `operator`, by default user@host. A power cut may damage a file that is not
    `is_durable`: for one that is thrown away.
    Raises `LedgerError`, also for a URL of another scheme: `LedgerMoved` of one not in use.
    """
    return Ledger(
        database_at(
            url,
            password=password,
            operator=operator,
            backups=backups,
            now=now,
            is_durable=is_durable,
        )
    )


def database_at(
    url: str | Path,
    *,
    password: Secret | None = None,
    app_id: int | None = None,
    operator: str | None = None,
    backups: BackupOptions | None = None,
    now: Callable[[], int] = now_in_microseconds,
    is_durable: bool = True,
) -> Database:
    """The database that `open_ledger` opens; nothing is opened yet. Raises `LedgerError`.

    A server's ledger that knows cohorts of another Amplitude project than `app_id` is refused.
    """
    if isinstance(url, str) and is_on_server(url):
        return _server(url, password, app_id, operator)
    path = _path_of(url)
    if is_durable:
        refuse_network(path)
    return SqliteDatabase(
        path, backups or BackupOptions(), now, operator or this_user(), is_durable=is_durable
    )


def peek(
    url: str | Path,
    work: Callable[[Db, frozenset[int]], T],
    *,
    password: Secret | None = None,
    app_id: int | None = None,
) -> T | None:
    """Run `work` on one consistent state of a ledger that is not open, with its dead runs.

    Nothing is created, migrated or ended (`Ledger.dead_runs`). None: there is no ledger yet, or it
    has an older version, which `open_ledger` would migrate. Raises `LedgerError`.
    """
    if isinstance(url, str) and is_on_server(url):
        return _server(url, password, app_id).peek(work)
    path = _path_of(url)
    refuse_network(path)
    return peek_at_file(path, work)


def examine_server(
    url: str, password: Secret | None, now: Callable[[], int] = now_in_microseconds
) -> "tuple[ServerCheck, ...]":
    """Check what the server of a ledger has to offer; nothing is changed. Raises `LedgerError`."""
    from amp_console.ledger.postgres.address import read_address
    from amp_console.ledger.postgres.examination import examine_server as examine

    return examine(read_address(url, password), now)


def listen(url: str, heard: Callable[[], None], *, password: Secret | None = None) -> "Listener":
    """Call `heard` for each change of a server's ledger, in another thread, until it is closed.

    Raises `LedgerError` for an address that can't be right.
    """
    from amp_console.ledger.postgres.address import read_address
    from amp_console.ledger.postgres.listening import Listener

    return Listener(read_address(url, password), heard)


def is_on_server(url: str) -> bool:
    """Whether a ledger's URL is that of a server."""
    scheme = _SCHEME.match(url)
    return scheme is not None and scheme[1].lower() in _SERVERS


def _server(
    url: str, password: Secret | None, app_id: int | None, operator: str | None = None
) -> "PostgresDatabase":
    from amp_console.ledger.postgres.address import read_address
    from amp_console.ledger.postgres.database import PostgresDatabase

    return PostgresDatabase(read_address(url, password), operator or this_user(), app_id)


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
