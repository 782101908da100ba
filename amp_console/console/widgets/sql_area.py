"""An area for SQL with syntax highlighting."""

from collections.abc import Iterator
from typing import ClassVar

from pygments.lexers.sql import SqlLexer
from pygments.token import Comment, Keyword, Number, String, _TokenType
from rich.text import Text
from textual.widgets import TextArea

_KINDS = ((Keyword, "keyword"), (String, "string"), (Comment, "comment"), (Number, "number"))
MAX_LENGTH = 100_000  # characters; a longer query is not highlighted


class SqlArea(TextArea):
    """Highlights keywords, strings, numbers and comments of any SQL dialect, without a database."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"sql--{kind}" for _, kind in _KINDS}
    DEFAULT_CSS = """
    SqlArea > .sql--keyword { color: $text-accent; text-style: bold; }
    SqlArea > .sql--string { color: $text-success; }
    SqlArea > .sql--number { color: $text-warning; }
    SqlArea > .sql--comment { color: $text-muted; text-style: italic; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's word
        self._highlighted = ""
        self._spans: dict[int, list[tuple[int, int, str]]] = {}
        super().__init__(id=id, highlight_cursor_line=False)
        self.cursor_blink = False  # blinking would take most of the CPU time while idle

    def get_line(self, line_index: int) -> Text:
        """Return a line with its colors; Textual calls this to draw it."""
        line = super().get_line(line_index)
        if (text := self.text) != self._highlighted:
            self._highlighted, self._spans = text, {}
            for at, start, end, kind in _spans(text):
                self._spans.setdefault(at, []).append((start, end, kind))
        for start, end, kind in self._spans.get(line_index, ()):
            style = self.get_component_rich_style(f"sql--{kind}", partial=True)
            line.stylize(style, start, end)
        return line


def _spans(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Yield what is highlighted: line, first column, the column after the last one, and kind."""
    if len(text) > MAX_LENGTH:
        return
    line = column = 0
    for token, value in SqlLexer(stripnl=False, ensurenl=False).get_tokens(text):
        kind = _kind(token)
        for number, part in enumerate(value.split("\n")):
            if number:
                line, column = line + 1, 0
            if part and kind:
                yield line, column, column + len(part), kind
            column += len(part)


def _kind(token: _TokenType) -> str:
    return next((kind for parent, kind in _KINDS if token in parent), "")
