"""Where a ledger's lock files are: beside it."""

from pathlib import Path


def lock_folder(ledger: Path) -> Path:
    """Return the folder of a ledger's lock files, the same one by whatever path it was opened."""
    folder = ledger.resolve().with_suffix(".leases")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
