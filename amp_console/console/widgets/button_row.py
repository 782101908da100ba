"""The buttons of a dialog: in one row, or in several if they do not fit into one."""

from textual.containers import Container
from textual.geometry import NULL_OFFSET, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

GAP = 2  # columns between two buttons


class ButtonRow(Container):
    """A row of buttons, aligned right, that wraps if they do not fit."""

    DEFAULT_CSS = "ButtonRow { height: auto; }"

    def __init__(self) -> None:
        super().__init__(classes="buttons")

    @property
    def layout(self) -> Layout:
        """The layout that wraps the buttons."""
        return _Wrapped()


class _Wrapped(Layout):
    """Rows with about the same number of buttons, each row aligned right."""

    name = "wrapped"

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002  # of Layout
    ) -> ArrangeResult:
        viewport = parent.app.viewport_size
        buttons: list[tuple[Widget, int]] = []
        for child in children:
            least = child.styles.min_width
            natural = child.get_content_width(size, viewport) + child.gutter.width
            width = min(size.width, max(natural, least.cells or 0 if least else 0))
            buttons.append((child, width))
        rows = _rows(buttons, size.width, len(buttons))
        if len(rows) > 1:
            evenly = _rows(buttons, size.width, -(-len(buttons) // len(rows)))
            rows = evenly if len(evenly) == len(rows) else rows
        placements = []
        for y, row in enumerate(rows):
            x = size.width - sum(width for _, width in row) - GAP * (len(row) - 1)
            for child, width in row:
                region = Region(x, y, width, 1)
                placements.append(WidgetPlacement(region, NULL_OFFSET, child.styles.margin, child))
                x += width + GAP
        return placements


def _rows(
    buttons: list[tuple[Widget, int]], room: int, most: int
) -> list[list[tuple[Widget, int]]]:
    """Break buttons of these widths into rows of `room` columns, with `most` in each."""
    rows: list[list[tuple[Widget, int]]] = [[]]
    for child, width in buttons:
        taken = sum(GAP + other for _, other in rows[-1])
        if rows[-1] and (taken + width > room or len(rows[-1]) == most):
            rows.append([])
        rows[-1].append((child, width))
    return rows
