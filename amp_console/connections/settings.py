"""The content of the settings file, as values."""

from typing import Any, NamedTuple, TypeVar

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.ledger_server import LedgerServer
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.settings_file import parsed

_T = TypeVar("_T")


class Settings(NamedTuple):
    """The connections, and the keyring items that must still be deleted."""

    connections: tuple[Connection, ...] = ()
    forgotten: tuple[str, ...] = ()

    @property
    def items(self) -> frozenset[str]:
        """The keyring items that connections point to."""
        return frozenset(
            item
            for connection in self.connections
            for item in (
                connection.keyring_item,
                connection.webhook_item,
                *(source.password_item for source in connection.sources),
                *_items_of(connection.segment),
                _item_of(connection.ledger),
            )
            if item
        )


def _items_of(space: SegmentSpace | None) -> tuple[str | None, ...]:
    return () if space is None else (space.token_item, space.profiles_item)


def _item_of(server: LedgerServer | None) -> str | None:
    return None if server is None else server.password_item


class _TopLevel(msgspec.Struct, frozen=True):
    """The file's top level; unknown keys are ignored."""

    connections: dict[str, dict[str, Any]] = {}
    forgotten: tuple[str, ...] = ()


def parse_settings(text: str) -> Settings:
    """Return the settings in a text.

    Raises ValueError as `parsed` does, or if a value is invalid, or two connections have the same
    name. The text of the error names the key.
    """
    top = _convert(parsed(text), _TopLevel, "")
    connections = tuple(
        _convert({**entry, "id": id_}, Connection, f"connections.{id_}")
        for id_, entry in top.connections.items()
    )
    names = [connection.name for connection in connections]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two connections are called “{name}”")
    return Settings(connections, top.forgotten)


def _convert(value: object, shape: type[_T], where: str) -> _T:
    """Return a value converted to `shape`. Raises ValueError, whose text begins with the key."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        key = (where + path.rstrip("`")).lstrip(".")
        raise ValueError(f"{key}: {what}" if key else what) from None
