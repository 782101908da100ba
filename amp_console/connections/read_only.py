"""Read-only connections, and the switch that makes them so.

There are two switches. `amp-console --read-only` applies to one process, which sends nothing and
changes no settings and no keys. A connection's own setting is permanent: nothing is sent to its
project, and its audiences can't be changed, but the connection itself can still be edited.
"""

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.settings_errors import SettingsError

OPTION = "--read-only"
WITHOUT = f"Start it without {OPTION} to do this."
WAY_OUT = "Connect it again with --writable, or press 5 for Connections in the console, then W."


class ReadOnly(Exception):
    """Nothing may be sent or changed; the text says which switch makes it so."""


class SettingsReadOnly(ReadOnly, SettingsError):
    """amp-console was started with --read-only: settings and keys stay as they are."""

    def __init__(self) -> None:
        super().__init__(
            f"amp-console was started with {OPTION}. Nothing was changed. Start it without "
            f"{OPTION} to change settings and keys."
        )


class RestrictedConnection(Connection, frozen=True, kw_only=True):
    """A connection in a process that was started with --read-only. It is never saved.

    `has_own_switch`: its own setting also makes it read-only.
    """

    has_own_switch: bool


def restricted(connection: Connection) -> RestrictedConnection:
    """Return a connection for a process started with --read-only."""
    fields = msgspec.structs.asdict(connection) | {"read_only": True}
    fields.setdefault("has_own_switch", connection.read_only)
    return RestrictedConnection(**fields)


def guard(connection: Connection, kept: str = "Nothing was changed.") -> None:
    """Raise `ReadOnly` if a connection is read-only; `kept` says what was not done."""
    if connection.read_only:
        raise ReadOnly(refusal(connection, kept))


def refusal(connection: Connection, kept: str = "", way_out: str = WAY_OUT) -> str:
    """Say why a connection is read-only, what was not done, and how to change that.

    Raises nothing. `kept` is a sentence, or "" if nothing was tried. `way_out` says how to allow
    changes again, where the switch of the connection is the reason.
    """
    name = connection.name
    if not isinstance(connection, RestrictedConnection):
        sentences = (f"The connection “{name}” is read-only.", kept, way_out)
    elif connection.has_own_switch:
        both = f"and the connection “{name}” is read-only, too."
        sentences = (f"amp-console was started with {OPTION},", f"{both} {kept}".strip(), WITHOUT)
    else:
        sentences = (f"amp-console was started with {OPTION}.", kept, WITHOUT)
    return " ".join(filter(None, sentences))
