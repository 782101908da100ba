"""Filtering what reaches the terminal: no control characters, and none that its encoding lacks.

Texts are escaped where they are composed (`texts.safe_text`), so that they stay readable. This is a
second safety net below all widgets: it drops whatever slips through.
"""

import codecs
import sys
import unicodedata

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CONTROL = {"Cc", "Cf", "Zl", "Zp"}
_PLAIN = str.maketrans(
    "─│┌┐└┘├┤┬┴┼━┃╭╮╯╰▁▂▃▄▅▆▇█░▒▓…–—−→←↑↓·×»✓✔✖●○▸“”‘’",
    "-|+++++++++-|++++########.-x~---><^v|x>v+x*o>\"\"''",
)


def terminal_encoding() -> str:
    """Return the encoding of the stream that Textual paints to."""
    stream = sys.__stderr__
    return codecs.lookup((stream and stream.encoding) or "ascii").name


def draws_signs(encoding: str) -> bool:
    """Return whether a terminal with this encoding can show the Unicode signs."""
    return encoding.startswith("utf")


class TerminalText(LineFilter):
    """Drops control characters, and replaces characters that the terminal's encoding lacks.

    While it `is_plain`, it also replaces signs that the encoding has; letters of any script stay.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.is_plain = False
        self._encoding = encoding
        self._is_unicode = draws_signs(encoding)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return segments of the same width that are safe to write."""
        del background
        if all(self._is_safe(segment.text) for segment in segments):
            return segments
        return [
            segment if segment.control else Segment(self._safe(segment.text), segment.style)
            for segment in segments
        ]

    def _is_safe(self, text: str) -> bool:
        return text.isprintable() and (text.isascii() or (self._is_unicode and not self.is_plain))

    def _safe(self, text: str) -> str:
        kept = (char for char in text if unicodedata.category(char) not in _CONTROL)
        plain = (char.translate(_PLAIN) if self.is_plain else char for char in kept)
        return "".join(char if self._has(char) else _other(char) for char in plain)

    def _has(self, char: str) -> bool:
        try:
            char.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True


def _other(char: str) -> str:
    plain = char.translate(_PLAIN)
    return plain if plain.isascii() else "?" * cell_len(char)
