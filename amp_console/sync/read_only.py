"""Read-only: enforced here, below every front, so that no screen and no command can forget it."""

from amp_console.connections import Connection


class ReadOnly(Exception):
    """The connection is read-only: nothing is sent, and nothing is set for its audiences."""

    def __init__(self, connection: Connection, kept: str) -> None:
        super().__init__(
            f'The connection "{connection.name}" is read-only. {kept} '
            "Switch read-only off in its settings, unless amp-console was started read-only."
        )


def guard(connection: Connection, kept: str = "Nothing was changed.") -> None:
    """Raise `ReadOnly` where nothing may be changed; `kept` says what was not done."""
    if connection.read_only:
        raise ReadOnly(connection, kept)
