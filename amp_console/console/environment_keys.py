"""The connection of the environment's keys, which are for one project only."""

from collections.abc import Mapping

from amp_console.connections import Connection, without_keys
from amp_console.connections.key_errors import KEY_VARIABLES


class EnvironmentKeys:
    """Reserves the environment's keys for the connection with which the console was started.

    That is the one named on the command line, or the only one. Otherwise, keys of one project would
    be used for another connection, whose audiences would become cohorts of the wrong project.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._owner: str | None = None
        self._is_for_first = False

    @property
    def are_set(self) -> bool:
        """Whether there are keys in the environment."""
        return any(self._environ.get(variable) for variable in KEY_VARIABLES)

    @property
    def are_for_first(self) -> bool:
        """Whether there are keys that are reserved for the first connection."""
        return self.are_set and self._is_for_first

    def give_to(self, connection: Connection) -> None:
        """Reserve the keys for this connection."""
        self._owner, self._is_for_first = connection.id, False

    def keep_for_first(self) -> None:
        """Reserve the keys for the first connection, which does not exist yet."""
        self._is_for_first = True

    def belong_to(self, connection: Connection) -> bool:
        """Whether there are keys that this connection uses."""
        return self.are_set and self._is_owner(connection)

    def environ_of(self, connection: Connection) -> Mapping[str, str]:
        """The environment in which to look for a connection's keys."""
        return self._environ if self._is_owner(connection) else without_keys(self._environ)

    def _is_owner(self, connection: Connection) -> bool:
        return self._is_for_first or self._owner == connection.id
