"""What can go wrong with a ledger, one type per thing an operator can do about it."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amp_console.ledger.backups import list_backups


class LedgerError(Exception):
    """The ledger can't be used. Its earlier contents are still there."""


class LedgerTooNew(LedgerError):
    """A newer amp-console wrote this ledger."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The ledger has version {found}; this amp-console knows versions up to {known}. "
            "Nothing was changed. Update amp-console to use it."
        )


class LedgerClosed(LedgerError):
    """It was closed: nothing more is read from it or written to it."""

    def __init__(self) -> None:
        super().__init__("The ledger was closed meanwhile. Its contents are kept.")


class LedgerFull(LedgerError):
    """No room is left on the disk (or under the file-size limit)."""


class LedgerReadOnly(LedgerError):
    """The file or its folder can't be written."""


class LedgerBusy(LedgerError):
    """Another process kept the ledger locked for too long."""


class LedgerUnreachable(LedgerError):
    """The server of the ledger can't be reached, or refused the connection."""


class PlaintextRefused(LedgerError):
    """The server is on another host, and the connection to it might not be encrypted."""

    def __init__(self, place: str, sslmode: str) -> None:
        super().__init__(
            f"The ledger {place} is on another host, and sslmode={sslmode} does not ensure that "
            "the connection is encrypted. Nothing was sent. Add sslmode=verify-full to its "
            "address. If no one else can read the network in between, add plaintext=allow instead."
        )


class LedgerMoved(LedgerError):
    """The ledger in use is at another `address`; this one is neither read nor written."""

    def __init__(self, text: str, address: str = "") -> None:
        super().__init__(text)
        self.address = address


class PoolerRefused(LedgerError):
    """A pooler gives a session to someone else after each transaction."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"The ledger {place} is reached through a connection pooler in transaction mode, such "
            "as PgBouncer with pool_mode=transaction. Locks and temporary tables do not last "
            "there, so nothing was changed. Use the server's direct address, or one of the pooler "
            "in session mode."
        )


class LedgerOfAnotherProject(LedgerError):
    """A server's ledger belongs to another Amplitude project, with other deliveries."""

    def __init__(self, found: int, app_id: int) -> None:
        super().__init__(
            f"This ledger is that of the Amplitude project with App ID {found}, and the connection "
            f"is for App ID {app_id}. Nothing was changed. Correct the App ID, or give the "
            "connection a separate ledger: add schema=NAME to the address."
        )


class LeaseLost(LedgerError):
    """The lock of an audience was lost while it was delivered: another process may have it."""

    def __init__(self) -> None:
        super().__init__(
            "The connection that holds this audience's lease was lost, so another amp-console may "
            "deliver it now. Nothing more was sent. What was sent is in the ledger. Check the "
            "server and the network, then sync again."
        )


class LedgerOnNetwork(LedgerError):
    """The file is on a network file system, where SQLite can't protect it."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(
            f"The ledger {path} is on a network file system ({kind}), where it can be damaged "
            "without warning. It was not opened. Quit every amp-console that uses it, move the "
            f"folder {path.parent} to a local disk, and put a symbolic link in its place. For "
            "several machines, use a ledger on PostgreSQL."
        )


class LedgerDamaged(LedgerError):
    """The file is not a ledger, or is incomplete."""


_KEPT = "Everything before is kept; only the last step was undone."
_KINDS: dict[str, tuple[type[LedgerError], str]] = {
    "SQLITE_FULL": (
        LedgerFull,
        f"The disk is full: {{path}} can't grow. {_KEPT} Free up disk space and run it again.",
    ),
    "SQLITE_READONLY": (
        LedgerReadOnly,
        f"The ledger {{path}} can't be written. {_KEPT} Check its permissions and the disk.",
    ),
    "SQLITE_CANTOPEN": (
        LedgerReadOnly,
        "The ledger {path} can't be opened. Nothing was changed. Check its folder's permissions.",
    ),
    "SQLITE_BUSY": (
        LedgerBusy,
        f"Another amp-console kept {{path}} busy. {_KEPT} Try again when it has finished.",
    ),
    "SQLITE_IOERR": (
        LedgerFull,
        (
            "The ledger {path} can't be read or written ({name}): the disk is full or failing. "
            "Check the disk, then check the ledger: amp-console doctor"
        ),
    ),
}
_DAMAGES = {"SQLITE_NOTADB": "is not a ledger", "SQLITE_CORRUPT": "is damaged"}


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """Turn SQLite's error into the operator's."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_CONSTRAINT_TRIGGER":  # no other trigger raises anything
        return LedgerMoved(str(error))
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is one of SQLITE_IOERR
    if primary in _DAMAGES:
        return damaged(path, _DAMAGES[primary])
    kind, text = _KINDS.get(
        primary, (LedgerError, f"The ledger {{path}} failed ({{name}}). {_KEPT}")
    )
    return kind(text.format(path=path, name=name or type(error).__name__))


def explain_os(error: OSError, path: Path) -> LedgerError:
    """Turn the system's error, met while a ledger's files were made, into the operator's."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return LedgerFull(
            f"The disk is full: {path} can't be created. Free up disk space and run it again."
        )
    return LedgerReadOnly(
        f"The ledger {path} can't be opened ({error.strerror or type(error).__name__}). Nothing "
        "was changed. Check its folder's permissions."
    )


def not_locked(path: Path, error: OSError) -> LedgerError:
    """Turn the system's error, met while a ledger was to be locked, into the operator's."""
    why = error.strerror or type(error).__name__
    return LedgerError(
        f"The ledger {path} can't be locked ({why}). Nothing was changed. Check the disk, and the "
        "permissions of its folder."
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise about a ledger's files into the operator's errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise explain_os(error, path) from error


def damaged(path: Path, what: str) -> LedgerDamaged:
    """Return the error for a file that is no intact ledger: what can be recovered, and how.

    Event files can be imported again. Events from webhooks and the standard input are in no file,
    so only those in a backup can be recovered.
    """
    backups = list_backups(path)
    start = f"The ledger {path} {what}. It was not changed. "
    if backups:
        return LedgerDamaged(
            f"{start}The newest backup is from {backups[0].when}: `amp-console doctor` explains "
            "how to restore it. Event files can be imported again. Events from webhooks and "
            "standard input after the backup are lost."
        )
    return LedgerDamaged(
        f"{start}There is no backup. To start a new ledger, move this file away, together with "
        "the files beside it that end in -wal and -shm, and import the event files again. Keep "
        "it: events from webhooks and standard input are in no other file."
    )
