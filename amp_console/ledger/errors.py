"""What can go wrong with a ledger, one type per thing an operator can do about it."""

import sqlite3
from pathlib import Path


class LedgerError(Exception):
    """The ledger can't be used. What it held before is still in it."""


class LedgerTooNew(LedgerError):
    """A newer amp-console wrote this ledger."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The ledger has version {found}; this amp-console knows versions up to {known}. "
            "Nothing was changed. Update amp-console to use it."
        )


class LedgerFull(LedgerError):
    """No room is left on the disk (or under the file-size limit)."""


class LedgerReadOnly(LedgerError):
    """The file or its folder can't be written."""


class LedgerBusy(LedgerError):
    """Another process kept the ledger locked for too long."""


class LedgerDamaged(LedgerError):
    """The file is not a ledger, or not a whole one."""


_KINDS: dict[str, tuple[type[LedgerError], str]] = {
    "SQLITE_FULL": (LedgerFull, "The disk is full: {path} can't grow. Make room and run it again."),
    "SQLITE_READONLY": (
        LedgerReadOnly,
        "The ledger {path} can't be written. Check its permissions and the disk.",
    ),
    "SQLITE_CANTOPEN": (
        LedgerReadOnly,
        "The ledger {path} can't be opened. Check its folder's permissions.",
    ),
    "SQLITE_BUSY": (
        LedgerBusy,
        "Another amp-console kept the ledger {path} busy. Try again when it has finished.",
    ),
    "SQLITE_NOTADB": (LedgerDamaged, "{path} is not a ledger. Move it away to start a new one."),
    "SQLITE_CORRUPT": (
        LedgerDamaged,
        "The ledger {path} is damaged. Move it away, and import the event files again.",
    ),
    "SQLITE_IOERR": (
        LedgerFull,
        "The disk did not take {path}: it is full, or it fails. See to it and run it again.",
    ),
}


def explain(error: sqlite3.Error, path: Path) -> LedgerError:
    """Turn SQLite's error into the operator's; what was committed before is kept."""
    name = getattr(error, "sqlite_errorname", "") or ""
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is one of SQLITE_IOERR
    kind, text = _KINDS.get(primary, (LedgerError, "The ledger {path} failed ({name})."))
    return kind(text.format(path=path, name=name or type(error).__name__) + " Nothing was lost.")
