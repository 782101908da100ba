"""The connections: one TOML file, which people may edit too.

It is the only index of the keyring's items. An item that no connection points to anymore is added
to `forgotten` in the same write, and stays there until it is deleted for certain, so that no crash
leaves keys behind without a record.
"""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.ledger_server import LedgerServer
from amp_console.connections.named_source import NamedSource
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.settings import Settings, parse_settings
from amp_console.connections.settings_errors import (
    NameTaken,
    NoConnections,
    SettingsError,
    SeveralConnections,
    UnknownConnection,
)
from amp_console.connections.settings_file import SettingsFile

_CHANGED_ALONE = ("keyring_item", "webhook_item", "sources", "segment", "ledger")
"""The settings that `save` leaves unchanged in the file: each has its own method."""


class ConnectionStore:
    """The connections by name. Every method may raise a SettingsError about the file."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        """With `read_only`, changing settings or keys raises `SettingsReadOnly`."""
        self._file = SettingsFile(file, read_only=read_only)

    def check_writable(self) -> None:
        """Raise `SettingsReadOnly` if settings and keys may not be changed.

        Code that writes to the keyring calls this first: the file is the index of its items.
        """
        self._file.check_writable()

    def all(self) -> tuple[Connection, ...]:
        """Return the connections, in the order of the file."""
        return self._parse(self._file.read()).connections

    def get(self, name: str) -> Connection:
        """Return the connection with this name.

        Raises UnknownConnection, which lists the known ones.
        """
        return _named(self.all(), name)

    def pick(self, name: str | None) -> Connection:
        """Return the connection with this name; without a name, the only one.

        Raises NoConnections, SeveralConnections or UnknownConnection if the choice is not clear.
        """
        connections = self.all()
        if name is not None:
            return _named(connections, name)
        if not connections:
            raise NoConnections
        if len(connections) > 1:
            raise SeveralConnections(connection.name for connection in connections)
        return connections[0]

    def save(
        self, connection: Connection, before: Connection | None = None, **items: str
    ) -> Connection:
        """Add a connection, or replace the one with its id; return it as saved.

        With its state `before` the change, only the differences are saved: another process may have
        changed other settings since. Only the keyring items in `items`, by setting, are replaced;
        sources, space and ledger change only through their own methods. An item that nothing points
        to is deleted. Raises NameTaken if another connection has its name. With `before`, raises
        UnknownConnection if the connection has been removed since.
        """

        def put(settings: Settings) -> Settings:
            by_id = {known.id: known for known in settings.connections}
            stored = by_id.get(connection.id)
            if stored is None and before is not None:
                raise UnknownConnection(before.name, [item.name for item in by_id.values()])
            changes = items if stored is None else _changes(connection, before) | items
            by_id[connection.id] = msgspec.structs.replace(stored or connection, **changes)
            if [known.name for known in by_id.values()].count(connection.name) > 1:
                raise NameTaken(connection.name)
            return settings._replace(connections=tuple(by_id.values()))

        return _by_id(self._change(put), connection)

    def put_source(self, connection: Connection, source: NamedSource) -> Connection:
        """Add a source to a connection, or replace the one with its name; return the connection.

        Raises UnknownConnection if the connection was removed.
        """

        def put(known: Connection) -> Connection:
            others = (item for item in known.sources if item.name != source.name)
            return msgspec.structs.replace(known, sources=(*others, source))

        return self._change_one(connection, put)

    def drop_source(self, connection: Connection, name: str) -> Connection:
        """Remove a source from a connection; return the connection. Raises as `put_source`."""

        def drop(known: Connection) -> Connection:
            left = tuple(item for item in known.sources if item.name != name)
            return msgspec.structs.replace(known, sources=left)

        return self._change_one(connection, drop)

    def put_space(self, connection: Connection, space: SegmentSpace | None) -> Connection:
        """Set or remove the Segment space; return the connection. Raises as `put_source`."""
        return self._change_one(
            connection, lambda known: msgspec.structs.replace(known, segment=space)
        )

    def put_ledger(self, connection: Connection, server: LedgerServer | None) -> Connection:
        """Set where a connection's ledger is, None for its file. Raises as `put_source`."""
        return self._change_one(
            connection, lambda known: msgspec.structs.replace(known, ledger=server)
        )

    def change(self, connection: Connection, **settings: object) -> Connection:
        """Change some settings of a connection; the others stay as the file has them.

        Return the connection. Raises as `put_source`.
        """
        return self._change_one(
            connection, lambda known: msgspec.structs.replace(known, **settings)
        )

    def _change_one(
        self, connection: Connection, change: Callable[[Connection], Connection]
    ) -> Connection:
        def put(settings: Settings) -> Settings:
            by_id = {known.id: known for known in settings.connections}
            if connection.id not in by_id:
                raise UnknownConnection(connection.name, [item.name for item in by_id.values()])
            by_id[connection.id] = change(by_id[connection.id])
            return settings._replace(connections=tuple(by_id.values()))

        return _by_id(self._change(put), connection)

    def remove(self, name: str) -> None:
        """Remove a connection; its keyring items become `forgotten`.

        Raises UnknownConnection if there is none with this name.
        """

        def remove_entry(settings: Settings) -> Settings:
            gone = _named(settings.connections, name)
            left = tuple(
                connection for connection in settings.connections if connection.id != gone.id
            )
            return settings._replace(connections=left)

        self._change(remove_entry)

    def forgotten(self) -> tuple[str, ...]:
        """Return the keyring items that are no longer used and may still exist."""
        return self._parse(self._file.read()).forgotten

    def mark_deleted(self, item: str) -> None:
        """Remove a forgotten item that is no longer in the keyring from the settings."""

        def drop(settings: Settings) -> Settings:
            left = tuple(entry for entry in settings.forgotten if entry != item)
            return settings._replace(forgotten=left)

        self._change(drop)

    def _change(self, change: Callable[[Settings], Settings]) -> Settings:
        """Read, change and write while no other process does; return what was written."""
        from amp_console.connections.rewrite import rewrite

        with self._file.locked():
            text = self._file.read()
            before = self._parse(text)
            after = _remember_items(before, change(before))
            try:
                self._file.write(rewrite(text, after))
            except ValueError as error:
                raise self._damaged(error) from error
        return after

    def _parse(self, text: str) -> Settings:
        try:
            return parse_settings(text)
        except ValueError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: ValueError) -> SettingsError:
        problem = str(error).removesuffix(".")
        return SettingsError(
            f"The settings {self._file.path} can't be used: {problem}. Nothing was changed. "
            "Fix the file, or move it away to start a new one."
        )


def _changes(connection: Connection, before: Connection | None) -> dict[str, Any]:
    """The settings of a connection that have changed since `before`; all without it."""
    found = {
        name: getattr(connection, name)
        for name in Connection.__struct_fields__
        if name not in _CHANGED_ALONE
    }
    if before is None:
        return found
    return {name: value for name, value in found.items() if value != getattr(before, name)}


def _by_id(settings: Settings, connection: Connection) -> Connection:
    """The current state of a connection in these settings."""
    return next(known for known in settings.connections if known.id == connection.id)


def _named(connections: Iterable[Connection], name: str) -> Connection:
    wanted = unicodedata.normalize("NFC", name)
    known = tuple(connections)
    for connection in known:
        if connection.name == wanted:
            return connection
    if not known:
        raise NoConnections
    raise UnknownConnection(name, (connection.name for connection in known))


def _remember_items(before: Settings, after: Settings) -> Settings:
    """Add the items that a change left without a connection to the forgotten ones."""
    waiting = dict.fromkeys([*after.forgotten, *sorted(before.items - after.items)])
    return after._replace(forgotten=tuple(item for item in waiting if item not in after.items))
