"""The ledger's SQL for PostgreSQL: translated once, and cached by its text."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<as_is>'(?:[^']|'')*'|"[^"]*"|::)
  | --[^\n]*
  | \?(?P<number>\d*)
  | :(?P<name>[a-z_]\w*)
  | \bCREATE\s+INDEX\s+temp\.(?P<index>\w+)\s+ON\s+
  | \bIS\s+NOT\b(?!\s+NULL\b)
  | \bIS\b(?!\s+(?:NOT|NULL)\b)
  | \btemp\. | \bmain\. | \bINTEGER\b | \bTEXT\b | \bWITHOUT\s+ROWID\b | \blower\(
    """,
    re.VERBOSE,
)
_WORDS = {
    "IS NOT": "IS DISTINCT FROM",
    "IS": "IS NOT DISTINCT FROM",
    "temp.": "pg_temp.",
    "INTEGER": "bigint",
    "TEXT": 'text COLLATE "C"',
    "lower(": "ascii_lower(",  # SQLite's lower() leaves all but ASCII alone
}
"""What PostgreSQL calls it; what is not in here has no counterpart and is left out."""


class Translation(NamedTuple):
    """A statement with PostgreSQL's numbered parameters, and what is bound to each of them.

    `parameters` are the names, for a statement with named parameters; otherwise positions from 0.
    """

    sql: str
    parameters: tuple[str | int, ...]

    def bind(self, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """The values of the parameters, in their order."""
        return [values[parameter] for parameter in self.parameters]  # type: ignore[index]


@cache
def translate(sql: str) -> Translation:
    """Translate a statement that SQLite runs.

    Parameters are `?`, `?3` or `:name`. IS and IS NOT compare values that may be NULL. What `temp.`
    and `main.` qualify is found by PostgreSQL's search path.
    """
    return _Translator().translate(sql)


class _Translator:
    def __init__(self) -> None:
        self._parameters: list[str | int] = []
        self._last = 0  # SQLite gives `?` the number after the largest so far

    def translate(self, sql: str) -> Translation:
        text = _TOKEN.sub(self._replaced, sql)
        return Translation(text, tuple(self._parameters))

    def _replaced(self, match: re.Match[str]) -> str:
        found = match.group()
        if match["number"] is not None:
            number = int(match["number"] or self._last + 1)
            self._last = max(self._last, number)
            return self._parameter(number - 1)
        if match["name"] is not None:
            return self._parameter(match["name"])
        if match["index"] is not None:  # an index is where its table is
            return f"CREATE INDEX {match['index']} ON pg_temp."
        return found if match["as_is"] is not None else _WORDS.get(" ".join(found.split()), "")

    def _parameter(self, parameter: str | int) -> str:
        if parameter not in self._parameters:
            self._parameters.append(parameter)
        return f"${self._parameters.index(parameter) + 1}"
