"""Tables for a terminal."""

from collections.abc import Iterable, Sequence

from amp_console.text import MAX_LENGTH, clean, plural, width

LONG = 300  # characters of a cell with a reason or an identifier


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: str = "", long: str = ""
) -> list[str]:
    """Lay out rows under a header; columns whose header is in `right` are aligned right.

    Cells are cut at 60 characters, or at 300 in columns whose header is in `long`: reasons and
    identifiers often begin alike.
    """
    limits = [LONG if name in long.split() else MAX_LENGTH for name in header]
    cells = [
        list(header),
        *([clean(cell, most) for cell, most in zip(row, limits, strict=True)] for row in rows),
    ]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = []
        for name, cell, wide in zip(header, row, widths, strict=True):
            gap = " " * (wide - width(cell))
            parts.append(gap + cell if name in right.split() else cell + gap)
        lines.append("  ".join(parts).rstrip())
    return lines


__all__ = ["clean", "plural", "table", "width"]
