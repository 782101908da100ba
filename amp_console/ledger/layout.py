"""Tables and columns of a ledger, as the catalog of its database lists them."""

from collections import defaultdict
from collections.abc import Iterable
from graphlib import TopologicalSorter

import msgspec

from amp_console.ledger.db import Db, ServerDb

_SQLITE_COLUMNS = (
    "SELECT t.name, c.name, c.pk > 0, c.type = 'TEXT' FROM sqlite_schema AS t "
    "JOIN pragma_table_info(t.name) AS c "
    "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
)
_SQLITE_REFERENCES = (
    'SELECT t.name, f."from", f."table", coalesce(f."to", p.name) FROM sqlite_schema AS t '
    "JOIN pragma_foreign_key_list(t.name) AS f "
    "JOIN pragma_table_info(f.\"table\") AS p ON p.pk = f.seq + 1 WHERE t.type = 'table'"
)
_SERVER_COLUMNS = (
    "SELECT t.relname::text, c.attname::text, coalesce(c.attnum = ANY (k.conkey), false), "
    "c.atttypid = 'text'::regtype FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid "
    "LEFT JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype = 'p' "
    "WHERE t.relnamespace = quote_ident(current_schema())::regnamespace "
    "AND t.relkind IN ('r', 'p') "
    "AND NOT t.relispartition AND c.attnum > 0 AND NOT c.attisdropped "
    "AND t.relname NOT IN ('ledger_version', 'member_count', 'pending_block')"
)
_SERVER_REFERENCES = (
    "SELECT t.relname::text, a.attname::text, p.relname::text, b.attname::text "
    "FROM pg_constraint AS k JOIN pg_class AS t ON t.oid = k.conrelid "
    "JOIN pg_class AS p ON p.oid = k.confrelid "
    "JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.conkey[1] "
    "JOIN pg_attribute AS b ON b.attrelid = p.oid AND b.attnum = k.confkey[1] "
    "WHERE k.contype = 'f' AND t.relnamespace = quote_ident(current_schema())::regnamespace "
    "AND NOT t.relispartition"
)


class Reference(msgspec.Struct, frozen=True):
    """A foreign key: the `column` of a table holds values of `parent_column` of its `parent`."""

    column: str
    parent: str
    parent_column: str


class Table(msgspec.Struct, frozen=True):
    """A table: its columns, those of the primary key, and those that hold text; all by name.

    The engines may have them in different orders.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: tuple[str, ...]
    references: tuple[Reference, ...] = ()

    def selection(self) -> str:
        """A query of all columns of all rows."""
        return f"SELECT {listed_names(self.columns)} FROM {quoted_name(self.name)}"


def quoted_name(name: str) -> str:
    """Quote the name of a table or a column; both engines accept it then, even a keyword."""
    return f'"{name}"'


def listed_names(names: Iterable[str]) -> str:
    """Quoted names with commas between them."""
    return ", ".join(map(quoted_name, names))


def tables_of(db: Db) -> list[Table]:
    """The tables of a ledger; each comes after those that it refers to."""
    is_server = isinstance(db, ServerDb)
    references: dict[str, list[Reference]] = defaultdict(list)
    for name, *reference in db.execute(_SERVER_REFERENCES if is_server else _SQLITE_REFERENCES):
        references[name].append(Reference(*reference))
    columns: dict[str, list[tuple[str, bool, bool]]] = defaultdict(list)
    for name, column, is_key, is_text in sorted(
        db.execute(_SERVER_COLUMNS if is_server else _SQLITE_COLUMNS)
    ):
        columns[name].append((column, bool(is_key), bool(is_text)))
    parents = {
        name: sorted({reference.parent for reference in references[name]} - {name})
        for name in sorted(columns)
    }
    # A server counts members by why they were rejected, so it has to know that before.
    parents["member"] = sorted({*parents["member"], "rejection"})
    return [
        Table(
            name,
            tuple(column for column, _, _ in columns[name]),
            tuple(column for column, is_key, _ in columns[name] if is_key),
            tuple(column for column, _, is_text in columns[name] if is_text),
            tuple(references[name]),
        )
        for name in TopologicalSorter(parents).static_order()
    ]
