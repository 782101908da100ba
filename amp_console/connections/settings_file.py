"""A small text file that several processes may read and write at the same time."""

import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amp_console.connections.folders import make_private
from amp_console.connections.read_only import SettingsReadOnly
from amp_console.connections.settings_errors import SettingsError

_PATIENCE = 10.0  # seconds; a save takes milliseconds


def parsed(text: str) -> dict[str, Any]:
    """Return what a settings file contains.

    Raises ValueError if it isn't TOML, or is nested too deeply to be read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class SettingsFile:
    """Reads and replaces the file as a whole: a crash leaves the old text or the new one."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """With `read_only`, changing the text raises `SettingsReadOnly`."""
        self.path = path
        self._read_only = read_only

    def check_writable(self) -> None:
        """Raise `SettingsReadOnly` if this process may not change the settings."""
        if self._read_only:
            raise SettingsReadOnly

    def read(self) -> str:
        """Return the text, or "" if there is no file yet.

        Raises SettingsError if the file can't be read, or isn't UTF-8.
        """
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"The settings {self.path} can't be read ({type(error).__name__}). Nothing was "
                "changed. Check the file and its permissions."
            ) from error

    def write(self, text: str) -> None:
        """Replace the text; the file is readable by this user only (0600).

        Raises SettingsError if it can't be written; the old text is still there.
        """
        self.check_writable()
        try:
            self._replace(text)
        except OSError as error:
            raise SettingsError(
                f"The settings {self.path} can't be written ({type(error).__name__}). The earlier "
                "settings are kept. Check the disk and the folder's permissions."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing in the meantime.

        Raises SettingsError if another one held the lock for 10 seconds, or it can't be locked.
        """
        import filelock

        self.check_writable()
        lock = filelock.FileLock(f"{self.path}.lock", timeout=_PATIENCE, mode=0o600)
        try:
            make_private(self.path.parent)  # otherwise the lock creates it, open to all
            lock.acquire()
        except (OSError, filelock.Timeout) as error:
            raise SettingsError(
                f"The settings {self.path} can't be locked ({type(error).__name__}). Nothing was "
                "changed. Try again when no other amp-console is saving them."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _replace(self, text: str) -> None:
        target = self.path.resolve()  # a symlink into a dotfiles repository stays one
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
