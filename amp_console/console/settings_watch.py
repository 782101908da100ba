"""Noticing that another process has made a connection read-only, or allows changes again."""

from contextlib import suppress

from amp_console.connections import Connection, SettingsError
from amp_console.console.environment import Environment
from amp_console.console.notifications import Notifications

READ_ONLY, CHANGEABLE = "is read-only now: nothing is sent", "can send and change things now"


class SettingsWatch:
    """Reads the stored connections again when the settings file has changed."""

    def __init__(self, environment: Environment) -> None:
        self._store = environment.connections
        self._file = environment.folders.config_file
        self._seen = self._version()

    def changed(self) -> tuple[Connection, ...]:
        """Return the stored connections if the file has changed since the last call. May block."""
        version = self._version()
        if version == self._seen:
            return ()
        self._seen = version
        with suppress(SettingsError):  # the next screen that reads them reports it
            return self._store.all()
        return ()

    def _version(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def post_mode(notifications: Notifications, connection: Connection) -> None:
    """Post whether a connection is read-only now, instead of the opposite."""
    is_, was = (READ_ONLY, CHANGEABLE) if connection.read_only else (CHANGEABLE, READ_ONLY)
    notifications.withdraw(f"“{connection.name}” {was}.")
    notifications.post(f"“{connection.name}” {is_}.")
