"""Rewriting the settings file without losing people's comments and unknown keys."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import msgspec
import tomlkit
from tomlkit.container import Container
from tomlkit.items import Comment, Null, Table, Whitespace

from amp_console.connections.connection import Connection, Limits
from amp_console.connections.ledger_server import LedgerServer
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.settings import Settings, parse_settings
from amp_console.connections.settings_file import parsed

_HEADER = "# amp-console's connections. Their keys are in the keyring, not here.\n\n"
_TABLES: dict[str, type[msgspec.Struct]] = {
    "limits": Limits,
    "segment": SegmentSpace,
    "ledger": LedgerServer,
}
_UNUSUAL = "its tables are arranged in a way that can't be edited safely"


def rewrite(text: str, settings: Settings) -> str:
    """Return the text of a settings file, updated to these settings.

    Default values are left out, so that a later version's better default reaches the connections
    that never set their own.

    Raises ValueError if the text is arranged in a way that can't be edited safely.
    """
    try:
        changed = _edited(tomlkit.parse(text or _HEADER), settings)
        written = parse_settings(changed)
    except Exception as error:  # tomlkit fails on rare shapes with errors of many types
        raise ValueError(_UNUSUAL) from error
    if (written.forgotten, {*written.connections}) != (settings.forgotten, {*settings.connections}):
        raise ValueError(_UNUSUAL)
    return changed


def put(text: str, section: str, key: str, value: object) -> str:
    """Return the text of a settings file with this value for a key of a section.

    Raises ValueError as `parsed` does, or if the text is arranged in a way that can't be edited
    safely.
    """
    before = parsed(text)
    try:
        document = tomlkit.parse(text or _HEADER)
        headings = _headings(document)
        document.setdefault(section, tomlkit.table())[key] = value
        changed = _written(document, headings)
        after = parsed(changed)
    except Exception as error:  # as above
        raise ValueError(_UNUSUAL) from error
    if after != before | {section: before.get(section, {}) | {key: value}}:
        raise ValueError(_UNUSUAL)
    return changed


def _edited(document: tomlkit.TOMLDocument, settings: Settings) -> str:
    headings = _headings(document)
    if settings.forgotten:
        document["forgotten"] = list(settings.forgotten)
    else:
        document.pop("forgotten", None)
    entries = document.setdefault("connections", tomlkit.table(is_super_table=True))
    for gone in set(entries) - {connection.id for connection in settings.connections}:
        del entries[gone]
    for connection in settings.connections:
        entry = entries.setdefault(connection.id, tomlkit.table())
        fields = Connection.__struct_fields__[1:]  # the id is the table's name
        _update(entry, fields, msgspec.to_builtins(connection))
    return _written(document, headings)


def _written(document: tomlkit.TOMLDocument, headings: list[tuple[Table, str]]) -> str:
    for table, heading in headings:
        table.trivia.indent = heading + table.trivia.indent
    return tomlkit.dumps(document)


def _update(
    table: MutableMapping[str, Any], fields: tuple[str, ...], values: Mapping[str, Any]
) -> None:
    """Set a table's known keys to these values; remove those without one; keep unknown ones."""
    for field in fields:
        value = values.get(field)
        if value is None:
            table.pop(field, None)
        elif isinstance(value, list | tuple):
            _update_list(table, field, value)
        elif isinstance(value, dict):
            if value or field in table:
                _update(table.setdefault(field, {}), _TABLES[field].__struct_fields__, value)
        elif table.get(field) != value:
            table[field] = value


def _update_list(table: MutableMapping[str, Any], field: str, values: Sequence[Any]) -> None:
    """Set a list of tables to these values, one per line; remove an empty one."""
    if not values:
        table.pop(field, None)
    elif table.get(field) != [*values]:
        array = tomlkit.array().multiline(multiline=True)
        for value in values:
            entry = tomlkit.inline_table()
            entry.update(value)
            array.append(entry)
        table[field] = array


def _headings(document: Container) -> list[tuple[Table, str]]:
    """Remove the comment lines right above each table, and return them with their table.

    They belong to that table, but tomlkit assigns them to the one before: they would be removed
    with it, and its new keys would be added below them.
    """
    headings = []
    above: list[tuple[Container, int]] = []  # blank lines and comments since the last key or header

    def walk(container: Container) -> None:
        for index, (_, item) in enumerate(container.body):
            if isinstance(item, Comment | Whitespace):
                above.append((container, index))
                continue
            if isinstance(item, Table):
                if not item.is_super_table():
                    headings.append((item, _cut_heading(above)))
                    above.clear()
                walk(item.value)
            else:
                above.clear()

    walk(document)
    return headings


def _cut_heading(above: list[tuple[Container, int]]) -> str:
    """Cut out the last comment lines and the blank lines above them."""
    heading = ""
    blank = False
    for container, index in reversed(above):
        item = container.body[index][1]
        if blank and isinstance(item, Comment):
            break
        blank = isinstance(item, Whitespace)
        heading = item.as_string() + heading
        container.body[index] = (None, Null())
    return heading
