"""Whose keys the environment's are: they are those of one project, so of one connection."""

from collections.abc import Mapping

from amp_console.connections import Connection, without_keys
from amp_console.connections.key_errors import KEY_VARIABLES


class EnvironmentKeys:
    """Keeps the environment's keys for the connection that the console was started with.

    That is the one named on the command line, or the only one. Keys of one project would otherwise
    be sent to the address of another, whose audiences would become cohorts of the first.
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
        """Whether there are keys, and they wait for the first connection."""
        return self.are_set and self._is_for_first

    def give_to(self, connection: Connection) -> None:
        """Keep the keys for this connection, and for no other."""
        self._owner, self._is_for_first = connection.id, False

    def keep_for_first(self) -> None:
        """Keep the keys for the first connection: there is none yet."""
        self._is_for_first = True

    def belong_to(self, connection: Connection) -> bool:
        """Whether there are keys, and this connection uses them."""
        return self.are_set and self._is_owner(connection)

    def environ_of(self, connection: Connection) -> Mapping[str, str]:
        """The environment to look for a connection's keys in."""
        return self._environ if self._is_owner(connection) else without_keys(self._environ)

    def _is_owner(self, connection: Connection) -> bool:
        return self._is_for_first or self._owner == connection.id
