"""A temporary file for what need not fit into memory; the system deletes it with its process."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile, gettempdir

from amp_console.ledger.errors import LedgerError


class ScratchFull(LedgerError):
    """A temporary file can't be written or read."""

    def __init__(self, error: OSError) -> None:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        reason = "the disk is full" if is_full else error.strerror or type(error).__name__
        super().__init__(
            f"Temporary files can't be kept in {gettempdir()}: {reason}. Nothing was changed. Free "
            "up disk space there, or set TMPDIR to another folder, and run it again."
        )


class ScratchFile:
    """Keeps pieces of bytes, one after the other. Its methods raise `ScratchFull`."""

    def __init__(self) -> None:
        with _explained():
            self._file = TemporaryFile()  # noqa: SIM115 - `close` closes it
        self.size = 0

    def append(self, piece: bytes) -> int:
        """Keep a piece; return where it begins."""
        start = self.size
        with _explained():
            self._file.seek(start)
            self._file.write(piece)
        self.size += len(piece)
        return start

    def read(self, start: int, size: int) -> bytes:
        """Return some of the bytes."""
        with _explained():
            self._file.seek(start)
            return self._file.read(size)

    def close(self) -> None:
        """Delete the file."""
        with _explained():
            self._file.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScratchFull(error) from error
