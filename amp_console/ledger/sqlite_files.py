"""The files of an SQLite database: its own, and those that SQLite keeps beside it."""

import os
from pathlib import Path


def create_private(file: Path) -> None:
    """Create an empty file that only its owner may read. Raises `OSError`.

    SQLite would make it 0644, and gives the files beside it the mode of the file itself.
    """
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    file.chmod(0o600)  # whatever the umask is


def write_through(file: Path) -> None:
    """Have the system write a file to the disk. Raises `OSError`."""
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def delete_files(file: Path) -> None:
    """Delete a database and what SQLite keeps beside it, as far as it exists. Raises `OSError`."""
    for end in ("", "-journal", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
