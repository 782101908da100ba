"""Cells that a spreadsheet would run as formulas, and how a CSV for people defuses them.

The rule is OWASP's (CSV injection): an apostrophe goes before =, +, -, @, a tab or a line break
that begins a cell, in their full-width forms too, and after a separator in the middle of a cell,
where the spreadsheet of another country cuts it. An apostrophe that is already there gets one more,
so that every text can be told from every other.
"""

import re

_STARTS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_RISKY = re.compile(f"(^|[;,\t\r\n])(?='*[{_STARTS}])")
_DEFUSED = re.compile(f"'+[{_STARTS}]")

DEFUSED = (
    "begins with an apostrophe before =, +, - or @, as an export for spreadsheets writes it; "
    "export it exactly instead"
)


def defuse(cell: str) -> str:
    """Return a cell that a spreadsheet shows and does not run."""
    return _RISKY.sub(r"\1'", cell)


def is_defused(text: str) -> bool:
    """Whether a text looks like a defused cell, so that it is unlikely to be an identifier."""
    return _DEFUSED.match(text) is not None
