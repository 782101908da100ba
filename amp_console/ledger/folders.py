"""Where a ledger's lock files are: beside it."""

from contextlib import suppress
from pathlib import Path


def lock_folder(ledger: Path) -> Path:
    """Return the folder of a ledger's lock files, the same one by whatever path it was opened."""
    folder = ledger.resolve().with_suffix(".leases")
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone (0700), whatever the umask is. Raises OSError."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)
