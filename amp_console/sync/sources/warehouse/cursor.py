"""The time from which a query of changes continues: its parameter `:cursor`."""

import re

CURSOR = ":cursor"

# What may hold the same characters and is no parameter: texts, quoted names and comments.
_TOKENS = re.compile(
    r"""
    [eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | (?P<cursor>(?<![:\w]):cursor\b)
    """,
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)


def reads_on(sql: str) -> bool:
    """Whether a query has the parameter; one without it reads everything each time."""
    return any(token["cursor"] for token in _TOKENS.finditer(sql))


def with_placeholder(sql: str, placeholder: str) -> str:
    """Write the parameter as an engine spells it, of equal length to keep positions right."""
    padded = placeholder.ljust(len(CURSOR))
    return _TOKENS.sub(lambda token: padded if token["cursor"] else token[0], sql)


class NextCursor:
    """The time from which the next refresh of a query of changes continues.

    That is the newest time that was read. It stays before the oldest row that was refused, which is
    read again until it can be used, and before now (all in microseconds since 1970): what changes
    until a time to come is older than that.
    """

    def __init__(self, before: int | None) -> None:
        """`before` is where the last refresh left it."""
        self._newest = before
        self._refused: int | None = None

    def read(self, at: int, now: int) -> None:
        """Note the time of a row that was read."""
        at = min(at, now)
        self._newest = at if self._newest is None else max(at, self._newest)

    def refuse(self, at: int) -> None:
        """Note the time of a row that was refused."""
        self._refused = at if self._refused is None else min(at, self._refused)

    @property
    def value(self) -> int | None:
        """The time; None as long as nothing was read."""
        if self._newest is None or self._refused is None:
            return self._newest
        return min(self._newest, self._refused)
