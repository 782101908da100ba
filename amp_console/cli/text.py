"""Tables for a terminal."""

from collections.abc import Iterable, Sequence

from amp_console.sync.words import clean, moment, plural, width


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Lay out rows under a header; columns whose header is in `right` are aligned right."""
    cells = [list(header), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = []
        for name, cell, wide in zip(header, row, widths, strict=True):
            gap = " " * (wide - width(cell))
            parts.append(gap + cell if name in right.split() else cell + gap)
        lines.append("  ".join(parts).rstrip())
    return lines


__all__ = ["clean", "moment", "plural", "table", "width"]
